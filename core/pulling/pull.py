"""
Pull: asks a connection's streams for what changed and stores it page by page, each page with the checkpoint that follows it.

The connector's generator does the asking and runs outside any transaction; a page's records and its checkpoint are one
transaction, made when the generator next waits for its vendor: the next page is on its way while this one is stored. What may
go wrong with a vendor's paging is caught here once, for every connector: pages that repeat, cursors in the future, resume
tokens that expired. Who the records belong to is `core.resolve`'s business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from core.clock import Clock, from_us
from core.config.model import ConnectionConfig
from core.contract import Deletions, Stream
from core.errors import (
    AuthError,
    ConnectorError,
    HubError,
    LeaseLost,
    ProtocolError,
    QuotaExhausted,
    RejectedError,
    Stopped,
    StoreError,
)
from core.http import HttpApi
from core.pulling.keep import Keeper
from core.pulling.paging import Repeats
from core.pulling.pull_report import PageStored, PullReport, StreamReport
from core.registry import Connector
from core.store import checkpoints
from core.store.checkpoints import Start
from core.store.db import Store
from core.store.forgotten import Forgotten
from core.store.sources import Source, source

T = TypeVar("T")


class _AheadError(Exception):
    """The first answer of a pull shows that what it took for now has not come yet at the vendor."""


ENDS_CONNECTION: Final = (AuthError, QuotaExhausted, LeaseLost, Stopped, StoreError)
"""What ends the pull of the whole connection; anything else ends only its stream."""
FULL_EVERY: Final = timedelta(days=7)
"""How often a stream whose deletions show only by absence is pulled in full, unless it or the config says otherwise."""
AHEAD: Final = timedelta(seconds=5)
"""How far what a pull took for now may be ahead of what the vendor then says (in whole seconds, before it answers)."""
OVERTAKEN: Final = timedelta(hours=1)
"""Age from which a pull that went on is made anew where changes alone cannot be asked for."""


def pull_connection(
    store: Store,
    api: HttpApi,
    *,
    connection: ConnectionConfig,
    connector: Connector,
    run_id: int,
    clock: Clock,
    full: bool = False,
    streams: Iterable[str] | None = None,
    on_page: Callable[[PageStored], None] | None = None,
    check: Callable[[sqlite3.Connection], None] | None = None,
) -> PullReport:
    """
    Pull the streams of *connection* (those named in *streams*, else all that it is configured for).

    *full* asks for everything again, from the beginning. *check* is called inside each write transaction (the lease). A stream
    that fails keeps its error in the report and in the store, and the others go on.

    Raises:
        AuthError, QuotaExhausted, LeaseLost, Stopped, StoreError: no stream can go on; what is stored stays.
    """
    declared = connector.streams(api.settings)
    chosen = connection.streams if connection.streams is not None else tuple(declared)
    asked = None if streams is None else set(streams)
    report = PullReport(connection.name)
    forgotten = Forgotten(store.conn, store.path)
    names = [name for name in chosen if asked is None or name in asked]
    for at, name in enumerate(names):
        of = source(store, connection.name, name)
        keeper = Keeper(store, declared[name], of, run_id, clock, on_page, check, forgotten, unread=names[at:])
        pull = _StreamPull(store, api, declared[name], of, keeper, run_id, clock)
        report.streams.append(pull.run(full=full, full_every=connection.full_every))
    return report


class _StreamPull:
    """One pull of one stream, all its slices."""

    def __init__(
        self, store: Store, api: HttpApi, stream: Stream, of: Source, keeper: Keeper, run_id: int, clock: Clock
    ) -> None:
        self.store, self.api, self.stream, self.of = store, api, stream, of
        self.keeper, self.run_id, self.clock = keeper, run_id, clock
        self.overtaken: list[str] = []
        """Slices whose pull went on where an earlier run broke off."""

    def run(self, *, full: bool, full_every: timedelta | None) -> StreamReport:
        """Pull the stream, and leave in the store how it ended."""
        began = self.clock()
        error: HubError | None = None
        try:
            self.keeper.begin(began)
            self._pull(full=full, full_every=full_every)
        except HubError as caught:
            error = caught
            if isinstance(error, ConnectorError):
                error.locate(connection=self.of.connection, stream=self.of.stream)
            if not isinstance(error, StoreError | LeaseLost | QuotaExhausted | Stopped):  # a pause is no failure
                self.keeper.failed(str(error))
            if isinstance(error, ENDS_CONNECTION):
                raise
        took_s = (self.clock() - began).total_seconds()
        return replace(self.keeper.report, error=error, complete=error is None, took_s=took_s)

    def _pull(self, *, full: bool, full_every: timedelta | None) -> None:
        every = full_every or self.stream.full_every
        if every is None and self.stream.deletions is Deletions.ABSENCE:
            every = FULL_EVERY
        began = self.clock()
        slices = [""] if self.stream.slices is None else list(dict.fromkeys(self._asked(self._slices)))
        fulls: dict[str, bool] = {}
        for slice_ in slices:
            self.keeper.again.discard(slice_)
            fulls[slice_] = self._pull_slice(slice_, full=full, every=every)
        self.keeper.forget_gone(slices)
        for slice_ in sorted(self.keeper.again & fulls.keys()):  # another lost a record, so its values are theirs now
            self._pull_slice(slice_, full=False, every=every)
        with self.keeper.atomic() as conn:
            self.keeper.end(conn, whole=all(fulls.values()), began=began, overtaken=bool(self.overtaken))
        if self.overtaken:
            self._catch_up(every)

    def _slices(self) -> list[str]:
        assert self.stream.slices is not None
        return list(self.stream.slices(self.api))

    def _pull_slice(self, slice_: str, *, full: bool, every: timedelta | None) -> bool:
        """Pull one slice to its clean end; return whether everything of it was asked for."""
        start, whole = self._to_the_end(slice_, full=full, every=every)
        age = self._now() - from_us(start.began_at)
        went_on = start.resume is not None and abs(age) > AHEAD
        if went_on and (age > OVERTAKEN or checkpoints.has_cursor(self.store.conn, self.of.id, slice_)):
            self.overtaken.append(slice_)
        return whole

    def _catch_up(self, every: timedelta | None) -> None:
        """
        Ask for what changed since the pulls began that went on where an earlier run broke off: they know things as of then.

        Until then they are half read: other streams are of today. Where one pull takes a quota of several days, though, there
        is no other end than that: a quota that runs out meanwhile takes nothing from it.
        """
        began = self.clock()
        try:
            for slice_ in self.overtaken:
                self._to_the_end(slice_, full=False, every=every)
        except QuotaExhausted:
            self.keeper.let_be()
            raise
        with self.keeper.atomic() as conn:
            self.keeper.end(conn, whole=False, began=began)

    def _to_the_end(self, slice_: str, *, full: bool, every: timedelta | None) -> tuple[Start, bool]:
        """Return where the pull began in the end, and whether everything was asked for."""
        took_for = self._now()
        try:
            return self._through(slice_, took_for, full=full, every=every)
        except _AheadError:  # nothing of it is stored; from now on it is known what time it is there
            return self._through(slice_, None, full=full, every=every)

    def _through(self, slice_: str, took_for: datetime | None, *, full: bool, every: timedelta | None) -> tuple[Start, bool]:
        # whoever asks for everything does not trust what they have, that of a pull which was broken off least of all
        start = self._begin(slice_, full=full, every=every, anew=full)
        try:
            self._pages(slice_, start, took_for)
        except RejectedError:
            if start.resume is None or self.keeper.pages_stored:
                raise
            # the vendor no longer takes the token of a broken pull: start over with the cursor it began with
            with self.keeper.atomic() as conn:
                checkpoints.forget_resume(conn, self.of.id, slice_)
            start = self._begin(slice_, full=start.full, every=every)
            self._pages(slice_, start)
        with self.keeper.atomic() as conn:
            return start, self.keeper.end_slice(conn, slice_)

    def _now(self) -> datetime:
        """Return what no cursor may pass: now, by our clock and by the vendor's."""
        return min(self.clock(), self.api.now)

    def _begin(self, slice_: str, *, full: bool, every: timedelta | None, anew: bool = False) -> Start:
        now = self._now()
        with self.keeper.atomic() as conn:
            due = full or (every is not None and checkpoints.full_due(conn, self.of.id, slice_, every, now))
            due = due or checkpoints.ended_ahead(conn, self.of.id, slice_, self.clock())
            return checkpoints.begin(conn, self.stream, self.of.id, slice_, full=due, run_id=self.run_id, now=now, anew=anew)

    def _pages(self, slice_: str, start: Start, took_for: datetime | None = None) -> None:
        arguments = (self.api, start.cursor, start.resume, *(() if self.stream.slices is None else (slice_,)))
        pages = self._asked(lambda: iter(self.stream.pull(*arguments)))
        guard, meanwhile = Repeats(), self.api.meanwhile
        self.keeper.begin_slice(start.replacing)
        try:
            while True:
                asked_at = self._now()
                try:
                    page = self._asked(lambda: next(pages, None))
                finally:
                    meanwhile.settle()
                if took_for is not None and not self.keeper.pages_stored and self._now() < took_for - AHEAD:
                    raise _AheadError
                if page is None:
                    return
                prepared = self.keeper.records.prepare(page.records)
                guard.check(page, prepared.digest if prepared.items else None)
                step = partial(self.keeper.page, page, prepared, slice_, start.began_run, asked_at)
                if page.records:
                    meanwhile.put(step)  # while the vendor makes the next one
                else:
                    step()  # a job's id, before anything else is asked
        finally:
            close = getattr(pages, "close", None)
            if close is not None:
                close()

    def _asked(self, ask: Callable[[], T]) -> T:
        """Run the connector's code; what it did not foresee in an answer stops the stream."""
        try:
            return ask()
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ProtocolError(f"the connector could not read the answer ({type(error).__name__})") from error

"""
What a pull leaves in the store: each page with the checkpoint that follows it, and at a clean end what has vanished.

A page and its checkpoint are one transaction. Who the records belong to is `core.resolve`'s business.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from core.clock import Clock, to_us
from core.contract import BadRecord, Deletions, Kind, Page, Range, Stream
from core.pulling.leave_out import leave_out
from core.pulling.pull_report import PageStored, StreamReport
from core.store import checkpoints, vanish
from core.store.db import Store
from core.store.dead_letters import bury_record, unbury_records
from core.store.events import EventStore
from core.store.forgotten import GENERATION, Forgotten
from core.store.pages import RecordStore
from core.store.reading import Prepared
from core.store.sources import Source

_STANDING: Final = (
    f"SELECT {GENERATION}, EXISTS (SELECT 1 FROM vanished WHERE stream_id = ?1), "
    "EXISTS (SELECT 1 FROM dead_letters WHERE what = 'record' AND connection = ?2 AND stream = ?3)"
)
"""What a page has to mind that hardly ever is: who was forgotten, what has vanished, what could not be stored."""


class Keeper:
    """Keeps what one pull of one stream brings."""

    def __init__(
        self,
        store: Store,
        stream: Stream,
        of: Source,
        run_id: int,
        clock: Clock,
        on_page: Callable[[PageStored], None] | None,
        check: Callable[[sqlite3.Connection], None] | None,
        forgotten: Forgotten,
        *,
        unread: Sequence[str],
    ) -> None:
        """*unread* are the streams that the pull of the connection has not come to the end of: this one, and those after it."""
        self._store, self._stream, self._of = store, stream, of
        self._run_id, self._clock, self._on_page, self._check = run_id, clock, on_page, check
        self._forgotten, self._unread = forgotten, unread
        self.report = StreamReport(of.stream)
        """What came of it so far."""
        self.pages_stored = 0
        """Since `begin_slice`."""
        self.again: set[str] = set()
        """Slices to be read again before the stream is done."""
        self._nameless = 0
        """Rows of the slice of which not even the key could be read."""
        self._replacing: Range | None = None
        """The range whose replacement is under way."""
        self.records: RecordStore | EventStore

    def begin(self, at: datetime) -> None:
        """Note that the pull begins."""
        with self.atomic() as conn:
            conn.execute("UPDATE streams SET started_at = ? WHERE id = ?", (to_us(at), self._of.id))
            self.records = (EventStore if self._of.kind is Kind.EVENT else RecordStore)(conn, self._of, self._stream)

    def begin_slice(self, replacing: Range | None) -> None:
        """Take pages of a slice from now on; *replacing* is what an earlier pull of it was about to replace."""
        self.pages_stored = 0
        self._nameless = 0
        self._replacing = replacing

    def page(self, page: Page, prepared: Prepared[Any], slice_: str, began_run: int, asked_at: datetime) -> None:
        """Store a page and the checkpoint that follows it."""
        with self.atomic() as conn:
            if self._replacing is not None and page.replaces != self._replacing:
                vanish.mark_replaced(conn, self._of, self._replacing, slice_, began_run, to_us(self._clock()))
            self._replacing = page.replaces
            if not self.report.pages:
                self._note_reading(conn)
            changed = self._store_page(conn, page, prepared, slice_)
            checkpoints.move(conn, self._stream, self._of.id, slice_, page, asked_at=asked_at)
        self.pages_stored += 1
        self._count(pages=1, records=prepared.count, changed=changed)
        self._tell()

    def _note_reading(self, conn: sqlite3.Connection) -> None:
        """Note what is half read from now on: each stream until its own end, for what they tell of one belongs together."""
        conn.execute(
            "UPDATE streams SET reading = ? WHERE name IN (SELECT value FROM json_each(?))"
            " AND connection_id = (SELECT connection_id FROM streams WHERE id = ?)",
            (self._run_id, json.dumps(self._unread), self._of.id),
        )

    def _store_page(self, conn: sqlite3.Connection, page: Page, prepared: Prepared[Any], slice_: str) -> int:
        """Store what a page says; return how many records changed."""
        now = to_us(self._clock())
        generation, vanished, dead = conn.execute(_STANDING, (self._of.id, self._of.connection, self._of.stream)).fetchone()
        self._forgotten.heed(conn, generation)
        if self._forgotten:
            page, prepared, theirs = leave_out(page, prepared, self.records, self._of, self._forgotten)
            self._count(forgotten=theirs)
        if prepared.items and vanished:
            vanish.returned(conn, self._of, list(prepared.items))
        stored = self.records.store(conn, prepared, slice_=slice_, run_id=self._run_id, now=now)
        bad = [*page.bad, *prepared.bad, *stored.bad]
        where = {"connection": self._of.connection, "stream": self._of.stream}
        if stored.changed and dead:
            gone = {one.ref for one in bad}
            unbury_records(conn, **where, keys=[key for key in prepared.items if key not in gone])
        if bad:
            news = [bury_record(conn, **where, key=o.ref, reason=o.reason, run_id=self._run_id, at=now) for o in bad]
            self._count(bad=len(bad), known_bad=news.count(False))
            self._keep_unread(conn, bad, slice_)
        if page.deleted:
            vanish.mark_told(conn, self._of, page.deleted, now)
        if page.merged:
            self._count(deleted=vanish.merge(conn, self._of, self._stream, page.merged, now))
        return stored.changed

    def _keep_unread(self, conn: sqlite3.Connection, bad: Sequence[BadRecord], slice_: str) -> None:
        """What cannot be read is still there: each record of which the key is known; without one it may be any."""
        keys = [one.key for one in bad if one.key is not None]
        self._nameless += len(bad) - len(keys)
        if keys and self._of.kind is not Kind.EVENT:
            vanish.still_there(conn, self._of, keys, slice_, self._run_id)

    def _count(self, **more: int) -> None:
        self.report = replace(self.report, **{name: getattr(self.report, name) + number for name, number in more.items()})

    def _tell(self) -> None:
        if self._on_page is not None:
            facts = {name: getattr(self.report, name) for name in ("pages", "records", "changed")}
            self._on_page(PageStored(self._of.connection, self._of.stream, **facts))

    def end_slice(self, conn: sqlite3.Connection, slice_: str) -> bool:
        """At a slice's clean end: what a full pull did not see has vanished."""
        now = self._clock()
        under_way = checkpoints.under_way(conn, self._of.id, slice_)
        full = checkpoints.finish(conn, self._of.id, slice_, now=now)
        if under_way.replacing is not None:
            vanish.mark_replaced(conn, self._of, under_way.replacing, slice_, under_way.began_run, to_us(now))
        if full and self._of.kind is not Kind.EVENT and self._stream.deletions is not Deletions.NONE:
            if self._may_be_unread(conn, under_way.began_run):
                note = "a row that names no key may be any that is missed, so none has vanished"
                self.report = replace(self.report, notes=(*self.report.notes, f"{slice_}: {note}" if slice_ else note))
            else:
                self.again |= vanish.mark_unseen(conn, self._of, slice_, under_way.began_run, to_us(now))
        return full

    def _may_be_unread(self, conn: sqlite3.Connection, began_run: int) -> bool:
        """Whether a record that was not seen may be one that could not be read, by this run or an earlier one of the pull."""
        if self._nameless or began_run == self._run_id:
            return self._nameless > 0
        row = conn.execute(
            "SELECT 1 FROM dead_letters WHERE what = 'record' AND connection = ? AND stream = ? AND run_id >= ? LIMIT 1",
            (self._of.connection, self._of.stream, began_run),
        ).fetchone()
        return row is not None

    def end(self, conn: sqlite3.Connection, *, whole: bool, began: datetime, overtaken: bool = False) -> None:
        """At the stream's clean end: decide over what vanished. *overtaken*: it is the end of what there was some time ago."""
        now = to_us(self._clock())
        self._note_fields(conn, whole=whole, now=now)
        deleted, held = vanish.settle(conn, self._of, now)
        self.report = replace(self.report, deleted=self.report.deleted + deleted, held=held)
        conn.execute(
            "UPDATE streams SET finished_at = ?1, completed_at = ?1, error = NULL, reading = iif(?5, ?6, NULL),"
            " took_s = ?2, full_completed_at = CASE WHEN ?3 THEN ?1"
            " ELSE (SELECT min(full_completed_at) FROM checkpoints WHERE stream_id = ?4) END WHERE id = ?4",
            (now, (self._clock() - began).total_seconds(), whole, self._of.id, overtaken, self._run_id),
        )

    def _note_fields(self, conn: sqlite3.Connection, *, whole: bool, now: int) -> None:
        landing = self.records.landing
        if landing is None:
            return
        news = [f"{field}: {old} became {new}" for field, old, new in landing.changes]
        if whole:
            news += [f"{field}: no longer sent" for field in landing.mark_missing(conn, now)]
        self.report = replace(self.report, notes=(*self.report.notes, *news))

    def let_be(self) -> None:
        """What there was some time ago is to do: no more can be had for now."""
        with self.atomic() as conn:
            conn.execute("UPDATE streams SET reading = NULL WHERE id = ?", (self._of.id,))

    def failed(self, error: str) -> None:
        """Note that the pull ended with an *error*."""
        with self._store.atomic() as conn:
            now = to_us(self._clock())
            conn.execute(
                "UPDATE streams SET finished_at = ?, error = ?, reading = NULL WHERE id = ?", (now, error, self._of.id)
            )

    def forget_gone(self, slices: list[str]) -> None:
        """Let what slices hold that are no longer there vanish."""
        if self._stream.slices is not None and self._of.kind is not Kind.EVENT and self._stream.deletions is Deletions.ABSENCE:
            with self.atomic() as conn:
                self.again |= vanish.mark_gone_slices(conn, self._of, slices, to_us(self._clock()))

    @contextmanager
    def atomic(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, under the lease."""
        with self._store.atomic() as conn:
            if self._check is not None:
                self._check(conn)
            yield conn

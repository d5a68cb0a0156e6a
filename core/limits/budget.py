"""
How fast a connection may ask: the manifest's limits, each kept by a `core.limits.bucket`, and the pauses that the vendor asks
for.

A quota (a limit by the hour or the day) may be used up by nobody's doing but a daemon's: a request that nobody waits for leaves
a share of it alone (`reserve`), however many processes there are.

A connection's own row (bucket `*`) holds `not_before`: a vendor that asks for patience is left alone by every process. A
daily quota that ran out is `connections.resume_at`; one that only people may still use `connections.kept_until`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from core.clock import from_us, to_us
from core.contract import Limit
from core.errors import StoreError
from core.limits.bucket import FAR_S, Bucket
from core.log import log
from core.store.db import Store

__all__ = ["Budget", "Grant", "shared_budget"]

LOOK_EVERY_S: Final = 0.2
"""How old what we know of other processes' pauses may be."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request was granted: when it may leave, and in which slot of each limit it counts."""

    wait_s: float
    slots: tuple[tuple[Bucket, int], ...] = ()


class Budget:
    """The limits and pauses of one connection; one object per connection and process, whoever opened it."""

    def __init__(self, store_path: Path, connection: str, limits: Sequence[Limit]) -> None:
        self._path = store_path
        self._connection = connection
        self._buckets = [Bucket(connection, limit) for limit in limits]
        self._lock = threading.RLock()
        self._opened: Store | None = None
        self._looked = -math.inf
        self._not_before = 0.0
        self._resume_at: datetime | None = None
        self._kept_until: datetime | None = None
        self.users = 0

    def _store(self) -> Store:
        if self._opened is None:
            self._opened = Store(self._path, any_thread=True)
        return self._opened

    def close(self) -> None:
        """Give back what is left over, and close the store's connection."""
        with self._lock:
            if self._opened is not None:
                with suppress(StoreError):  # nothing is owed: what stays written down is let go of in time
                    for bucket in self._buckets:
                        bucket.give_back(self._opened)
                self._opened.close()
                self._opened = None

    @contextmanager
    def kept(self) -> Iterator[Store]:
        """Yield the store; one thread at a time."""
        with self._lock:
            yield self._store()

    @contextmanager
    def place(self, path: str, check: Callable[[], None]) -> Iterator[None]:
        """Hold one of the places that concurrency limits leave; *check* is called while waiting and may raise."""
        with ExitStack() as stack:
            for bucket in self._buckets:
                if bucket.places is not None and bucket.covers(path):
                    stack.enter_context(bucket.places.hold(check))
            yield

    def take(self, path: str, now: float, *, longest_wait_s: float, reserve: float = 0.0) -> float:
        """
        Take a request's worth of every limit that covers *path* (relative to the base URL, without query).

        *reserve* is the share of each quota that this request may not touch: it is kept for those that a person waits for.

        Returns:
            Seconds to wait before sending. More than *longest_wait_s* means that it may not be sent.
        """
        return self.grant(path, now, longest_wait_s=longest_wait_s, reserve=reserve).wait_s

    def grant(self, path: str, now: float, *, longest_wait_s: float, reserve: float = 0.0) -> Grant:
        """As `take`, for who tells with `departed` when the request really left."""
        slots = []
        with self._lock:
            self._look()
            wait_s = self._not_before - now
            if not 0 < wait_s <= FAR_S:  # over, or asked for while a clock was ahead
                wait_s = 0.0
            for bucket in self._buckets:
                if wait_s <= longest_wait_s and bucket.covers(path):
                    wait_s = max(wait_s, bucket.take(now, self._store, longest_wait_s, reserve))
                    slots.append((bucket, bucket.slot()))
            return Grant(wait_s, tuple(slots))

    def departed(self, grant: Grant, now: float) -> Grant:
        """
        Note that a granted request leaves *now*: it woke up late, waited for another limit, or its connection had to be made.

        Else a window that begins when it really left would hold it and all that follow on the slot it was granted in. Returns
        the grant as it counts by now: where it is to wait, it has not left yet.
        """
        with self._lock:
            moved = [(bucket, *bucket.move(slot, now, self._store)) for bucket, slot in grant.slots]
        return Grant(max((wait_s for _, _, wait_s in moved), default=0.0), tuple((bucket, slot) for bucket, slot, _ in moved))

    def hold_off(self, until: float) -> None:
        """Let no process send before *until*: the vendor asked for patience."""
        with self._lock:
            if until <= self._not_before <= until + FAR_S:
                return
            self._not_before = until
            try:
                with self._store().atomic() as conn:
                    conn.execute(
                        "INSERT INTO budgets (connection, bucket, tokens, at, not_before) VALUES (?, '*', 0, ?, ?)"
                        " ON CONFLICT DO UPDATE SET at = excluded.at, not_before ="
                        " CASE WHEN not_before BETWEEN excluded.not_before AND ? THEN not_before ELSE excluded.not_before END",
                        (self._connection, until, until, until + FAR_S),
                    )
            except StoreError as error:
                # an answer is in hand, and it matters more; this process waits anyway
                log.warning("patience_not_shared", connection=self._connection, reason=str(error))

    def pause(self, resume_at: datetime) -> None:
        """Remember that a quota is used up until *resume_at*."""
        with self._lock:
            self._resume_at = resume_at
            with self._store().atomic() as conn:
                conn.execute("UPDATE connections SET resume_at = ? WHERE name = ?", (to_us(resume_at), self._connection))

    def resume_at(self) -> datetime | None:
        """Return when a used-up quota is there again, if it was ever used up."""
        with self._lock:
            self._look()
            return self._resume_at

    def keep_until(self, until: datetime) -> None:
        """Remember that what is left of a quota is for people until *until*."""
        with self._lock:
            self._kept_until = until
            with self._store().atomic() as conn:
                conn.execute("UPDATE connections SET kept_until = ? WHERE name = ?", (to_us(until), self._connection))

    def kept_until(self) -> datetime | None:
        """Return when there is more of a quota again than is kept for people, if it was ever down to that."""
        with self._lock:
            self._look()
            return self._kept_until

    def _look(self) -> None:
        # real seconds, whatever the waiter believes: only the freshness of a cache hangs on them
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        execute = self._store().conn.execute
        row = execute("SELECT resume_at, kept_until FROM connections WHERE name = ?", (self._connection,)).fetchone()
        if row is not None:
            self._resume_at, self._kept_until = (None if at is None else from_us(at) for at in row)
        row = execute("SELECT not_before FROM budgets WHERE connection = ? AND bucket = '*'", (self._connection,)).fetchone()
        if row is not None:
            self._not_before = row[0]


_open_lock = threading.Lock()
_open: dict[tuple[Path, str], Budget] = {}


@contextmanager
def shared_budget(store_path: Path, connection: str, limits: Sequence[Limit]) -> Iterator[Budget]:
    """Yield this process's budget of *connection*, the same one to everybody who has it open at the time."""
    key = (store_path.resolve(), connection)
    with _open_lock:
        budget = _open.setdefault(key, Budget(store_path, connection, limits))
        budget.users += 1
    try:
        yield budget
    finally:
        with _open_lock:
            budget.users -= 1
            if not budget.users:
                del _open[key]
                budget.close()

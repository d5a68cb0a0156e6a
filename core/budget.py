"""
How fast a connection may ask: the manifest's limits, kept by all processes together in the store's `budgets` table.

Time is cut into slots, a hundred to a limit's period. A request is granted in the first slot such that the slots of no period
hold more than the limit allows; so a burst after a quiet spell goes out at once, no moving window of the vendor's ever sees too
many, and 97% of the permitted rate is used. One row a slot says how much of it was granted (`tokens`). Grants are taken in
lumps, for the slot at hand only, and what a lump had left over is given back with the next one: a pull pays one small write
for several requests. `concurrency` is kept by the threads of one process: between processes the leases already see to it.

A quota (a limit by the hour or the day) may be used up by nobody's doing but a daemon's: a request that nobody waits for leaves
a share of it alone (`reserve`), however many processes there are.

A connection's own row (bucket `*`) holds `not_before`: a vendor that asks for patience is left alone by every process. A
daily quota that ran out is `connections.resume_at`.
"""

from __future__ import annotations

import math
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate
from pathlib import Path
from typing import Final

from core.clock import from_us, to_us
from core.contract import Limit
from core.errors import StoreError
from core.log import log
from core.store.db import Store

SLOTS: Final = 100
LATE_SLOTS: Final = 2
"""How many slots after its own a request may leave and still count there: what the margin allows for."""
MARGIN: Final = 1.02
"""How much longer than the vendor's period ours is, since requests do not take equally long to arrive."""
LUMPS: Final = 10
"""The part of a limit that is taken at once at most."""
QUOTA_S: Final = 3600.0
"""A limit whose period is as long as this, or longer, is a quota: what is used up of it is gone for long."""
LOOK_EVERY_S: Final = 0.2
"""How old what we know of other processes' pauses may be."""


class Places:
    """
    Requests that may be under way at once, in this process.

    A thread that has a place is given no second one and not made to wait: it may ask for something while it reads a stream,
    and would wait for itself.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._holders: set[int] = set()

    @contextmanager
    def hold(self, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a place and hold it; *check* is called while waiting and may raise."""
        thread = threading.get_ident()
        if thread in self._holders:
            yield
            return
        while not self._free.acquire(timeout=0.2):
            check()
        self._holders.add(thread)
        try:
            yield
        finally:
            self._holders.discard(thread)
            self._free.release()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request was granted: when it may leave, and in which slot of each limit it counts."""

    wait_s: float
    slots: tuple[tuple[Bucket, int], ...] = ()


class Bucket:
    """One limit of a manifest. Not thread-safe: its `Budget` holds a lock."""

    def __init__(self, connection: str, limit: Limit) -> None:
        paths = ",".join(limit.paths)
        self._connection = connection
        self._name = f"{limit.amount:g}/{limit.per_s:g}s {paths}"
        self._amount = limit.amount
        self._cost = min(limit.cost, limit.amount)  # a dear request waits for a whole period, not for ever
        self._slot_s = limit.per_s * MARGIN / SLOTS
        self._lump = max(1.0, limit.amount / self._cost / LUMPS // 1) * self._cost
        self._far = max(2 * SLOTS, int(60 / self._slot_s))  # no honest grant lies further ahead
        self._slot = -1
        self._left = 0.0
        self._left_under = 0.0
        """The reserve that what is left of the lump was taken under."""
        self.is_quota = limit.per_s >= QUOTA_S
        self._paths = re.compile("|".join(translate(path) for path in limit.paths)) if limit.paths else None
        self.places = Places(limit.concurrency) if limit.concurrency else None

    def covers(self, path: str) -> bool:
        """Tell whether the limit is for requests to *path*."""
        return self._paths is None or self._paths.match(path) is not None

    def take(self, now: float, store: Callable[[], Store], longest_wait_s: float, reserve: float = 0.0) -> float:
        """
        Take one request's worth and return the seconds to wait for it; above *longest_wait_s* nothing was taken.

        *reserve* is the share of a quota that is left alone; of a short limit, which is there again at once, none is.
        """
        if math.isinf(self._amount):
            return 0.0
        reserve = reserve if self.is_quota else 0.0
        stale = not 0 <= self._slot - int(now / self._slot_s) <= self._far
        if self._left < self._cost or stale or reserve > self._left_under:
            wait_s = self._refill(now, store(), longest_wait_s, reserve)
            if wait_s > longest_wait_s:
                return wait_s
        self._left -= self._cost
        return max(0.0, self._slot * self._slot_s - now)

    def taken(self, now: float, conn: sqlite3.Connection) -> float:
        """Return what all processes have been granted of the period that ends now, as far as it is written down."""
        this = int(now / self._slot_s)
        row = conn.execute(
            "SELECT total(tokens) FROM budgets WHERE connection = ? AND bucket > ? AND bucket < ?",
            (self._connection, self._key(this - SLOTS - 1), f"{self._name}@:"),
        ).fetchone()
        return float(row[0])

    def slot(self) -> int:
        """Return the slot in which the last request was granted."""
        return self._slot

    def move(self, slot: int, now: float, store: Callable[[], Store]) -> None:
        """Count a request that was granted in *slot* and leaves only *now*, later than the margin allows, where it leaves."""
        this = int(now / self._slot_s)
        if math.isinf(self._amount) or not LATE_SLOTS <= this - slot <= self._far:
            return
        with store().atomic() as conn:
            moved = conn.execute(
                "UPDATE budgets SET tokens = tokens - ? WHERE connection = ? AND bucket = ? AND tokens >= ?",
                (self._cost, self._connection, self._key(slot), self._cost),
            )
            if moved.rowcount:
                self._grant(conn.execute, this, this, self._cost)

    def _refill(self, now: float, store: Store, longest_wait_s: float, reserve: float) -> float:
        allowed = max(self._cost, self._amount * (1 - reserve))
        this = int(now / self._slot_s)
        with store.atomic() as conn:
            if self._left:
                conn.execute(
                    "UPDATE budgets SET tokens = tokens - ? WHERE connection = ? AND bucket = ?",
                    (self._left, self._connection, self._key(self._slot)),
                )
                self._left = 0.0
            rows = conn.execute(
                "SELECT bucket, tokens FROM budgets WHERE connection = ? AND bucket > ? AND bucket < ? AND tokens > 0",
                (self._connection, self._key(this - SLOTS - 1), f"{self._name}@:"),
            )
            granted = {int(bucket.rpartition("@")[2]): tokens for bucket, tokens in rows}
            slot, room = self._first_room(this, granted, allowed)
            wait_s = max(0.0, slot * self._slot_s - now)
            if wait_s > longest_wait_s:
                return wait_s
            # the less room there is the smaller the lump: what one process holds unused another has to wait for
            lump = min(self._lump, room / 4 // self._cost * self._cost)
            self._slot, self._left, self._left_under = slot, max(self._cost, lump), reserve
            self._grant(conn.execute, this, self._slot, self._left)
        return wait_s

    def _grant(self, execute: Callable[..., object], this: int, slot: int, tokens: float) -> None:
        execute(
            "INSERT INTO budgets (connection, bucket, tokens, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens",
            (self._connection, self._key(slot), tokens, slot * self._slot_s),
        )
        execute(
            "DELETE FROM budgets WHERE connection = ? AND bucket > ? AND bucket < ?",
            (self._connection, f"{self._name}@", self._key(this - SLOTS)),
        )

    def _first_room(self, this: int, granted: dict[int, float], allowed: float) -> tuple[int, float]:
        # nobody overtakes: never before the last slot that was granted in, unless a clock that was set back put it far ahead
        slot = max([this, *(one for one in granted if one <= this + self._far)])
        while True:
            room = allowed - sum(tokens for one, tokens in granted.items() if slot - SLOTS <= one <= slot)
            if room >= self._cost:
                return slot, room
            slot += 1

    def _key(self, slot: int) -> str:
        return f"{self._name}@{max(slot, 0):015d}"


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
        """Close the store's connection."""
        with self._lock:
            if self._opened is not None:
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
            wait_s = max(0.0, self._not_before - now)
            for bucket in self._buckets:
                if wait_s <= longest_wait_s and bucket.covers(path):
                    wait_s = max(wait_s, bucket.take(now, self._store, longest_wait_s, reserve))
                    slots.append((bucket, bucket.slot()))
            return Grant(wait_s, tuple(slots))

    def departed(self, grant: Grant, now: float) -> None:
        """
        Note that a granted request leaves *now*: it woke up late, or waited for another limit.

        Else a window that begins when it really left would hold it and all that follow on the slot it was granted in.
        """
        with self._lock:
            for bucket, slot in grant.slots:
                bucket.move(slot, now, self._store)

    def hold_off(self, until: float) -> None:
        """Let no process send before *until*: the vendor asked for patience."""
        with self._lock:
            if until <= self._not_before:
                return
            self._not_before = until
            try:
                with self._store().atomic() as conn:
                    conn.execute(
                        "INSERT INTO budgets (connection, bucket, tokens, at, not_before) VALUES (?, '*', 0, ?, ?)"
                        " ON CONFLICT DO UPDATE SET at = excluded.at, not_before = max(not_before, excluded.not_before)",
                        (self._connection, until, until),
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
            self._not_before = max(self._not_before, row[0])


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

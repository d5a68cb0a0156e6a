"""
One limit of a vendor, kept by all processes together in the store's `budgets` table.

Time is cut into slots, two hundred to a limit's period. A request is granted in the first slot such that the slots of no
period hold more than the limit allows; so a burst after a quiet spell goes out at once, and no moving window of the vendor's
ever sees too many. 96% of the permitted rate is used: the rest is for requests that are longer on their way than others. One
row a slot says how much of it was granted (`tokens`). Grants are taken in lumps, for the slot at hand and as long as what
leaves still counts there (`LATE_SLOTS`), and what a lump had left over is given back with the next one: a pull pays one small
write for several requests. A request that leaves later than it was granted is counted where it leaves, and
waits where that would be too many. `concurrency` is kept by the threads of one process: between processes the leases already
see to it.
"""

from __future__ import annotations

import math
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import translate
from typing import Final

from core.contract import Limit
from core.store.db import Store

SLOTS: Final = 200
MARGIN: Final = 1.035
"""How much longer than the vendor's period ours is, since requests do not take equally long to arrive."""
LATE_SLOTS: Final = 3
"""How many slots after its own a request may leave and still count there: less than half of the margin."""
LUMPS: Final = 10
"""The part of a limit that is taken at once at most."""
QUOTA_LUMP: Final = 20
"""Requests of a quota by the hour or the day that are taken at once at most: who is killed has used them up."""
FAR_S: Final = 1200.0
"""Twice as long as anybody waits for a request: what is asked for later is not granted, but put off."""
QUOTA_S: Final = 3600.0
"""A limit whose period is as long as this, or longer, is a quota: what is used up of it is gone for long."""


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


class Bucket:
    """One limit of a manifest. Not thread-safe: its `Budget` holds a lock."""

    def __init__(self, connection: str, limit: Limit) -> None:
        paths = ",".join(limit.paths)
        self._connection = connection
        self._name = f"{limit.amount:g}/{limit.per_s:g}s {paths}"
        self._amount = limit.amount
        self._cost = min(limit.cost, limit.amount)  # a dear request waits for a whole period, not for ever
        self._slot_s = limit.per_s * MARGIN / SLOTS
        at_once = limit.amount / self._cost / LUMPS // 1
        self._lump = max(1.0, min(at_once, QUOTA_LUMP) if limit.per_s >= QUOTA_S else at_once) * self._cost
        # no honest grant lies further ahead: nobody waits for longer, and what does was granted while a clock was
        self._far = max(LATE_SLOTS + 1, min(max(2 * SLOTS, int(60 / self._slot_s)), int(FAR_S / self._slot_s)))
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
        stale = not -LATE_SLOTS < self._slot - int(now / self._slot_s) <= self._far
        if self._left < self._cost or stale or reserve > self._left_under:
            wait_s = self._refill(now, store(), longest_wait_s, reserve)
            if wait_s > longest_wait_s:
                return wait_s
        self._left -= self._cost
        return max(0.0, self._slot * self._slot_s - now)

    def give_back(self, store: Store) -> None:
        """Put back what was taken and not used: the next process has it, and of a day's quota many come and go."""
        if self._left:
            with store.atomic() as conn:
                self._put_back(conn)

    def _put_back(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "UPDATE budgets SET tokens = tokens - ? WHERE connection = ? AND bucket = ?",
            (self._left, self._connection, self._key(self._slot)),
        )
        self._left = 0.0

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

    def move(self, slot: int, now: float, store: Callable[[], Store]) -> tuple[int, float]:
        """
        Count a request of *slot* that leaves only *now*, later than the margin allows, where it leaves.

        Returns:
            That slot, and the seconds to wait for it: others may have been granted theirs because this one was thought gone.
        """
        this = int(now / self._slot_s)
        if math.isinf(self._amount) or this - slot < LATE_SLOTS:
            return slot, 0.0
        with store().atomic() as conn:
            conn.execute(  # no row is left of a slot that no period holds any more
                "UPDATE budgets SET tokens = tokens - ? WHERE connection = ? AND bucket = ? AND tokens >= ?",
                (self._cost, self._connection, self._key(slot), self._cost),
            )
            granted = self._granted(conn, this)
            to = this if self._fits(this, granted) else self._first_room(this, granted, self._amount)[0]
            self._grant(conn.execute, this, to, self._cost)
        return to, max(0.0, to * self._slot_s - now)

    def _fits(self, slot: int, granted: Mapping[int, float]) -> bool:
        """Tell whether no period that *slot* is in is full already, those of grants that lie ahead among them."""
        ends = [slot, *(one for one in granted if slot < one <= slot + SLOTS)]
        return all(self._amount - _within(granted, end) >= self._cost for end in ends)

    def _refill(self, now: float, store: Store, longest_wait_s: float, reserve: float) -> float:
        allowed = max(self._cost, self._amount * (1 - reserve))
        this = int(now / self._slot_s)
        with store.atomic() as conn:
            if self._left:
                self._put_back(conn)
            slot, room = self._first_room(this, self._granted(conn, this), allowed)
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

    def _granted(self, conn: sqlite3.Connection, this: int) -> dict[int, float]:
        """Return what was granted in each slot, as far back as it counts."""
        rows = conn.execute(
            "SELECT bucket, tokens FROM budgets WHERE connection = ? AND bucket > ? AND bucket < ? AND tokens > 0",
            (self._connection, self._key(this - SLOTS - 1), f"{self._name}@:"),
        )
        return {int(bucket.rpartition("@")[2]): tokens for bucket, tokens in rows}

    def _first_room(self, this: int, granted: Mapping[int, float], allowed: float) -> tuple[int, float]:
        # nobody overtakes: never before the last slot that was granted in, unless a clock that was set back put it far ahead
        slot = max([this, *(one for one in granted if one <= this + self._far)])
        while True:
            room = allowed - _within(granted, slot)
            if room >= self._cost:
                return slot, room
            # there is more room only when the oldest of them is out of the period
            slot = min(one for one in granted if one >= slot - SLOTS) + SLOTS + 1

    def _key(self, slot: int) -> str:
        return f"{self._name}@{max(slot, 0):015d}"


def _within(granted: Mapping[int, float], end: int) -> float:
    """Return what was granted in the period that ends with slot *end*."""
    return sum(tokens for one, tokens in granted.items() if end - SLOTS <= one <= end)

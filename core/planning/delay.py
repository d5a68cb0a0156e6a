"""
Who is no longer wanted and stays for now: `grace` (out for less long than that) and `min_stay` (put in less long ago).

Both only put a removal off; what goes in the end passes the guards like any other. Since when somebody has been out is kept
in the store by the runs that could trust their sources, and reset where a recorded run saw them in again. In a partition the
way from one group to another is one thing: who stays in the one is not put into the other, so nobody is in two or in none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pyroaring import BitMap

from core.clock import MICROSECOND, from_us
from core.store import audiences, ledger
from core.store.leaving import leaving, left_between, write_leaving

if TYPE_CHECKING:
    from core.planning.case import Case


class Delay(StrEnum):
    """Why somebody who is no longer wanted stays; shown as the reason to skip (`core.planning.plan.Skip`) of that name."""

    GRACE = "grace"
    MIN_STAY = "min_stay"


@dataclass(frozen=True, slots=True)
class Stay:
    """Some who stay until the same time for the same reason."""

    until: int
    """Microseconds since 1970."""
    reason: Delay
    who: BitMap


@dataclass(frozen=True, slots=True)
class Stays:
    """Who stays where they are, in one audience of a sync; nobody is in two of them."""

    stays: tuple[Stay, ...] = ()
    elsewhere: tuple[Stay, ...] = ()
    """Who is wanted here and stays in another group of the partition."""

    def staying(self) -> BitMap:
        return _union(self.stays)

    def awaited(self) -> BitMap:
        return _union(self.elsewhere)

    def by_reason(self, reason: Delay) -> BitMap:
        """Return both those who stay and those who are awaited, for *reason*."""
        return _union([one for one in (*self.stays, *self.elsewhere) if one.reason is reason])

    def ends(self, reason: Delay) -> tuple[int, int] | None:
        """Return when the first and the last of those with *reason* go (microseconds), if nothing changes."""
        times = [one.until for one in (*self.stays, *self.elsewhere) if one.reason is reason]
        return (min(times), max(times)) if times else None

    def until(self, profile_id: int) -> datetime | None:
        """Return how long one of them stays."""
        found = (one.until for one in (*self.stays, *self.elsewhere) if profile_id in one.who)
        return next(map(from_us, found), None)


NOBODY: Final = Stays()


def _union(stays: Sequence[Stay]) -> BitMap:
    return BitMap().union(*(one.who for one in stays))


def stays_of(conn: sqlite3.Connection, cases: Sequence[Case], *, syncing: bool) -> list[Stays]:
    """
    Return who stays, for each of the audiences of one sync.

    *syncing*: what is learnt of who is out since when is written down (the caller holds a transaction). A case that is held
    learns nothing: its source says what it likes.
    """
    sync = cases[0].target.sync
    if sync.grace is None and sync.min_stay is None:
        return [NOBODY] * len(cases)
    owned = [audiences.standing(conn, case.bound.row.id).owned if case.bound.row else BitMap() for case in cases]
    twice = in_several(owned)
    found: list[tuple[Stay, ...]] = []
    for case, ours in zip(cases, owned, strict=True):
        row = case.bound.row
        out = ours - case.wanted
        if row is None or case.held or case.bound.add_only:
            found.append(())
            continue
        stays: list[Stay] = []
        if sync.grace is not None:
            stays += _in_grace(conn, case, row.id, out, sync.grace, syncing=syncing)
        if sync.min_stay is not None:
            after = case.at - _us(sync.min_stay)
            since = ledger.added_since(conn, row.id, out, after=after)
            stays += [Stay(at + _us(sync.min_stay), Delay.MIN_STAY, who) for at, who in since.items()]
        # somebody who is in two groups by mischance is not kept in both
        found.append(apart(stays, out - twice, now=case.at))
    return [
        Stays(stays, _awaited(case.wanted, [other for j, other in enumerate(found) if j != i]))
        for i, (case, stays) in enumerate(zip(cases, found, strict=True))
    ]


def _in_grace(
    conn: sqlite3.Connection, case: Case, audience_id: int, out: BitMap, grace: timedelta, *, syncing: bool
) -> list[Stay]:
    known = leaving(conn, audience_id)
    if not (known or out):
        return []
    oldest = max(min(known, default=case.at), case.at - _us(grace))
    back = left_between(conn, case.target.set_name, after=oldest, until=case.at) if known else []
    now = out_since(known, out, back, now=case.at)
    if syncing:
        write_leaving(conn, audience_id, now, before=known)
    return [Stay(since + _us(grace), Delay.GRACE, who) for since, who in now.items()]


def out_since(known: Mapping[int, BitMap], out: BitMap, left: Sequence[tuple[int, BitMap]], *, now: int) -> dict[int, BitMap]:
    """
    Return since when everybody in *out* has been out, without a break.

    *known* is what was known of that before; *left* is who left the set at which time, oldest first: who left after they were
    first seen out had come back in between.
    """
    found = {since: who & out for since, who in known.items()}
    for at, who in left:
        for since, several in list(found.items()):
            again = several & who if since < at else BitMap()
            if again:
                found[since] = several - again
                found[at] = found.get(at, BitMap()) | again
    new = out - BitMap().union(*found.values())
    if new:
        found[now] = found.get(now, BitMap()) | new
    return {since: who for since, who in sorted(found.items()) if who}


def apart(stays: Sequence[Stay], out: BitMap, *, now: int) -> tuple[Stay, ...]:
    """Return *stays* with everybody of *out* in one at most: the one that lasts longest, if it has not ended by *now*."""
    taken, found = BitMap(), []
    for one in sorted(stays, key=lambda one: (-one.until, one.reason)):
        who = (one.who & out) - taken
        if who and one.until > now:
            found.append(Stay(one.until, one.reason, who))
            taken |= who
    return tuple(found)


def _awaited(wanted: BitMap, others: Sequence[Sequence[Stay]]) -> tuple[Stay, ...]:
    awaited = [Stay(one.until, one.reason, one.who & wanted) for stays in others for one in stays]
    return tuple(one for one in awaited if one.who)


def in_several(owned: Sequence[BitMap]) -> BitMap:
    """Return who is in more than one of *owned*."""
    once, twice = BitMap(), BitMap()
    for several in owned:
        twice |= once & several
        once |= several
    return twice


def _us(duration: timedelta) -> int:
    return duration // MICROSECOND

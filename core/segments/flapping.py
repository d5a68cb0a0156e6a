"""
Who goes in and out of a set over and over: read from recorded memberships.

Each way out is a removal at every destination without `grace`, and each way back an add: mails begin anew, and guards and
quotas are used up by nothing. How long people were out says which `grace` would have spared them that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pyroaring import BitMap

from core.clock import from_us, to_us
from core.durations import parse_duration

TIMES: Final = 3
"""How often somebody must have gone out to be reported."""
WITHIN: Final = timedelta(days=7)
GRACES: Final = ("1h", "6h", "24h", "2d", "3d", "7d")
"""What is suggested: the shortest that would have kept in `COVERED` of those who came back."""
COVERED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Flap:
    """One who flaps."""

    times: int
    """How often they went out within the window."""
    member: bool
    """Whether they were in when it ended."""
    last_at: datetime
    """When they last went out."""


@dataclass(frozen=True, slots=True)
class Flapping:
    """Those of one set."""

    people: Mapping[int, Flap] = field(default_factory=dict)
    """By profile id, in order of it."""
    _: KW_ONLY
    grace: str | None = None
    """What would have kept most of them in, as the config spells it; None where nobody came back within any."""


def flapping(
    conn: sqlite3.Connection, name: str, *, until: datetime, within: timedelta = WITHIN, times: int = TIMES
) -> Flapping:
    """Return who left the set *name* at least *times* times in the time *within* that ends at *until*."""
    start, end = to_us(until - within), to_us(until)
    some = _often(conn, name, start, end, times)
    if not some:
        return Flapping()
    counts, left_at = dict.fromkeys(some, 0), dict.fromkeys(some, 0)
    inside, absences = BitMap(), []
    for at, entered, left in _changes(conn, name, start, end):
        for profile_id in left & some:
            counts[profile_id] += 1
            left_at[profile_id] = at
        absences += [at - left_at[profile_id] for profile_id in entered & some if left_at[profile_id]]
        inside = (inside | entered) - left
    people = {p: Flap(counts[p], p in inside, from_us(left_at[p])) for p in some}
    return Flapping(people, grace=_grace(absences))


def _often(conn: sqlite3.Connection, name: str, start: int, end: int, times: int) -> BitMap:
    """Return who left at least *times* times: a bitmap for each count up to it, so that a million others cost nothing."""
    at_least = [BitMap() for _ in range(times)]
    rows = conn.execute(
        "SELECT left FROM membership_history WHERE name = ? AND at > ? AND at <= ? AND length(left) > ?",
        (name, start, end, len(BitMap().serialize())),
    )
    for left in (BitMap.deserialize(blob) for (blob,) in rows):
        for n in range(times - 1, 0, -1):
            at_least[n] |= at_least[n - 1] & left
        at_least[0] |= left
    return at_least[-1]


def _changes(conn: sqlite3.Connection, name: str, start: int, end: int) -> Iterator[tuple[int, BitMap, BitMap]]:
    rows = conn.execute(
        "SELECT at, entered, left FROM membership_history WHERE name = ? AND at > ? AND at <= ? ORDER BY at, run_id",
        (name, start, end),
    )
    for at, entered, left in rows:
        yield at, BitMap.deserialize(entered), BitMap.deserialize(left)


def _grace(absences: list[int]) -> str | None:
    for text in GRACES:
        kept = sum(timedelta(microseconds=absence) < parse_duration(text) for absence in absences)
        if absences and kept >= COVERED * len(absences):
            return text
    return None

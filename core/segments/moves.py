"""
Who was in a set at a time, and who went from one group of a partition to another since: read from recorded memberships.

What a run changed is kept as entered and left, so the members of any recorded time are those of now with the later changes
taken back. People who were joined since count as the one that they are now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from core.clock import from_us, to_us
from core.store.memberships import recorded


@dataclass(frozen=True, slots=True)
class Moves:
    """Who was in which group at *since* and is in which at *until*; None is no group."""

    since: datetime
    until: datetime
    people: Mapping[tuple[str | None, str | None], BitMap] = field(default_factory=dict)
    _: KW_ONLY
    asked: datetime
    """Since when it was asked; *since* is later where nothing was recorded yet."""


@dataclass(frozen=True, slots=True)
class Day:
    """How many came and went on one day of the calendar."""

    day: date
    entered: int = 0
    left: int = 0


def members_at(conn: sqlite3.Connection, name: str, at_us: int) -> BitMap:
    """Return the members of the set *name* as the last run up to then recorded them; nobody before the first."""
    now = recorded(conn, name)
    if now is None:
        return BitMap()
    members = now.members
    rows = conn.execute(
        "SELECT entered, left FROM membership_history WHERE name = ? AND at > ? ORDER BY at DESC, run_id DESC", (name, at_us)
    )
    for entered, left in rows:
        members = (members - BitMap.deserialize(entered)) | BitMap.deserialize(left)
    return members


def moves(conn: sqlite3.Connection, partition: str, groups: Sequence[str], *, since: datetime, until: datetime) -> Moves | None:
    """Return who moved between the groups of a partition; None where nothing was recorded until then."""
    names = {group: f"partition.{partition}.{group}" for group in groups}
    marks = ", ".join("?" * len(names))
    (first,) = conn.execute(
        f"SELECT min(at) FROM membership_history WHERE name IN ({marks}) AND at <= ?", (*names.values(), to_us(until))
    ).fetchone()
    if first is None:
        return None
    begin = max(to_us(since), first)
    alias = dict(conn.execute("SELECT old_id, new_id FROM profile_aliases").fetchall())
    before = {group: _joined(members_at(conn, name, begin), alias) for group, name in names.items()}
    after = {group: _joined(members_at(conn, name, to_us(until)), alias) for group, name in names.items()}
    nobody_before, nobody_after = BitMap.union(BitMap(), *before.values()), BitMap.union(BitMap(), *after.values())
    found: dict[tuple[str | None, str | None], BitMap] = {}
    for old, were in before.items():
        for new, are in after.items():
            if old != new:
                found[old, new] = were & are
        found[old, None] = were - nobody_after
    for new, are in after.items():
        found[None, new] = are - nobody_before
    return Moves(from_us(begin), until, {pair: people for pair, people in found.items() if people}, asked=since)


def _joined(members: BitMap, alias: Mapping[int, int]) -> BitMap:
    gone = members & BitMap(alias)
    return (members - gone) | BitMap(alias[old] for old in gone)


def days(conn: sqlite3.Connection, name: str, *, until: datetime, zone: ZoneInfo, count: int) -> list[Day]:
    """
    Return how many came and went on each of the last *count* days, today the last; none where nothing was recorded.

    The first run that recorded the set found everybody new; it is left out.
    """
    rows = conn.execute(
        "SELECT at, entered, left FROM membership_history WHERE name = ? AND at <= ? ORDER BY at, run_id", (name, to_us(until))
    ).fetchall()
    if not rows:
        return []
    today = until.astimezone(zone).date()
    found = {today - timedelta(days=n): [0, 0] for n in reversed(range(count))}
    for at, entered, left in rows[1:]:
        day = from_us(at).astimezone(zone).date()
        if day in found:
            found[day][0] += len(BitMap.deserialize(entered))
            found[day][1] += len(BitMap.deserialize(left))
    begun = from_us(rows[0][0]).astimezone(zone).date()
    return [Day(day, entered, left) for day, (entered, left) in found.items() if day >= begun]

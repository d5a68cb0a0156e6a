"""
Leaves of an earlier evaluation brought up to the clock of this one: only those people are asked about again of whom something
changed, or past whom a window or a date has moved. The answer is the one that a full evaluation gives, bit for bit.

What a kept leaf holds is what its query yielded, before the universe is laid over it. Wherever there is a doubt (an older
clock, another config, too many changes, a word not known to `incremental_reach`) the leaf is left out, to be evaluated whole.
See docs/decisions/0012.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from functools import cached_property
from typing import Final, cast

from pyroaring import BitMap

from core.segments.facts import Facts
from core.segments.incremental_again import EVERYONE, KNOWN, Named, ask_again
from core.segments.incremental_passed import Passed
from core.segments.incremental_reach import Reach, reach
from core.segments.parallel import Readers
from core.segments.tree import Condition, Leaf
from core.store import changes, leaves
from core.store.changes import Changes
from core.store.leaves import Taken
from core.store.schema import known_migrations

LAYOUT: Final = 1
"""Part of the fingerprint: raise it when the same leaf means something else, or its query yields something else."""
SHARE: Final = 0.2
AT_LEAST: Final = 2_000
"""More people than both of these to be asked about again, and the whole leaf is no slower."""


def fingerprint(facts: Facts) -> str:
    """Return a hash of what all leaves rest on beside the rows: another one, and none of the kept leaves counts."""
    money = facts.money
    parts = [
        LAYOUT, sorted(known_migrations()), sorted(facts.hidden), sorted((name, s.id) for name, s in facts.streams.items()),
        money.currency, str(money.zone), sorted((str(day), sorted(rates.items())) for day, rates in money.rates.items()),
        facts.billing_of,
    ]  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def leaf_name(leaf: Condition, reached: Reach, facts: Facts) -> str:
    """Return the name that a leaf is kept by: what it asks, and what the columns that it reads are now."""
    parts: list[object] = [leaf, facts.history_begins_us if reached.history else None]
    for field in sorted(reached.landed, key=repr):
        stream = facts.streams.get(f"{field.connection}.{field.stream}")
        parts.append((stream.id, stream.landing, stream.completed, stream.columns.get(field.field)) if stream else None)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class Kept:
    """The leaves kept by an earlier evaluation, and what has changed since."""

    def __init__(self, conn: sqlite3.Connection, facts: Facts, taken: Taken, changed: Changes) -> None:
        self.conn = conn
        self.facts = facts
        self.taken = taken
        self.changed = changed
        self.then, self.now = taken.as_of, facts.as_of_us
        self.passed = Passed(conn, facts, self.then, self.now)

    def bring_up(self, named: Named, readers: Readers = ()) -> tuple[dict[str, BitMap], frozenset[str]]:
        """
        Return, by name, what those of the leaves yield that could be brought up to date, and the store's people.

        *readers* are further connections to the same state, which share the work.

        Returns:
            The bitmaps, among them EVERYONE and KNOWN; and the names of those that nothing touched. Nothing where none could.
        """
        kept = leaves.load(self.conn, {EVERYONE, KNOWN, *named})
        if EVERYONE not in kept or KNOWN not in kept:
            return {}, frozenset()
        most = max(AT_LEAST, int(len(kept[EVERYONE]) * SHARE))
        if len(self.changed.people) > most:
            return {}, frozenset()
        asking = kept.keys() - {EVERYONE, KNOWN}
        self.passed.look((passing for name in asking for passing in named[name][1].passing), readers)
        doubtful = {EVERYONE: self.changed.people, KNOWN: self.changed.people}
        for name in asking:
            people = self._doubtful(named[name][1])
            if people is not None and len(people) <= most:
                doubtful[name] = people
        again = {name: people for name, people in doubtful.items() if people}
        found = {name: kept[name] for name in doubtful.keys() - again.keys()}
        same = frozenset(found)
        for name, bits in ask_again(self.facts, named, again, readers, most=2 * most).items():
            found[name] = (kept[name] - again[name]) | bits
        return found, same

    # --- whose answer may be another -----------------------------------------------------------------------------------

    def _doubtful(self, reached: Reach) -> BitMap | None:
        """Return whose answer may be another than it was; None where it may be anybody's."""
        if reached.money and any(self.then < start <= self.now for _, start, _ in self.facts.money.factors()):
            return None
        found = BitMap(self.changed.people if reached.people else self.changed.moved)
        if reached.companies:
            found |= self._colleagues
        for event in reached.events:
            name_id = self.facts.event_id(event)
            found |= self.changed.events.get(name_id, BitMap()) if name_id is not None else BitMap()
        for passing in reached.passing:
            people = self.passed.by(passing)
            if people is None:
                return None
            found |= people
        return found

    @cached_property
    def _colleagues(self) -> BitMap:
        return changes.people_of(self.conn, self.changed.companies)


def open_kept(conn: sqlite3.Connection, facts: Facts) -> Kept | None:
    """Return the kept leaves if they can serve an evaluation at the clock of *facts*; None where all must be asked anew."""
    taken = leaves.taken(conn)
    if taken is None or facts.past or facts.as_of_us < taken.as_of or taken.facts != fingerprint(facts):
        return None
    changed = changes.since(conn, taken.seq, taken.mark)
    return None if changed is None else Kept(conn, facts, taken, changed)


def named_leaves(nodes: Iterable[Condition], facts: Facts) -> dict[str, tuple[Leaf, Reach]]:
    """Return those of the leaves that can be kept, by the name that they are kept by."""
    found: dict[str, tuple[Leaf, Reach]] = {}
    for leaf in dict.fromkeys(nodes):
        reached = reach(leaf)
        if reached is not None:
            found[leaf_name(leaf, reached, facts)] = (cast(Leaf, leaf), reached)
    return found


def taken_now(conn: sqlite3.Connection, facts: Facts) -> Taken:
    """Return the moment of the snapshot at hand."""
    seq, mark = changes.position(conn)
    return Taken(facts.as_of_us, seq=seq, mark=mark, epoch=leaves.epoch(conn), facts=fingerprint(facts))

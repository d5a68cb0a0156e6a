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
from array import array
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import Final, cast

from pyroaring import BitMap

from core.segments import dialect
from core.segments.calendar import edge_us, known_zone
from core.segments.compile import compile_leaf, relation
from core.segments.dialect import Param, Sql
from core.segments.facts import Facts, LeafFailed
from core.segments.few import among, choose, few, values_once
from core.segments.incremental_reach import History, Passing, Reach, Rows, reach
from core.segments.tree import Aggregate, Ago, Billing, Condition, Leaf, ProfileField, Value
from core.segments.tree_events import Edge, personal
from core.store import changes, leaves
from core.store.changes import Changes
from core.store.leaves import Taken
from core.store.schema import known_migrations

LAYOUT: Final = 1
"""Part of the fingerprint: raise it when the same leaf means something else, or its query yields something else."""
SHARE: Final = 0.2
AT_LEAST: Final = 2_000
"""More people than both of these to be asked about again, and the whole leaf is no slower."""
MOST: Final = 100_000
"""Rows that one edge may have gone past; beyond that the leaf is evaluated whole."""
EVERYONE: Final = "everyone"
KNOWN: Final = "known"
_WHEN: Final = {
    Rows.ANSWERS: ("answers", ("answered_at",)),
    Rows.SUBSCRIPTIONS: ("subscriptions", ("started_at", "deleted_at")),
    Rows.PAYMENTS: ("payments", ("paid_at", "deleted_at")),
}

_BILLED: Final = {
    "trial_ends_at": ("subscriptions", ("trial_ends_at",)),
    "canceled_at": ("subscriptions", ("cancel_requested_at", "ended_at")),
    "first_paid_at": ("payments", ("paid_at",)),
    "last_paid_at": ("payments", ("paid_at",)),
}
"""The rows that a time of billing is one of: quicker looked through than everybody's principal subscription."""


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
        self._passed: dict[tuple[object, ...], BitMap | None] = {}

    def bring_up(self, named: Mapping[str, tuple[Leaf, Reach]]) -> tuple[dict[str, BitMap], frozenset[str]]:
        """
        Return, by name, what those of the leaves yield that could be brought up to date, and the store's people.

        Returns:
            The bitmaps, among them EVERYONE and KNOWN; and the names of those that nothing touched. Nothing where none could.
        """
        kept = leaves.load(self.conn, {EVERYONE, KNOWN, *named})
        if EVERYONE not in kept or KNOWN not in kept:
            return {}, frozenset()
        most = max(AT_LEAST, int(len(kept[EVERYONE]) * SHARE))
        if len(self.changed.people) > most:
            return {}, frozenset()
        doubtful = {EVERYONE: self.changed.people, KNOWN: self.changed.people}
        for name in kept.keys() - doubtful.keys():
            people = self._doubtful(named[name][1])
            if people is not None and len(people) <= most:
                doubtful[name] = people
        found = {name: kept[name] for name, people in doubtful.items() if not people}
        same = frozenset(found)
        again = {name: people for name, people in doubtful.items() if people}
        of_records = {name for name in again if name not in named or named[name][1].people}
        with among(self.conn):
            everybody = BitMap.union(BitMap(), *(again[name] for name in of_records))
            if len(everybody) <= 2 * most:
                with few(self.conn, everybody, self._landings(named[name][1] for name in of_records & named.keys())):
                    self._ask_again(of_records, kept, again, named, found)
            alike: dict[bytes, list[str]] = {}
            for name in again.keys() - of_records:
                alike.setdefault(again[name].serialize(), []).append(name)
            for names in alike.values():
                choose(self.conn, again[names[0]])
                self._ask_again(names, kept, again, named, found)
        return found, same

    def _ask_again(
        self,
        names: Collection[str],
        kept: Mapping[str, BitMap],
        people: Mapping[str, BitMap],
        named: Mapping[str, tuple[Leaf, Reach]],
        found: dict[str, BitMap],
    ) -> None:
        """Put into *found* what leaves yield now, *people* of each being asked about again."""
        self.facts.among = True
        try:
            with values_once(self.facts, [named[name][0] for name in names if name in named], relation):
                for name in names:
                    query = self._of_leaf(named[name][0]) if name in named else universe_query(self.facts, known=name == KNOWN)
                    if query is not None:
                        found[name] = (kept[name] - people[name]) | (_bits(self.conn, query) & people[name])
        finally:
            self.facts.among = False

    def _landings(self, reached: Iterable[Reach]) -> set[str]:
        fields = {field for one in reached for field in one.landed}
        streams = [(self.facts.streams.get(f"{field.connection}.{field.stream}"), field.field) for field in fields]
        return {stream.landing for stream, name in streams if stream is not None and name in stream.columns}

    def _of_leaf(self, leaf: Leaf) -> Sql | None:
        """Return the query of *leaf* over the few; None where it fails, which the whole leaf will tell of."""
        try:
            return compile_leaf(leaf, self.facts).sql
        except LeafFailed:
            return None

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
            people = self._gone_past(passing)
            if people is None:
                return None
            found |= people
        return found

    @cached_property
    def _colleagues(self) -> BitMap:
        return changes.people_of(self.conn, self.changed.companies)

    def _gone_past(self, passing: Passing) -> BitMap | None:
        """Return who has a time that lies between where the edge stood and where it stands now."""
        subject = passing.subject
        if isinstance(subject, Aggregate):
            subject = subject.events.name  # its times are those of the events
        found = BitMap()
        for between in self._way_of(passing.edge):
            key = (subject, *between)
            if key not in self._passed:
                self._passed[key] = self._with_time(subject, between)
            people = self._passed[key]
            if people is None:
                return None
            found |= people
        return found

    def _way_of(self, edge: Ago | Edge) -> set[tuple[int, int]]:
        """Return between which times an edge has gone on: on each person's own clock one way for each zone that there is."""
        if isinstance(edge, Edge):
            zones = self._zones if personal(edge) else {edge.zone}
            ways = {(edge_us(edge, zone, self.then), edge_us(edge, zone, self.now)) for zone in zones}
        else:
            ways = {(self.then - edge.us, self.now - edge.us)}
        return {way for way in ways if way[0] != way[1]}

    @cached_property
    def _zones(self) -> set[str]:
        """The zones that people live in."""
        said = self.conn.execute("SELECT DISTINCT timezone FROM profiles")
        return {zone for (text,) in said if (zone := known_zone(text)) is not None} | {self.facts.zone}

    def _with_time(self, subject: str | Rows | History | Value, between: tuple[Param, Param]) -> BitMap | None:
        match subject:
            case Rows():
                return self._owners(*_WHEN[subject], between)
            case Billing() if subject.word in _BILLED:
                return self._owners(*_BILLED[subject.word], between)
            case History():
                return self._changed(subject, between)
            case str():
                name_id = self.facts.event_id(subject)
                if name_id is None:
                    return BitMap()
                rows = dialect.led_by("events", "events_window")
                where = f"name_id = {name_id} AND time BETWEEN ? AND ? AND profile_id IS NOT NULL"
                query = Sql(f"SELECT profile_id FROM {rows} WHERE {where}", between)
            case ProfileField():  # of all, so that an index can find them
                query = Sql(f"SELECT id FROM profiles WHERE {dialect.quoted(subject.name)} BETWEEN ? AND ?", between)
            case _:
                try:
                    found = relation(subject, self.facts).sql
                except LeafFailed:
                    return None
                query = Sql(f"SELECT p FROM ({found.text}) WHERE v BETWEEN ? AND ?", (*found.params, *between))
        ids = array("I", [row[0] for row in self.conn.execute(f"{query.text} LIMIT {MOST + 1}", query.params)])
        return BitMap(ids) if len(ids) <= MOST else None

    def _changed(self, history: History, between: tuple[Param, Param]) -> BitMap:
        """Return of whom, or of whose company or subscription, a field changed at such a time."""
        of_ids = "SELECT of_id FROM field_history WHERE of = ? AND field = ? AND from_at BETWEEN ? AND ?"
        params = (history.of, history.field, *between)
        if history.of != "subscription":
            ids = BitMap([row[0] for row in self.conn.execute(of_ids, params)])
            return ids if history.of == "profile" else changes.people_of(self.conn, ids)
        whose = f"SELECT profile_id, company_id FROM subscriptions WHERE id IN ({of_ids})"
        rows = self.conn.execute(whose, params).fetchall()
        people = BitMap([person for person, _ in rows if person is not None])
        return people | changes.people_of(self.conn, BitMap([company for _, company in rows if company is not None]))

    def _owners(self, table: str, columns: tuple[str, ...], between: tuple[Param, Param]) -> BitMap:
        """Return the people, and the people of the companies, who have a row of *table* with such a time."""
        people, companies = BitMap(), BitMap()
        for column in columns:
            company = "NULL" if table == "answers" else "company_id"
            for person, of in self.conn.execute(
                f"SELECT profile_id, {company} FROM {table} WHERE {column} BETWEEN ? AND ?", between
            ):
                if person is not None:
                    people.add(person)
                if of is not None:
                    companies.add(of)
        return people | changes.people_of(self.conn, companies)


def universe_query(facts: Facts, *, known: bool) -> Sql:
    """Return the query of all live profiles, or of those with an e-mail or a user id."""
    text = "SELECT id FROM profiles WHERE live = 1"
    params: tuple[Param, ...] = ()
    if facts.past:  # who is known to have been made later was not there
        text += " AND (created_at IS NULL OR created_at <= ?)"
        params = (facts.as_of_us,)
    return Sql(f"{text} AND (email IS NOT NULL OR user_id IS NOT NULL)" if known else text, params)


def _bits(conn: sqlite3.Connection, query: Sql) -> BitMap:
    return BitMap(array("I", [row[0] for row in conn.execute(query.text, query.params)]))


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

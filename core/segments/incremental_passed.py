"""
Past whom the clock has gone: who has a time that lies between where an edge stood and where it stands now.

All edges that one kind of times is compared with are looked for in one reading of the rows, and several such readings are
shared out among threads. Of events an index finds those between two times, so each edge is asked for by itself.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from pyroaring import BitMap

from core.segments import dialect
from core.segments.calendar import edge_us, known_zone, stands_everywhere
from core.segments.compile import relation
from core.segments.dialect import Param, Sql
from core.segments.facts import Facts, LeafFailed
from core.segments.incremental_reach import History, Passing, Rows, Subject
from core.segments.parallel import Readers, Work, share_out
from core.segments.tree import Billing, ProfileField
from core.segments.tree_constants import Ago, Edge, personal
from core.segments.tree_events import Aggregate
from core.store import changes

MOST: Final = 100_000
"""Rows that one edge may have gone past; beyond that the leaf is evaluated whole."""
AT_ONCE: Final = 50
"""Edges that are looked for in one reading: SQLite bounds the depth of a condition."""
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

Way = tuple[int, int]
"""From where to where an edge has gone."""
_Asked = tuple[Subject, tuple[Way, ...]]
_Found = list[tuple[Any, ...]]
_AT: Final = itemgetter(0)


class Passed:
    """Whom the clock has gone past on its way from *then* to *now*."""

    def __init__(self, conn: sqlite3.Connection, facts: Facts, then: int, now: int) -> None:
        self.conn = conn
        self.facts = facts
        self.then, self.now = then, now
        self._people: dict[tuple[Subject, Way], BitMap | None] = {}

    def look(self, passings: Iterable[Passing], readers: Readers = ()) -> None:
        """Look for all of *passings* at once."""
        ways: dict[Subject, set[Way]] = {}
        for passing in passings:
            ways.setdefault(_subject(passing), set()).update(self._ways(passing.edge))
        asked = [(subject, part) for subject, several in ways.items() for part in _parts(subject, sorted(several))]
        self._ask(asked, readers)

    def by(self, passing: Passing) -> BitMap | None:
        """Return past whom the edge went, which was looked for; None where it may be anybody."""
        found = [self._people[_subject(passing), way] for way in self._ways(passing.edge)]
        told = [people for people in found if people is not None]
        return BitMap.union(BitMap(), *told) if len(told) == len(found) else None

    def _ask(self, asked: Iterable[_Asked], readers: Readers = ()) -> None:
        queries: dict[_Asked, Sql] = {}
        for subject, ways in asked:
            try:
                queries[subject, ways] = self._query(subject, ways)
            except LeafFailed:
                self._people |= {(subject, way): None for way in ways}
        found = share_out(self.conn, readers, {key: _reading(query) for key, query in queries.items()})
        for (subject, ways), query in queries.items():
            rows = found[subject, ways] if (subject, ways) in found else _reading(query)(self.conn)
            if len(rows) <= MOST * len(ways):
                self._put(subject, ways, rows)
            elif len(ways) == 1:
                self._people[subject, ways[0]] = None
            else:  # one of them led past too many: each by itself
                self._ask((subject, (way,)) for way in ways)

    def _put(self, subject: Subject, ways: Sequence[Way], rows: _Found) -> None:
        """Note whom each of *ways* led past, of rows (person, company, times)."""
        times = sorted(((at, row[0], row[1]) for row in rows for at in row[2:] if isinstance(at, int | float)), key=_AT)
        for low, high in ways:
            some = times[bisect_left(times, low, key=_AT) : bisect_right(times, high, key=_AT)]
            people = BitMap([person for _, person, _ in some if person is not None])
            companies = BitMap([company for _, _, company in some if company is not None])
            people |= changes.people_of(self.conn, companies) if companies else BitMap()
            self._people[subject, (low, high)] = people if len(some) <= MOST else None

    # --- where the edges went ------------------------------------------------------------------------------------------

    def _ways(self, edge: Ago | Edge) -> set[Way]:
        """Return between which times an edge has gone on: on each person's own clock one way for each zone that there is."""
        if not isinstance(edge, Edge):
            ways = {(self.then - edge.us, self.now - edge.us)}
        elif not personal(edge):
            ways = {(edge_us(edge, edge.zone, self.then), edge_us(edge, edge.zone, self.now))}
        elif stands_everywhere(edge, self.then, self.now):
            return set()
        else:
            ways = {(edge_us(edge, zone, self.then), edge_us(edge, zone, self.now)) for zone in self._zones}
        return {way for way in ways if way[0] != way[1]}

    @cached_property
    def _zones(self) -> set[str]:
        """The zones that people live in."""
        said = self.conn.execute("SELECT DISTINCT timezone FROM profiles")
        return {zone for (text,) in said if (zone := known_zone(text)) is not None} | {self.facts.zone}

    # --- what is read for them -----------------------------------------------------------------------------------------

    def _query(self, subject: Subject, ways: Sequence[Way]) -> Sql:
        """Return the rows (person, company, times) of which a time lies on one of *ways*; LeafFailed as a leaf's own query."""
        params = tuple(chain.from_iterable(ways))
        match subject:
            case Rows():
                return _owned(*_WHEN[subject], ways)
            case Billing() if subject.word in _BILLED:
                return _owned(*_BILLED[subject.word], ways)
            case History():
                return _changed(subject, ways)
            case str():
                rows = dialect.led_by("events", "events_window")
                name_id = self.facts.event_id(subject)
                where = f"name_id = {name_id} AND ({_between('time', ways)}) AND profile_id IS NOT NULL"
                text = f"SELECT profile_id, NULL, time FROM {rows} WHERE {where}" if name_id is not None else "SELECT 0 WHERE 0"
                return _bounded(Sql(text, params if name_id is not None else ()), ways)
            case ProfileField():  # of all, so that an index can find them
                column = dialect.quoted(subject.name)
                text = f"SELECT id, NULL, {column} FROM profiles WHERE {_between(column, ways)}"
                return _bounded(Sql(text, params), ways)
            case _:
                found = relation(subject, self.facts).sql
                text = f"SELECT p, NULL, v FROM ({found.text}) WHERE {_between('v', ways)}"
                return _bounded(Sql(text, (*found.params, *params)), ways)


def _subject(passing: Passing) -> Subject:
    """Return what has the times: of what is made of events, these."""
    return passing.subject.events.name if isinstance(passing.subject, Aggregate) else passing.subject


def _parts(subject: Subject, ways: Sequence[Way]) -> Iterator[tuple[Way, ...]]:
    at_once = 1 if isinstance(subject, str) else AT_ONCE
    yield from (tuple(ways[start : start + at_once]) for start in range(0, len(ways), at_once))


def _reading(query: Sql) -> Work[_Found]:
    return lambda conn: conn.execute(query.text, query.params).fetchall()


def _between(column: str, ways: Sequence[Way]) -> str:
    return " OR ".join([f"{column} BETWEEN ? AND ?"] * len(ways))


def _bounded(query: Sql, ways: Sequence[Way]) -> Sql:
    return Sql(f"{query.text} LIMIT {MOST * len(ways) + 1}", query.params)


def _owned(table: str, columns: tuple[str, ...], ways: Sequence[Way]) -> Sql:
    """Return whose the rows of *table* are, a person's or a company's."""
    company = "NULL" if table == "answers" else "company_id"
    where = " OR ".join(_between(column, ways) for column in columns)
    text = f"SELECT profile_id, {company}, {', '.join(columns)} FROM {table} WHERE {where}"
    return _bounded(Sql(text, tuple(chain.from_iterable(ways)) * len(columns)), ways)


def _changed(history: History, ways: Sequence[Way]) -> Sql:
    """Return of whom, or of whose company or subscription, a field changed at such a time."""
    where = f"h.of = ? AND h.field = ? AND ({_between('h.from_at', ways)})"
    whose = {"profile": "h.of_id, NULL", "company": "NULL, h.of_id", "subscription": "s.profile_id, s.company_id"}[history.of]
    rows = "field_history h" + (" CROSS JOIN subscriptions s ON s.id = h.of_id" if history.of == "subscription" else "")
    params: tuple[Param, ...] = (history.of, history.field, *chain.from_iterable(ways))
    return _bounded(Sql(f"SELECT {whose}, h.from_at FROM {rows} WHERE {where}", params), ways)

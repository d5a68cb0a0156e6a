"""
What compiling needs to know of the store at one moment: ids of names, which streams count, what changed after the run's
clock, which side columns there are, what a currency is worth. Read lazily inside the run's snapshot.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from core.clock import to_us
from core.contract import minor_digits
from core.segments import dialect
from core.segments.vocabulary import Column

if TYPE_CHECKING:
    from core.segments.relation import Relation


COUNTED: Final = 100_000
"""Events of a name beyond which they are not counted on."""
SAMPLE: Final = 500
"""Events that say how many of each name there are where there are more."""


class LeafFailed(Exception):  # noqa: N818 - a state of the data; the segment that asks fails closed
    """A source field vanished or changed its type."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A stream as it is in the store now."""

    id: int
    landing: str
    completed: bool
    columns: Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Money:
    """The workspace's currency and what others are worth in it."""

    currency: str
    _: KW_ONLY
    zone: ZoneInfo
    rates: Mapping[date, Mapping[str, Decimal]] = field(default_factory=dict)

    @property
    def digits(self) -> int:
        return minor_digits(self.currency)

    def factors(self) -> list[tuple[str, int, float]]:
        """Return (currency, from when, factor from its minor unit to ours), the latest first."""
        found = []
        for day, rates in self.rates.items():
            start = to_us(datetime.combine(day, time(), tzinfo=self.zone))
            for currency, rate in rates.items():
                if currency.upper() != self.currency:
                    exponent = self.digits - minor_digits(currency)
                    found.append((currency.upper(), start, float(rate * Decimal(10) ** exponent)))
        return sorted(found, key=lambda f: (f[0], -f[1]))


class Facts:
    """Answers from one connection, each asked of the store once."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        as_of_us: int,
        streams: Mapping[str, StreamFacts],
        hidden: frozenset[int],
        money: Money,
        billing_of: str,
        past: bool,
    ) -> None:
        self.conn = conn
        self.as_of_us = as_of_us
        self.streams = streams
        """By `connection.stream`: those that the config pulls."""
        self.hidden = hidden
        """Ids of streams taken out of the config: their rows are not seen."""
        self.money = money
        self.billing_of = billing_of
        self.past = past
        """Whether the store has learnt anything since the run's clock."""
        self.among = False
        """Whether only the people in `dialect.AMONG` are asked for (`core.segments.few`)."""
        self.values: dict[object, Relation] = {}
        """Values of those few that are asked already, each with where it is."""
        self.shared: dict[tuple[object, bool], tuple[str, frozenset[str]]] | None = None
        """Traits computed once for all who ask (and whether of companies): table, and what is approximate; None: do not."""
        self.of_companies = False
        """Whether the ids asked for are companies', not people's."""
        self.approximate: set[str] = set()
        """What the compiled leaf could only answer from today's value."""
        self._events: dict[str, int | None] = {}
        self._spans: dict[int, tuple[int, int]] = {}
        self._many: dict[int, int] = {}
        self._changed: dict[tuple[str, str], bool] = {}

    @property
    def zone(self) -> str:
        """The workspace's zone: whoever has none of their own is taken to live in it."""
        return str(self.money.zone)

    @property
    def table(self) -> str:
        """The table of those who are asked for."""
        return "companies" if self.of_companies else "profiles"

    def whoever(self, alias: str) -> str:
        """Return that table under *alias*, or of the few alone where only they are asked for."""
        named = f"{self.table} {alias}"
        few = self.among and not self.of_companies
        return f"{dialect.AMONG} CROSS JOIN {named} ON {alias}.id = {dialect.PERSON}" if few else named

    def today(self, what: str) -> None:
        """Note that *what* is answered from today's value, where that matters."""
        if self.past:
            self.approximate.add(what)

    def is_own(self, text: str) -> bool:
        """Return whether a query reads what only this connection has."""
        return any(table in text for table, _ in (self.shared or {}).values())

    def event_id(self, name: str) -> int | None:
        """Return the id of an event name, None if it was never seen."""
        if name not in self._events:
            row = self.conn.execute("SELECT id FROM event_names WHERE name = ?", (name,)).fetchone()
            self._events[name] = row[0] if row else None
        return self._events[name]

    def span(self, name_id: int) -> tuple[int, int]:
        """Return the times of the first and the last event of a name."""
        if name_id not in self._spans:
            ends = "SELECT (SELECT min(time) FROM events WHERE name_id = ?), (SELECT max(time) FROM events WHERE name_id = ?)"
            first, last = self.conn.execute(ends, (name_id, name_id)).fetchone()
            self._spans[name_id] = (first or 0, last or 0)
        return self._spans[name_id]

    def about_as_many(self, name: str) -> int:
        """Return how many events of a name there are, as far as that is counted quickly: for choosing a plan only."""
        name_id = self.event_id(name)
        if name_id is None:
            return 0
        if name_id not in self._many:
            some = f"SELECT 1 FROM events WHERE name_id = ? LIMIT {COUNTED}"
            (many,) = self.conn.execute(f"SELECT count(*) FROM ({some})", (name_id,)).fetchone()
            self._many[name_id] = many if many < COUNTED else max(many, self._sampled.get(name_id, 0))
        return self._many[name_id]

    @cached_property
    def _sampled(self) -> dict[int, int]:
        """About how many events of each common name there are, by a few as far apart as can be."""
        (last,) = self.conn.execute("SELECT max(id) FROM events").fetchone()
        apart = max(1, (last or 0) // SAMPLE)
        some = "SELECT e.name_id, count(*) FROM json_each(?) s CROSS JOIN events e ON e.id = s.value GROUP BY e.name_id"
        rows = self.conn.execute(some, (json.dumps(list(range(1, (last or 0) + 1, apart))),))
        return {name_id: many * apart for name_id, many in rows}

    def changed_since(self, of: str, name: str) -> bool:
        """Return whether a canonical field of anybody changed after the run's clock; looked up only if that may be."""
        if not self.past:
            return False
        if (of, name) not in self._changed:
            self._changed[of, name] = bool(
                self.conn.execute(
                    "SELECT EXISTS (SELECT 1 FROM field_history WHERE of = ? AND field = ? AND from_at > ?)",
                    (of, name, self.as_of_us),
                ).fetchone()[0]
            )
        return self._changed[of, name]

    @cached_property
    def history_begins_us(self) -> int:
        """Since when the history of fields is kept whole; 0 where nothing of it was ever let go of."""
        row = self.conn.execute("SELECT at FROM history_begins WHERE what = 'field_history'").fetchone()
        return 0 if row is None else int(row[0])

    @cached_property
    def side_columns(self) -> frozenset[str]:
        """The generated columns of `events`."""
        rows = self.conn.execute("SELECT name FROM pragma_table_xinfo('events') WHERE hidden = 2")
        return frozenset(row[0] for row in rows)

    @cached_property
    def side_indexes(self) -> frozenset[str]:
        """The indexes on those."""
        rows = self.conn.execute("SELECT name FROM pragma_index_list('events') WHERE partial = 1")
        return frozenset(row[0] for row in rows)

    @cached_property
    def event_streams(self) -> frozenset[int]:
        """The ids of all streams that brought events."""
        return frozenset(r[0] for r in self.conn.execute("SELECT DISTINCT stream_id FROM event_sources WHERE what = 'event'"))

    def seen(self, column: str = "stream_id") -> str:
        """Return the condition that a row's stream counts, led by AND; empty where all do. Ids are the store's own."""
        return f" AND {column} NOT IN ({', '.join(map(str, sorted(self.hidden)))})" if self.hidden else ""

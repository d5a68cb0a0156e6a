"""
Leaf in, bitmap out: every leaf is asked of the store once a run, the rest is algebra on bitmaps.

One clock and one read snapshot for all of it. Logic is two-valued: `not` is the complement among live profiles, so it
includes people without a value. How a leaf is asked is `compile`'s business.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from functools import reduce

from pyroaring import BitMap

from core.clock import to_us
from core.errors import StoreError
from core.segments import dialect
from core.segments.compile import compile_leaf
from core.segments.compile_billing import missing_rates
from core.segments.definitions import Definitions, SetDefinition
from core.segments.facts import Facts, LeafFailed, Money, StreamFacts
from core.segments.rests import values_in
from core.segments.tree import And, Billing, Condition, InGroup, InSegment, Leaf, Not, Or
from core.segments.vocabulary import read_catalogue
from core.store import Store


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Who was in which set at *as_of*."""

    as_of: datetime
    sets: dict[str, BitMap] = field(default_factory=dict)
    _: KW_ONLY
    excluded: dict[str, BitMap] = field(default_factory=dict)
    """Whom the workspace's `exclude` took out of each set; nothing where there is no `exclude`."""
    failed: dict[str, str] = field(default_factory=dict)
    """Sets that could not be told, with the reason; they are in no other field."""
    approximate: dict[str, list[str]] = field(default_factory=dict)
    """What of a set was answered from today's value though the clock stands in the past; empty for the present."""
    warnings: dict[str, list[str]] = field(default_factory=dict)
    """What the data lacks (a currency without a rate)."""
    universe: BitMap = field(default_factory=BitMap)
    """Live profiles with an e-mail or a user id, before `exclude`."""


def evaluate(store: Store, definitions: Definitions, *, as_of: datetime, names: Iterable[str] | None = None) -> Evaluation:
    """
    Return the members of the sets called *names* (all, if None) as they were at *as_of*.

    A set that names a source field which vanished or changed its type fails, and so does whatever names that set; if it is
    under the workspace's `exclude`, everything fails: rather nobody than staff.
    """
    wanted = list(definitions.sets) if names is None else [name for name in names if name in definitions.sets]
    dialect.register(store.conn)
    try:
        with _snapshot(store.conn):
            return _Run(store, definitions, as_of).evaluation(wanted)
    except sqlite3.Error as error:
        raise StoreError(f"{store.path}: segments cannot be evaluated: {error}") from error


@contextmanager
def _snapshot(conn: sqlite3.Connection) -> Iterator[None]:
    """Hold one state of the database for all reads; inside a transaction there is one already."""
    if conn.in_transaction:
        yield
        return
    conn.execute("BEGIN")
    try:
        yield
    finally:
        conn.execute("ROLLBACK")


def read_facts(store: Store, definitions: Definitions, as_of_us: int) -> Facts:
    """Return what compiling needs to know of the store now."""
    catalogue = read_catalogue(store)
    streams: dict[str, StreamFacts] = {}
    hidden: set[int] = set()
    configured = {s.text for s in definitions.vocabulary.streams}
    newest = 0
    for id_, text, landing, completed_at, finished_at, removed_at in store.conn.execute(
        "SELECT s.id, c.name || '.' || s.name, s.landing, s.completed_at, s.finished_at, coalesce(s.removed_at, c.removed_at) "
        "FROM streams s JOIN connections c ON c.id = s.connection_id"
    ):
        if text in configured and removed_at is None:
            streams[text] = StreamFacts(id_, landing, completed_at is not None, catalogue.get(id_, {}))
            newest = max(newest, finished_at or 0)
        else:
            hidden.add(id_)
    workspace = definitions.config.workspace
    return Facts(
        store.conn,
        as_of_us=as_of_us,
        streams=streams,
        hidden=frozenset(hidden),
        money=Money(workspace.currency, zone=workspace.timezone, rates=workspace.rates),
        billing_of=workspace.billing_of,
        past=newest > as_of_us,
    )


class _Run:
    """One evaluation under way."""

    def __init__(self, store: Store, definitions: Definitions, as_of: datetime) -> None:
        self.conn = store.conn
        self.definitions = definitions
        self.as_of = as_of
        self.facts = read_facts(store, definitions, to_us(as_of))
        self.everyone, self.known = self._universe()
        self.leaves: dict[Leaf, tuple[BitMap, frozenset[str]] | LeafFailed] = {}
        self.sets: dict[str, BitMap] = {}
        self.failed: dict[str, str] = {}
        self.approximate: dict[str, set[str]] = {}

    def evaluation(self, wanted: list[str]) -> Evaluation:
        """Evaluate *wanted* and all that they name, then keep out whom `exclude` keeps out."""
        exclude = self.definitions.exclude
        for name in self._needed([*wanted, *([exclude] if exclude else [])]):
            self._evaluate(self.definitions.sets[name])
        out = self.sets.get(exclude, BitMap()) if exclude else BitMap()
        if exclude in self.failed:
            reason = f"{exclude} cannot be told: {self.failed[exclude]}"
            self.failed |= {name: reason for name in wanted if name not in self.failed}
        if self.facts.past:
            self._note_universe(wanted)
        told = [name for name in wanted if name not in self.failed]
        return Evaluation(
            self.as_of,
            {n: self.sets[n] if n == exclude else self.sets[n] - out for n in told},
            excluded={n: self.sets[n] & out for n in told if exclude and n != exclude},
            failed={n: self.failed[n] for n in wanted if n in self.failed},
            approximate={n: sorted(self.approximate[n]) for n in wanted if self.approximate.get(n)},
            warnings=self._warnings(wanted),
            universe=self.known,
        )

    def _needed(self, wanted: list[str]) -> list[str]:
        needed: set[str] = set()
        stack = list(wanted)
        while stack:
            name = stack.pop()
            if name not in needed:
                needed.add(name)
                stack.extend(self.definitions.sets[name].refers)
        return [name for name in self.definitions.order if name in needed]

    def _evaluate(self, definition: SetDefinition) -> None:
        notes: set[str] = set()
        try:
            found = self._condition(definition.condition, notes)
        except LeafFailed as error:
            self.failed[definition.name] = str(error)
            return
        self.sets[definition.name] = found & (self.everyone if definition.anonymous else self.known)
        self.approximate[definition.name] = notes

    def _condition(self, node: Condition, notes: set[str]) -> BitMap:
        match node:
            case And():
                return reduce(BitMap.__and__, [self._condition(item, notes) for item in node.items])
            case Or():
                return BitMap.union(*[self._condition(item, notes) for item in node.items])
            case Not():
                return self.everyone - self._condition(node.item, notes)
            case InSegment():
                return self._set(f"segment.{node.name}", notes)
            case InGroup():
                return BitMap.union(*[self._set(f"partition.{node.partition}.{group}", notes) for group in node.groups])
            case _:
                return self._leaf(node, notes)

    def _set(self, name: str, notes: set[str]) -> BitMap:
        if name in self.failed:
            raise LeafFailed(self.failed[name])
        notes |= self.approximate[name]
        return self.sets[name]

    def _leaf(self, leaf: Leaf, notes: set[str]) -> BitMap:
        if leaf not in self.leaves:
            try:
                self.leaves[leaf] = self._asked(leaf)
            except LeafFailed as error:
                self.leaves[leaf] = error
        found = self.leaves[leaf]
        if isinstance(found, LeafFailed):
            raise LeafFailed(str(found))
        bits, approximate = found
        notes |= approximate
        return bits

    def _asked(self, leaf: Leaf) -> tuple[BitMap, frozenset[str]]:
        self.facts.approximate = set()
        query = compile_leaf(leaf, self.facts)
        bits = self._bits(query.sql.text, query.sql.params)
        return self.everyone - bits if query.complement else bits & self.everyone, frozenset(self.facts.approximate)

    def _bits(self, sql: str, params: tuple[dialect.Param, ...] = ()) -> BitMap:
        return BitMap(array("I", [row[0] for row in self.conn.execute(sql, params)]))

    def _universe(self) -> tuple[BitMap, BitMap]:
        """Return all live profiles, and those with an e-mail or a user id."""
        live = "live = 1"
        params: tuple[dialect.Param, ...] = ()
        if self.facts.past:  # who is known to have been made later was not there
            live += " AND (created_at IS NULL OR created_at <= ?)"
            params = (self.facts.as_of_us,)
        everyone = self._bits(f"SELECT id FROM profiles WHERE {live}", params)
        return everyone, self._bits(
            f"SELECT id FROM profiles WHERE {live} AND (email IS NOT NULL OR user_id IS NOT NULL)", params
        )

    def _note_universe(self, wanted: list[str]) -> None:
        for name in wanted:
            self.approximate.setdefault(name, set()).add("deleted and merged people")

    def _warnings(self, wanted: list[str]) -> dict[str, list[str]]:
        """Name the currencies without a rate to the sets that speak of money."""
        money = {"mrr", "arr", "ltv"}
        asking = []
        for name in wanted:
            under = [self.definitions.sets[n] for n in self._needed([name])]
            if any(isinstance(v, Billing) and v.word in money for s in under for v in values_in(s.condition)):
                asking.append(name)
        lacking = missing_rates(self.facts) if asking else []
        text = [f"no rate for {currency}: set [workspace.rates]" for currency in lacking]
        return {name: text for name in asking if text}

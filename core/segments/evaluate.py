"""
Leaf in, bitmap out: every leaf is asked of the store once a run, the rest is algebra on bitmaps.

One clock and one read snapshot for all of it. Logic is two-valued: `not` is the complement among live profiles, so it
includes people without a value. How a leaf is asked is `compile`'s business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from functools import reduce

from pyroaring import BitMap

from core.clock import to_us
from core.errors import StoreError
from core.segments import dialect
from core.segments.companies import Companies
from core.segments.compile import Query, compile_leaf
from core.segments.compile_billing import missing_rates
from core.segments.compile_shared import Part, part_of
from core.segments.compile_sql import people
from core.segments.definitions import Definitions, SetDefinition
from core.segments.facts import Facts, LeafFailed, Money, StreamFacts
from core.segments.incremental import named_leaves, open_kept, taken_now
from core.segments.incremental_again import EVERYONE, KNOWN, universe_query
from core.segments.parallel import Readers, bits_of, snapshot
from core.segments.rests import leaves_of_people, values_in
from core.segments.together import ask
from core.segments.tree import And, Billing, Condition, InGroup, InSegment, Leaf, Not, Or, walk
from core.segments.tree_sets import CompanyIn, FromSql, Users
from core.segments.vocabulary import read_catalogue
from core.store import Store, leaves
from core.store.changes import watch
from core.store.leaves import Taken


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
    companies: BitMap = field(default_factory=BitMap)
    """Live companies, if any set is of companies."""
    brought_up: int = 0
    """Leaves that were brought up to date from an earlier evaluation; all others were evaluated whole."""


def evaluate(
    store: Store,
    definitions: Definitions,
    *,
    as_of: datetime,
    names: Iterable[str] | None = None,
    keep: bool = False,
    reuse: bool = True,
    beside: Callable[[], None] = lambda: None,
) -> Evaluation:
    """
    Return the members of the sets called *names* (all, if None) as they were at *as_of*.

    What an earlier evaluation kept is brought up to date where that gives the same; *reuse* switches that off. *keep* leaves
    the leaves of this one for the next, and is for whoever evaluates all sets. *beside* may read what else is so in the very
    snapshot that is evaluated.

    A set that names a source field which vanished or changed its type fails, and so does whatever names that set; if it is
    under the workspace's `exclude`, everything fails: rather nobody than staff.
    """
    wanted = list(definitions.sets) if names is None else [name for name in names if name in definitions.sets]
    dialect.register(store.conn)
    try:
        if keep:
            watch(store)
        with snapshot(store) as readers:
            beside()
            run = _Run(store, definitions, as_of, wanted, readers, reuse=reuse)
            evaluation = run.evaluation(wanted, readers)
            taken = taken_now(store.conn, run.facts)
        if keep and not run.facts.past:
            run.keep(store, taken)
    except sqlite3.Error as error:
        raise StoreError(f"{store.path}: segments cannot be evaluated: {error}") from error
    return evaluation


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

    def __init__(
        self, store: Store, definitions: Definitions, as_of: datetime, wanted: list[str], readers: Readers, *, reuse: bool
    ) -> None:
        self.conn = store.conn
        self.definitions = definitions
        self.as_of = as_of
        self.facts = read_facts(store, definitions, to_us(as_of))
        self.facts.shared = {}
        self.under = [definitions.sets[name] for name in self._under(wanted)]
        self.named = named_leaves((node for one in self.under for node in walk(one.condition)), self.facts)
        self.kept = open_kept(self.conn, self.facts) if reuse else None
        found, self.same = self.kept.bring_up(self.named, readers) if self.kept is not None else ({}, frozenset[str]())
        self.raw = {self.named[name][0]: bits for name, bits in found.items() if name in self.named}
        self.brought_up = len(self.raw)
        self.everyone, self.known = (
            found[name] if name in found else bits_of(self.conn, universe_query(self.facts, known=name == KNOWN))
            for name in (EVERYONE, KNOWN)
        )
        self.companies = Companies(self.facts, self.everyone, self.known)
        self.compiled: dict[Leaf, tuple[Query, frozenset[str]]] = {}
        self.leaves: dict[Leaf, tuple[BitMap, frozenset[str]] | LeafFailed] = {}
        self.sets: dict[str, BitMap] = {}
        self.failed: dict[str, str] = {}
        self.approximate: dict[str, set[str]] = {}

    def keep(self, store: Store, taken: Taken) -> None:
        """Leave the leaves for the next evaluation; where that cannot be done it will be a full one."""
        found = {name: self.raw[leaf] for name, (leaf, _) in self.named.items() if leaf in self.raw}
        found |= {EVERYONE: self.everyone, KNOWN: self.known}
        with suppress(StoreError):
            leaves.keep(store, taken, found, base=self.kept.taken if self.kept is not None else None, same=self.same)

    def _under(self, wanted: list[str]) -> list[str]:
        """Return *wanted* with all that they name and `exclude`, each after what it names."""
        exclude = self.definitions.exclude
        return self._needed([*wanted, *([exclude] if exclude else [])])

    def evaluation(self, wanted: list[str], readers: Readers) -> Evaluation:
        """Evaluate *wanted* and all that they name, then keep out whom `exclude` keeps out."""
        exclude = self.definitions.exclude
        self._ask_ahead(readers)
        for one in self.under:
            self._evaluate(one)
        out = self.sets.get(exclude, BitMap()) if exclude else BitMap()
        if exclude in self.failed:
            reason = f"{exclude} cannot be told: {self.failed[exclude]}"
            self.failed |= {name: reason for name in wanted if name not in self.failed}
        for name in wanted if self.facts.past else ():
            self.approximate.setdefault(name, set()).add("deleted and merged people")
        told = [name for name in wanted if name not in self.failed]
        companies = {name for name in wanted if self.definitions.sets[name].of == "company"}
        return Evaluation(
            self.as_of,
            {n: self.sets[n] if n == exclude or n in companies else self.sets[n] - out for n in told},
            excluded={n: BitMap() if n in companies else self.sets[n] & out for n in told if exclude and n != exclude},
            failed={n: self.failed[n] for n in wanted if n in self.failed},
            approximate={n: sorted(self.approximate[n]) for n in wanted if self.approximate.get(n)},
            warnings=self._warnings(wanted),
            universe=self.known,
            companies=self.companies.live if companies else BitMap(),
            brought_up=self.brought_up,
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
            if definition.of == "company":
                found = self._companies(definition.condition, notes)
            else:
                found = self._condition(definition.condition, notes) & (self.everyone if definition.anonymous else self.known)
        except LeafFailed as error:
            self.failed[definition.name] = str(error)
            return
        self.sets[definition.name] = found
        self.approximate[definition.name] = notes

    def _companies(self, condition: Condition, notes: set[str]) -> BitMap:
        def named(name: str) -> BitMap:
            return self._set(name, notes)

        return self.companies.members(condition, named, lambda inner: self._condition(inner, notes), notes)

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
            case Users():
                return self.companies.people(node, self._condition(node.item, notes), notes)
            case CompanyIn():
                return self.companies.employed(self._set(f"segment.{node.name}", notes), notes)
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
        if isinstance(leaf, FromSql):
            self.facts.approximate = set()
            return people(leaf, self.facts) & self.everyone, frozenset(self.facts.approximate)
        query, approximate = self._compiled(leaf)
        if leaf not in self.raw:
            self.raw[leaf] = bits_of(self.conn, query.sql)
        found = self.raw[leaf]
        return self.everyone - found if query.complement else found & self.everyone, approximate

    def _compiled(self, leaf: Leaf) -> tuple[Query, frozenset[str]]:
        if leaf not in self.compiled:
            self.facts.approximate = set()
            query = compile_leaf(leaf, self.facts)
            self.compiled[leaf] = query, frozenset(self.facts.approximate)
        return self.compiled[leaf]

    def _ask_ahead(self, readers: Readers) -> None:
        """Ask all at once what no earlier evaluation tells; a leaf that fails is left to fail where it is needed."""
        asked: dict[Leaf, tuple[dialect.Sql, Part | None]] = {}
        for leaf in dict.fromkeys(leaf for one in self.under for leaf in leaves_of_people(one.condition, one.of)):
            if leaf not in self.raw and not isinstance(leaf, FromSql):  # that one runs under guard
                with suppress(LeafFailed):
                    asked[leaf] = self._compiled(leaf)[0].sql, part_of(leaf, self.facts)
        self.raw |= ask(self.conn, readers, asked, self.facts.is_own)

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

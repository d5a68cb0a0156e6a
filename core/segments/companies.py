"""
Companies in one evaluation: whose users a thing holds of, and the segments whose members are companies.

A user of a company is a live profile of the universe that works there. Who works where is read once for an evaluation, and
only if somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from copy import copy
from functools import cached_property, reduce
from itertools import compress

from pyroaring import BitMap

from core.segments.compile import compile_leaf
from core.segments.compile_sql import people
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.parallel import bits_of
from core.segments.tree import And, Condition, InGroup, InSegment, Leaf, Not, Or
from core.segments.tree_sets import CompanyIn, FromSql, Quantifier, Users

Notes = set[str]


class Companies:
    """The companies of one run."""

    def __init__(self, facts: Facts, everyone: BitMap, known: BitMap) -> None:
        self.everyone = everyone
        self.known = known
        self.facts = copy(facts)
        self.facts.of_companies = True
        self._leaves: dict[Leaf, tuple[BitMap, frozenset[str]]] = {}

    @cached_property
    def live(self) -> BitMap:
        """All companies that are there."""
        made = "AND (created_at IS NULL OR created_at <= ?)" if self.facts.past else ""
        params = (self.facts.as_of_us,) if self.facts.past else ()
        return bits_of(self.facts.conn, Sql(f"SELECT id FROM companies WHERE live = 1 {made}", params))

    @cached_property
    def _pairs(self) -> tuple[array[int], array[int]]:
        """Return people and, at the same places, their companies."""
        tables = "profiles p CROSS JOIN companies t ON t.id = p.company_id AND t.live = 1"
        who, where = array("I"), array("I")
        for person, company in self.facts.conn.execute(f"SELECT p.id, t.id FROM {tables} WHERE p.live = 1"):
            who.append(person)
            where.append(company)
        return who, where

    def of(self, those: BitMap) -> BitMap:
        """Return the companies of some people."""
        who, where = self._pairs
        return BitMap(array("I", set(compress(where, map(those.__contains__, who)))))

    def staff(self, companies: BitMap) -> BitMap:
        """Return the people of some companies."""
        who, where = self._pairs
        return BitMap(array("I", compress(who, map(companies.__contains__, where))))

    def people(self, node: Users, found: BitMap, notes: Notes) -> BitMap:
        """Return the people of whom *node* holds, *found* being those of whom its inner condition does."""
        self._note(notes)
        chosen = self.staff(self._counted(node, found))
        return self.everyone - chosen if node.quantifier is Quantifier.NO else chosen

    def employed(self, companies: BitMap, notes: Notes) -> BitMap:
        """Return the people whose company is one of *companies*."""
        self._note(notes)
        return self.staff(companies)

    def members(
        self, node: Condition, named: Callable[[str], BitMap], inner: Callable[[Condition], BitMap], notes: Notes
    ) -> BitMap:
        """Return the companies that *node* holds of; *named* gives a set's members, *inner* the people a condition holds of."""
        match node:
            case And():
                return reduce(BitMap.__and__, [self.members(item, named, inner, notes) for item in node.items])
            case Or():
                return BitMap.union(*[self.members(item, named, inner, notes) for item in node.items])
            case Not():
                return self.live - self.members(node.item, named, inner, notes)
            case InSegment():
                return named(f"segment.{node.name}")
            case Users():
                self._note(notes)
                chosen = self._counted(node, inner(node.item)) & self.live
                return self.live - chosen if node.quantifier is Quantifier.NO else chosen
            case CompanyIn() | InGroup():
                raise AssertionError("a word about a person in a segment of companies")
            case _:
                return self._leaf(node, notes)

    def _counted(self, node: Users, found: BitMap) -> BitMap:
        """Return the companies of whose users any, or all, are *found*; for `no`, those of which any are."""
        universe = self.everyone if node.anonymous else self.known
        if node.quantifier is Quantifier.ALL:
            return self.of(universe) - self.of(universe - found)
        return self.of(found & universe)

    def _note(self, notes: Notes) -> None:
        """Note that who works where is answered from today, where that matters."""
        if self.facts.past:
            notes.add("company")

    def _leaf(self, leaf: Leaf, notes: Notes) -> BitMap:
        if leaf not in self._leaves:
            self.facts.approximate = set()
            self._leaves[leaf] = self._asked(leaf), frozenset(self.facts.approximate)
        bits, approximate = self._leaves[leaf]
        notes |= approximate
        return bits

    def _asked(self, leaf: Leaf) -> BitMap:
        if isinstance(leaf, FromSql):
            return people(leaf, self.facts) & self.live
        query = compile_leaf(leaf, self.facts)
        bits = bits_of(self.facts.conn, query.sql)
        return self.live - bits if query.complement else bits & self.live

"""
Computed values to SQL: one query a value over all people, each value that it is made of joined once.

A condition in it is asked where that can be: of the joined values, else as a set. A field of which somebody has several values
counts with the largest. A trait is a query of its own, so that what names it is not made longer by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.segments.compile_arithmetic import computed
from core.segments.compile_ranks import SEVERAL, universe
from core.segments.dialect import Param, Sql
from core.segments.facts import Facts, LeafFailed
from core.segments.predicate import bound, predicate
from core.segments.relation import Relation
from core.segments.tree import And, Compare, Condition, Exists, In, Matches, Not, Or, Term, Test, Value, values_of
from core.segments.tree_constants import CONSTANTS, Edge, OwnMoment, personal
from core.segments.tree_traits import COMPUTED, Member, Trait, parts_of

if TYPE_CHECKING:
    from core.segments.compile import Query

MAX_JOINED: Final = 50
"""Values in one query: SQLite joins 64 tables."""
OWN: Final = "u"
"""How the person is called in the query."""

Ask = Callable[[Any, Facts], "Query"]
Relate = Callable[[Value, Facts], Relation]


def trait(value: Value, facts: Facts, *, relate: Relate, ask: Ask) -> Relation:
    """Return everybody's computed *value*; *relate* and *ask* say how the values and conditions in it are asked."""
    if not isinstance(value, Trait):
        return _made(value, facts, relate, ask)
    if facts.shared is None or facts.among:
        return _made(value.value, facts, relate, ask)
    key = (value, facts.of_companies)
    if key not in facts.shared:
        asked, facts.approximate = facts.approximate, set()
        try:
            found = _made(value.value, facts, relate, ask).sql
            facts.shared[key] = (_kept(f"trait_{len(facts.shared)}", found, facts), frozenset(facts.approximate))
        finally:
            facts.approximate |= asked
    table, approximate = facts.shared[key]
    facts.approximate |= approximate
    return Relation(Sql(f"SELECT p, v FROM {table}"))


def _made(made: Value, facts: Facts, relate: Relate, ask: Ask) -> Relation:
    query = _Query(facts, relate, ask)
    expression = query.term(made)
    text = f"SELECT {OWN}.id AS p, {expression.text} AS v FROM {facts.table} {OWN}{query.joins()}"
    return Relation(Sql(text, (*expression.params, *query.params())))


def _kept(name: str, found: Sql, facts: Facts) -> str:
    """Put the values into a table of this connection alone, which goes when the run's snapshot does, and return its name."""
    facts.conn.execute(f"DROP TABLE IF EXISTS temp.{name}")
    facts.conn.execute(f"CREATE TEMP TABLE {name} (p INTEGER PRIMARY KEY, v)")
    facts.conn.execute(f"INSERT INTO temp.{name} SELECT p, v FROM ({found.text}) WHERE v IS NOT NULL", found.params)
    return f"temp.{name}"


def members(leaf: Member, facts: Facts, *, relate: Relate, ask: Ask) -> Sql:
    """Return who is in a set that stands in a computed value."""
    query = _Query(facts, relate, ask)
    where = query.condition(leaf)
    text = f"SELECT {OWN}.id FROM {facts.table} {OWN}{query.joins()} WHERE {where.text}"
    return Sql(text, (*query.params(), *where.params))


@dataclass(slots=True)
class _Query:
    """One query in the making: the values joined so far."""

    facts: Facts
    relate: Relate
    ask: Ask
    joined: dict[Value, tuple[str, Relation]] = field(default_factory=dict)

    def joins(self) -> str:
        """Return the joins, led by a space."""
        return "".join(f" LEFT JOIN ({r.sql.text}) {name} ON {name}.p = {OWN}.id" for name, r in self.joined.values())

    def params(self) -> tuple[Param, ...]:
        return tuple(param for _, r in self.joined.values() for param in r.sql.params)

    def term(self, term: Term) -> Sql:
        """Return a value or a constant as an expression."""
        if isinstance(term, CONSTANTS):
            return Sql("?", (bound(term, self.facts.as_of_us),))
        if isinstance(term, COMPUTED) and not isinstance(term, Trait):
            return computed(term, self.term, self.condition, self.facts.as_of_us)
        return self._column(term)

    def _column(self, value: Any) -> Sql:
        if value not in self.joined:
            if len(self.joined) == MAX_JOINED:
                raise LeafFailed(f"a computed value looks at more than {MAX_JOINED} values: make traits of its parts")
            found = self.relate(value, self.facts)
            if isinstance(value, SEVERAL):
                one = f"SELECT p, max(v) AS v FROM ({found.sql.text}) WHERE v IS NOT NULL GROUP BY p"
                found = Relation(Sql(one, found.sql.params))
            self.joined[value] = (f"r{len(self.joined)}", found)
        name, found = self.joined[value]
        return Sql(f"coalesce({name}.v, 0)" if found.zero else f"{name}.v")

    def condition(self, node: Condition) -> Sql:
        """Return a condition as an expression that is true or false and never NULL."""
        match node:
            case And() | Or():
                items = [self.condition(item) for item in node.items]
                glue = " AND " if isinstance(node, And) else " OR "
                return Sql("(" + glue.join(i.text for i in items) + ")", tuple(p for i in items for p in i.params))
            case Not():
                inner = self.condition(node.item)
                return Sql(f"(NOT {inner.text})", inner.params)
            case Member():
                inner = self.condition(node.condition)
                who = universe(OWN, self.facts, anonymous=node.anonymous)
                return Sql(f"({who.text} AND {inner.text})", (*who.params, *inner.params))
        if isinstance(node, Compare | In | Exists | Matches) and _in_place(node):
            test = predicate(node, self.term, self.facts.as_of_us)
            return Sql(f"({test.text} IS TRUE)", test.params)
        query = self.ask(node, self.facts)
        how = "NOT IN" if query.complement else "IN"
        return Sql(f"({OWN}.id {how} ({query.sql.text}))", query.sql.params)


def _in_place(node: Test) -> bool:
    """Return whether a test can be made of the joined values: each person has one, and none is written out twice for it."""
    values = values_of(node)
    if any(isinstance(value, SEVERAL) for value in values):
        return False
    if isinstance(node, Compare) and len(node.terms) > 2 and any(isinstance(v, COMPUTED) for v in values):
        return False
    return not any(isinstance(part, Edge | OwnMoment) and personal(part) for part in parts_of(node))

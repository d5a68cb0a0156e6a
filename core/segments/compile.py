"""
Tree to SQL: each leaf becomes one query that yields profile ids.

A value becomes a relation (p, v): one row for each person who has it (several where a field has several). A test on one
value filters its relation; a test on two joins theirs to the profiles. Values are always bound, never written into the text
(ids of the store's own excepted: partial indexes are found by them). Events, billing and surveys are in their own modules.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from core.segments import dialect
from core.segments.compile_billing import billing
from core.segments.compile_calendar import own_times
from core.segments.compile_events import aggregate, happened, last_passes
from core.segments.compile_history import changed
from core.segments.compile_lists import listed
from core.segments.compile_ranks import bucket, percentile, top
from core.segments.compile_sequence import in_sequence
from core.segments.compile_surveys import answer, answered, score
from core.segments.compile_traits import members, trait
from core.segments.dialect import Sql, quoted
from core.segments.facts import Facts, LeafFailed, StreamFacts
from core.segments.predicate import holds, predicate
from core.segments.relation import Relation, historic
from core.segments.tree import (
    Answer,
    Answered,
    Billing,
    CompanyField,
    Did,
    Leaf,
    ProfileField,
    Score,
    SourceField,
    Test,
    Value,
    values_of,
)
from core.segments.tree_constants import TEXT_LIKE, Edge, OwnMoment, Type
from core.segments.tree_events import Aggregate, LastEvent, Sequence
from core.segments.tree_sets import Bucket, Changed, FromSql, InList, Percentile, Top
from core.segments.tree_traits import COMPUTED, Member


@dataclass(frozen=True, slots=True)
class Query:
    """SQL that yields profile ids (repeats are harmless, none is NULL)."""

    sql: Sql
    _: KW_ONLY
    complement: bool = False
    """Whether the people wanted are all the others: how a count below three includes people with none."""


def compile_leaf(leaf: Leaf, facts: Facts) -> Query:
    """Return the query of *leaf*; LeafFailed where a source field vanished or changed its type."""
    match leaf:
        case Did():
            return Query(happened(leaf.events, facts))
        case LastEvent():
            return Query(last_passes(leaf, facts))
        case Sequence():
            return Query(in_sequence(leaf, facts))
        case Answered():
            return Query(answered(leaf, facts))
        case Top():
            return Query(top(leaf.value, relation(leaf.value, facts), leaf.count, facts, anonymous=leaf.anonymous))
        case InList():
            return Query(listed(leaf, facts))
        case Changed():
            return Query(changed(leaf, facts))
        case Member():
            return Query(members(leaf, facts, relate=relation, ask=compile_leaf))
        case FromSql():
            raise AssertionError("a query of the user's own is run under guard")
        case _:
            values = values_of(leaf)
            return _one(leaf, values[0], facts) if len(values) == 1 else _several(leaf, values, facts)


def relation(value: Value, facts: Facts) -> Relation:
    """Return the people who have *value* and what it is."""
    if value in facts.values:
        return facts.values[value]
    match value:
        case ProfileField():
            return _profile(value, facts)
        case CompanyField():
            return _company(value, facts)
        case SourceField():
            return _source(value, facts)
        case Aggregate():
            return aggregate(value, facts)
        case Billing():
            return billing(value, facts)
        case Score():
            return score(value, facts)
        case Answer():
            return answer(value, facts)
        case Percentile():
            return percentile(value.value, relation(value.value, facts), facts, anonymous=value.anonymous)
        case Bucket():
            return bucket(value, facts)
        case _ if isinstance(value, COMPUTED):
            return trait(value, facts, relate=relation, ask=compile_leaf)
        case _:
            raise AssertionError("a property of an event is no value of a person")


def passes(test: Test, column: str, facts: Facts, *, complement: bool) -> Sql:
    """Return the condition that a test holds of the value in a column, or (*complement*) that it does not, beside `p`."""
    own = own_times("p" if not facts.of_companies else None, facts)
    where = predicate(test, lambda at: own(at) if isinstance(at, Edge | OwnMoment) else Sql(column), facts.as_of_us)
    return Sql(f"NOT ({where.text})", where.params) if complement else where


def _one(test: Test, value: Value, facts: Facts) -> Query:
    found = relation(value, facts)
    complement = found.zero and holds(test, value)
    where = passes(test, "v", facts, complement=complement)
    sql = Sql(f"SELECT p FROM ({found.sql.text}) WHERE {where.text}", (*found.sql.params, *where.params))
    return Query(sql, complement=complement)


def _several(test: Test, values: tuple[Value, ...], facts: Facts) -> Query:
    found = {value: relation(value, facts) for value in values}
    names = {value: f"r{n}" for n, value in enumerate(values)}
    joins = " ".join(f"LEFT JOIN ({r.sql.text}) {names[v]} ON {names[v]}.p = u.id" for v, r in found.items())
    columns: dict[Value, Sql] = {v: Sql(f"coalesce({names[v]}.v, 0)" if r.zero else f"{names[v]}.v") for v, r in found.items()}
    own = own_times("u.id" if not facts.of_companies else None, facts)
    where = predicate(test, lambda at: own(at) if isinstance(at, Edge | OwnMoment) else columns[at], facts.as_of_us)
    params = tuple(p for r in found.values() for p in r.sql.params)
    return Query(Sql(f"SELECT u.id FROM {facts.whoever('u')} {joins} WHERE {where.text}", (*params, *where.params)))


# --- fields --------------------------------------------------------------------------------------------------------


def _profile(value: ProfileField, facts: Facts) -> Relation:
    column = historic("t", "profile", value.name, facts)
    return Relation(Sql(f"SELECT t.id AS p, {column.text} AS v FROM profiles t", column.params))


def _company(value: CompanyField, facts: Facts) -> Relation:
    column = historic("t", "company", value.name, facts)
    if facts.of_companies:
        return Relation(Sql(f"SELECT t.id AS p, {column.text} AS v FROM companies t", column.params))
    facts.today("company")
    tables = "profiles p JOIN companies t ON t.id = p.company_id AND t.live = 1"
    return Relation(Sql(f"SELECT p.id AS p, {column.text} AS v FROM {tables}", column.params))


def _source(value: SourceField, facts: Facts) -> Relation:
    stream = facts.streams.get(f"{value.connection}.{value.stream}")
    column = stream.columns.get(value.field) if stream is not None else None
    if stream is None or column is None:
        if stream is not None and stream.completed:
            raise LeafFailed(f"{value.text} is no longer there")
        return Relation(Sql("SELECT 0 AS p, NULL AS v WHERE 0"))  # not pulled yet: everything that rests on it is held
    if column.missing:
        raise LeafFailed(f"{value.text} is no longer there")
    if not _fits(column.type, value.type):
        raise LeafFailed(f"{value.text} is now {column.type}, where {value.type} is compared")
    facts.today(value.text)
    return _landed(value, stream, column.column, column.type)


def _landed(value: SourceField, stream: StreamFacts, name: str, type_: str) -> Relation:
    table, column = quoted(stream.landing), f"r.{quoted(name)}"
    live = "r.deleted_at IS NULL AND r.profile_id IS NOT NULL"
    if type_ == "json":
        rows = f"{table} r, {dialect.items(column)} j WHERE {live} AND {column} IS NOT NULL AND j.{dialect.item_of(value.type)}"
        item = dialect.as_time("j.value") if value.type is Type.TIME else "j.value"
        return Relation(Sql(f"SELECT r.profile_id AS p, {item} AS v FROM {rows}"))
    if type_ == "text" and value.type is Type.TIME:
        column = dialect.as_time(column)
    return Relation(Sql(f"SELECT r.profile_id AS p, {column} AS v FROM {table} r WHERE {live}"))


def _fits(actual: str, wanted: Type) -> bool:
    """Return whether a landing column of the catalogue's type can be compared as *wanted*."""
    if wanted is Type.ANY or actual in ("json", "null"):  # null: sent, but never with a value
        return True
    match actual:
        case "integer" | "number" | "money":
            return wanted is Type.NUMBER
        case "boolean":
            return wanted is Type.BOOLEAN
        case "time":
            return wanted is Type.TIME
        case _:
            return wanted in TEXT_LIKE or wanted is Type.TIME

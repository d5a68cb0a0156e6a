"""Ranks and buckets to SQL: among whom a value is ranked, who comes first, and a number that hangs on the id alone."""

from __future__ import annotations

from typing import Final

from core.segments import dialect
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.relation import Relation
from core.segments.tree import Answer, SourceField, Value
from core.segments.tree_sets import Bucket

SEVERAL: Final = (SourceField, Answer)
"""Values of which a person may have more than one; the largest is ranked."""


def percentile(value: Value, found: Relation, facts: Facts, *, anonymous: bool) -> Relation:
    """Return SQL's percent_rank times 100 of each who has *value*, whose relation is *found*."""
    rows = ranked(value, found, facts, anonymous=anonymous)
    return Relation(Sql(f"SELECT p, percent_rank() OVER (ORDER BY v) * 100 AS v FROM ({rows.text})", rows.params))


def top(value: Value, found: Relation, count: int, facts: Facts, *, anonymous: bool) -> Sql:
    """Return the *count* people with the largest value."""
    rows = ranked(value, found, facts, anonymous=anonymous)
    return Sql(f"SELECT p FROM ({rows.text}) ORDER BY v DESC, p LIMIT {int(count)}", rows.params)


def bucket(value: Bucket, facts: Facts) -> Relation:
    """Return each one's number from 0 up to 1."""
    drawn = dialect.drawn("t.id")
    return Relation(Sql(f"SELECT t.id AS p, {drawn} AS v FROM {facts.table} t", (value.salt,)))


def ranked(value: Value, found: Relation, facts: Facts, *, anonymous: bool) -> Sql:
    """Return (p, v), one row for each person of the universe who has a value."""
    who = universe("u", facts, anonymous=anonymous)
    if found.zero:  # a count of nothing is 0, and so a value
        text = f"SELECT u.id AS p, coalesce(r.v, 0) AS v FROM {facts.table} u LEFT JOIN ({found.sql.text}) r ON r.p = u.id"
        return Sql(f"{text} WHERE {who.text}", (*found.sql.params, *who.params))
    one = "max(r.v)" if _may_be_several(value) else "r.v"
    text = (
        f"SELECT u.id AS p, {one} AS v FROM ({found.sql.text}) r JOIN {facts.table} u ON u.id = r.p "
        f"WHERE r.v IS NOT NULL AND {who.text}{' GROUP BY u.id' if _may_be_several(value) else ''}"
    )
    return Sql(text, (*found.sql.params, *who.params))


def universe(alias: str, facts: Facts, *, anonymous: bool) -> Sql:
    """Return the condition that a profile is of the universe."""
    if facts.of_companies:
        return Sql(f"{alias}.live = 1")
    known = "" if anonymous else f" AND ({alias}.email IS NOT NULL OR {alias}.user_id IS NOT NULL)"
    if not facts.past:
        return Sql(f"{alias}.live = 1{known}")
    return Sql(f"{alias}.live = 1{known} AND ({alias}.created_at IS NULL OR {alias}.created_at <= ?)", (facts.as_of_us,))


def _may_be_several(value: Value) -> bool:
    return isinstance(value, SEVERAL)

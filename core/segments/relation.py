"""A value of people as a relation, and a canonical column as it was at the run's clock."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from core.segments.dialect import Sql, quoted
from core.segments.facts import Facts


@dataclass(frozen=True, slots=True)
class Relation:
    """SQL that yields (p, v): who has the value, and what it is."""

    sql: Sql
    _: KW_ONLY
    zero: bool = False
    """Whether people without a row have the value 0 (counts and sums), not none; its values are then never NULL."""


def historic(alias: str, of: str, name: str, facts: Facts) -> Sql:
    """
    Return a canonical column as it was at the run's clock.

    Where nothing of that field changed since, that is the column itself. Before the first value that is known, the first one
    stands in: the store cannot know what was before it looked.
    """
    column = f"{alias}.{quoted(name)}"
    if not facts.changed_since(of, name):
        return Sql(column)
    of_it = f"h.of = '{of}' AND h.of_id = {alias}.id AND h.field = ?"
    later = f"EXISTS (SELECT 1 FROM field_history h WHERE {of_it} AND h.from_at > ?)"
    before = f"SELECT h.value FROM field_history h WHERE {of_it} AND h.from_at <= ? ORDER BY h.from_at DESC, h.id DESC LIMIT 1"
    after = f"SELECT h.value FROM field_history h WHERE {of_it} AND h.from_at > ? ORDER BY h.from_at, h.id LIMIT 1"
    known = f"EXISTS (SELECT 1 FROM field_history h WHERE {of_it} AND h.from_at <= ?)"
    text = f"CASE WHEN NOT {later} THEN {column} WHEN {known} THEN ({before}) ELSE ({after}) END"
    return Sql(text, (name, facts.as_of_us) * 4)

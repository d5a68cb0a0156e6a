"""A value of people as a relation, and a canonical column as it was at the run's clock."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Final

from core.contract import Kind
from core.segments.dialect import Sql, quoted
from core.segments.facts import Facts
from core.store.schema import CANONICAL

FIELDS: Final = {
    "profile": (*CANONICAL[Kind.PROFILE], "user_id"),
    "company": tuple(CANONICAL[Kind.COMPANY]),
    "subscription": tuple(CANONICAL[Kind.SUBSCRIPTION]),
}


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

    Where nothing of that field changed since, that is the column itself. Of somebody whom the store did not know yet at that
    time the first value known stands in (and is told as approximate): the store cannot know what was before it looked. So it is
    with times of which the history was let go of (`core.store.aging`).
    """
    column = f"{alias}.{quoted(name)}"
    if not facts.changed_since(of, name):
        return Sql(column)
    begun = facts.as_of_us >= facts.history_begins_us
    facts.today(f"{of} {name} before {'it was first pulled' if begun else 'its history begins'}")
    it = f"FROM field_history h WHERE h.of = '{of}' AND h.of_id = {alias}.id AND h.field"
    # who had any field then was known then; where older values were let go of, that says nothing of this field
    known = FIELDS[of] if begun else (name,)
    any_field = "(" + ", ".join(f"'{field}'" for field in known) + ")"
    whens = (
        f"WHEN NOT EXISTS (SELECT 1 {it} = ? AND h.from_at > ?) THEN {column} "
        f"WHEN EXISTS (SELECT 1 {it} IN {any_field} AND h.from_at <= ?) "
        f"THEN (SELECT h.value {it} = ? AND h.from_at <= ? ORDER BY h.from_at DESC LIMIT 1) "
        f"ELSE (SELECT h.value {it} = ? AND h.from_at > ? ORDER BY h.from_at LIMIT 1)"
    )
    at = facts.as_of_us
    return Sql(f"CASE {whens} END", (name, at, at, name, at, name, at))

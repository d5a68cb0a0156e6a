"""Lists to SQL: who is named, by any of their addresses or user ids, or by a profile id that may have been merged since."""

from __future__ import annotations

import json

from core.segments import dialect
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.tree_sets import InList

_BY_COLUMN = {"email": "email", "user_id": "user_id"}


def listed(leaf: InList, facts: Facts) -> Sql:
    """Return those whom the file names."""
    facts.today(f'in_list("{leaf.file}")')
    parts: list[Sql] = []
    for kind, values in leaf.keys:
        given = (json.dumps(values, ensure_ascii=False),)
        parts += [Sql(text, given) for text in (_companies(kind) if facts.of_companies else _people(kind))]
    return Sql(" UNION ALL ".join(part.text for part in parts), tuple(p for part in parts for p in part.params))


def _people(kind: str) -> tuple[str, ...]:
    keys = f"(SELECT value AS k FROM {dialect.given_items()}) j"
    if kind == "profile_id":
        number = "CAST(j.k AS INTEGER)"
        merged = f"SELECT a.new_id FROM {keys} CROSS JOIN profile_aliases a ON a.old_id = {number}"
        return (f"SELECT {number} FROM {keys}", merged)
    known = f"SELECT i.profile_id FROM {keys} CROSS JOIN identifiers i ON i.kind = '{kind}' AND i.value = j.k"
    return (
        f"{known} WHERE i.profile_id IS NOT NULL",
        f"SELECT p.id FROM {keys} CROSS JOIN profiles p ON p.{_BY_COLUMN[kind]} = j.k",
    )


def _companies(kind: str) -> tuple[str, ...]:
    keys = f"(SELECT value AS k FROM {dialect.given_items()}) j"
    if kind == "company_id":
        return (f"SELECT CAST(j.k AS INTEGER) FROM {keys}",)
    known = f"SELECT i.company_id FROM {keys} CROSS JOIN identifiers i ON i.kind = 'company_domain' AND i.value = j.k"
    return (f"{known} WHERE i.company_id IS NOT NULL", f"SELECT c.id FROM companies c WHERE c.domain IN (SELECT k FROM {keys})")

"""Which values an audience carries of each member, read from the store, and what tells them from those sent before."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from core.clock import from_us
from core.contract import Audience, Kind, fields_of
from core.pushing import trait_values
from core.pushing.reach import PROFILE_ID
from core.store.audiences import chunks
from core.store.schema import CANONICAL

TIMES: Final = frozenset({"created_at"})


def values_of(conn: sqlite3.Connection, profiles: Iterable[int], fields: Sequence[str]) -> dict[int, dict[str, object]]:
    """Return the values of canonical fields (and `profile_id`, `company.NAME`), and of kept traits, for each profile."""
    if not fields:
        return {}
    columns = ", ".join(_column(name) for name in fields)
    found: dict[int, dict[str, object]] = {}
    for chunk in chunks(profiles):
        rows = conn.execute(
            f"SELECT p.id, {columns} FROM json_each(?) j CROSS JOIN profiles p ON p.id = j.value"
            " LEFT JOIN companies c ON c.id = p.company_id",
            (chunk,),
        )
        for row in rows:
            found[row[0]] = {name: _plain(name, value) for name, value in zip(fields, row[1:], strict=True)}
    return found


def _column(name: str) -> str:
    if is_trait(name):
        return f"(SELECT t.value FROM {trait_values.KEPT} t WHERE t.trait = '{name}' AND t.profile_id = p.id)"
    table, _, column = name.rpartition(".")
    alias = {"": "p", "company": "c"}[table]
    if name == PROFILE_ID:
        column = "id"
    if not column.isidentifier():
        raise ValueError(f"{name!r} is no canonical field")
    return f'{alias}."{column}"'


def is_trait(name: str) -> bool:
    """Return whether *name* is no canonical field; then it is a trait, for the config is checked."""
    if not name.isidentifier():
        return False
    return name not in CANONICAL[Kind.PROFILE] and name not in {"user_id", PROFILE_ID}


def _plain(name: str, value: object) -> object:
    if is_trait(name):
        return trait_values.spoken(value)
    return from_us(value) if isinstance(value, int) and name.rpartition(".")[2] in TIMES else value


def value_hash(values: Mapping[str, object]) -> str | None:
    """Return what tells these values from others; None where an audience carries none."""
    if not values:
        return None
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def hash_of(audience: Audience, values: Mapping[str, object]) -> str | None:
    """Return what tells what an audience carries of these values, under its names for them, from anything else."""
    return value_hash({name: values.get(source) for name, source in fields_of(audience).items()} if values else {})

"""
The traits that a sync writes as fields, computed once at the run's clock and kept beside the store for as long as it is open.

So the plan and what is pushed carry the same values, and no process sees those of another. Who has none is not in it.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from core.clock import to_us
from core.segments import dialect
from core.segments.compile import relation
from core.segments.definitions import Definitions
from core.segments.evaluate import read_facts
from core.segments.explain_person import alone
from core.segments.facts import Facts, LeafFailed
from core.segments.traits import TraitDefinition
from core.segments.tree_sets import Percentile, Top
from core.segments.tree_traits import Trait, parts_of
from core.store import Store

KEPT: Final = "temp.trait_values"


def keep(store: Store, definitions: Definitions, names: Iterable[str], as_of: datetime) -> dict[str, str]:
    """Compute those of *names* that are traits, and keep them; return why for each that cannot be told."""
    conn = store.conn
    wanted = [definitions.traits[name] for name in names if name in definitions.traits]
    if not wanted:
        return {}
    _ensure(conn)
    dialect.register(conn)
    facts = read_facts(store, definitions, to_us(as_of))
    failed = {}
    for trait in wanted:
        mark = f"{trait.value.digest} {facts.as_of_us}"
        known = conn.execute("SELECT mark FROM temp.traits_kept WHERE trait = ?", (trait.name,)).fetchone()
        if known is not None and known[0] == mark:
            continue
        try:
            sql = relation(trait.value, facts).sql
        except LeafFailed as error:
            failed[trait.name] = str(error)
            continue
        with store.atomic():
            conn.execute(f"DELETE FROM {KEPT} WHERE trait = ?", (trait.name,))
            conn.execute(f"INSERT INTO {KEPT} SELECT ?, p, v FROM ({sql.text}) WHERE v IS NOT NULL", (trait.name, *sql.params))
            conn.execute("INSERT OR REPLACE INTO temp.traits_kept VALUES (?, ?)", (trait.name, mark))
    return failed


def _ensure(conn: sqlite3.Connection) -> None:
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS trait_values (trait TEXT NOT NULL, profile_id INTEGER NOT NULL, value,"
        " PRIMARY KEY (trait, profile_id)) WITHOUT ROWID"
    )
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS traits_kept (trait TEXT PRIMARY KEY, mark TEXT)")


def of_person(store: Store, definitions: Definitions, profile_id: int, as_of: datetime) -> dict[str, object]:
    """Return each trait of one person by name, None where it is missing or cannot be told; ranks are asked of everybody."""
    dialect.register(store.conn)
    facts = read_facts(store, definitions, to_us(as_of))
    ranked = {name for name, trait in definitions.traits.items() if _hangs_on_others(trait.value)}
    found = {name: _value(store.conn, definitions.traits[name], profile_id, facts) for name in ranked}
    own = {name: trait for name, trait in definitions.traits.items() if name not in ranked}
    with alone(store.conn, profile_id, [trait.value for trait in own.values()], facts):
        found |= {name: _value(store.conn, trait, profile_id, facts) for name, trait in own.items()}
    return {name: found[name] for name in definitions.traits}


def of_everybody(
    store: Store, definitions: Definitions, as_of: datetime, samples: int
) -> dict[str, tuple[float, list[object]]]:
    """Return for each trait the share of live people who have it, and a few of the values."""
    dialect.register(store.conn)
    facts = read_facts(store, definitions, to_us(as_of))
    (everyone,) = store.conn.execute("SELECT count(*) FROM profiles WHERE live = 1").fetchone()
    found: dict[str, tuple[float, list[object]]] = {}
    for name, trait in definitions.traits.items():
        try:
            sql = relation(trait.value, facts).sql
        except LeafFailed:
            continue
        among = f"({sql.text}) r JOIN profiles p ON p.id = r.p WHERE p.live = 1 AND r.v IS NOT NULL"
        rows = store.conn.execute(f"SELECT r.v, count(*) FROM {among} GROUP BY r.v ORDER BY 2 DESC, 1", sql.params).fetchall()
        having = sum(count for _, count in rows)
        found[name] = (having / everyone if everyone else 0.0, [spoken(value) for value, _ in rows[:samples]])
    return found


def _hangs_on_others(value: Trait) -> bool:
    return any(isinstance(part, Percentile | Top) for part in parts_of(value))


def _value(conn: sqlite3.Connection, trait: TraitDefinition, profile_id: int, facts: Facts) -> object:
    try:
        sql = relation(trait.value, facts).sql
    except LeafFailed:
        return None
    row = conn.execute(f"SELECT v FROM ({sql.text}) WHERE p = ?", (*sql.params, profile_id)).fetchone()
    return None if row is None else spoken(row[0])


def spoken(value: object) -> object:
    """Return a value as it is shown and written: whole numbers without a point; what is too large to be a number is none."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value

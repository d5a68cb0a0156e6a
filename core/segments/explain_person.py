"""
One person's part of the store under the names of the whole: leaves are asked as ever, and see nobody else.

Temporary tables stand before those of the file while a question lasts, inside a savepoint that is rolled back. So a leaf
costs as much as one person has rows, whatever the size of the store, and its meaning is said in one place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from core.contract import Kind
from core.segments.dialect import SIDE_INDEX, quoted
from core.segments.explain_events import Some, events_of
from core.segments.explain_texts import parts
from core.segments.facts import Facts
from core.segments.relation import historic
from core.segments.tree import SourceField
from core.store.history import SUBSCRIPTION_FIELDS
from core.store.schema import CANONICAL, TABLES

_HISTORY: Final = {
    "profile": (*CANONICAL[Kind.PROFILE], "user_id"),
    "company": tuple(CANONICAL[Kind.COMPANY]),
    "subscription": SUBSCRIPTION_FIELDS,
}
_OF_COMPANY: Final = (Kind.COMPANY, Kind.SUBSCRIPTION, Kind.PAYMENT)
_OF_OTHERS: Final = ("events_count", "events_subject")
"""Indexes that find nothing more of one person than another does: of many events each takes milliseconds to make."""
_OF: Final = {"profile": "profiles", "company": "companies", "subscription": "subscriptions"}


@contextmanager
def alone(conn: sqlite3.Connection, profile_id: int, conditions: Iterable[Any], facts: Facts) -> Iterator[None]:
    """Hide everybody but one person, and what *conditions* do not ask of them, until the block ends."""
    asked = [part for condition in conditions for part in parts(condition)]
    conn.execute("SAVEPOINT alone")
    try:
        _hide(conn, profile_id, asked, facts)
        yield
    finally:
        conn.execute("ROLLBACK TO alone")
        conn.execute("RELEASE alone")


def _hide(conn: sqlite3.Connection, profile_id: int, asked: Sequence[Any], facts: Facts) -> None:
    row = conn.execute("SELECT company_id FROM main.profiles WHERE id = ?", (profile_id,)).fetchone()
    company_id = row[0] if row else None
    _shadow(conn, "profiles", [Some("WHERE id = ?", (profile_id,))])
    _shadow(conn, "companies", [Some("WHERE id = ?", (company_id,))])
    own = Some("WHERE profile_id = ?", (profile_id,))
    companys = Some("WHERE company_id = ? AND profile_id IS NOT ?", (company_id, profile_id))
    for kind, table in TABLES.items():
        if kind is not Kind.EVENT:  # what a company's other people answered is theirs; its bills are everybody's
            _shadow(conn, table, [own, companys] if kind in _OF_COMPANY else [own])
    for text in {f"{part.connection}.{part.stream}" for part in asked if isinstance(part, SourceField)}:
        if text in facts.streams and facts.streams[text].landing:
            _shadow(conn, facts.streams[text].landing, [own])
    events = events_of(profile_id, asked, facts)
    _shadow(conn, "events", events.rows, events.side)
    for statement in events.indexes:
        conn.execute(statement)
    facts.side_columns, facts.side_indexes = frozenset(events.side), frozenset(events.indexed)
    _shadow(conn, "field_history", [])
    subscriptions = [row[0] for row in conn.execute("SELECT id FROM temp.subscriptions")]
    for of, ids in (("profile", [profile_id]), ("company", [company_id]), ("subscription", subscriptions)):
        conn.execute(
            "INSERT INTO temp.field_history (of, field, of_id, from_at, value) "
            "SELECT h.of, h.field, h.of_id, h.from_at, h.value FROM json_each(?) f CROSS JOIN json_each(?) i "
            "CROSS JOIN main.field_history h ON h.of = ? AND h.field = f.value AND h.of_id = i.value",
            (json.dumps(_HISTORY[of]), json.dumps(ids), of),
        )


def _shadow(conn: sqlite3.Connection, table: str, rows: Sequence[Some], side: Sequence[str] = ()) -> None:
    """Put a temporary table of the same name, columns (and those of *side*) and indexes before *table*, with *rows* of it."""
    of = quoted(table)
    columns = [r[0] for r in conn.execute("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0", (table,))]
    if not columns:
        return
    names = ", ".join(map(quoted, (*columns, *side)))
    conn.execute(f"CREATE TEMP TABLE {of} AS SELECT {names} FROM main.{of} WHERE 0")
    for some in rows:
        picked = some.columns or names
        conn.execute(
            f"INSERT INTO temp.{of} ({picked}) SELECT {some.values or picked} FROM main.{of} {some.where}", some.params
        )
    for (sql,) in conn.execute(
        "SELECT sql FROM main.sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL AND name NOT LIKE ? "
        "AND name NOT IN (SELECT value FROM json_each(?))",
        (table, f"{SIDE_INDEX}%", json.dumps(_OF_OTHERS)),
    ).fetchall():
        conn.execute(sql.replace("CREATE INDEX ", "CREATE INDEX temp.", 1))


def freeze(conn: sqlite3.Connection, facts: Facts) -> None:
    """Make the person's rows what they were at the run's clock and forget all that came later; only while alone."""
    if not facts.past:
        return
    at = facts.as_of_us
    for of, names in _HISTORY.items():
        table = _OF[of]
        known = [name for name in names if facts.changed_since(of, name)]
        if known:
            columns = {name: historic("t", of, name, facts) for name in known}
            picked = ", ".join(f"({sql.text}) AS {quoted(name)}" for name, sql in columns.items())
            params = tuple(param for sql in columns.values() for param in sql.params)
            conn.execute(f"CREATE TEMP TABLE then_{of} AS SELECT t.id, {picked} FROM temp.{table} t", params)
            updates = ", ".join(f"{quoted(n)} = (SELECT {quoted(n)} FROM then_{of} x WHERE x.id = {table}.id)" for n in known)
            conn.execute(f"UPDATE temp.{table} SET {updates}")
    conn.execute("UPDATE temp.subscriptions SET status = 'active' WHERE status = 'canceled' AND ended_at > ?", (at,))
    for table in ("subscriptions", "payments"):
        conn.execute(f"UPDATE temp.{table} SET deleted_at = NULL WHERE deleted_at > ?", (at,))
    times = {"events": "time", "field_history": "from_at", "payments": "paid_at", "answers": "answered_at"}
    for table, column in times.items():
        conn.execute(f"DELETE FROM temp.{table} WHERE {column} > ?", (at,))
    facts.past = False

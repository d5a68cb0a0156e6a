"""
`sql(...)`: checked against empty tables of the same shape when definitions are made, run under guard when they are evaluated.

What it says of a past day is what it says of today's rows, unless it asks for `:as_of` itself.
"""

from __future__ import annotations

import sqlite3
import threading
from array import array
from functools import lru_cache
from typing import Final

from pyroaring import BitMap

from core.segments.dialect import quoted
from core.segments.facts import Facts, LeafFailed
from core.segments.sql_guard import CHECK_S, LIMIT_S, Refused, guarded, problem
from core.segments.tree_sets import FromSql
from core.segments.vocabulary import Vocabulary

_LANDED: Final = ("key", "profile_id", "company_id", "content_hash", "changed_at", "seen_run", "deleted_at")
_CHUNK: Final = 50_000
_KEPT: Final = threading.local()
_IDS: Final = {"profile_id": "profiles", "company_id": "companies"}


def check(text: str, column: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return the tables that *text* reads; Refused with the reason if it may not, cannot, or yields more than *column*."""
    if reason := problem(text):
        raise Refused(reason)
    conn = _empty(vocabulary)
    try:
        with guarded(conn, CHECK_S) as guard:
            conn.execute(f"EXPLAIN {text}", {"as_of": 0}).close()
            found = conn.execute(f"{_wrapped(text)} LIMIT 0", {"as_of": 0})
            names = [name for name, *_ in found.description]
            found.close()
    except Refused as error:
        unknown = str(error).startswith("no such")
        awaited = [s for s in vocabulary.streams if not s.completed and s.landing and s.landing.lower() in text.lower()]
        if unknown and awaited:  # not pulled yet: all that rests on it is held, and then it is asked again
            return tuple(s.landing or "" for s in awaited)
        raise
    _check_column(names, column, guard.tables)
    return tuple(guard.tables)


def people(leaf: FromSql, facts: Facts) -> BitMap:
    """Return whom the query yields; LeafFailed if it fails, takes too long, or yields something else than ids."""
    facts.today("sql")
    try:
        with guarded(facts.conn, LIMIT_S):
            return BitMap(_ids(facts.conn.execute(_wrapped(leaf.text), {"as_of": facts.as_of_us})))
    except Refused as error:
        raise LeafFailed(f"sql: {error}") from error
    except (TypeError, OverflowError, sqlite3.Warning) as error:
        raise LeafFailed("sql: yields something that is no profile id") from error


def _ids(cursor: sqlite3.Cursor) -> array[int]:
    if len(cursor.description) != 1:
        raise LeafFailed("sql: yields more than one column")
    ids = array("I")
    while rows := cursor.fetchmany(_CHUNK):
        ids.extend(value for (value,) in rows if value is not None)
    return ids


def _wrapped(text: str) -> str:
    """Return *text* inside a query, so that nothing but a query can be run."""
    bare = text.strip().rstrip(";")
    return f"SELECT * FROM (\n{bare}\n)"


def _check_column(names: list[str], column: str, tables: dict[str, None]) -> None:
    if len(names) != 1:
        raise Refused(f"yields {len(names)} columns where one of profile ids is needed")
    name = names[0].strip('"').rpartition(".")[2].lower()
    if name == column or (name == "id" and _IDS[column] in tables):
        return
    raise Refused(f"yields {names[0][:40]}, and {column} is needed: write ... AS {column}")


def _empty(vocabulary: Vocabulary) -> sqlite3.Connection:
    """Return a store without rows, in memory, with the landing tables that there are; kept while it is the same vocabulary."""
    kept: tuple[Vocabulary, sqlite3.Connection] | None = getattr(_KEPT, "empty", None)
    if kept is not None and kept[0] is vocabulary:
        return kept[1]
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.deserialize(_schema())
    for stream in vocabulary.streams:
        if stream.landing is not None:
            own = {c.column.lower(): c.column for c in stream.columns.values()}
            columns = [*_LANDED, *(name for lower, name in own.items() if lower not in _LANDED)]
            conn.execute(f"CREATE TABLE IF NOT EXISTS {quoted(stream.landing)} ({', '.join(map(quoted, columns))})")
    _KEPT.empty = (vocabulary, conn)
    return conn


@lru_cache(maxsize=1)
def _schema() -> bytes:
    """Return an empty store as a database file."""
    from sqlite_utils import Database

    from core.store.schema import migrations

    conn = sqlite3.connect(":memory:")
    try:
        migrations.apply(Database(conn))
        conn.commit()
        return conn.serialize()
    finally:
        conn.close()

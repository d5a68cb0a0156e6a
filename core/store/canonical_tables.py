"""
The canonical tables as `pull` writes them: rows upserted by record, those that a record no longer gives removed.

What the rows say is `canonical`'s business.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from core.contract import Kind
from core.store.history import note_subscriptions, subscription_values
from core.store.rows import insert
from core.store.schema import CANONICAL, TABLES

StoredRow = tuple[Any, ...]
"""Record key, subject id, key, and the values in the order of `CANONICAL[kind]`."""


def write_rows(
    conn: sqlite3.Connection,
    stream_id: int,
    rows: Mapping[Kind, Sequence[StoredRow]],
    *,
    replaced: Sequence[str],
    kinds: Sequence[Kind],
    same: Mapping[Kind, Mapping[str, Any]],
    keyed: Collection[Kind],
    now: int,
) -> None:
    """
    Upsert *rows* by kind, and remove what the records of *replaced* no longer say.

    *same* are the values of the columns that all rows of a kind share; the rows are without them. Those of the kinds in *keyed*
    have their record's key for their own, and are without it.

    `changed_at` moves only where a value did: it decides which of two sources of one rank is the latest.
    """
    watched = [row[0] for row in rows.get(Kind.SUBSCRIPTION, ())]
    before = subscription_values(conn, stream_id, watched) if watched else {}
    for kind, found in rows.items():
        shared = same.get(kind, {})
        statement, conflict = _upsert(kind, tuple(shared), kind in keyed)
        insert(conn, statement, found, conflict, same=(stream_id, now, *shared.values()), again=int(kind in keyed))
    if replaced:
        for kind in kinds:
            if kind is not Kind.EVENT:
                kept = [(row[0], row[0] if kind in keyed else row[2]) for row in rows.get(kind, ())]
                _remove_stale(conn, stream_id, kind, replaced, kept)
    if watched:
        note_subscriptions(conn, stream_id, watched, before, now)


@cache
def _upsert(kind: Kind, same: tuple[str, ...], keyed: bool) -> tuple[str, str]:
    columns = [f'"{column}"' for column in CANONICAL[kind]]
    head = "".join(f', "{column}"' for column in same)
    own = "".join(f', "{column}"' for column in CANONICAL[kind] if column not in same)
    old = ", ".join(f"{TABLES[kind]}.{column}" for column in [*columns, "deleted_at"])
    new = ", ".join([*(_kept(kind, column) for column in columns), "NULL"])
    updates = ", ".join(f"{column} = {_kept(kind, column)}" for column in columns)
    keys = "record_key, key, subject_id" if keyed else "record_key, subject_id, key"
    return (
        f"INSERT INTO {TABLES[kind]} (stream_id, changed_at{head}, {keys}{own}) VALUES",
        f"ON CONFLICT (stream_id, record_key, key) DO UPDATE SET {updates}, subject_id = excluded.subject_id, "
        f"deleted_at = NULL, changed_at = CASE WHEN ({old}) IS ({new}) THEN changed_at ELSE excluded.changed_at END",
    )


def _kept(kind: Kind, column: str) -> str:
    """What a column becomes when its row is there already: what the record says now, but a no ends only with a yes."""
    if kind is Kind.CONSENT and column == '"state"':
        return "CASE WHEN consents.state = 'denied' AND excluded.state <> 'granted' THEN 'denied' ELSE excluded.state END"
    return f"excluded.{column}"


def _remove_stale(
    conn: sqlite3.Connection,
    stream_id: int,
    kind: Kind,
    replaced: Sequence[str],
    kept: Sequence[tuple[str, str]],
) -> None:
    unless = "AND state <> 'denied' " if kind is Kind.CONSENT else ""  # silence is no yes
    conn.execute(
        f"DELETE FROM {TABLES[kind]} WHERE stream_id = ? AND record_key IN (SELECT value FROM json_each(?)) {unless}AND "
        "(record_key, key) NOT IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
        (stream_id, json.dumps(replaced), json.dumps(kept)),
    )


def bury_rows(conn: sqlite3.Connection, stream_id: int, record_keys: Sequence[str], at: int) -> None:
    """Mark the rows of records that are gone; they stay for the past, and for a record that comes back."""
    keys = json.dumps(record_keys)
    for kind, table in TABLES.items():
        if kind is not Kind.EVENT:
            conn.execute(
                f"UPDATE {table} SET deleted_at = ? WHERE stream_id = ? AND deleted_at IS NULL AND "
                "record_key IN (SELECT value FROM json_each(?))",
                (at, stream_id, keys),
            )

"""
Every change of a canonical field, from the first day: it cannot be recovered later.

Profiles and companies are noted by `profiles` when their merged fields change, subscriptions here, when a row does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

SUBSCRIPTION_FIELDS: Final = (
    "status", "plan", "mrr", "amount", "currency", "interval", "quantity", "trial_ends_at", "cancel_requested_at", "ended_at",
)  # fmt: skip


def subscription_values(conn: sqlite3.Connection, stream_id: int, record_keys: Sequence[str]) -> dict[int, tuple[Any, ...]]:
    """Return the watched fields of the subscriptions of some records, by row id."""
    columns = ", ".join(f's."{field}"' for field in SUBSCRIPTION_FIELDS)
    rows = conn.execute(
        f"SELECT s.id, {columns} FROM (SELECT DISTINCT value FROM json_each(?)) j "
        "CROSS JOIN subscriptions s ON s.stream_id = ? AND s.record_key = j.value",
        (json.dumps(record_keys), stream_id),
    )
    return {row[0]: row[1:] for row in rows}


def note_subscriptions(
    conn: sqlite3.Connection, stream_id: int, record_keys: Sequence[str], before: Mapping[int, tuple[Any, ...]], now: int
) -> None:
    """Write what changed since *before* was read."""
    missing = (None,) * len(SUBSCRIPTION_FIELDS)
    changes = [
        ("subscription", field, id_, now, new)
        for id_, values in subscription_values(conn, stream_id, record_keys).items()
        for field, old, new in zip(SUBSCRIPTION_FIELDS, before.get(id_, missing), values, strict=True)
        if old != new
    ]
    conn.executemany("INSERT OR REPLACE INTO field_history (of, field, of_id, from_at, value) VALUES (?, ?, ?, ?, ?)", changes)


def note_merged(conn: sqlite3.Connection, of: str, fields: Sequence[str], *, old: str, new: str, now: int) -> None:
    """Write where the table *new* differs from the table *old* (both with an `id` and *fields*); absent is missing."""
    met = conn.execute(f"SELECT 1 FROM {new} n CROSS JOIN {old} o ON o.id = n.id LIMIT 1").fetchone() is not None
    for field in sorted(fields):  # in the order of the key, so that a first run only appends
        # where all are new there is nothing to compare with, and a look-up for each field costs as much as the writing
        differs = (
            f'LEFT JOIN {old} o ON o.id = n.id WHERE n."{field}" IS NOT o."{field}"'
            if met
            else f'WHERE n."{field}" IS NOT NULL'
        )
        conn.execute(
            "INSERT OR REPLACE INTO field_history (of, field, of_id, from_at, value) "
            f'SELECT ?, ?, n.id, ?, n."{field}" FROM {new} n {differs} ORDER BY n.id',
            (of, field, now),
        )

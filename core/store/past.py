"""
Canonical fields of one profile or company as they were: what the history says, read as segments read it. Reads only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any


def fields_at(conn: sqlite3.Connection, of: str, row: Mapping[str, Any], at: int) -> tuple[dict[str, Any], list[str]]:
    """
    Return *row* (of the table of *of*: profile, company) as it was at *at*, and which of its fields are approximate.

    A field that has not changed since is as it is. Of somebody whom the store did not know yet the first value stands in.
    """
    history: dict[str, list[tuple[int, Any]]] = {}
    for field, from_at, value in conn.execute(
        # by field, as the table is keyed
        "SELECT h.field, h.from_at, h.value FROM json_each(?) j CROSS JOIN field_history h "
        "ON h.of = ? AND h.field = j.value AND h.of_id = ? ORDER BY h.field, h.from_at",
        (json.dumps([name for name in row if name != "id"]), of, row["id"]),
    ):
        history.setdefault(field, []).append((from_at, value))
    begins = conn.execute("SELECT max(at) FROM history_begins WHERE what = 'field_history'").fetchone()[0]
    known = any(changes[0][0] <= at for changes in history.values()) and (begins is None or begins <= at)
    then, approximate = dict(row), []
    for field, changes in history.items():
        before = [value for from_at, value in changes if from_at <= at]
        if len(before) == len(changes):
            continue
        then[field] = before[-1] if before else None if known else changes[0][1]
        if not known:
            approximate.append(field)
    return then, approximate

"""
Landing tables: what a stream's records say, field by field, one row a record, as any SQL tool can read it.

Columns appear by themselves; the catalogue keeps their true names and types. A value of another type widens its column (never
narrows it) and is reported. Nothing here knows what a field means; that is `canonical`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from core.clock import from_us
from core.contract import Record, Stream
from core.normalise import time_us

SYSTEM: Final = ("key", "subject_id", "profile_id", "company_id", "slice", "content_hash", "changed_at", "seen_run", "deleted_at", "more")
"""Columns of every landing table that are no field; `more` is the JSON object of fields beyond `MAX_COLUMNS`."""
MAX_COLUMNS: Final = 1000
MAX_DEPTH: Final = 5
"""Levels of nesting that become columns; deeper objects stay JSON."""
_MAX_INTEGER: Final = 2**63
_PLAIN: Final[dict[type, str]] = {str: "text", int: "integer", float: "number", bool: "boolean"}
_RANK: Final = {"null": 0, "boolean": 1, "integer": 2, "number": 3}

TypeChange = tuple[str, str, str]
"""Field, old type, new type."""


class Landing:
    """The landing table of one stream, with its columns known. Belongs to one pull; nothing else may alter the table."""

    def __init__(self, conn: sqlite3.Connection, stream_id: int, table: str, stream: Stream) -> None:
        self.table = table
        self.stream_id = stream_id
        self.changes: list[TypeChange] = []
        self.seen: set[str] = set()
        self._columns_of: Callable[[Record], Mapping[str, object]] = stream.columns or flatten
        self._create(conn)
        self.reload(conn)

    def _create(self, conn: sqlite3.Connection) -> None:
        # columns of fields have no declared type, so a value is stored as it came; the catalogue has the types
        conn.execute(
            f'CREATE TABLE IF NOT EXISTS "{self.table}" (key TEXT NOT NULL UNIQUE, subject_id INTEGER, profile_id INTEGER, '
            "company_id INTEGER, slice TEXT NOT NULL DEFAULT '', content_hash BLOB, changed_at INTEGER, seen_run INTEGER, "
            "deleted_at INTEGER, more TEXT)"
        )
        conn.execute(
            f'CREATE INDEX IF NOT EXISTS "{self.table}__profile" ON "{self.table}" (profile_id) WHERE profile_id IS NOT NULL'
        )

    def reload(self, conn: sqlite3.Connection) -> None:
        """Read the columns from the catalogue: at the start, and after a transaction that altered them was rolled back."""
        rows = conn.execute(
            "SELECT field, column_name, type, missing_since FROM catalogue WHERE stream_id = ? ORDER BY rowid_order",
            (self.stream_id,),
        ) if False else conn.execute(
            "SELECT field, column_name, type, missing_since FROM catalogue WHERE stream_id = ?", (self.stream_id,)
        )  # fmt: skip
        self._fields: dict[str, int] = {}
        self._columns: list[str] = []
        self._types: list[str] = []
        self._missing: set[str] = set()
        for field, column, type_, missing in rows.fetchall():
            if missing is not None:
                self._missing.add(field)
            self._append(field, column, type_)
        self._compile()

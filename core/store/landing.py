"""
Landing tables: what a stream's records say, field by field, one row a record, as any SQL tool can read it.

Columns appear by themselves; the catalogue keeps their true names and types. A value of another type widens its column (never
narrows it) and is reported. Nothing here knows what a field means; that is `canonical`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, Final

import orjson

from core.contract import Record, Stream
from core.store.columns import Column, Columns
from core.store.field_types import MAX_INTEGER, as_type, converted, flatten, type_of, wider
from core.store.rows import Turned, insert, landing_upsert, quoted

SYSTEM: Final = frozenset(
    {
        "key", "subject_id", "profile_id", "company_id", "slice", "content_hash", "changed_at", "seen_run", "deleted_at",
        "more", "rowid",
    }
)  # fmt: skip
"""Column names that no field may take."""
MAX_COLUMNS: Final = 1000
"""Fields beyond these are kept together in `more`, a JSON object."""
_MAX_PLANS: Final = 1000
_Plan = tuple[Callable[[Sequence[Any]], Sequence[Any]], tuple[int, ...]]
"""How the values of records of one shape are put in order, and which of them are integers."""
_TEXT: Final[set[type]] = {str}
_PYTHON: Final[dict[str, type]] = {"text": str, "integer": int, "number": float, "boolean": bool}

LandingRow = tuple[Any, ...]
"""Key, subject id, content hash, more, and the values in the order of the columns; without those that all rows share."""


class Landing:
    """
    The landing table of one stream, its columns known. It lives as long as one pull of the stream.

    `changes` collects the fields whose type was widened, as (field, old type, new type).
    """

    def __init__(self, conn: sqlite3.Connection, stream_id: int, table: str, stream: Stream) -> None:
        self.table = table
        self.changes: list[tuple[str, str, str]] = []
        self._stream_id = stream_id
        self._columns_of = stream.columns or flatten
        self._seen: set[str] = set()
        self._fields: dict[str, int] = {}
        self._columns: list[str] = []
        self._types: list[str] = []
        self._expected: list[type | None] = []
        self._missing: set[str] = set()
        self._plans: dict[tuple[object, ...], _Plan] = {}
        self._create(conn)
        for field, column, type_, missing in conn.execute(
            "SELECT field, column_name, type, missing_since FROM catalogue WHERE stream_id = ?", (stream_id,)
        ).fetchall():
            self._append(field, column, type_)
            if missing is not None:
                self._missing.add(field)

    def _create(self, conn: sqlite3.Connection) -> None:
        # columns of fields have no declared type, so a value is stored as it came; the catalogue has the types
        fields = "".join(f", {quoted(column)}" for column in self._columns)
        conn.execute(
            f'CREATE TABLE IF NOT EXISTS "{self.table}" (key TEXT NOT NULL UNIQUE, subject_id INTEGER, profile_id INTEGER, '
            "company_id INTEGER, slice TEXT NOT NULL DEFAULT '', content_hash BLOB, changed_at INTEGER, seen_run INTEGER, "
            f"deleted_at INTEGER, more TEXT{fields})"
        )
        conn.execute(
            f'CREATE INDEX IF NOT EXISTS "{self.table}__profile" ON "{self.table}" (profile_id) WHERE profile_id IS NOT NULL'
        )

    def _append(self, field: str, column: str, type_: str) -> None:
        self._fields[field] = len(self._columns)
        self._columns.append(column)
        self._types.append(type_)
        self._expected.append(_PYTHON.get(type_))

    def is_empty(self, conn: sqlite3.Connection) -> bool:
        """Return whether it has no row at all."""
        return conn.execute(f'SELECT 1 FROM "{self.table}" LIMIT 1').fetchone() is None

    def known(self, conn: sqlite3.Connection, keys: Sequence[str]) -> dict[str, tuple[bytes | None, bool]]:
        """Return the content hash and liveness of those of *keys* that are stored."""
        rows = conn.execute(
            "SELECT l.key, l.content_hash, l.deleted_at IS NULL FROM json_each(?) j "
            f'CROSS JOIN "{self.table}" l ON l.key = j.value',
            (orjson.dumps(keys).decode(),),
        )
        return {key: (digest, bool(live)) for key, digest, live in rows}

    def touch(self, conn: sqlite3.Connection, keys: Sequence[str], slice_: str, run_id: int) -> None:
        """Note that *keys* were seen unchanged."""
        conn.execute(
            f'UPDATE "{self.table}" SET seen_run = ?, slice = ? WHERE key IN (SELECT value FROM json_each(?))',
            (run_id, slice_, json.dumps(keys)),
        )

    def read(self, conn: sqlite3.Connection, record: Record, now: int) -> list[Any]:
        """
        Return the record's values, `more` first and then in the order of the columns, adding and widening columns as it needs.

        ValueError when the connector's own `columns` cannot read it. Rows read before a column was widened must be read again
        (see `changes`), those read before one was added are short.
        """
        flat = self._columns_of(record)
        row = self._row(flat)
        if row is None:
            self._make_room(conn, flat, now)
            row = self._row(flat)
            assert row is not None
        return row

    def _row(self, flat: Mapping[str, object]) -> list[Any] | None:
        values = (*flat.values(), None)
        shape = (*flat, *map(type, values))
        plan = self._plans.get(shape)
        if plan is None:
            return self._row_of_its_own(flat, shape)
        order, integers = plan
        for at in integers:
            if not -MAX_INTEGER <= values[at] < MAX_INTEGER:  # type: ignore[operator]
                return self._row_of_its_own(flat, None)
        return list(order(values))

    def _row_of_its_own(self, flat: Mapping[str, object], shape: tuple[object, ...] | None) -> list[Any] | None:
        """As `_row`, field by field; a record that needs no conversion is a plan for those of the same *shape*."""
        fields, types, expected = self._fields, self._types, self._expected
        width = len(expected)
        row: list[Any] = [None] * (width + 1)
        rest: dict[str, object] = {}
        if not self._seen.issuperset(flat) or not self._missing.isdisjoint(flat):
            return None
        for field, value in flat.items():
            at = fields.get(field)
            if at is None:
                rest[field] = value
                continue
            if value is None:
                continue
            kind = type(value)
            if kind is expected[at] and (kind is not int or -MAX_INTEGER <= value < MAX_INTEGER):  # type: ignore[operator]
                row[at + 1] = value
                continue
            shape = None
            if wider(types[at], type_of(value)) != types[at]:
                return None
            row[at + 1] = as_type(value, types[at])
        if rest:
            row[0] = json.dumps(rest, default=str)
        elif shape is not None and width:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[shape] = self._plan(flat, width)
        return row

    def _plan(self, flat: Mapping[str, object], width: int) -> _Plan:
        order = [len(flat)] * (width + 1)  # the None behind the values
        for at, field in enumerate(flat):
            order[self._fields[field] + 1] = at
        integers = tuple(at for at, value in enumerate(flat.values()) if type(value) is int)
        return itemgetter(*order), integers

    def by_column(self, page: Columns) -> list[Sequence[Any]] | None:
        """Return what `read` gives for the records of a page, turned; None where a record has to be looked at by itself."""
        flat = page.flat() if self._columns_of is flatten else None
        if flat is None or not self._seen.issuperset(flat) or not self._missing.isdisjoint(flat):
            return None
        nothing = (None,) * len(page.records)
        columns: list[Sequence[Any]] = [nothing] * (len(self._columns) + 1)
        for field, column in flat.items():
            at = self._fields.get(field)
            values = None if at is None else self._converted(at, column)
            if at is None or values is None:
                return None
            columns[at + 1] = values
        return columns

    def _converted(self, at: int, column: Column) -> Sequence[Any] | None:
        """Return the values of a column as they are stored, or None where it must be widened first."""
        values, types = column
        if types == _TEXT and self._expected[at] is str:
            return values  # as most are
        type_, types = self._types[at], types - {NoneType}
        if types == {int} and type_ == "integer":
            numbers = values if NoneType not in column.types else [value for value in values if value is not None]
            return values if min(numbers) >= -MAX_INTEGER and max(numbers) < MAX_INTEGER else None
        if not types or types == {self._expected[at]}:
            return values
        if any(wider(type_, type_of(value)) != type_ for value in values if value is not None):
            return None
        return [None if value is None else as_type(value, type_) for value in values]

    def write(
        self,
        conn: sqlite3.Connection,
        rows: Sequence[LandingRow],
        same: Mapping[int, Any],
        keys: Collection[int],
        *,
        slice_: str,
        run_id: int,
        now: int,
    ) -> None:
        """
        Upsert rows that were seen just now; short ones are padded.

        *same* are values that all rows share, by their place in what `read` gives, *keys* the places that hold the record's
        key once more; the rows are without both.
        """
        columns = ["more", *map(quoted, self._columns)]
        statement, conflict, width = landing_upsert(self.table, columns, same, keys)
        if not isinstance(rows, Turned):
            rows = [row if len(row) == width else (*row, *(None,) * (width - len(row))) for row in rows]
        insert(conn, statement, rows, conflict, same=(slice_, run_id, now, *same.values()), again=len(keys))

    def mark_missing(self, conn: sqlite3.Connection, now: int) -> list[str]:
        """
        After a full pull: note and return the fields that no live record has any more.

        A field that was sent, if only as null, is there; so is one whose records did not change.
        """
        if not self._seen:
            return []  # nothing changed, so nothing that was there before is gone
        unsent = {field: at for field, at in self._fields.items() if field not in self._seen and field not in self._missing}
        gone = [
            field for field, at in unsent.items() if self._types[at] != "null" and not self._is_held(conn, self._columns[at])
        ]
        conn.executemany(
            "UPDATE catalogue SET missing_since = ? WHERE stream_id = ? AND field = ?",
            [(now, self._stream_id, field) for field in gone],
        )
        self._missing.update(gone)
        return gone

    def _is_held(self, conn: sqlite3.Connection, column: str) -> bool:
        """Return whether any live record has a value in *column*."""
        sql = f'SELECT 1 FROM "{self.table}" WHERE {quoted(column)} IS NOT NULL AND deleted_at IS NULL LIMIT 1'
        return conn.execute(sql).fetchone() is not None

    def _make_room(self, conn: sqlite3.Connection, flat: Mapping[str, object], now: int) -> None:
        """Let there be a column for each field, wide enough, and the catalogue know that they are there."""
        first = not self._columns and self.is_empty(conn)
        for field in flat:
            if field not in self._fields and len(self._columns) < MAX_COLUMNS:
                column = self._add(conn, field, now)
                if not first:
                    conn.execute(f'ALTER TABLE "{self.table}" ADD COLUMN {quoted(column)}')
        if first:  # SQLite reads the whole schema anew after each column that is added
            conn.execute(f'DROP TABLE "{self.table}"')
            self._create(conn)
        for field, value in flat.items():
            if value is not None and field in self._fields:
                self._widen(conn, field, self._fields[field], value, now)
        self._seen.update(flat)
        for field in self._missing & flat.keys():
            conn.execute(
                "UPDATE catalogue SET missing_since = NULL WHERE stream_id = ? AND field = ?", (self._stream_id, field)
            )
            self._missing.discard(field)

    def _add(self, conn: sqlite3.Connection, field: str, now: int) -> str:
        taken = SYSTEM | {column.lower() for column in self._columns}
        base = field.replace("\x00", "") or "field"
        column, number = base, 1
        while column.lower() in taken:
            number += 1
            column = f"{base}_{number}"
        conn.execute(
            "INSERT INTO catalogue (stream_id, field, column_name, type, first_seen_at) VALUES (?, ?, ?, 'null', ?)",
            (self._stream_id, field, column, now),
        )
        self._append(field, column, "null")
        return column

    def _widen(self, conn: sqlite3.Connection, field: str, at: int, value: object, now: int) -> None:
        old = self._types[at]
        new = wider(old, type_of(value))
        if new == old:
            return
        if old != "null":
            conn.execute(f'UPDATE "{self.table}" SET {converted(quoted(self._columns[at]), old, new)}')
            self.changes.append((field, old, new))
        conn.execute(
            "UPDATE catalogue SET type = ?, changed_at = ? WHERE stream_id = ? AND field = ?",
            (new, None if old == "null" else now, self._stream_id, field),
        )
        self._types[at] = new
        self._expected[at] = _PYTHON.get(new)
        self._plans.clear()

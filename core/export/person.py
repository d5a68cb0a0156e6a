"""Whom an export is about, and how a row of the store becomes a row of an export."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

from core.clock import iso

Row = dict[str, Any]
STREAM: Final = "JOIN streams t ON t.id = {0}.stream_id JOIN connections c ON c.id = t.connection_id"
"""Names the stream of a row `{0}`."""
_TIMES: Final = frozenset({
    "created_at", "changed_at", "at", "since", "first_at", "last_at", "next_try_at", "given_up_at", "written_at", "sent_at",
    "settled_at", "blocked_at", "deleted_at", "expires_at", "added_at", "dropped_at", "ended_at", "begun_at", "swept_at",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an export is about."""

    conn: sqlite3.Connection
    id: int
    _: KW_ONLY
    currency: str
    """The workspace's: of money that came without one."""
    company_sets: frozenset[str] = frozenset()
    """Segments and syncs whose members are companies: a number in one is nobody's profile."""
    ids: list[int] = field(default_factory=list)
    """The profile, and those that were joined into it."""
    own: frozenset[str] = frozenset()
    """The values of their identifiers."""

    def holds(self, key: str, profile_id: int | None) -> bool:
        """Whether a row that was written for *profile_id* under *key* (an address, an id) is this person's."""
        if key in self.own:
            return True
        if profile_id not in self.ids:
            return False
        kinds = "SELECT DISTINCT kind FROM identifiers"
        holder = self.conn.execute(
            f"SELECT 1 FROM ({kinds}) k CROSS JOIN identifiers i ON i.kind = k.kind AND i.value = ?"
            " WHERE i.profile_id IS NOT NULL AND i.profile_id <> ? LIMIT 1",
            (key, self.id),
        ).fetchone()
        return holder is None


def rows_of(conn: sqlite3.Connection, sql: str, *values: object) -> Iterator[Row]:
    cursor = conn.execute(sql, values)
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield {name: value_of(name, value) for name, value in zip(names, row, strict=True)}


def value_of(name: str, value: Any, type_: str = "") -> Any:
    if value is None:
        return None
    if (name in _TIMES or type_ == "time") and isinstance(value, int):
        return iso(value)
    if type_ == "boolean" and value in (0, 1):
        return bool(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value.hex() if isinstance(value, bytes) else value

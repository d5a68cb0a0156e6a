"""
Who is in which set: the current bitmap, and what each recorded run changed, so that any past run's day can be asked for.

Only `sync` and `run` record. A set is `segment.NAME` or `partition.NAME.GROUP`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from pyroaring import BitMap

from core.store.db import Store


@dataclass(frozen=True, slots=True)
class Recorded:
    """A set as the last recorded run left it."""

    name: str
    _: KW_ONLY
    definition: str
    members: BitMap
    run_id: int
    as_of: int


def record(
    store: Store, sets: Mapping[str, BitMap], *, definitions: Mapping[str, str], run_id: int, as_of: int
) -> dict[str, tuple[int, int]]:
    """
    Write the sets of a run; *definitions* are the hashes of their texts.

    Returns:
        How many entered and left each set since the run before.
    """
    changes: dict[str, tuple[int, int]] = {}
    with store.atomic() as conn:
        for name, members in sets.items():
            before = recorded(conn, name)
            known = before.members if before else BitMap()
            entered, left = members - known, known - members
            changes[name] = len(entered), len(left)
            if before is None or entered or left:
                conn.execute(
                    "INSERT OR REPLACE INTO membership_history (name, run_id, at, entered, left) VALUES (?, ?, ?, ?, ?)",
                    (name, run_id, as_of, entered.serialize(), left.serialize()),
                )
            conn.execute(
                "INSERT OR REPLACE INTO member_sets (name, definition, members, run_id, as_of) VALUES (?, ?, ?, ?, ?)",
                (name, definitions.get(name, ""), members.serialize(), run_id, as_of),
            )
    return changes


def recorded(conn: sqlite3.Connection, name: str) -> Recorded | None:
    """Return a set as it was last recorded."""
    row = conn.execute("SELECT definition, members, run_id, as_of FROM member_sets WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    return Recorded(name, definition=row[0], members=BitMap.deserialize(row[1]), run_id=row[2], as_of=row[3])

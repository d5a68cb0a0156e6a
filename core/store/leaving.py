"""
Since when members have been out of their segment: one row a time, with everybody who was first seen out then.

Only runs that could trust their sources write here (`core.planning.delay`). Somebody who is back in, or gone from the audience,
is in no row any more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from pyroaring import BitMap


def leaving(conn: sqlite3.Connection, audience_id: int) -> dict[int, BitMap]:
    """Return who has been out since when (microseconds), oldest first."""
    rows = conn.execute("SELECT since, profiles FROM leaving WHERE audience_id = ? ORDER BY since", (audience_id,))
    return {since: BitMap.deserialize(blob) for since, blob in rows}


def write_leaving(
    conn: sqlite3.Connection, audience_id: int, now: Mapping[int, BitMap], *, before: Mapping[int, BitMap]
) -> None:
    """Make *now* all that is known of an audience; *before* is what the store has."""
    gone = [since for since in before if not now.get(since)]
    conn.executemany("DELETE FROM leaving WHERE audience_id = ? AND since = ?", [(audience_id, since) for since in gone])
    conn.executemany(
        "INSERT OR REPLACE INTO leaving (audience_id, since, profiles) VALUES (?, ?, ?)",
        [(audience_id, since, who.serialize()) for since, who in now.items() if who and before.get(since) != who],
    )


def left_between(conn: sqlite3.Connection, name: str, *, after: int, until: int) -> list[tuple[int, BitMap]]:
    """Return who left the set *name*, and so had been in it, by the time of each recorded run in between; oldest first."""
    rows = conn.execute(
        "SELECT at, left FROM membership_history WHERE name = ? AND at > ? AND at <= ? ORDER BY at, run_id",
        (name, after, until),
    )
    return [(at, BitMap.deserialize(left)) for at, left in rows]

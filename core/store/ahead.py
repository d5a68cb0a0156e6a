"""
What was written at a time that has not come: our clock was ahead, and has been set right since.

As long as it stands, plans are made as of that time, approvals are over before they begin and guards that look back a day see
nothing. Only somebody else's clock can tell that ours is right now, and not the one that is wrong: the caller asks a vendor's.
Such times become the last microseconds before now, all of them in one order, so that nothing changes places with anything:
guards count what was sent, and nobody's day of grace is over sooner. What is fresh, not yet due or on its way goes by the other
end of what may be true, the last run before.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Final

from core.clock import MICROSECOND, to_us
from core.store import changes
from core.store.db import Store

BELIEVED: Final = timedelta(minutes=5)
"""So far ahead a time may lie: of another machine's clock, of two things that had to be one after the other."""

STAMPS: Final[dict[str, tuple[str, ...]]] = {
    "streams": ("started_at", "finished_at", "held_since"),
    "profiles": ("changed_at",),
    "companies": ("changed_at",),
    "profile_aliases": ("at",),
    "field_history": ("from_at",),
    "member_sets": ("as_of",),
    "membership_history": ("at",),
    "audiences": ("foreign_read_at", "planned_at"),
    "ledger": ("added_at",),
    "leaving": ("since",),
    "churn": ("at",),
    "holds": ("since",),
    "approvals": ("at",),
    "dead_letters": ("first_at", "last_at", "given_up_at", "dropped_at"),
    "alert_states": ("since",),
    "alert_outbox": ("made_at", "sent_at", "given_up_at"),
}
"""When we did something, by our own clock. What a vendor dated is the vendor's; a pull's checkpoint is the pull's."""
AGES: Final[dict[str, tuple[str, ...]]] = {
    "streams": ("completed_at", "full_completed_at"),
    "runs": ("started_at", "finished_at"),
    "ledger": ("at",),
    "intents": ("written_at", "sent_at", "settled_at"),
}
"""Stamps by which something is fresh, not yet due again, or still on its way."""
ENDS: Final = {
    "approvals": ("expires_at", "at"),
    "dead_letters": ("next_try_at", "last_at"),
    "alert_outbox": ("next_try_at", "made_at"),
}
"""Table to what ends some time after a stamp, and that stamp."""
_NEWEST: Final = (
    "SELECT max((SELECT coalesce(max(planned_at), 0) FROM audiences), (SELECT coalesce(max(as_of), 0) FROM member_sets),"
    " (SELECT coalesce(max(finished_at), 0) FROM streams), (SELECT coalesce(max(started_at), 0) FROM runs))"
)
_APART: Final = "clock_ahead\x1f"


def note_apart(store: Store, connection: str, ahead: timedelta) -> None:
    """Remember by how much our clock and a vendor's are apart, where that is more than one should be."""
    key, seconds = f"{_APART}{connection}", round(ahead.total_seconds())
    known = store.conn.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
    if known is None and abs(ahead) <= BELIEVED:
        return
    with store.atomic() as conn:
        if abs(ahead) > BELIEVED:
            conn.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (key, str(seconds)))
        else:
            conn.execute("DELETE FROM settings WHERE key = ?", (key,))


def apart(conn: sqlite3.Connection) -> dict[str, timedelta]:
    """Return by how much our clock was ahead of vendors' when they last spoke, by connection, where that was too much."""
    rows = conn.execute("SELECT key, value FROM settings WHERE key GLOB ?", (f"{_APART}*",))
    return {key.removeprefix(_APART): timedelta(seconds=int(seconds)) for key, seconds in rows}


def set_right(store: Store, at: datetime) -> timedelta | None:
    """Give what was written later than *at*, now by a clock that is right, a time before it; return how far ahead it lay."""
    now = to_us(at)
    ahead: int = store.conn.execute(_NEWEST).fetchone()[0] - now
    if ahead <= BELIEVED // MICROSECOND:
        return None
    with store.atomic() as conn:
        every = [(table, column) for of in (STAMPS, AGES) for table, columns in of.items() for column in columns]
        stamps = " UNION ".join(f"SELECT {column} AS at FROM {table} WHERE {column} > ?1" for table, column in every)
        last = (
            "SELECT max(started_at) FROM runs WHERE started_at <= ?1 AND id < (SELECT min(id) FROM runs WHERE started_at > ?1)"
        )
        conn.execute("CREATE TEMP TABLE right_times (old INTEGER PRIMARY KEY, new INTEGER NOT NULL, oldest INTEGER NOT NULL)")
        conn.execute(
            f"INSERT INTO right_times SELECT at, ?1 - row_number() OVER (ORDER BY at DESC),"
            f" coalesce(({last}), 0) + row_number() OVER (ORDER BY at) FROM ({stamps})",
            (now,),
        )
        for table, (end, since) in ENDS.items():
            conn.execute(f"UPDATE {table} SET {end} = {end} - ({since} - ?1) WHERE {since} > ?1", (now,))
        for table, column in every:
            right = "oldest" if column in AGES.get(table, ()) else "new"
            conn.execute(
                f"UPDATE {table} SET {column} = (SELECT {right} FROM right_times WHERE old = {column}) WHERE {column} > ?",
                (now,),
            )
        conn.execute("DROP TABLE right_times")
        # counted, perhaps, from a time that has not come; who still wants to be left alone says so when asked
        conn.execute("UPDATE connections SET resume_at = NULL, kept_until = NULL")
        changes.forget(conn)
    return timedelta(microseconds=ahead)

"""
A store that was put back from a copy: what it says of a destination is of the day when the copy was made.

Who was put in since is not in its ledger, and who left since is: pushed from such a ledger, somebody whom we removed and
another put back by hand is taken for ours. So each sync that had run by then is held, both ways, until a person has looked and
says so, once. Every copy carries the time of its making, so this holds whichever way it was put back.
"""

from __future__ import annotations

import sqlite3

from core.clock import from_us
from core.planning.guards import Held, HeldKind
from core.store import audiences, holds
from core.store.copies import COPIED_AT


def copied_at(conn: sqlite3.Connection) -> int | None:
    """Return when the copy was made that this store was put back from; None for one that never was."""
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (COPIED_AT,)).fetchone()
    return None if row is None else int(row[0])


def held(conn: sqlite3.Connection, label: str, *, sync: str) -> Held | None:
    """Return why a sync is held whose last whole run is older than the copy that the store came from."""
    at = copied_at(conn)
    if at is None or not any((row.planned_at or at + 1) <= at for row in audiences.bound_to(conn, label)):
        return None
    if holds.approved_text(conn, label, HeldKind.RESTORED, str(at)):
        return None
    reason = (
        f"the database was put back from a copy of {from_us(at):%Y-%m-%d %H:%M}Z, and the destination has gone on since;"
        f" look with `tagalong drift {sync}` before it is let go"
    )
    return Held(HeldKind.RESTORED, reason, facts={"copied_at": at}, approve=sync)

"""An audience about to be made: written down before it is, with whom, so that both are known for ours without an answer."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from core.pushing.targets import Target
from core.store import succession
from core.store.intents import Member
from core.store.ledger import Entry, State

MAKING: Final = "making"


def note_making(conn: sqlite3.Connection, target: Target, account: str, seed: Member | None) -> None:
    """Write down that an audience is about to be made, and with whom, so that both are known for ours without an answer."""
    made_with = None
    if seed is not None:
        profile_id = seed.profile_id
        made_with = [seed.member_key, profile_id, seed.ref.remote_id, seed.ref.handle, seed.ref.object, seed.value_hash]
    conn.execute(
        "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_making(target, account), json.dumps(made_with))
    )


def being_made(conn: sqlite3.Connection, target: Target, account: str) -> bool:
    """Return whether an audience was about to be made, and nothing more is known of it."""
    return conn.execute("SELECT 1 FROM settings WHERE key = ?", (_making(target, account),)).fetchone() is not None


def forget_making(conn: sqlite3.Connection, target: Target, account: str) -> Entry | None:
    """Forget that an audience was about to be made; return the member that it was made with."""
    row = conn.execute("DELETE FROM settings WHERE key = ? RETURNING value", (_making(target, account),)).fetchone()
    made_with = None if row is None else json.loads(row[0])
    if not isinstance(made_with, list):
        return None
    key, profile_id, remote_id, handle, object_, value_hash = made_with
    if profile_id is not None:
        profile_id = succession.survivor(conn, profile_id, of=target.audience.of)
    return Entry(
        key, State.UNSURE, profile_id=profile_id, remote_id=remote_id, handle=handle, object=object_, value_hash=value_hash
    )


def _making(target: Target, account: str) -> str:
    return "\x1f".join((MAKING, target.connection, account, target.sync.audience_kind, target.name.casefold()))

"""
Keeps the ledger with the people: when profiles were joined or split since the last plan, their rows follow.

A joined profile's rows go to the one it was joined into; otherwise a row belongs to whoever has its key by now. Only what
changed since the last plan is looked at, never the whole ledger.
"""

from __future__ import annotations

import json
import sqlite3

from pyroaring import BitMap

from core import reach
from core.contract import Audience
from core.store import Store, audiences, ledger
from core.store.audiences import AudienceRow


def changed_since(conn: sqlite3.Connection, at: int | None) -> BitMap:
    """Return the profiles of which anything changed after *at*; nobody where there is no earlier plan to differ from."""
    if at is None:
        return BitMap()
    return BitMap([profile_id for (profile_id,) in conn.execute("SELECT id FROM profiles WHERE changed_at > ?", (at,))])


def follow(store: Store, row: AudienceRow, audience: Audience, *, changed: BitMap) -> BitMap:
    """Hand the rows of one audience to the profiles that their members are by now; return who got some since the last plan."""
    kind = reach.identifier_kind(audience, row.connection)
    stands = audiences.standing(store.conn, row.id)
    suspects = changed & (stands.owned | stands.theirs)
    # a plan that was never carried out whole leaves no date: then every alias is looked at
    joined = store.conn.execute("SELECT 1 FROM profile_aliases WHERE at >= ? LIMIT 1", (row.planned_at or 0,)).fetchone()
    if joined is None and not suspects:
        return _followed(store.conn, row.id)
    with store.atomic() as conn:
        touched = ledger.follow_aliases(conn, row.id, since=row.planned_at or 0)
        if kind != reach.PROFILE_ID:
            touched |= _by_key(conn, row.id, suspects, kind)
        if touched:
            touched |= _followed(conn, row.id)
            conn.execute(
                "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_setting(row.id), json.dumps(list(touched)))
            )
            # an intent on its way follows too: its outcome is written under the key it was sent with
            audiences.refresh(conn, row.id, touched, waiting=BitMap(), settled=BitMap())
    return touched or _followed(store.conn, row.id)


def forget_followed(conn: sqlite3.Connection, audience_id: int) -> None:
    """A plan was carried out whole: whose rows changed hands before it has been looked at."""
    conn.execute("DELETE FROM settings WHERE key = ?", (_setting(audience_id),))


def _followed(conn: sqlite3.Connection, audience_id: int) -> BitMap:
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (_setting(audience_id),)).fetchone()
    return BitMap(json.loads(row[0])) if row else BitMap()


def _setting(audience_id: int) -> str:
    return f"followed\x1f{audience_id}"


def _by_key(conn: sqlite3.Connection, audience_id: int, suspects: BitMap, kind: str) -> BitMap:
    entries = [entry for rows in ledger.of_profiles(conn, audience_id, suspects).values() for entry in rows]
    holders = reach.holders_of(conn, [entry.member_key for entry in entries], kind)
    moved = {e.member_key: holders[e.member_key] for e in entries if holders.get(e.member_key, e.profile_id) != e.profile_id}
    return ledger.give_to(conn, audience_id, moved)

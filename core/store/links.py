"""
Which record brought which identifier of a profile: what holds a person together, and what was not let to. Reads only.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from core.clock import iso
from core.contract import Kind


def links_of(conn: sqlite3.Connection, profile_id: int) -> list[dict[str, Any]]:
    """
    Return one link for each record that is the profile's, and for each tuple of identifiers that its events came with.

    Keys: stream (`connection.name`), record (its key; None for events), trust (`key` joins people, `claim` only finds one),
    live, identifiers: kind, value, and blocked, since when the value joins nobody because it would join too many; else None.
    """
    found: dict[int, dict[str, Any]] = {}
    for subject, stream, of, ref, trust, live, kind, value, blocked_at in conn.execute(
        "SELECT s.id, c.name || '.' || t.name, t.kind, s.ref, s.trust, s.live, i.kind, i.value, i.blocked_at "
        "FROM subjects s JOIN streams t ON t.id = s.stream_id JOIN connections c ON c.id = t.connection_id "
        "JOIN subject_identifiers l ON l.subject_id = s.id JOIN identifiers i ON i.id = l.identifier_id "
        "WHERE s.profile_id = ? ORDER BY 2, s.ref, s.id, l.position",
        (profile_id,),
    ):
        record = None if of == Kind.EVENT else ref
        link = found.setdefault(
            subject, {"stream": stream, "record": record, "trust": trust, "live": bool(live), "identifiers": []}
        )
        link["identifiers"].append({"kind": kind, "value": value, "blocked": None if blocked_at is None else iso(blocked_at)})
    return list(found.values())

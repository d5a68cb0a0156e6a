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
    live, identifiers: kind, value, blocked, since when the value joins nobody because it would join too many, else None; and
    apart, whether it is somebody else's, who was told apart from this person (`core.store.cuts`).
    """
    found: dict[int, dict[str, Any]] = {}
    for subject, stream, of, ref, trust, live, kind, value, blocked_at, apart in conn.execute(
        "SELECT s.id, c.name || '.' || t.name, t.kind, s.ref, s.trust, s.live, i.kind, i.value, i.blocked_at, "
        "s.profile_id IS NOT i.profile_id AND i.is_company = 0 AND i.blocked_at IS NULL "
        "AND s.id IN (SELECT subject_id FROM cut_subjects) "
        "FROM subjects s JOIN streams t ON t.id = s.stream_id JOIN connections c ON c.id = t.connection_id "
        "JOIN subject_identifiers l ON l.subject_id = s.id JOIN identifiers i ON i.id = l.identifier_id "
        "WHERE s.profile_id = ? ORDER BY 2, s.ref, s.id, l.position",
        (profile_id,),
    ):
        record = None if of == Kind.EVENT else ref
        link = found.setdefault(
            subject, {"stream": stream, "record": record, "trust": trust, "live": bool(live), "identifiers": []}
        )
        blocked = None if blocked_at is None else iso(blocked_at)
        link["identifiers"].append({"kind": kind, "value": value, "blocked": blocked, "apart": bool(apart)})
    return list(found.values())

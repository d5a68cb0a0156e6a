"""
Who said no: a refusal once heard stays, whatever becomes of the record that told of it.

Archiving an unsubscribed member, or deleting one, is housekeeping and no change of mind. So a no ends only with a later yes in
the same record of the same connection (`core.store.canonical` sees to that); until then it follows the person as identity goes
on, and the address that the record had, whoever's that is by now.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from pyroaring import BitMap

from core.store.audiences import chunks

MANY: Final = 5_000
"""Profiles from which on every refusal is read, instead of those of some."""
_NO: Final = "c.state = 'denied' AND c.subject_id IS NOT NULL AND (?1 IS NULL OR c.channel = ?1)"
_STANDS: Final = "r.ended_at IS NULL AND (?1 IS NULL OR r.channel = ?1)"
"""A line of the suppression ledger (`core.store.refusals`)."""
_IN_THE_LEDGER: Final = (
    "SELECT i.profile_id FROM json_each(?2) j CROSS JOIN identifiers i ON i.profile_id = j.value"
    f" CROSS JOIN refusals r ON r.kind = i.kind AND r.value = i.value WHERE {_STANDS}"
    " UNION SELECT p.id FROM json_each(?2) j CROSS JOIN profiles p ON p.id = j.value"
    f" CROSS JOIN refusals r ON r.kind = 'email' AND r.value = p.email WHERE {_STANDS}"
)
"""Which of some profiles it has."""


def denied(conn: sqlite3.Connection, profiles: BitMap, *, channel: str | None = "email") -> BitMap:
    """Return who of *profiles* said no anywhere; on *channel*, or on any."""
    if len(profiles) > MANY:
        every = conn.execute(
            f"SELECT c.profile_id FROM consents c WHERE {_NO} UNION SELECT i.profile_id FROM consents c"
            " CROSS JOIN subject_identifiers l ON l.subject_id = c.subject_id"
            f" CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.kind = 'email' WHERE {_NO}"
            " UNION SELECT i.profile_id FROM fresh_identifiers f CROSS JOIN consents c ON c.subject_id = f.subject_id"
            f" CROSS JOIN identifiers i ON i.kind = f.kind AND i.value = f.value WHERE f.kind = 'email' AND {_NO}"
            f" UNION SELECT i.profile_id FROM refusals r CROSS JOIN identifiers i ON i.kind = r.kind AND i.value = r.value"
            f" WHERE {_STANDS} UNION SELECT p.id FROM refusals r CROSS JOIN profiles p ON p.email = r.value"
            f" WHERE r.kind = 'email' AND {_STANDS}",
            (channel,),
        )
        return profiles & BitMap([profile_id for (profile_id,) in every if profile_id is not None])
    found = BitMap()
    for chunk in chunks(profiles):
        rows = conn.execute(
            f"SELECT c.profile_id FROM json_each(?2) j CROSS JOIN consents c ON c.profile_id = j.value WHERE {_NO}"
            " UNION SELECT i.profile_id FROM json_each(?2) j"
            " CROSS JOIN identifiers i ON i.profile_id = j.value AND +i.kind = 'email'"
            " CROSS JOIN subject_identifiers l ON l.identifier_id = i.id"
            f" CROSS JOIN consents c ON c.subject_id = l.subject_id WHERE {_NO}"
            # what another process has pulled since the last resolve
            " UNION SELECT i.profile_id FROM fresh_identifiers f CROSS JOIN consents c ON c.subject_id = f.subject_id"
            " CROSS JOIN identifiers i ON i.kind = f.kind AND i.value = f.value"
            f" AND i.profile_id IN (SELECT value FROM json_each(?2)) WHERE f.kind = 'email' AND {_NO}"
            f" UNION {_IN_THE_LEDGER}",
            (channel, chunk),
        )
        found.update(BitMap([profile_id for (profile_id,) in rows]))
    return found


def refused_since(conn: sqlite3.Connection, profiles: BitMap, *, channel: str | None = "email") -> BitMap:
    """Return who of a few *profiles* has a line in the suppression ledger: a look so quick that each batch can have it."""
    found = BitMap()
    for chunk in chunks(profiles):
        rows = conn.execute(_IN_THE_LEDGER, (channel, chunk))
        found.update(BitMap([profile_id for (profile_id,) in rows]))
    return found


def keep_refusals(conn: sqlite3.Connection, stream_id: int) -> None:
    """
    Drop the consents that a stream told of, all but the refusals: those stay with the person and the address.

    Their record is another account's from now on: one of the same key that comes later says nothing about them.
    """
    conn.execute(
        "DELETE FROM consents WHERE stream_id = ? AND (state <> 'denied' OR subject_id IS NULL)",
        (stream_id,),
    )
    conn.execute(
        "UPDATE consents SET record_key = char(31) || subject_id, deleted_at = coalesce(deleted_at, changed_at, 0)"
        " WHERE stream_id = ?",
        (stream_id,),
    )

"""
The suppression ledger: who said no, by address or user id and channel, whatever becomes of the record that told of it.

`consents` has what records say; it follows a person as identity goes on. This follows the identifier: it stands when the record
changed its address, when its connection was renamed, dropped, rebound or pulled anew, and when a person entered it by hand. It
ends with a later yes of the very record that said it, for the identifiers that the record has then; or by hand, once nothing
that is pulled says it any more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final

from core import normalise
from core.store.forgotten import Forgotten
from core.store.person_key import open_key

FORGOTTEN: Final = "forgotten"
"""Kind of a no whose value is a mark (`mark_of`)."""
KINDS: Final = ("email", "user_id")
CHANNELS: Final = ("email", "phone", "post", "push", "sms", "whatsapp")
"""What people may say no to in every workspace; a source may call something else a channel too."""
SOURCE: Final = (
    "CASE coalesce(n.connector, '') WHEN '' THEN n.name ELSE n.connector END || '/' || "
    "CASE n.category WHEN 'file' THEN n.name ELSE coalesce(n.account, '') END || '.' || t.name"
)
"""
SQL of what a stream is called in the ledger: by vendor and account, so that a connection may have another name tomorrow; of
files, which have no account, by the connection.
"""
_SAID: Final = """
    FROM temp.r_dirty d CROSS JOIN consents c ON c.subject_id = d.id
    JOIN streams t ON t.id = c.stream_id JOIN connections n ON n.id = t.connection_id
    CROSS JOIN subject_identifiers l ON l.subject_id = c.subject_id
    CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.is_company = 0 AND i.kind IN ('email', 'user_id')
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line of the ledger."""

    kind: str
    value: str
    _: KW_ONLY
    channel: str
    source: str
    since: int
    reason: str = ""
    standing: bool = False
    """Whether a record that is pulled still says so; then nobody can lift it here."""


def note_said(conn: sqlite3.Connection, database: Path, now: int) -> None:
    """Bring the ledger in step with what records said since the last resolve; reads `r_dirty`, inside its transaction."""
    if conn.execute("SELECT 1 FROM consents LIMIT 1").fetchone() is not None:
        conn.execute(
            "INSERT INTO refusals (kind, value, channel, source, record_key, since) "
            f"SELECT i.kind, i.value, coalesce(c.channel, 'email'), {SOURCE}, c.record_key, "
            f"coalesce(c.at, c.changed_at, 0) {_SAID} WHERE c.state = 'denied' AND substr(c.record_key, 1, 1) <> char(31) "
            "ON CONFLICT DO UPDATE SET since = excluded.since, ended_at = NULL, ended_by = NULL "
            "WHERE ended_at IS NOT NULL AND (ended_by = 'yes' OR excluded.since > ended_at)"
        )
        conn.execute(
            "UPDATE refusals SET ended_at = ?, ended_by = 'yes' WHERE ended_at IS NULL "
            "AND (kind, value, channel, source, record_key) IN "
            f"(SELECT i.kind, i.value, coalesce(c.channel, 'email'), {SOURCE}, c.record_key {_SAID} "
            "WHERE c.state = 'granted' AND c.deleted_at IS NULL)",
            (now,),
        )
    _recall(conn, database)


def _recall(conn: sqlite3.Connection, database: Path) -> None:
    """Somebody who was forgotten after a no, and let back, has said no under whichever identifier comes with them."""
    marks = {row[0] for row in conn.execute("SELECT value FROM refusals WHERE kind = 'forgotten' AND ended_at IS NULL")}
    still = "SELECT 1 FROM forgotten WHERE digest = ?"
    lifted = {mark for mark in marks if conn.execute(still, (bytes.fromhex(mark),)).fetchone() is None}
    key = open_key(conn, database) if lifted else None
    if key is None:
        return
    for kind, value in conn.execute(
        "SELECT DISTINCT i.kind, i.value FROM temp.r_dirty d CROSS JOIN subject_identifiers l ON l.subject_id = d.id "
        "CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.is_company = 0 AND i.kind IN ('email', 'user_id')"
    ).fetchall():
        mark = key.digest(kind, value).hex()
        if mark in lifted:
            conn.execute(
                "INSERT OR IGNORE INTO refusals (kind, value, channel, source, record_key, since, reason) "
                "SELECT ?, ?, channel, source, record_key, since, reason FROM refusals WHERE kind = 'forgotten' AND value = ?",
                (kind, value, mark),
            )
            conn.execute("DELETE FROM refusals WHERE kind = 'forgotten' AND value = ?", (mark,))


def channels(conn: sqlite3.Connection) -> set[str]:
    """Return the channels that a no may be of: the usual ones, and those that a source or an earlier no speaks of."""
    rows = conn.execute("SELECT channel FROM refusals UNION SELECT channel FROM consents WHERE channel IS NOT NULL")
    return {*CHANNELS, *(channel for (channel,) in rows)}


def ended(conn: sqlite3.Connection, kind: str, value: str, *, channel: str) -> tuple[int, str] | None:
    """Return when and by what (`yes`, `hand`) the last no of an identifier ended; None where it never said one."""
    row: tuple[int, str] | None = conn.execute(
        "SELECT ended_at, ended_by FROM refusals WHERE kind = ? AND value = ? AND channel = ? AND ended_at IS NOT NULL"
        " ORDER BY ended_at DESC LIMIT 1",
        (kind, value, channel),
    ).fetchone()
    return row


def mark_of(conn: sqlite3.Connection, forgotten: Forgotten, kind: str, value: str) -> str | None:
    """
    Return the keyed hash, in hex, that stands for an identifier of somebody forgotten; None where it stands for itself.

    So it does while the store has it: they are being forgotten just now, or have come back with a copy, and are found by it.
    """
    if not forgotten.has(kind, value):
        return None
    there = conn.execute("SELECT 1 FROM identifiers WHERE kind = ? AND value = ?", (kind, value)).fetchone()
    return None if there is not None else forgotten.digest(kind, value).hex()


def keep_mark(conn: sqlite3.Connection, kind: str, value: str, mark: str) -> None:
    """Keep what stands against an identifier under its mark alone."""
    conn.execute(
        "INSERT OR IGNORE INTO refusals (kind, value, channel, source, record_key, since) "
        "SELECT 'forgotten', ?3, channel, 'hand', '', min(since) FROM refusals "
        "WHERE kind = ?1 AND value = ?2 AND ended_at IS NULL GROUP BY channel",
        (kind, value, mark),
    )
    conn.execute("DELETE FROM refusals WHERE kind = ? AND value = ?", (kind, value))


def hash_forgotten(conn: sqlite3.Connection, forgotten: Forgotten) -> None:
    """Keep as marks what stands against people who were forgotten, as where a copy or an earlier version has it in words."""
    for kind, value in conn.execute("SELECT DISTINCT kind, value FROM refusals WHERE kind <> 'forgotten'").fetchall():
        mark = mark_of(conn, forgotten, kind, value)
        if mark is not None:
            keep_mark(conn, kind, value, mark)


def enter(
    conn: sqlite3.Connection,
    kind: str,
    value: str,
    *,
    channel: str,
    reason: str,
    at: int,
    forgotten: Forgotten | None = None,
) -> bool:
    """Enter a no by hand, of one of the *forgotten* as a keyed hash and without a reason; return whether it is news."""
    mark = None if forgotten is None else mark_of(conn, forgotten, kind, value)
    if mark is not None:
        keep_mark(conn, kind, value, mark)
        kind, value, reason = FORGOTTEN, mark, ""
    made = conn.execute(
        "INSERT INTO refusals (kind, value, channel, source, record_key, since, reason) VALUES (?, ?, ?, 'hand', '', ?, ?) "
        "ON CONFLICT DO UPDATE SET since = excluded.since, reason = excluded.reason, ended_at = NULL, ended_by = NULL "
        "WHERE ended_at IS NOT NULL",
        (kind, value, channel, at, reason),
    )
    return made.rowcount > 0


def lift(
    conn: sqlite3.Connection, kind: str, value: str, *, channel: str, at: int, forgotten: Forgotten | None = None
) -> tuple[int, list[Refusal]]:
    """
    End what stands against an identifier, by hand; against one of the *forgotten*, too, of whom nothing is pulled.

    Returns:
        How many refusals ended, and those that did not: a record that is pulled says so, and only its own yes ends that.
    """
    found = standing(conn, [(kind, value)], channel=channel)
    kept = [one for one in found if one.standing]
    lifted = [one for one in found if not one.standing]
    for one in lifted:
        conn.execute(
            "UPDATE refusals SET ended_at = ?, ended_by = 'hand' WHERE kind = ? AND value = ? AND channel = ? AND source = ? "
            "AND ended_at IS NULL",
            (at, kind, value, one.channel, one.source),
        )
    if lifted and not kept:
        _drop_dead(conn, kind, value, channel)
    mark = None if forgotten is None else mark_of(conn, forgotten, kind, value)
    gone = conn.execute("DELETE FROM refusals WHERE kind = 'forgotten' AND value = ? AND channel = ?", (mark, channel))
    return len(lifted) + gone.rowcount, kept


def standing(
    conn: sqlite3.Connection, identifiers: Iterable[tuple[str, str]] | None = None, *, channel: str | None = None
) -> list[Refusal]:
    """Return what stands, of some identifiers or of all, in order of identifier; digests of the forgotten are left out."""
    where, values = "r.kind <> 'forgotten' AND r.ended_at IS NULL AND (?1 IS NULL OR r.channel = ?1)", [channel]
    wanted = None if identifiers is None else list(identifiers)
    live = (
        "EXISTS (SELECT 1 FROM streams t CROSS JOIN connections n ON n.id = t.connection_id CROSS JOIN consents c "
        f"ON c.stream_id = t.id AND c.record_key = r.record_key WHERE t.removed_at IS NULL AND {SOURCE} = r.source "
        "AND c.state = 'denied' AND c.deleted_at IS NULL)"
    )
    found = []
    for pair in [None] if wanted is None else wanted:
        of = "" if pair is None else " AND r.kind = ?2 AND r.value = ?3"
        rows = conn.execute(
            f"SELECT r.kind, r.value, r.channel, r.source, r.since, r.reason, r.source <> 'hand' AND {live} "
            f"FROM refusals r WHERE {where}{of} ORDER BY 1, 2, 3, 4",
            (*values, *(pair or ())),
        )
        found += [
            Refusal(row[0], row[1], channel=row[2], source=row[3], since=row[4], reason=row[5], standing=bool(row[6]))
            for row in rows
        ]
    return found


def _drop_dead(conn: sqlite3.Connection, kind: str, value: str, channel: str | None) -> None:
    """Records that are gone and said no under the identifier say it no more, now that a person has lifted it."""
    conn.execute(
        "DELETE FROM consents WHERE state = 'denied' AND (?3 IS NULL OR channel = ?3) AND (deleted_at IS NOT NULL "
        "OR stream_id IN (SELECT id FROM streams WHERE removed_at IS NOT NULL)) "
        "AND subject_id IN (SELECT l.subject_id FROM identifiers i CROSS JOIN subject_identifiers l ON l.identifier_id = i.id "
        "WHERE i.kind = ?1 AND i.value = ?2)",
        (kind, value, channel),
    )


def identifier(who: str) -> tuple[str, str] | None:
    """Return the identifier that a person typed: an address, else a user id (`user_id:42`, `email:...`); None for neither."""
    kind, colon, value = who.strip().partition(":")
    if colon and kind in KINDS:
        read = normalise.email(value) if kind == "email" else normalise.user_id(value)
        return None if read is None else (kind, read)
    address = normalise.email(who)
    return None if address is None else ("email", address)

"""
Which slices hold a record, where it is in several: two files of a glob, two lists with one member.

A landing row knows the one slice that its values came from. Here are the others, so a stream whose slices share no key has
no row here. A record vanishes only when no slice has it any more; one whose values came from a slice that lost it is read
again from one that has it. Events know nothing of this: they never vanish by absence.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from core.store.sources import Source

_CHUNK = 5000


def held_elsewhere(conn: sqlite3.Connection, of: Source, keys: Sequence[str], slice_: str) -> dict[str, bytes]:
    """Return the content hashes of those of *keys* that *slice_* had when it was last read, and another gave the values of."""
    rows = conn.execute(
        "SELECT r.key, r.content_hash FROM json_each(?) j CROSS JOIN record_slices r "
        "ON r.stream_id = ? AND r.key = j.value AND r.slice = ?",
        (json.dumps(keys), of.id, slice_),
    )
    return dict(rows.fetchall())


def note_seen(conn: sqlite3.Connection, of: Source, keys: Sequence[str], slice_: str, run_id: int) -> None:
    """Note that *slice_* still has *keys*, unchanged, and that their values stay another slice's."""
    conn.execute(
        "UPDATE record_slices SET seen_run = ? WHERE stream_id = ? AND slice = ? AND key IN (SELECT value FROM json_each(?))",
        (run_id, of.id, slice_, json.dumps(keys)),
    )


def take_over(conn: sqlite3.Connection, of: Source, keys: Sequence[str], slice_: str) -> None:
    """Before *slice_* becomes the slice of *keys* in the landing table: keep the one that was."""
    array = json.dumps(keys)
    conn.execute(
        "INSERT OR REPLACE INTO record_slices (stream_id, key, slice, seen_run, content_hash) "
        "SELECT ?, l.key, l.slice, l.seen_run, l.content_hash "
        f'FROM json_each(?) j CROSS JOIN "{of.landing}" l ON l.key = j.value '
        "WHERE l.deleted_at IS NULL AND l.slice NOT IN ('', ?)",
        (of.id, array, slice_),
    )
    conn.execute(
        "DELETE FROM record_slices WHERE stream_id = ? AND slice = ? AND key IN (SELECT value FROM json_each(?))",
        (of.id, slice_, array),
    )


def forget(conn: sqlite3.Connection, of: Source, keys: Sequence[str]) -> None:
    """No slice has *keys* any more: they are deleted."""
    conn.execute(
        "DELETE FROM record_slices WHERE stream_id = ? AND key IN (SELECT value FROM json_each(?))", (of.id, json.dumps(keys))
    )


def lose_unseen(conn: sqlite3.Connection, of: Source, slice_: str, began_run: int, reason: str, now: int) -> set[str]:
    """Collect what a full pull of *slice_*, begun in *began_run*, did not see. Returns as `_lose`."""
    conn.execute(
        "DELETE FROM record_slices WHERE stream_id = ? AND slice = ? AND seen_run < ?",
        (of.id, slice_, began_run),
    )
    where = "l.deleted_at IS NULL AND l.slice = :slice AND l.seen_run < :began"
    return _lose(conn, of, where, {"slice": slice_, "began": began_run}, reason, now)


def lose_unlisted(conn: sqlite3.Connection, of: Source, listed: Sequence[str], reason: str, now: int) -> set[str]:
    """Collect what only slices have that are no longer listed. Returns as `_lose`."""
    array = json.dumps(list(listed))
    conn.execute(
        "DELETE FROM record_slices WHERE stream_id = ? AND slice NOT IN (SELECT value FROM json_each(?))", (of.id, array)
    )
    where = "l.deleted_at IS NULL AND l.slice NOT IN (SELECT value FROM json_each(:listed))"
    return _lose(conn, of, where, {"listed": array}, reason, now)


def _lose(conn: sqlite3.Connection, of: Source, where: str, arguments: Mapping[str, Any], reason: str, now: int) -> set[str]:
    """
    Give the records that match *where* to another slice that has them, and collect the others in `vanished`.

    Returns:
        The slices to be read again in full, their cursors forgotten: they had such a record with other values.
    """
    reread: set[str] = set()
    bound = {**arguments, "stream": of.id, "now": now, "reason": reason, "most": _CHUNK}
    # max() makes the other columns those of the same row: the slice that was read last
    heirs = (
        f'SELECT r.slice, max(r.seen_run), l.key, r.content_hash IS l.content_hash FROM "{of.landing}" l '
        f"JOIN record_slices r ON r.stream_id = :stream AND r.key = l.key WHERE {where} GROUP BY l.key LIMIT :most"
    )
    while found := conn.execute(heirs, bound).fetchall():
        conn.executemany(
            f'UPDATE "{of.landing}" SET slice = ?, seen_run = ? WHERE key = ?',
            [(heir, run, key) for heir, run, key, _ in found],
        )
        conn.executemany(
            "DELETE FROM record_slices WHERE stream_id = ? AND key = ? AND slice = ?",
            [(of.id, key, heir) for heir, _, key, _ in found],
        )
        reread |= {heir for heir, _, _, same in found if not same}
    conn.execute(
        f'INSERT OR IGNORE INTO vanished SELECT :stream, l.key, :now, :reason FROM "{of.landing}" l WHERE {where}', bound
    )
    # a record that is held stays live, but no slice has it: it must not be taken for one that does
    conn.execute(f"UPDATE \"{of.landing}\" AS l SET slice = '' WHERE {where} AND l.slice <> ''", bound)
    conn.execute(
        "UPDATE checkpoints SET cursor = NULL, pending = NULL, resume = NULL, began = NULL, began_run = NULL "
        "WHERE stream_id = ? AND slice IN (SELECT value FROM json_each(?))",
        (of.id, json.dumps(sorted(reread))),
    )
    return reread

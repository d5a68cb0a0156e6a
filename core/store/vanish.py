"""
Rows that a pull says are gone: unseen by a complete full pull, told deleted, or replaced by fewer.

They are collected in `vanished` while the pull goes on and decided at its clean end: a few are deleted, more than
`max(10%, 20)` of the last accepted count stay live and wait for `approve`. A kill in between loses no decision.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from core.clock import to_us
from core.contract import Kind, Merge, Pick, Range, Stream
from core.store import slices
from core.store.canonical_tables import bury_rows
from core.store.db import Store
from core.store.identity import attach, bury, full_kind, known_subjects, numbered
from core.store.sources import Source, source

LOST_SHARE: Final = 0.10
LOST_COUNT: Final = 20
_CHUNK: Final = 5000
_NAMES: Final = (
    "SELECT n.id FROM event_sources s JOIN event_names n ON n.name = s.name WHERE s.stream_id = ? AND s.what = 'event'"
)
"""SQL for the names of the events of a stream: what leads to those of some days."""


def limit(accepted: int) -> float:
    """Return how many rows a stream of *accepted* live ones may lose at once; more are held."""
    return max(LOST_SHARE * accepted, LOST_COUNT)


def mark_told(conn: sqlite3.Connection, of: Source, keys: Sequence[str], now: int) -> None:
    """Collect what the vendor says is gone; keys that are not stored, or gone already, are nothing new."""
    table, alive = ("events", "t.stream_id = ?2") if of.kind is Kind.EVENT else (f'"{of.landing}"', "t.deleted_at IS NULL")
    conn.execute(
        f"INSERT OR IGNORE INTO vanished SELECT ?2, t.key, ?3, 'deleted' FROM json_each(?1) j CROSS JOIN {table} t "
        f"ON t.key = j.value AND {alive}",
        (json.dumps(list(keys)), of.id, now),
    )


def mark_unseen(conn: sqlite3.Connection, of: Source, slice_: str, began_run: int, now: int) -> set[str]:
    """
    Collect the records of a slice that its full pull, begun in *began_run*, did not see.

    Returns:
        Other slices to be read again, for what they have of these records (see `slices`).
    """
    if slice_:
        return slices.lose_unseen(conn, of, slice_, began_run, "unseen", now)
    conn.execute(
        f"INSERT OR IGNORE INTO vanished SELECT ?, key, ?, 'unseen' FROM \"{of.landing}\" "
        "WHERE slice = ? AND deleted_at IS NULL AND seen_run < ?",
        (of.id, now, slice_, began_run),
    )
    return set()


def mark_gone_slices(conn: sqlite3.Connection, of: Source, listed: Sequence[str], now: int) -> set[str]:
    """Collect the records of slices that the vendor no longer lists, and forget those. Returns as `mark_unseen`."""
    again = slices.lose_unlisted(conn, of, listed, "slice gone", now)
    conn.execute(
        "DELETE FROM checkpoints WHERE stream_id = ? AND slice NOT IN (SELECT value FROM json_each(?))",
        (of.id, json.dumps(list(listed))),
    )
    return again


def mark_replaced(conn: sqlite3.Connection, of: Source, span: Range, slice_: str, began_run: int, now: int) -> None:
    """Collect the events in *span* that the records standing in for it did not bring again."""
    conn.execute(
        f"INSERT OR IGNORE INTO vanished SELECT stream_id, key, ?, 'replaced' FROM events WHERE name_id IN ({_NAMES}) "
        "AND time >= ? AND time < ? AND stream_id = ? AND slice = ? AND seen_run < ?",
        (now, of.id, to_us(span.start), to_us(span.end), of.id, slice_, began_run),
    )


def returned(conn: sqlite3.Connection, of: Source, keys: Sequence[str]) -> None:
    """Note that records are there after all."""
    conn.execute(
        "DELETE FROM vanished WHERE stream_id = ? AND key IN (SELECT value FROM json_each(?))", (of.id, json.dumps(list(keys)))
    )


def still_there(conn: sqlite3.Connection, of: Source, keys: Sequence[str], slice_: str, run_id: int) -> None:
    """Note that a slice has those of *keys* that it had before, though nothing new could be read of them."""
    conn.execute(
        f'UPDATE "{of.landing}" SET seen_run = ? WHERE slice = ? AND key IN (SELECT value FROM json_each(?))',
        (run_id, slice_, json.dumps(keys)),
    )
    slices.note_seen(conn, of, keys, slice_, run_id)
    returned(conn, of, keys)


def settle(conn: sqlite3.Connection, of: Source, now: int) -> tuple[int, int]:
    """Decide over what was collected, at the clean end of a pull; return how many were deleted and how many are held."""
    count = conn.execute("SELECT count(*) FROM vanished WHERE stream_id = ?", (of.id,)).fetchone()[0]
    accepted, live = conn.execute("SELECT accepted_count, live_count FROM streams WHERE id = ?", (of.id,)).fetchone()
    if count > limit(live if accepted is None else accepted) or (count > LOST_COUNT and _halved(conn, of)):
        conn.execute("UPDATE streams SET held_since = coalesce(held_since, ?) WHERE id = ?", (now, of.id))
        return 0, count
    return accept(conn, of, now), 0


def _halved(conn: sqlite3.Connection, of: Source) -> bool:
    """
    Whether of the events that were to be replaced more than half did not come again.

    Three days of a year are less than a tenth of all there are, and everybody who did something in them.
    """
    gone, first, last = conn.execute(
        "SELECT count(*), min(e.time), max(e.time) FROM vanished v CROSS JOIN events e"
        " ON e.stream_id = v.stream_id AND e.key = v.key WHERE v.stream_id = ? AND v.reason = 'replaced'",
        (of.id,),
    ).fetchone()
    if gone <= LOST_COUNT:
        return False
    (there,) = conn.execute(
        f"SELECT count(*) FROM events WHERE name_id IN ({_NAMES}) AND time >= ? AND time <= ? AND stream_id = ?",
        (of.id, first, last, of.id),
    ).fetchone()
    return bool(gone * 2 > there)


def accept(conn: sqlite3.Connection, of: Source, now: int) -> int:
    """Delete what was collected and make the new count the accepted one; return how many were deleted."""
    deleted = 0
    while keys := [
        row[0] for row in conn.execute("SELECT key FROM vanished WHERE stream_id = ? LIMIT ?", (of.id, _CHUNK)).fetchall()
    ]:
        deleted += remove(conn, of, keys, now)
        returned(conn, of, keys)
    conn.execute("UPDATE streams SET accepted_count = live_count, held_since = NULL WHERE id = ?", (of.id,))
    return deleted


def remove(conn: sqlite3.Connection, of: Source, keys: Sequence[str], now: int) -> int:
    """Delete records: tombstones for all but events. Return how many were live."""
    array = json.dumps(list(keys))
    if of.kind is Kind.EVENT:
        gone = conn.execute(
            "DELETE FROM events WHERE stream_id = ? AND key IN (SELECT value FROM json_each(?))", (of.id, array)
        ).rowcount
    else:
        gone = conn.execute(
            f'UPDATE "{of.landing}" SET deleted_at = ? WHERE deleted_at IS NULL AND key IN (SELECT value FROM json_each(?))',
            (now, array),
        ).rowcount
        conn.execute(
            "DELETE FROM events WHERE subject_id IN (SELECT s.id FROM json_each(?) j CROSS JOIN subjects s "
            "ON s.stream_id = ? AND s.ref = j.value)",
            (array, of.id),
        )
        bury_rows(conn, of.id, keys, now)
        slices.forget(conn, of, keys)
        bury(conn, of.id, keys)
    conn.execute("UPDATE streams SET live_count = live_count - ? WHERE id = ?", (gone, of.id))
    return gone


def merge(conn: sqlite3.Connection, of: Source, stream: Stream, merges: Sequence[Merge], now: int) -> int:
    """
    Follow the vendor's own merges: a loser is gone (no guard asks, for its person stays), and what names it names the winner.

    Returns how many losers were live.
    """
    merges = [merge for merge in merges if merge.loser != merge.winner]
    losers, winners = [merge.loser for merge in merges], set()
    for loser, told in merges:
        winner = _lives_on_as(conn, of, loser, told, also_gone=losers)
        conn.execute("UPDATE merges SET winner = ? WHERE stream_id = ? AND winner = ?", (winner, of.id, loser))
        conn.execute("INSERT OR REPLACE INTO merges VALUES (?, ?, ?, ?)", (of.id, loser, winner, now))
        winners |= {told, winner}
    known = known_subjects(conn, of.id, losers)
    own = _own_kind(of.connection, stream.key, stream)
    if own is not None:
        unseen = numbered(conn, [loser for loser in losers if loser not in known], {})
        fresh = {(0, own, False): [(id_, loser) for loser, id_ in unseen.items()]}
        attach(conn, of.id, of.trust, unseen, {}, fresh, now)
    gone = remove(conn, of, losers, now)
    returned(conn, of, losers)
    bury(conn, of.id, losers)
    conn.execute(
        "UPDATE subjects SET dirty = 1 WHERE stream_id = ? AND ref IN (SELECT value FROM json_each(?))",
        (of.id, json.dumps(list(winners))),
    )
    return gone


def _lives_on_as(conn: sqlite3.Connection, of: Source, loser: str, winner: str, *, also_gone: Sequence[str]) -> str:
    """Return the object that *loser* is by now: what its *winner* was merged into, where that was told first."""
    row = conn.execute("SELECT winner FROM merges WHERE stream_id = ? AND loser = ?", (of.id, winner)).fetchone()
    if row is None:
        return winner
    live = conn.execute("SELECT 1 FROM subjects WHERE stream_id = ? AND ref = ? AND live = 1", (of.id, winner)).fetchone()
    if row[0] != loser and (live is None or winner in also_gone):
        return str(row[0])
    # the winner is there again
    conn.execute("DELETE FROM merges WHERE stream_id = ? AND loser = ?", (of.id, winner))
    return winner


def _own_kind(connection: str, key: Pick, stream: Stream) -> str | None:
    """The identifier kind that a record's own key is, where the stream says so."""
    return next((full_kind(connection, kind) for kind, where in stream.identifiers.items() if where == key), None)


def approve_stream(store: Store, connection: str, stream: str, at: datetime) -> int:
    """
    Accept the losses of a stream, or that it was taken out of the config; return how many rows were deleted.

    `resolve` must run before anything is evaluated again.
    """
    of = source(store, connection, stream)
    with store.atomic() as conn:
        removed = conn.execute("SELECT removed_at FROM streams WHERE id = ?", (of.id,)).fetchone()[0]
        if removed is None:
            return accept(conn, of, to_us(at))
        conn.execute("UPDATE streams SET held_since = NULL WHERE id = ?", (of.id,))
        conn.execute("UPDATE subjects SET dirty = 1 WHERE stream_id = ?", (of.id,))
        return 0

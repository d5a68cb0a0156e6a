"""
How far each slice of a stream has been pulled, and how a broken pull goes on.

A pull under way is a row with `began_run`. It moves in the transaction that stores the page it follows, so a kill at any
instant leaves records and checkpoint at one and the same point. Whether a pull may go on with its resume token, must start
over, or may go on from the cursor is decided here and nowhere else.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from core.clock import from_us, to_us
from core.contract import Page, Range, Stream

Cursor = datetime | str | None


@dataclass(frozen=True, slots=True)
class Start:
    """What a pull of one slice is to begin with."""

    cursor: Cursor
    resume: str | None
    _: KW_ONLY
    full: bool
    began_run: int
    began_at: int
    replacing: Range | None = None


def encode(cursor: Cursor) -> str | None:
    """Return a cursor as typed JSON, so that a time comes back as a time and a string untouched."""
    if cursor is None:
        return None
    if isinstance(cursor, str):
        return json.dumps({"s": cursor})
    return json.dumps({"t": to_us(cursor)})


def decode(text: str | None) -> Cursor:
    """Return what `encode` wrote."""
    if text is None:
        return None
    value = json.loads(text)
    return from_us(value["t"]) if "t" in value else str(value["s"])


def full_due(conn: sqlite3.Connection, stream_id: int, slice_: str, every: timedelta | None, now: datetime) -> bool:
    """Whether the last full pull of the slice is longer ago than *every*, or never was."""
    row = conn.execute(
        "SELECT full_completed_at FROM checkpoints WHERE stream_id = ? AND slice = ?", (stream_id, slice_)
    ).fetchone()
    if row is None or row[0] is None:
        return True
    return every is not None and to_us(now) - row[0] >= every // timedelta(microseconds=1)


def ended_ahead(conn: sqlite3.Connection, stream_id: int, slice_: str, now: datetime) -> bool:
    """
    Whether the slice's last pull ended later than it is now: the clock was ahead then.

    From a cursor that such a pull left nobody could say what was never asked for.
    """
    row = conn.execute("SELECT completed_at FROM checkpoints WHERE stream_id = ? AND slice = ?", (stream_id, slice_)).fetchone()
    return row is not None and row[0] is not None and row[0] > to_us(now)


def has_cursor(conn: sqlite3.Connection, stream_id: int, slice_: str) -> bool:
    """Whether the next pull of the slice can ask for changes only."""
    row = conn.execute("SELECT cursor FROM checkpoints WHERE stream_id = ? AND slice = ?", (stream_id, slice_)).fetchone()
    return row is not None and row[0] is not None


def begin(
    conn: sqlite3.Connection,
    stream: Stream,
    stream_id: int,
    slice_: str,
    *,
    full: bool,
    run_id: int,
    now: datetime,
    anew: bool = False,
) -> Start:
    """
    Return where a pull of the slice starts, and note that it is under way.

    *full* asks for everything; with *anew* also for what an earlier full pull, which was broken off, has seen already.
    """
    row: tuple[Any, ...] | None = conn.execute(
        "SELECT cursor, resume, began, began_run, full, began_at, replacing FROM checkpoints WHERE stream_id = ? AND slice = ?",
        (stream_id, slice_),
    ).fetchone()
    cursor, resume, began, began_run, was_full, began_at, replacing = row or (None, None, None, None, 0, 0, None)
    if began_run is None or (full and (anew or not was_full)):
        began_run = None  # nothing to go on with
    if began_run is not None and resume is not None:
        return Start(
            decode(began), resume, full=bool(was_full), began_run=began_run, began_at=began_at, replacing=_range(replacing)
        )
    if began_run is not None and was_full and stream.order == "asc" and cursor is not None:
        # its cursor moved page by page: what was seen before the kill stays seen
        start = Start(_handed(cursor, stream, now), None, full=True, began_run=began_run, began_at=began_at)
    else:
        full = full or (began_run is not None and bool(was_full))
        handed = None if full else _handed(cursor, stream, now)
        start = Start(handed, None, full=full or handed is None, began_run=run_id, began_at=to_us(now))
        if start.full and stream.order == "asc":
            cursor = None  # it now tells how far this pull is, not the last one
    conn.execute(
        "INSERT INTO checkpoints (stream_id, slice, cursor, began, began_run, full, began_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (stream_id, slice) DO UPDATE SET cursor = excluded.cursor, pending = NULL, resume = NULL, "
        "began = excluded.began, began_run = excluded.began_run, full = excluded.full, began_at = excluded.began_at, "
        "replacing = NULL",
        (stream_id, slice_, cursor, encode(start.cursor), start.began_run, start.full, start.began_at),
    )
    return start


def _handed(cursor: str | None, stream: Stream, now: datetime) -> Cursor:
    value = decode(cursor)
    return min(value, now) - stream.lookback if isinstance(value, datetime) else value


def move(conn: sqlite3.Connection, stream: Stream, stream_id: int, slice_: str, page: Page, *, asked_at: datetime) -> None:
    """
    Store what follows *page*: in the transaction that stores its records.

    A time after *asked_at* cannot be trusted (one record dated next year would hide all that come after it), so it is
    clamped to the moment before the page was asked for.
    """
    span = page.replaces
    replacing = None if span is None else json.dumps([to_us(span.start), to_us(span.end)])
    moved: tuple[str | None, ...] = ()
    if page.cursor is not None:
        cursor, pending, began_at = conn.execute(
            "SELECT cursor, pending, began_at FROM checkpoints WHERE stream_id = ? AND slice = ?", (stream_id, slice_)
        ).fetchone()
        if stream.order == "asc":
            cursor = _latest(cursor, page.cursor, asked_at)
        else:
            # without an order, a record passed early may change while later pages are read
            pending = _latest(pending, page.cursor, min(asked_at, from_us(began_at)))
        moved = (cursor, pending)
    conn.execute(
        f"UPDATE checkpoints SET {'cursor = ?, pending = ?, ' if moved else ''}resume = ?, full = full OR ?, replacing = ? "
        "WHERE stream_id = ? AND slice = ?",
        (*moved, page.resume, page.whole, replacing, stream_id, slice_),
    )


def _latest(old: str | None, new: datetime | str, limit: datetime) -> str | None:
    if isinstance(new, datetime):
        before = decode(old)
        new = min(new, limit)
        if isinstance(before, datetime):
            new = max(before, new)
    return encode(new)


def forget_resume(conn: sqlite3.Connection, stream_id: int, slice_: str) -> None:
    """Drop a resume token that the vendor no longer takes; the pull starts over with the cursor it began with."""
    conn.execute("UPDATE checkpoints SET resume = NULL, pending = NULL WHERE stream_id = ? AND slice = ?", (stream_id, slice_))


class UnderWay(NamedTuple):
    """A pull that has not ended: what it is compared with at its end."""

    began_run: int
    replacing: Range | None


def under_way(conn: sqlite3.Connection, stream_id: int, slice_: str) -> UnderWay:
    """Return the run in which the slice's pull began, and the range whose replacement is not finished."""
    began_run, replacing = conn.execute(
        "SELECT began_run, replacing FROM checkpoints WHERE stream_id = ? AND slice = ?", (stream_id, slice_)
    ).fetchone()
    return UnderWay(began_run, _range(replacing))


def finish(conn: sqlite3.Connection, stream_id: int, slice_: str, *, now: datetime) -> bool:
    """
    Note the clean end of the slice's pull; return whether it was a full one.

    The next full one is due by when this one began: what has gone since a record was read is not known to it.
    """
    cursor, pending, full = conn.execute(
        "SELECT cursor, pending, full FROM checkpoints WHERE stream_id = ? AND slice = ?", (stream_id, slice_)
    ).fetchone()
    last = decode(pending)
    if last is not None and not full and isinstance(last, datetime):
        pending = _latest(cursor, last, last)
    conn.execute(
        "UPDATE checkpoints SET cursor = coalesce(?, cursor), pending = NULL, resume = NULL, began = NULL, began_run = NULL, "
        "full = 0, began_at = NULL, replacing = NULL, completed_at = ?, "
        "full_completed_at = CASE WHEN ? THEN began_at ELSE full_completed_at END WHERE stream_id = ? AND slice = ?",
        (pending, to_us(now), full, stream_id, slice_),
    )
    return bool(full)


def _range(text: str | None) -> Range | None:
    if text is None:
        return None
    start, end = json.loads(text)
    return Range(from_us(start), from_us(end))


def start_over(conn: sqlite3.Connection, stream_id: int) -> None:
    """Have the next pull of a stream ask for everything; what is stored stays."""
    conn.execute(
        "UPDATE checkpoints SET cursor = NULL, pending = NULL, resume = NULL, began = NULL, began_run = NULL, full = 0,"
        " full_completed_at = NULL WHERE stream_id = ?",
        (stream_id,),
    )

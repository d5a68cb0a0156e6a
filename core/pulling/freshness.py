"""
How old and how whole the sources are: the store's streams as the values that the source guards judge.

Also when a connection's next pull is due. Nothing here decides anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from core.clock import from_us, to_us
from core.config.model import Config, ConnectionConfig
from core.contract import Category, Kind
from core.planning.guards import SourceState
from core.service.schedule import due_after
from core.store import ahead, holds, leases

DUE_TIMES_MISSED: Final = 2


def stale_at(connection: ConnectionConfig, config: Config, completed_at: datetime, took_s: float) -> datetime:
    """Return when a stream last complete at *completed_at* counts as stale."""
    workspace = config.workspace
    if connection.stale_after is not None:
        return completed_at + connection.stale_after
    if connection.schedule is None:
        return completed_at + workspace.stale_after
    at = completed_at
    for _ in range(DUE_TIMES_MISSED):
        at = due_after(connection.schedule, at, workspace.timezone)
    return at + timedelta(seconds=took_s)


def is_due(
    connection: ConnectionConfig, completed_at: datetime | None, now: datetime, zone: ZoneInfo, fresh: timedelta | None
) -> bool:
    """Return whether a connection is to be pulled before a sync; *fresh* says how old its last complete pull may be instead."""
    if completed_at is None or completed_at > now:  # a clock that was set back says nothing of how old a pull is
        return True
    if fresh is not None:
        return now - completed_at > fresh
    return connection.schedule is None or due_after(connection.schedule, completed_at, zone) <= now


def last_complete(conn: sqlite3.Connection, connection: str) -> datetime | None:
    """
    Return since when all streams of a connection have been complete and none failed; None where one never was.

    Where our clock was ahead when it was last pulled, that is as long ago as it is by the vendor's.
    """
    row = conn.execute(
        "SELECT min(coalesce(s.completed_at, 0)), max(s.error IS NOT NULL) FROM streams s"
        " JOIN connections c ON c.id = s.connection_id WHERE c.name = ? AND s.removed_at IS NULL",
        (connection,),
    ).fetchone()
    wrong = max(ahead.apart(conn).get(connection, timedelta(0)), timedelta(0))
    return None if not row[0] or row[1] else from_us(row[0]) - wrong


def everyones_streams(conn: sqlite3.Connection) -> frozenset[str]:
    """Return the streams that every sync rests on whatever its words are: those that brought consent, and those taken out."""
    rows = conn.execute(
        "SELECT s.id, c.name, s.name, s.removed_at IS NOT NULL FROM streams s JOIN connections c ON c.id = s.connection_id"
    ).fetchall()
    return frozenset(f"{connection}.{name}" for id_, connection, name, removed in rows if removed or _has_consents(conn, id_))


def _has_consents(conn: sqlite3.Connection, stream_id: int) -> bool:
    # streams of other kinds bring consent as rows of their own
    return conn.execute("SELECT 1 FROM consents WHERE stream_id = ? LIMIT 1", (stream_id,)).fetchone() is not None


def source_states(
    conn: sqlite3.Connection, names: Iterable[str], *, config: Config, now: datetime, leased: bool = False
) -> list[SourceState]:
    """
    Return what the store knows of the streams *names* (`connection.stream`), in order of name.

    *leased*: the caller holds the leases of their connections, so nobody pulls them.
    """
    return [_source_state(conn, name, config, now, leased=leased) for name in sorted(names)]


def _source_state(conn: sqlite3.Connection, name: str, config: Config, now: datetime, *, leased: bool) -> SourceState:
    connection, _, stream = name.partition(".")
    row = conn.execute(
        "SELECT s.id, c.category, s.kind, s.completed_at, s.error, s.took_s, s.accepted_count, s.live_count, s.held_since,"
        " s.removed_at, s.reading, c.resume_at, (SELECT count(*) FROM vanished v WHERE v.stream_id = s.id)"
        " FROM streams s JOIN connections c ON c.id = s.connection_id WHERE c.name = ? AND s.name = ?",
        (connection, stream),
    ).fetchone()
    if row is None:
        return SourceState(name, completed_at=None)
    id_, category, kind, completed, error, took_s, accepted, live, held_since, removed_at, reading, resume, vanished = row
    completed_at = _time(completed)
    configured = config.connections.get(connection)
    stale = None
    if configured is not None and completed_at is not None and removed_at is None:
        stale = stale_at(configured, config, completed_at, took_s or 0.0)
    newest_at, busy_days = _activity(conn, id_, now) if kind == Kind.EVENT and category != Category.FILE else (None, 0)
    return SourceState(
        name,
        completed_at=completed_at,
        error=error,
        half_read=reading is not None and (leased or not is_pulled(conn, name, now)),
        resume_at=_time(resume),
        stale_at=stale,
        accepted_count=accepted,
        live_count=live,
        vanished=vanished,
        vanished_held=held_since is not None,
        removed=removed_at is not None,
        newest_at=newest_at,
        busy_days=busy_days,
        approved_at=_time(holds.source_approved_at(conn, name, at=to_us(now))),
        may_be_quiet=holds.source_approved_at(conn, name, at=to_us(now), quiet=True) is not None,
    )


def is_pulled(conn: sqlite3.Connection, stream: str, now: datetime) -> bool:
    """Return whether somebody is pulling the connection of *stream* (`connection.stream`) right now."""
    return leases.is_held(conn, f"connection.{stream.partition('.')[0]}", lambda: now)


def _time(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)


def _activity(conn: sqlite3.Connection, stream_id: int, now: datetime) -> tuple[datetime | None, int]:
    """Return the newest row of an event stream up to *now*, and on how many of the 7 days before it there were rows."""
    names = [
        name_id
        for (name_id,) in conn.execute(
            "SELECT n.id FROM event_sources e JOIN event_names n ON n.name = e.name WHERE e.stream_id = ? AND e.what = 'event'",
            (stream_id,),
        )
    ]
    newest = max((t for t in (_latest(conn, stream_id, name, to_us(now)) for name in names) if t is not None), default=None)
    if newest is None or now - from_us(newest) <= timedelta(hours=48):
        return _time(newest), 0
    day = timedelta(days=1) // timedelta(microseconds=1)
    busy = 0
    for back in range(7):
        until, since = newest - back * day, newest - (back + 1) * day
        busy += any((t := _latest(conn, stream_id, name, until)) is not None and t > since for name in names)
    return from_us(newest), busy


def _latest(conn: sqlite3.Connection, stream_id: int, name_id: int, until: int) -> int | None:
    row = conn.execute(
        "SELECT time FROM events WHERE name_id = ? AND time <= ? AND stream_id = ? ORDER BY time DESC LIMIT 1",
        (name_id, until, stream_id),
    ).fetchone()
    return None if row is None else int(row[0])

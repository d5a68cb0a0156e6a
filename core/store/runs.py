"""What was run, when, how it ended and what it cost in requests."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.clock import from_us, to_us
from core.store.db import Store


class Status(StrEnum):
    """How a run ended."""

    DONE = "done"
    FAILED = "failed"
    HELD = "held"
    """Something waits for `tagalong approve`."""
    WAITING = "waiting"
    """Paused until a quota is there again."""
    STOPPED = "stopped"
    """The process was told to stop, the sync is paused, or somebody else is at it."""


@dataclass(frozen=True, slots=True)
class Run:
    """One line of `tagalong runs`."""

    id: int
    kind: str
    _: KW_ONLY
    name: str
    trigger: str
    started_at: datetime
    finished_at: datetime | None
    status: Status | None
    limited: bool
    summary: Mapping[str, Any]
    error: str | None


def start_run(store: Store, kind: str, name: str, *, at: datetime, trigger: str = "command", limited: bool = False) -> int:
    """Open a run record and return its id. *kind* is pull, sync, resolve or evaluate."""
    with store.atomic() as conn:
        made = conn.execute(
            "INSERT INTO runs (kind, name, trigger, started_at, limited) VALUES (?, ?, ?, ?, ?)",
            (kind, name, trigger, to_us(at), int(limited)),
        )
        return int(made.lastrowid or 0)


def finish_run(
    store: Store,
    run_id: int,
    status: str,
    *,
    at: datetime,
    summary: Mapping[str, Any] | None = None,
    error: str | None = None,
    requests: Mapping[str, Mapping[str, int]] | None = None,
) -> None:
    """Close a run record. *requests* is connection -> METHOD -> how many."""
    with store.atomic() as conn:
        conn.execute(
            "UPDATE runs SET finished_at = ?, status = ?, summary = ?, error = ? WHERE id = ?",
            (to_us(at), str(status), json.dumps(summary or {}, default=str), error, run_id),
        )
        for connection, counts in (requests or {}).items():
            count_requests(conn, run_id, connection, counts)


def count_requests(conn: sqlite3.Connection, run_id: int, connection: str, counts: Mapping[str, int]) -> None:
    """Add to what a run cost in requests."""
    conn.executemany(
        "INSERT INTO requests (run_id, connection, method, count) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (run_id, connection, method) DO UPDATE SET count = count + excluded.count",
        [(run_id, connection, method, count) for method, count in counts.items() if count],
    )


def requests_of(conn: sqlite3.Connection, run_id: int) -> dict[str, dict[str, int]]:
    """Return what a run cost: connection -> METHOD -> how many."""
    found: dict[str, dict[str, int]] = {}
    for connection, method, count in conn.execute("SELECT connection, method, count FROM requests WHERE run_id = ?", (run_id,)):
        found.setdefault(connection, {})[method] = count
    return found


_COLUMNS = "id, kind, name, trigger, started_at, finished_at, status, limited, summary, error"


def _run(row: tuple[Any, ...]) -> Run:
    return Run(
        row[0],
        row[1],
        name=row[2],
        trigger=row[3],
        started_at=from_us(row[4]),
        finished_at=None if row[5] is None else from_us(row[5]),
        status=None if row[6] is None else Status(row[6]),
        limited=bool(row[7]),
        summary=json.loads(row[8]),
        error=row[9],
    )


def runs(conn: sqlite3.Connection, *, kind: str | None = None, name: str | None = None, limit: int = 50) -> list[Run]:
    """Return the latest runs, newest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR name = ?2) ORDER BY id DESC LIMIT ?3",
        (kind, name, limit),
    )
    return [_run(row) for row in rows]


def last_finished(conn: sqlite3.Connection, kind: str, name: str, *, after: int = 0) -> Run | None:
    """Return the latest run of *name* that came to an end, however it ended, of those later than the run *after*."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE kind = ? AND name = ? AND finished_at IS NOT NULL AND id > ?"
        " ORDER BY id DESC LIMIT 1",
        (kind, name, after),
    ).fetchone()
    return None if row is None else _run(row)


def newest(conn: sqlite3.Connection) -> int:
    """Return the id of the run that was begun last, 0 where there is none."""
    return int(conn.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()[0])


def last_evaluated(conn: sqlite3.Connection) -> int:
    """Return as of when everybody was last looked at (microseconds), 0 if never."""
    asked = "SELECT started_at FROM runs WHERE kind = 'evaluate' AND name = 'all' ORDER BY id DESC LIMIT 1"
    row = conn.execute(asked).fetchone()
    return 0 if row is None else int(row[0])


def began_after(conn: sqlite3.Connection, kind: str, name: str, *, after: int, but: int) -> bool:
    """Return whether a run of *name* later than the run *after* was begun, other than *but*."""
    row = conn.execute(
        "SELECT 1 FROM runs WHERE kind = ? AND name = ? AND id > ? AND id <> ? LIMIT 1", (kind, name, after, but)
    ).fetchone()
    return row is not None


def has_completed(conn: sqlite3.Connection, sync: str) -> bool:
    """Return whether a sync has ever run to its end; `--limit` runs do not count."""
    row = conn.execute(
        "SELECT 1 FROM runs WHERE kind = 'sync' AND name = ? AND status = 'done' AND limited = 0 LIMIT 1", (sync,)
    ).fetchone()
    return row is not None

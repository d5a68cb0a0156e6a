"""What the runs of one pull or sync say of it: the last that tells anything, since when it is bad, what it gave up on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from core.clock import from_us

TELLING: Final = "('done', 'held', 'failed')"
"""A run that waits for a quota, or was told to stop, says neither that all is well nor that it is not."""
GOOD: Final = "('done', 'held')"
LOOK_BACK: Final = 20
"""Runs in which nothing was sent, and so nothing refused, that are passed over to find one in which something was."""


@dataclass(frozen=True, slots=True)
class Last:
    """One run."""

    id: int
    status: str
    started_us: int
    finished_us: int
    error: str | None
    bad_since: datetime | None = None
    bad_runs: int = 0

    @property
    def started_at(self) -> datetime:
        return from_us(self.started_us)

    @property
    def finished_at(self) -> datetime:
        return from_us(self.finished_us)


@dataclass(frozen=True, slots=True)
class Refused:
    """The new dead letters of the last run in which anything moved."""

    count: int
    of: int
    at: datetime


def last_run(
    conn: sqlite3.Connection, kind: str, name: str, *, good: bool = False, first: bool = False, after: int = 0
) -> Last | None:
    """Return the last finished run, or the *first*; of those that were *good* alone."""
    row = conn.execute(
        "SELECT id, status, started_at, finished_at, error FROM runs WHERE kind = ? AND name = ? AND id > ? AND finished_at"
        f" IS NOT NULL {f'AND status IN {GOOD}' if good else ''} ORDER BY id {'ASC' if first else 'DESC'} LIMIT 1",
        (kind, name, after),
    ).fetchone()
    return None if row is None else Last(*row)


def last_telling(conn: sqlite3.Connection, kind: str, name: str, *, after: int = 0) -> Last | None:
    """Return the last run that says whether all is well; if it failed, with the first of the failures and their number."""
    row = conn.execute(
        "SELECT id, status, started_at, finished_at, error FROM runs WHERE kind = ? AND name = ? AND id > ?"
        f" AND finished_at IS NOT NULL AND status IN {TELLING} ORDER BY id DESC LIMIT 1",
        (kind, name, after),
    ).fetchone()
    if row is None or row[1] != "failed":
        return None if row is None else Last(*row)
    good = last_run(conn, kind, name, good=True, after=after)
    since, count = conn.execute(
        "SELECT min(finished_at), count(*) FROM runs WHERE kind = ? AND name = ? AND id > ? AND status = 'failed'",
        (kind, name, after if good is None else good.id),
    ).fetchone()
    return replace(Last(*row), bad_since=from_us(since), bad_runs=count)


def new_refusals(conn: sqlite3.Connection, kind: str, name: str, *, after: int = 0) -> Refused | None:
    """Return what the last run in which anything was sent or read gave up on for the first time; None where none was."""
    for run_id, started_at, finished_at, summary in conn.execute(
        "SELECT id, started_at, finished_at, summary FROM runs WHERE kind = ? AND name = ? AND id > ?"
        f" AND finished_at IS NOT NULL AND status <> 'stopped' ORDER BY id DESC LIMIT {LOOK_BACK}",
        (kind, name, after),
    ):
        (count,) = conn.execute(
            "SELECT count(*) FROM dead_letters WHERE run_id = ? AND what = ? AND first_at >= ?",
            (run_id, "record" if kind == "pull" else "member", started_at),
        ).fetchone()
        of = _moved(kind, json.loads(summary))
        if count or of:
            return Refused(count, max(of, count), from_us(finished_at))
    return None


def _moved(kind: str, summary: Mapping[str, Any]) -> int:
    """Return how many records a pull read, or members a sync had an answer for."""
    if kind == "pull":
        return sum(int(stream.get("records", 0)) for stream in summary.values() if isinstance(stream, Mapping))
    answered = (audience.get("verdicts", {}) for audience in summary.values() if isinstance(audience, Mapping))
    return sum(sum(verdicts.values()) for verdicts in answered)

"""
Vendors that do not answer: how often in a row, since when, and when the next probe is due. Shared by all processes.

A row is there from the first failed request to the next that is answered; with `probe_at` the connection is left alone until
then. What counts as a failure, and how long the distances are, is `core.http.outage`'s.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.clock import from_us, to_us

LONGEST_REST: Final = timedelta(hours=1)
"""No probe is further off than this."""


@dataclass(frozen=True, slots=True)
class Away:
    """One vendor that does not answer."""

    connection: str
    failures: int
    since: datetime
    probes: int
    probe_at: datetime | None
    """Until when it is left alone; None while every request is still tried."""
    reason: str


_COLUMNS = "connection, failures, since, probes, probe_at, reason"


def _away(row: tuple[str, int, int, int, int | None, str]) -> Away:
    connection, failures, since, probes, probe_at, reason = row
    return Away(connection, failures, from_us(since), probes, None if probe_at is None else from_us(probe_at), reason)


def away(conn: sqlite3.Connection, connection: str) -> Away | None:
    """Return what is known of a connection whose vendor did not answer the last request."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM outages WHERE connection = ?", (connection,)).fetchone()
    return None if row is None else _away(row)


def left_alone(conn: sqlite3.Connection) -> dict[str, Away]:
    """Return the connections that are left alone, by name."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM outages WHERE probe_at IS NOT NULL")
    return {row[0]: _away(row) for row in rows}


def failed(conn: sqlite3.Connection, connection: str, reason: str, *, at: datetime) -> Away:
    """Note one more failure and return how it stands."""
    row = conn.execute(
        "INSERT INTO outages (connection, failures, since, reason) VALUES (?, 1, ?, ?)"
        f" ON CONFLICT DO UPDATE SET failures = failures + 1, reason = excluded.reason RETURNING {_COLUMNS}",
        (connection, to_us(at), reason),
    ).fetchone()
    return _away(row)


def leave_alone(conn: sqlite3.Connection, connection: str, *, at: datetime, until: datetime) -> bool:
    """Leave a connection alone from now on; False where it is already."""
    done = conn.execute(
        "UPDATE outages SET opened_at = ?, probe_at = ? WHERE connection = ? AND probe_at IS NULL",
        (to_us(at), to_us(until), connection),
    )
    return done.rowcount > 0


def claim_probe(conn: sqlite3.Connection, known: Away, *, then: datetime) -> bool:
    """Claim the probe that is due, the next one being due *then*; False where somebody else did first."""
    assert known.probe_at is not None
    done = conn.execute(
        "UPDATE outages SET probes = probes + 1, probe_at = ? WHERE connection = ? AND probe_at = ?",
        (to_us(then), known.connection, to_us(known.probe_at)),
    )
    return done.rowcount > 0


def answered(conn: sqlite3.Connection, connection: str) -> Away | None:
    """Forget the outage of a connection and return what it was; None where somebody else did first."""
    row = conn.execute(f"DELETE FROM outages WHERE connection = ? RETURNING {_COLUMNS}", (connection,)).fetchone()
    return None if row is None else _away(row)

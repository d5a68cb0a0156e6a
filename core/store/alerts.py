"""What each alert has told, and the messages that wait to be delivered: one writer's words for both, times in microseconds."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Final

DAY_US: Final = 86_400_000_000
KEPT_FOR_US: Final = 30 * DAY_US
"""How long a message that was delivered, or given up on, can be looked at."""
FAR_US: Final = 2 * DAY_US
"""No try is so far ahead: where one seems to be, the clock has gone back."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the outbox."""

    id: int
    alert: str
    _: KW_ONLY
    message_id: str
    notice: str
    made_at: int
    attempts: int
    next_try_at: int
    reason: str | None
    given_up_at: int | None = None


_COLUMNS: Final = "id, alert, message_id, notice, made_at, attempts, next_try_at, reason, given_up_at"


def _message(row: tuple[object, ...]) -> Message:
    names = _COLUMNS.split(", ")
    return Message(*row[:2], **dict(zip(names[2:], row[2:], strict=True)))  # type: ignore[arg-type]  # in the table's types


# --- what was told


def told(conn: sqlite3.Connection) -> dict[str, dict[tuple[str, str], int]]:
    """Return by alert what it told as begun and not yet as over: (subject, state) and since when it was so."""
    found: dict[str, dict[tuple[str, str], int]] = {}
    for alert, subject, state, since in conn.execute("SELECT alert, subject, state, since FROM alert_states"):
        found.setdefault(alert, {})[subject, state] = since
    return found


def reasons(conn: sqlite3.Connection, alert: str) -> list[tuple[str, str, int, str]]:
    """Return subject, state, since when and why, of all that *alert* told as begun."""
    rows = conn.execute("SELECT subject, state, since, reason FROM alert_states WHERE alert = ? ORDER BY since", (alert,))
    return rows.fetchall()


def begin(conn: sqlite3.Connection, alert: str, subject: str, state: str, *, since: int, reason: str) -> None:
    """Note that *alert* tells of a state."""
    conn.execute("INSERT OR REPLACE INTO alert_states VALUES (?, ?, ?, ?, ?)", (alert, subject, str(state), since, reason))


def end(conn: sqlite3.Connection, alert: str, subject: str, state: str) -> None:
    """Note that a state is over."""
    conn.execute("DELETE FROM alert_states WHERE alert = ? AND subject = ? AND state = ?", (alert, subject, str(state)))


def names(conn: sqlite3.Connection) -> set[str]:
    """Return the alerts of which anything is stored, old messages apart."""
    rows = conn.execute(
        "SELECT alert FROM alert_states UNION SELECT alert FROM alert_endpoints UNION SELECT alert FROM alert_outbox"
        " WHERE sent_at IS NULL AND given_up_at IS NULL"
    )
    return {alert for (alert,) in rows}


def drop(conn: sqlite3.Connection, alerts: Iterable[str]) -> None:
    """Forget all of some alerts."""
    array = json.dumps(list(alerts))
    for table in ("alert_states", "alert_outbox", "alert_endpoints"):
        conn.execute(f"DELETE FROM {table} WHERE alert IN (SELECT value FROM json_each(?))", (array,))


# --- the outbox


def post(conn: sqlite3.Connection, alert: str, notice: str, *, at: int) -> None:
    """Leave a message to be delivered; old ones go."""
    conn.execute(
        "INSERT INTO alert_outbox (alert, message_id, notice, made_at, next_try_at) VALUES (?, ?, ?, ?, ?)",
        (alert, new_id(), notice, at, at),
    )
    conn.execute("DELETE FROM alert_outbox WHERE coalesce(sent_at, given_up_at) < ?", (at - KEPT_FOR_US,))


def new_id() -> str:
    """Return a name for a message, by which whoever gets it twice can tell."""
    return f"msg_{secrets.token_hex(16)}"


def claim(conn: sqlite3.Connection, alert: str, *, at: int, until: int) -> Message | None:
    """
    Take the first message that waits for *alert*, if it is due; nobody else does so before *until*.

    The first alone: that all is well again is not told before what was wrong.
    """
    row = conn.execute(
        f"UPDATE alert_outbox SET attempts = attempts + 1, next_try_at = ?1 WHERE id = (SELECT min(id) FROM alert_outbox"
        " WHERE alert = ?2 AND sent_at IS NULL AND given_up_at IS NULL) AND (next_try_at <= ?3 OR next_try_at > ?4)"
        f" RETURNING {_COLUMNS}",
        (until, alert, at, at + FAR_US),
    ).fetchone()
    return None if row is None else _message(row)


def delivered(conn: sqlite3.Connection, message: Message, *, at: int) -> int | None:
    """Note that a message has arrived; return since when its endpoint had been away, if it had."""
    conn.execute("UPDATE alert_outbox SET sent_at = ?, reason = NULL WHERE id = ?", (at, message.id))
    row = conn.execute("DELETE FROM alert_endpoints WHERE alert = ? RETURNING away_since", (message.alert,)).fetchone()
    return None if row is None else int(row[0])


def put_off(conn: sqlite3.Connection, message: Message, *, reason: str, at: int, next_try_at: int | None) -> bool:
    """Note that a message did not arrive (*next_try_at* None: and never will); return whether that is news of its endpoint."""
    given_up_at = at if next_try_at is None else None
    conn.execute(
        "UPDATE alert_outbox SET reason = ?, next_try_at = coalesce(?, next_try_at), given_up_at = ? WHERE id = ?",
        (reason, next_try_at, given_up_at, message.id),
    )
    there = conn.execute("SELECT 1 FROM alert_endpoints WHERE alert = ?", (message.alert,)).fetchone()
    conn.execute(
        "INSERT INTO alert_endpoints VALUES (?, ?, ?) ON CONFLICT (alert) DO UPDATE SET reason = excluded.reason",
        (message.alert, at, reason),
    )
    return there is None


def undelivered(conn: sqlite3.Connection, alert: str) -> list[Message]:
    """Return what waits to be delivered, and what was given up on, oldest first."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM alert_outbox WHERE alert = ? AND sent_at IS NULL ORDER BY id", (alert,))
    return [_message(row) for row in rows]


def away_since(conn: sqlite3.Connection, alert: str) -> int | None:
    """Return since when nothing could be delivered to *alert*."""
    row = conn.execute("SELECT away_since FROM alert_endpoints WHERE alert = ?", (alert,)).fetchone()
    return None if row is None else int(row[0])

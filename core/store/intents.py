"""
What is about to be sent: written before a batch leaves, settled after its answer was read.

An open intent is a question, not an answer: after a crash nobody knows whether the vendor acted. One with a job is known to be
under way there. A member of an intent is open until it has a verdict; the intent is settled when all its members have one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from core.contract import Op, Ref


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a batch."""

    op: Op
    member_key: str
    _: KW_ONLY
    profile_id: int | None
    ref: Ref
    value_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch that was not settled, with its open members."""

    id: int
    sync: str
    _: KW_ONLY
    run_id: int
    written_at: int
    job: str | None
    members: tuple[Member, ...]
    approved: bool = False
    """A job's: what it moves is not counted by the guards, for it was let through, or was a first run's."""


def write(conn: sqlite3.Connection, audience_id: int, members: Iterable[Member], *, sync: str, run_id: int, at: int) -> int:
    """Write an intent; commit before anything is sent."""
    made = conn.execute(
        "INSERT INTO intents (audience_id, sync, run_id, written_at) VALUES (?, ?, ?, ?)", (audience_id, sync, run_id, at)
    )
    intent_id = int(made.lastrowid or 0)
    _insert(conn, intent_id, members)
    return intent_id


def _insert(conn: sqlite3.Connection, intent_id: int, members: Iterable[Member]) -> None:
    conn.executemany(
        "INSERT INTO intent_members (intent_id, op, member_key, profile_id, remote_id, handle, object, value_hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (intent_id, m.op, m.member_key, m.profile_id, m.ref.remote_id, m.ref.handle, m.ref.object, m.value_hash)
            for m in members
        ),
    )


def settle(conn: sqlite3.Connection, intent_id: int, verdicts: Iterable[tuple[Member, str, str]], *, at: int) -> None:
    """Write what became of members, as (member, verdict, reason), and close the intent when none is open any more."""
    conn.executemany(
        "UPDATE intent_members SET verdict = ?, reason = ? WHERE intent_id = ? AND op = ? AND member_key = ?",
        ((verdict, reason, intent_id, member.op, member.member_key) for member, verdict, reason in verdicts),
    )
    conn.execute("UPDATE intents SET sent_at = coalesce(sent_at, ?) WHERE id = ?", (at, intent_id))
    conn.execute(
        "UPDATE intents SET settled_at = ? WHERE id = ? AND settled_at IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM intent_members WHERE intent_id = intents.id AND verdict IS NULL)",
        (at, intent_id),
    )


def hand_to_job(
    conn: sqlite3.Connection, intent_id: int, members: Sequence[Member], job: str, *, at: int, approved: bool
) -> None:
    """Move *members* to an intent of their own that waits for *job*: a batch may be several jobs, and partly none."""
    audience_id, sync, run_id, written_at = conn.execute(
        "SELECT audience_id, sync, run_id, written_at FROM intents WHERE id = ?", (intent_id,)
    ).fetchone()
    made = conn.execute(
        "INSERT INTO intents (audience_id, sync, run_id, written_at, sent_at, job, approved) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (audience_id, sync, run_id, written_at, at, job, approved),
    )
    conn.executemany(
        "UPDATE intent_members SET intent_id = ? WHERE intent_id = ? AND op = ? AND member_key = ?",
        ((made.lastrowid, intent_id, member.op, member.member_key) for member in members),
    )


def open_intents(conn: sqlite3.Connection, audience_id: int) -> Iterator[Intent]:
    """Yield what is not settled now, oldest first; each may be settled before the next is asked for."""
    rows = conn.execute(
        "SELECT id, sync, run_id, written_at, job, approved FROM intents"
        " WHERE audience_id = ? AND settled_at IS NULL ORDER BY id",
        (audience_id,),
    ).fetchall()
    for intent_id, sync, run_id, written_at, job, approved in rows:
        members = open_members(conn, intent_id)
        yield Intent(intent_id, sync, run_id=run_id, written_at=written_at, job=job, members=members, approved=bool(approved))


def open_members(conn: sqlite3.Connection, intent_id: int) -> tuple[Member, ...]:
    """Return the members of an intent that have no verdict."""
    rows = conn.execute(
        "SELECT op, member_key, profile_id, remote_id, handle, object, value_hash FROM intent_members"
        " WHERE intent_id = ? AND verdict IS NULL ORDER BY op, member_key",
        (intent_id,),
    )
    return tuple(map(_member, rows))


def _member(row: Sequence[Any]) -> Member:
    op, key, profile_id, remote_id, handle, object_, value_hash = row
    ref = Ref(remote_id, handle=handle, object=object_)
    return Member(Op(op), key, profile_id=profile_id, ref=ref, value_hash=value_hash)


def any_open(conn: sqlite3.Connection, audience_id: int) -> bool:
    """Return whether anything that was sent, or was about to be, has no answer yet."""
    row = conn.execute("SELECT 1 FROM intents WHERE audience_id = ? AND settled_at IS NULL LIMIT 1", (audience_id,)).fetchone()
    return row is not None


def any_written(conn: sqlite3.Connection, audience_id: int) -> bool:
    """Return whether anything was ever about to be sent to an audience."""
    return conn.execute("SELECT 1 FROM intents WHERE audience_id = ? LIMIT 1", (audience_id,)).fetchone() is not None

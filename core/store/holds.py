"""
What waits for `tagalong approve`, and what was approved.

A hold is of one audience of a sync (its label: `SYNC` or `SYNC.GROUP`), and shows the members it holds. An approval names those
members, a text (a definition, a retarget), or a stream, and ends by itself.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Final

from pyroaring import BitMap

MEMBERS_FOR: Final = timedelta(hours=24)
STREAM_FOR: Final = timedelta(days=7)
FOREVER_US: Final = 2**62
QUIET: Final = "quiet"
"""In place of a text: of a stream it was approved that it brings nothing, and no more than that."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that is not sent until a person says so."""

    target: str
    kind: str
    """removals, adds, moves, source, vanished, retarget, unseen, baseline, gone."""
    _: KW_ONLY
    reason: str
    facts: Mapping[str, Any]
    since: int
    adds: BitMap
    removes: BitMap
    definition: str | None = None


def replace_holds(conn: sqlite3.Connection, target: str, holds: Iterable[Hold], *, keep: Collection[str] = ()) -> None:
    """Make *holds* all that is held of *target*, but for those of the kinds in *keep*; one that stays keeps its time."""
    new = {hold.kind: hold for hold in holds}
    for (kind,) in conn.execute("SELECT kind FROM holds WHERE target = ?", (target,)).fetchall():
        if kind not in new and kind not in keep:
            conn.execute("DELETE FROM holds WHERE target = ? AND kind = ?", (target, kind))
    for hold in new.values():
        facts = {**hold.facts, **({"definition": hold.definition} if hold.definition else {})}
        conn.execute(
            "INSERT INTO holds (target, kind, reason, facts, since, adds, removes) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (target, kind) DO UPDATE SET reason = excluded.reason, facts = excluded.facts, adds = excluded.adds,"
            " removes = excluded.removes",
            (
                target,
                hold.kind,
                hold.reason,
                json.dumps(facts, default=str),
                hold.since,
                hold.adds.serialize(),
                hold.removes.serialize(),
            ),
        )


def holds(conn: sqlite3.Connection, *, sync: str | None = None) -> list[Hold]:
    """Return what is held, of all or of one sync with all its groups."""
    found = []
    for target, kind, reason, facts, since, adds, removes in conn.execute(
        "SELECT target, kind, reason, facts, since, adds, removes FROM holds ORDER BY target, kind"
    ):
        if sync is not None and target != sync and not target.startswith(f"{sync}."):
            continue
        parsed = json.loads(facts)
        found.append(
            Hold(
                target,
                kind,
                reason=reason,
                facts=parsed,
                since=since,
                adds=BitMap.deserialize(adds) if adds else BitMap(),
                removes=BitMap.deserialize(removes) if removes else BitMap(),
                definition=parsed.get("definition"),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Approved:
    """The members that a person let through and that are still good."""

    adds: BitMap
    removes: BitMap


def approve_members(conn: sqlite3.Connection, label: str, adds: BitMap, removes: BitMap, *, at: int) -> None:
    """Let these members, and nobody else, through for 24 hours."""
    expires_at = at + MEMBERS_FOR // timedelta(microseconds=1)
    conn.execute(
        "INSERT INTO approvals (target, kind, adds, removes, at, expires_at) VALUES (?, 'members', ?, ?, ?, ?)",
        (label, adds.serialize(), removes.serialize(), at, expires_at),
    )


def approved_members(conn: sqlite3.Connection, label: str, *, at: int) -> Approved:
    """Return who of *label* was let through and still is at *at*."""
    found = Approved(BitMap(), BitMap())
    for adds, removes in conn.execute(
        "SELECT adds, removes FROM approvals WHERE target = ? AND kind = 'members' AND at <= ? AND expires_at > ?",
        (label, at, at),
    ):
        found.adds.update(BitMap.deserialize(adds))
        found.removes.update(BitMap.deserialize(removes))
    return found


def approve_text(conn: sqlite3.Connection, label: str, kind: str, definition: str, *, at: int) -> None:
    """Let a retarget, or words that no pull has shown, through until the text is another."""
    conn.execute(
        "INSERT INTO approvals (target, kind, definition, at, expires_at) VALUES (?, ?, ?, ?, ?)",
        (label, kind, definition, at, FOREVER_US),
    )


def approved_text(conn: sqlite3.Connection, label: str, kind: str, definition: str, *, since: int | None = None) -> bool:
    """Return whether just this text was approved, and later than *since*."""
    row = conn.execute(
        "SELECT definition, at FROM approvals WHERE target = ? AND kind = ? ORDER BY id DESC LIMIT 1", (label, kind)
    ).fetchone()
    return row is not None and row[0] == definition and (since is None or row[1] > since)


def end_text(conn: sqlite3.Connection, label: str, kind: str) -> None:
    """End what was approved of a text: it has been acted on."""
    conn.execute("DELETE FROM approvals WHERE target = ? AND kind = ?", (label, kind))


def approve_source(conn: sqlite3.Connection, stream: str, *, at: int, quiet: bool = False) -> None:
    """
    Let syncs run on what is stored of `connection.stream`, for 7 days.

    *quiet*: only that it brings nothing was looked at; a pull that fails tomorrow is another matter.
    """
    expires_at = at + STREAM_FOR // timedelta(microseconds=1)
    conn.execute(
        "INSERT INTO approvals (target, kind, definition, at, expires_at) VALUES (?, 'source', ?, ?, ?)",
        (stream, QUIET if quiet else None, at, expires_at),
    )


def source_approved_at(conn: sqlite3.Connection, stream: str, *, at: int, quiet: bool = False) -> int | None:
    """
    Return when `connection.stream` was last approved as it is, or None where that has ended.

    *quiet*: that it brings nothing, which is part of what is let be of one that fails.
    """
    row = conn.execute(
        "SELECT max(at) FROM approvals WHERE target = ? AND kind = 'source' AND at <= ? AND expires_at > ?"
        " AND (? OR definition IS NOT ?)",
        (stream, at, at, quiet, QUIET),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])

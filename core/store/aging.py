"""
Letting go of history for its age, in small transactions: others write between any two of them, and a kill loses nothing.

What is now is never touched, nor what a question about a time within the horizon is answered from:

- an approval stays for as long as it holds;
- of the runs the latest of each sort of end stays, since due times and first runs hang on it; of the intents those that are
  open, and the latest of each audience, since it says that something was ever sent there;
- of the memberships of each set the last two changes before the horizon stay, the earlier of them as everybody who was in by
  then, which is what a first record looks like;
- of each field the value that held at the horizon stays.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from pyroaring import BitMap

from core.clock import from_us, to_us
from core.config.model import Retention
from core.store.db import Store
from core.store.memberships import recorded

BATCH: Final = 2_000
"""Rows of one transaction: some tens of milliseconds."""
READ: Final = 20_000
"""Rows looked at in one step where a whole table is walked."""

Stopping = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of one sort of history."""

    what: str
    """A key of `[workspace.retention]`."""
    before: datetime
    rows: int


def prune(
    store: Store, retention: Retention, now: datetime, *, dry_run: bool = False, stopping: Stopping = lambda: False
) -> list[Pruned]:
    """
    Delete what is older than its retention, or with *dry_run* count it; return how many rows of each sort.

    Call it under a lease of its own. Told to stop, it ends after the transaction in hand.
    """
    found = []
    for what, walk in _WALKS.items():
        kept = getattr(retention, what)
        if kept is None or stopping():
            continue
        before = now - kept
        rows = sum(_batch(store, steps, dry_run) for steps in _until(walk(store.conn, to_us(before)), stopping))
        found.append(Pruned(what, before, rows))
        if not dry_run and rows:
            with store.atomic() as conn:
                conn.execute(
                    "INSERT INTO history_begins (what, at, pruned_at) VALUES (?, ?, ?) ON CONFLICT (what) DO UPDATE SET"
                    " at = max(at, excluded.at), pruned_at = excluded.pruned_at",
                    (what, to_us(before), to_us(now)),
                )
    return found


def begins(conn: sqlite3.Connection, what: str) -> datetime | None:
    """Return since when history of a sort is there; None where nothing of it was ever pruned."""
    row = conn.execute("SELECT at FROM history_begins WHERE what = ?", (what,)).fetchone()
    return None if row is None else from_us(row[0])


Step = tuple[str, list[tuple[Any, ...]], bool]
"""A statement, the values that it is executed with one after another, and whether its rows are counted."""
Batch = list[Step]
"""Steps of one transaction."""


def _batch(store: Store, steps: Batch, dry_run: bool) -> int:
    if dry_run:
        return sum(len(values) for _, values, counts in steps if counts)
    rows = 0
    with store.atomic() as conn:
        for statement, values, counts in steps:
            done = conn.executemany(statement, values).rowcount
            rows += done if counts else 0
    return rows


def _until(batches: Iterator[Batch], stopping: Stopping) -> Iterator[Batch]:
    for batch in batches:
        if stopping():
            return
        yield batch


def _parts(rows: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _runs(conn: sqlite3.Connection, before: int) -> Iterator[Batch]:
    old = conn.execute(
        "SELECT id FROM runs WHERE started_at < ?1"
        " AND id NOT IN (SELECT max(id) FROM runs GROUP BY kind, name, status, limited)",
        (before,),
    ).fetchall()
    for part in _parts(old):
        yield [("DELETE FROM requests WHERE run_id = ?", part, False), ("DELETE FROM runs WHERE id = ?", part, True)]
    sent = conn.execute(
        "SELECT id FROM intents WHERE settled_at < ?1 AND id NOT IN (SELECT max(id) FROM intents GROUP BY audience_id)",
        (before,),
    ).fetchall()
    for part in _parts(sent):
        yield [
            ("DELETE FROM intent_members WHERE intent_id = ?", part, False),
            ("DELETE FROM intents WHERE id = ?", part, True),
        ]
    hours = conn.execute("SELECT audience_id, at, run_id FROM churn WHERE at < ?", (before,)).fetchall()
    for part in _parts(hours):
        yield [("DELETE FROM churn WHERE audience_id = ? AND at = ? AND run_id = ?", part, True)]
    ended = conn.execute("SELECT id FROM approvals WHERE expires_at < ?", (before,)).fetchall()
    for part in _parts(ended):
        yield [("DELETE FROM approvals WHERE id = ?", part, True)]


def _memberships(conn: sqlite3.Connection, before: int) -> Iterator[Batch]:
    for (name,) in conn.execute("SELECT DISTINCT name FROM membership_history WHERE at < ?", (before,)).fetchall():
        old = conn.execute(
            "SELECT name, run_id FROM membership_history WHERE name = ? AND at < ? ORDER BY at DESC, run_id DESC",
            (name, before),
        ).fetchall()
        now = recorded(conn, name)
        if len(old) <= 2 or now is None:
            continue
        base, members = old[1], _members_after(conn, name, old[1][1], now.members)
        collapse = (
            "UPDATE membership_history SET entered = ?, left = ? WHERE name = ? AND run_id = ?",
            [(members.serialize(), BitMap().serialize(), *base)],
            False,
        )
        yield [collapse, ("DELETE FROM membership_history WHERE name = ? AND run_id = ?", old[2:], True)]


def _members_after(conn: sqlite3.Connection, name: str, run_id: int, members: BitMap) -> BitMap:
    """Return who was in after the change of *run_id*: those of now, with all later changes taken back."""
    for later, entered, left in conn.execute(
        "SELECT run_id, entered, left FROM membership_history WHERE name = ? ORDER BY at DESC, run_id DESC", (name,)
    ):
        if later == run_id:
            break
        members = (members - BitMap.deserialize(entered)) | BitMap.deserialize(left)
    return members


def _field_history(conn: sqlite3.Connection, before: int) -> Iterator[Batch]:
    columns, last = "of, field, of_id, from_at", ("", "", 0, 0)
    while True:
        rows = conn.execute(
            f"SELECT {columns} FROM field_history WHERE ({columns}) > (?, ?, ?, ?) ORDER BY {columns} LIMIT {READ + 1}", last
        ).fetchall()
        # a value is let go of when the next one of the same field had come by the horizon too
        old = [row for row, after in pairwise(rows) if row[:3] == after[:3] and after[3] <= before]
        for part in _parts(old):
            yield [("DELETE FROM field_history WHERE of = ? AND field = ? AND of_id = ? AND from_at = ?", part, True)]
        if len(rows) <= READ:
            return
        last = rows[-2]


def _dead_letters(conn: sqlite3.Connection, before: int) -> Iterator[Batch]:
    old = conn.execute("SELECT id FROM dead_letters WHERE coalesce(given_up_at, dropped_at) < ?", (before,)).fetchall()
    for part in _parts(old):
        yield [("DELETE FROM dead_letters WHERE id = ?", part, True)]


_WALKS: Final[dict[str, Callable[[sqlite3.Connection, int], Iterator[Batch]]]] = {
    "runs": _runs,
    "memberships": _memberships,
    "field_history": _field_history,
    "dead_letters": _dead_letters,
}

"""
What was given up on for now: records that could not be read and members that a destination refused.

A dead letter never blocks anybody else. A member's is tried again at the next run, after a day and after a week, each time with
that day's wish; then it is given up. What the vendor said is kept as its code and, masked, as its sentence. What a person does
about dead letters is `core.store.letters`' business; one that was dropped rests until the person or the wish changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final

from pyroaring import BitMap

from core.contract.audiences import Of
from core.store.audiences import PERSON

DAY_US: Final = 86_400_000_000
TRY_AGAIN_AFTER_US: Final = (0, DAY_US, 7 * DAY_US)
"""After the first, second and third refusal of a member; the fourth is the last."""
OUTCOME_UNKNOWN: Final = "outcome unknown"
"""Reason of a member of whom nobody can tell whether it arrived."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A member that the destination refused."""

    key: str
    op: str
    _: KW_ONLY
    profile_id: int | None
    reason: str
    message: str = ""
    """The vendor's own words, masked."""
    final: bool = False
    """Not to be tried again: the outcome is unknown and asking twice would do harm."""


def bury_record(conn: sqlite3.Connection, *, connection: str, stream: str, key: str, reason: str, run_id: int, at: int) -> bool:
    """
    Keep a record that could not be read, with its reason; the same record again only counts an attempt.

    Returns:
        Whether it is news: it could be read until now, or fails for another reason than before.
    """
    row = conn.execute(
        "SELECT id, reason FROM dead_letters WHERE what = 'record' AND connection = ? AND stream = ? AND audience_id IS NULL"
        " AND key = ?",
        (connection, stream, key),
    ).fetchone()
    if row is None:
        conn.execute(
            "INSERT INTO dead_letters (what, connection, stream, key, reason, first_at, last_at, run_id)"
            " VALUES ('record', ?, ?, ?, ?, ?, ?, ?)",
            (connection, stream, key, reason, at, at, run_id),
        )
        return True
    conn.execute(
        "UPDATE dead_letters SET dropped_at = iif(reason = ?1, dropped_at, NULL), reason = ?1, attempts = attempts + 1,"
        " last_at = ?2, run_id = ?3 WHERE id = ?4",
        (reason, at, run_id, row[0]),
    )
    return bool(row[1] != reason)


def unbury_records(conn: sqlite3.Connection, *, connection: str, stream: str, keys: Iterable[str]) -> None:
    """Forget the dead letters of records that could be read after all."""
    conn.executemany(
        "DELETE FROM dead_letters WHERE what = 'record' AND connection = ? AND stream = ? AND audience_id IS NULL AND key = ?",
        ((connection, stream, key) for key in keys),
    )


def bury_members(
    conn: sqlite3.Connection,
    refusals: Iterable[Refusal],
    *,
    connection: str,
    audience_id: int,
    sync: str,
    run_id: int,
    at: int,
) -> None:
    """Keep members that the destination refused, each with the time to try again or given up."""
    for refusal in refusals:
        row = conn.execute(
            "SELECT id, attempts, op, dropped_at FROM dead_letters WHERE what = 'member' AND connection = ? AND stream IS NULL"
            " AND audience_id = ? AND key = ?",
            (connection, audience_id, refusal.key),
        ).fetchone()
        # a refusal of the other direction is another story, and so is one after it was dropped: it starts from the beginning
        attempts = row[1] + 1 if row and row[2] == refusal.op and row[3] is None else 1
        what = (sync, refusal.op, refusal.profile_id, refusal.reason, refusal.message or None, attempts, at, run_id)
        values = (*what, *_next_try(refusal, attempts, at))
        if row:
            conn.execute(
                "UPDATE dead_letters SET sync = ?, op = ?, profile_id = ?, reason = ?, message = ?, attempts = ?,"
                " last_at = ?, run_id = ?, next_try_at = ?, given_up_at = ?, dropped_at = NULL WHERE id = ?",
                (*values, row[0]),
            )
        else:
            conn.execute(
                "INSERT INTO dead_letters (what, connection, audience_id, key, first_at, sync, op, profile_id, reason,"
                " message, attempts, last_at, run_id, next_try_at, given_up_at)"
                " VALUES ('member', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (connection, audience_id, refusal.key, at, *values),
            )


def _next_try(refusal: Refusal, attempts: int, at: int) -> tuple[int | None, int | None]:
    """Return when it is tried again, or when it was given up."""
    if refusal.final or attempts > len(TRY_AGAIN_AFTER_US):
        return None, at
    return at + TRY_AGAIN_AFTER_US[attempts - 1], None


def unbury_members(conn: sqlite3.Connection, *, connection: str, audience_id: int, keys: Iterable[str]) -> None:
    """Forget the dead letters of members that went through after all."""
    conn.executemany(
        "DELETE FROM dead_letters WHERE what = 'member' AND connection = ? AND stream IS NULL AND audience_id = ? AND key = ?",
        ((connection, audience_id, key) for key in keys),
    )


def count_buried(conn: sqlite3.Connection, run_id: int) -> int:
    """Return how many members a run was the first to give up on for now: who is refused once more is no news."""
    row = conn.execute(
        "SELECT count(*) FROM dead_letters WHERE run_id = ? AND what = 'member' AND attempts = 1", (run_id,)
    ).fetchone()
    return int(row[0])


@dataclass(frozen=True, slots=True)
class Resting:
    """Profiles whose dead letter is not due: neither added nor removed until it is."""

    adds: BitMap
    removes: BitMap
    due: BitMap
    """Profiles with a dead letter that is due; their keys are looked at again even where nothing changed."""


def resting(conn: sqlite3.Connection, audience_id: int, *, connection: str, at: int, of: Of = PERSON) -> Resting:
    """Return who of an audience is not to be tried at *at*, and who is to be tried again."""
    found = Resting(BitMap(), BitMap(), BitMap())
    # a letter belongs to whoever its profile was joined into; a company that was joined is another one
    whose = (
        "LEFT JOIN profile_aliases a ON a.old_id = d.profile_id JOIN profiles p ON p.id = coalesce(a.new_id, d.profile_id)"
        if of == PERSON
        else "JOIN companies p ON p.id = d.profile_id"
    )
    rows = conn.execute(
        "SELECT p.id, d.op, CASE WHEN d.dropped_at IS NOT NULL THEN p.changed_at <= d.dropped_at"
        " ELSE d.given_up_at IS NOT NULL OR d.next_try_at > ?1 END FROM dead_letters d"
        f" {whose} WHERE d.what = 'member' AND d.connection = ?2 AND d.stream IS NULL AND d.audience_id = ?3",
        (at, connection, audience_id),
    )
    for profile_id, op, rests in rows:
        if not rests:
            found.due.add(profile_id)
        elif op == "remove":
            found.removes.add(profile_id)
        else:
            found.adds.add(profile_id)
    return found


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One line of `tagalong dead-letters`."""

    id: int
    what: str
    _: KW_ONLY
    connection: str
    stream: str | None
    sync: str | None
    key: str
    op: str | None
    profile_id: int | None
    reason: str
    attempts: int
    first_at: int
    last_at: int
    next_try_at: int | None
    given_up_at: int | None
    dropped_at: int | None = None
    message: str | None = None
    """What the vendor said, masked."""

    @property
    def code(self) -> str | None:
        """The vendor's own code: the reason, where that is no words of ours."""
        return None if " " in self.reason or self.reason in ("refused", "") else self.reason

    @property
    def may_have_arrived(self) -> bool:
        """Whether nobody knows what became of it, so that trying again may do twice what was to be done once."""
        return self.reason == OUTCOME_UNKNOWN


def dead_letters(conn: sqlite3.Connection, *, names: Sequence[str] = (), dropped: bool = False) -> list[DeadLetter]:
    """Return the dead letters, or those that were *dropped*, newest first; of some connections and syncs only, with *names*."""
    rows = conn.execute(
        "SELECT id, what, connection, stream, sync, key, op, profile_id, reason, attempts, first_at, last_at, next_try_at,"
        " given_up_at, dropped_at, message FROM dead_letters WHERE (dropped_at IS NOT NULL) = ? ORDER BY last_at DESC, id DESC",
        (dropped,),
    )
    found = [
        DeadLetter(
            row[0],
            row[1],
            connection=row[2],
            stream=row[3],
            sync=row[4],
            key=row[5],
            op=row[6],
            profile_id=row[7],
            reason=row[8],
            attempts=row[9],
            first_at=row[10],
            last_at=row[11],
            next_try_at=row[12],
            given_up_at=row[13],
            dropped_at=row[14],
            message=row[15],
        )
        for row in rows
    ]
    return [one for one in found if not names or {one.connection, one.sync, (one.sync or "").split(".")[0]} & set(names)]

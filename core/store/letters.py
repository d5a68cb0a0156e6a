"""
What a person decides about dead letters: to have them tried again, or to drop them.

Tried again means due at once, also where they had been given up: a member's with the next run of its sync and that day's wish,
a record's with the next pull of its stream, which asks for everything. Dropped means not tried and not shown, until something
about the person changes, or the wish does: who leaves the segment and comes back is tried anew. A record that was dropped is
shown again when it fails for another reason.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyroaring import BitMap

from core.store import checkpoints
from core.store.dead_letters import DeadLetter, dead_letters


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whose dead letters are meant; nobody's where nothing is named."""

    ids: Sequence[int] = ()
    sync: str | None = None
    connection: str | None = None
    everything: bool = False

    @property
    def named(self) -> bool:
        """Whether each was named by its id."""
        return bool(self.ids)

    def of(self, conn: sqlite3.Connection, *, dropped: bool) -> list[DeadLetter]:
        """Return them; *dropped*: of those that were named also the dropped ones."""
        letters = dead_letters(conn)
        if self.named:
            letters += dead_letters(conn, dropped=True) if dropped else []
            return [one for one in letters if one.id in self.ids]
        return [one for one in letters if self.everything or self._is_of(one)]

    def _is_of(self, letter: DeadLetter) -> bool:
        sync = (letter.sync or "").partition(".")[0]
        return (self.sync is not None and sync == self.sync) or (
            self.connection is not None and letter.connection == self.connection
        )


@dataclass(frozen=True, slots=True)
class Retried:
    """What became due."""

    members: list[DeadLetter]
    records: list[DeadLetter]
    left_out: list[DeadLetter]
    """Of whom nobody knows whether they arrived; they are tried again only where each was named."""


def retry(conn: sqlite3.Connection, chosen: Chosen, *, at: int) -> Retried:
    """Make dead letters due now; of *chosen* that were dropped too, which is how a drop is taken back."""
    letters = chosen.of(conn, dropped=True)
    left_out = [] if chosen.named else [one for one in letters if one.may_have_arrived]
    again = [one for one in letters if chosen.named or not one.may_have_arrived]
    conn.executemany(
        "UPDATE dead_letters SET next_try_at = iif(what = 'member', ?, NULL), given_up_at = NULL, dropped_at = NULL"
        " WHERE id = ?",
        ((at, one.id) for one in again),
    )
    records = [one for one in again if one.what == "record"]
    for connection, stream in {(one.connection, str(one.stream)) for one in records}:
        for (stream_id,) in conn.execute(
            "SELECT s.id FROM streams s JOIN connections c ON c.id = s.connection_id WHERE c.name = ? AND s.name = ?",
            (connection, stream),
        ).fetchall():
            checkpoints.start_over(conn, stream_id)
    return Retried([one for one in again if one.what == "member"], records, left_out)


def drop(conn: sqlite3.Connection, chosen: Chosen, *, at: int) -> list[DeadLetter]:
    """Drop dead letters and return them."""
    letters = chosen.of(conn, dropped=False)
    conn.executemany("UPDATE dead_letters SET dropped_at = ? WHERE id = ?", ((at, one.id) for one in letters))
    return letters


def forget_dropped(conn: sqlite3.Connection, audience_id: int, wanted: BitMap) -> None:
    """Forget the dropped letters of an audience whose wish is no longer the one that was refused: the next one is a new one."""
    rows = conn.execute(
        "SELECT d.id, coalesce(a.new_id, d.profile_id), d.op FROM dead_letters d JOIN audiences o ON o.id = d.audience_id"
        " LEFT JOIN profile_aliases a ON a.old_id = d.profile_id AND o.of <> 'company' WHERE d.dropped_at IS NOT NULL"
        " AND d.audience_id = ? AND d.what = 'member'",
        (audience_id,),
    ).fetchall()
    gone: Iterable[int] = [id_ for id_, profile_id, op in rows if (op == "add") != (profile_id in wanted)]
    conn.executemany("DELETE FROM dead_letters WHERE id = ?", ((id_,) for id_ in gone))

"""
What we believe is at each audience: one row a member, written from outcomes and never from plans.

States: `ours` (we put it there), `unsure` (we may have: an intent that was never answered; ours for removal, and sent again if
still wanted), `foreign` (was there before us, or somebody else's), `not_found` and `suppressed` (asked again later), `missing`
(was ours, and a reading of the audience did not show it: whoever is still wanted is put in again like anybody new).
Every function that changes rows returns the profiles whose bitmaps must be refreshed in the same transaction. What happens to
rows when people are joined and records go is in `core.store.succession`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum
from typing import Any

from pyroaring import BitMap

from core.contract import Ref
from core.store.audiences import chunks


class State(StrEnum):
    """What the ledger says of a member."""

    OURS = "ours"
    UNSURE = "unsure"
    FOREIGN = "foreign"
    NOT_FOUND = "not_found"
    SUPPRESSED = "suppressed"
    MISSING = "missing"


OURS = (State.OURS, State.UNSURE)
REMOTE_PREFIX = "remote:"
"""Key of a foreign member of whom we know no identifier."""
BY_REMOTE_ID = "ledger INDEXED BY ledger_remote"
"""SQLite would rather walk through the whole audience by its primary key, for each member that is looked up."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of one audience."""

    member_key: str
    state: State
    _: KW_ONLY
    profile_id: int | None
    remote_id: str | None = None
    handle: str | None = None
    object: str | None = None
    value_hash: str | None = None
    added_at: int | None = field(default=None, compare=False)
    """Since when it has been ours, whatever was written to the row since; None: since it is put there."""

    @property
    def ref(self) -> Ref:
        """Who the member is at the destination; the key where the vendor knows people by it."""
        return Ref(self.remote_id or self.member_key, handle=self.handle, object=self.object)


_COLUMNS = "member_key, state, profile_id, remote_id, handle, object, value_hash, coalesce(added_at, at)"


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(
        row[0], State(row[1]), profile_id=row[2], remote_id=row[3], handle=row[4], object=row[5], value_hash=row[6],
        added_at=row[7],
    )  # fmt: skip


def put(
    conn: sqlite3.Connection, audience_id: int, entries: Iterable[Entry], *, sync: str, run_id: int | None, at: int
) -> BitMap:
    """Write rows, replacing those with the same key; one that was ours already stays so since it was put there."""
    touched = BitMap()

    def rows() -> Iterable[tuple[Any, ...]]:
        for e in entries:
            if e.profile_id is not None:
                touched.add(e.profile_id)
            yield (
                audience_id,
                e.member_key,
                e.profile_id,
                sync,
                e.remote_id,
                e.handle,
                e.object,
                e.value_hash,
                e.state,
                at,
                run_id,
                at if e.added_at is None else e.added_at,
            )

    conn.executemany(
        "INSERT INTO ledger (audience_id, member_key, profile_id, sync, remote_id, handle, object, value_hash, state, at,"
        " run_id, added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " profile_id = excluded.profile_id, sync = excluded.sync, remote_id = excluded.remote_id, handle = excluded.handle,"
        " object = excluded.object, value_hash = excluded.value_hash, state = excluded.state, at = excluded.at,"
        " run_id = excluded.run_id, added_at = CASE WHEN state IN ('ours', 'unsure') THEN coalesce(added_at, at)"
        " ELSE excluded.added_at END",
        rows(),
    )
    return touched


def drop(conn: sqlite3.Connection, audience_id: int, keys: Iterable[str]) -> BitMap:
    """Delete rows."""
    touched = BitMap()
    for key in keys:
        for (profile_id,) in conn.execute(
            "DELETE FROM ledger WHERE audience_id = ? AND member_key = ? RETURNING profile_id", (audience_id, key)
        ):
            if profile_id is not None:
                touched.add(profile_id)
    return touched


def of_profiles(conn: sqlite3.Connection, audience_id: int, profiles: Iterable[int]) -> dict[int, list[Entry]]:
    """Return the rows of some profiles, by profile, in order of key."""
    found: dict[int, list[Entry]] = {}
    for chunk in chunks(profiles):
        rows = conn.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE audience_id = ? AND profile_id IN (SELECT value FROM json_each(?))"
            " ORDER BY profile_id, member_key",
            (audience_id, chunk),
        )
        for row in rows:
            found.setdefault(row[2], []).append(_entry(row))
    return found


def of_keys(conn: sqlite3.Connection, audience_id: int, keys: Iterable[str]) -> dict[str, Entry]:
    """Return the rows with some keys."""
    return {entry.member_key: entry for entry in _matching(conn, audience_id, "member_key", keys)}


def of_remote_ids(conn: sqlite3.Connection, audience_id: int, remote_ids: Iterable[str]) -> dict[str, list[Entry]]:
    """Return the rows with some remote ids, by remote id."""
    found: dict[str, list[Entry]] = {}
    for entry in _matching(conn, audience_id, "remote_id", remote_ids):
        found.setdefault(str(entry.remote_id), []).append(entry)
    return found


def _matching(conn: sqlite3.Connection, audience_id: int, column: str, values: Iterable[str]) -> Iterable[Entry]:
    wanted = list(values)
    table = BY_REMOTE_ID if column == "remote_id" else "ledger"
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        marks = ",".join("?" * len(part))
        for row in conn.execute(
            f"SELECT {_COLUMNS} FROM {table} WHERE audience_id = ? AND {column} IN ({marks})", (audience_id, *part)
        ):
            yield _entry(row)


def in_state(
    conn: sqlite3.Connection, audience_id: int, state: State, *, since: int | None = None, before: int | None = None
) -> BitMap:
    """Return the profiles with a row in *state*, of those written after *since* or up to *before*."""
    rows = conn.execute(
        "SELECT profile_id FROM ledger WHERE audience_id = ? AND state = ? AND at > ? AND at <= ? AND profile_id IS NOT NULL",
        (audience_id, state, -1 if since is None else since, 2**62 if before is None else before),
    )
    return BitMap([profile_id for (profile_id,) in rows])


def added_since(conn: sqlite3.Connection, audience_id: int, profiles: BitMap, *, after: int) -> dict[int, BitMap]:
    """Return who of *profiles* has been ours since some time later than *after*, by that time (the latest, of several rows)."""
    found: dict[int, BitMap] = {}
    for chunk in chunks(profiles):
        rows = conn.execute(
            "SELECT profile_id, max(coalesce(added_at, at)) AS since FROM ledger WHERE audience_id = ? AND profile_id IN"
            " (SELECT value FROM json_each(?)) AND state IN ('ours', 'unsure') GROUP BY profile_id HAVING since > ?",
            (audience_id, chunk, after),
        )
        for profile_id, since in rows:
            found.setdefault(since, BitMap()).add(profile_id)
    return found


def rows(conn: sqlite3.Connection, audience_id: int) -> Iterable[Entry]:
    """Yield every row of an audience, in order of key."""
    for row in conn.execute(f"SELECT {_COLUMNS} FROM ledger WHERE audience_id = ? ORDER BY member_key", (audience_id,)):
        yield _entry(row)


_NAMELESS = """
    FROM ledger l INDEXED BY ledger_profile WHERE audience_id = ?1 AND profile_id IS NULL AND state IN ('ours', 'unsure')
    AND member_key NOT IN (SELECT d.key FROM dead_letters d WHERE d.audience_id = ?1 AND d.what = 'member'
        AND (d.given_up_at IS NOT NULL OR d.next_try_at > ?2))
    AND member_key NOT IN (SELECT m.member_key FROM intents i CROSS JOIN intent_members m ON m.intent_id = i.id
        WHERE i.audience_id = ?1 AND i.settled_at IS NULL AND m.verdict IS NULL)
"""
"""Whoever is left out is read once, for neither table can be looked into by member: for each row it would be walked through."""


def count_nameless(conn: sqlite3.Connection, audience_id: int, *, at: int) -> int:
    """Return how many rows of ours are nobody's, but for those on their way and those whose dead letter is not due at *at*."""
    return int(conn.execute(f"SELECT count(*) {_NAMELESS}", (audience_id, at)).fetchone()[0])


def nameless(conn: sqlite3.Connection, audience_id: int, *, at: int, size: int) -> Iterator[list[Entry]]:
    """Yield the rows that `count_nameless` counts, *size* at a time; they may be deleted meanwhile."""
    after = ""
    while True:
        part = conn.execute(
            f"SELECT {_COLUMNS} {_NAMELESS} AND member_key > ?3 ORDER BY member_key LIMIT ?4", (audience_id, at, after, size)
        ).fetchall()
        if not part:
            return
        after = part[-1][0]
        yield [_entry(row) for row in part]


def strangers(conn: sqlite3.Connection, audience_id: int) -> Iterator[Entry]:
    """Yield the rows that are nobody's, ours and foreign, in order of key."""
    for row in conn.execute(
        f"SELECT {_COLUMNS} FROM ledger INDEXED BY ledger_profile WHERE audience_id = ? AND profile_id IS NULL"
        " AND state IN ('ours', 'unsure', 'foreign') ORDER BY member_key",
        (audience_id,),
    ):
        yield _entry(row)


def set_state(conn: sqlite3.Connection, audience_id: int, keys: Iterable[str], state: State) -> BitMap:
    """Change the state of rows and nothing else of them, not even their time."""
    touched = BitMap()
    for key in keys:
        for (profile_id,) in conn.execute(
            "UPDATE ledger SET state = ? WHERE audience_id = ? AND member_key = ? RETURNING profile_id",
            (state, audience_id, key),
        ):
            if profile_id is not None:
                touched.add(profile_id)
    return touched


def unsure(entry: Entry) -> Entry:
    """Return *entry* as one that may or may not be there."""
    return replace(entry, state=State.UNSURE)

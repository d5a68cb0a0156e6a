"""
Who is really in an audience, as it is read page by page, and where that differs from the ledger.

Both are temporary tables of the connection that reads: a million members are never objects in memory, nobody else sees them,
and a reading that breaks off leaves nothing behind.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from core.contract import Ref
from core.contract.audiences import Of
from core.store.audiences import PERSON
from core.store.ledger import Entry, State

CHUNK: Final = 5_000
_THERE: Final = "('ours', 'unsure', 'foreign')"


def begin(conn: sqlite3.Connection) -> None:
    """Make the tables, or empty them of what was read of the audience before; the differences found stay."""
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS live_members (remote_id TEXT PRIMARY KEY, handle TEXT, object TEXT) WITHOUT ROWID"
    )
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS moving_members (remote_id TEXT PRIMARY KEY) WITHOUT ROWID")
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS drifted (audience_id INTEGER NOT NULL, what TEXT NOT NULL, wanted INTEGER,"
        " member_key TEXT NOT NULL, profile_id INTEGER, remote_id TEXT, handle TEXT, object TEXT)"
    )
    conn.execute("CREATE INDEX IF NOT EXISTS temp.drifted_what ON drifted (audience_id, what)")
    conn.execute("DELETE FROM temp.live_members")
    conn.execute("DELETE FROM temp.moving_members")


def add_page(conn: sqlite3.Connection, page: Iterable[Ref]) -> None:
    """Note who a page shows; whoever moved on to a later page while it was read is one member all the same."""
    conn.execute(
        "INSERT OR IGNORE INTO temp.live_members SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
        " json_extract(value, '$[2]') FROM json_each(?)",
        (json.dumps([(ref.remote_id, ref.handle, ref.object) for ref in page]),),
    )


def count(conn: sqlite3.Connection) -> int:
    """Return how many were read."""
    return int(conn.execute("SELECT count(*) FROM temp.live_members").fetchone()[0])


def note_moving(conn: sqlite3.Connection, audience_id: int, *, since: int) -> None:
    """Note who is on the way in or out, or has been since *since*: of those a reading may show either."""
    conn.execute(
        "INSERT OR IGNORE INTO temp.moving_members SELECT m.remote_id FROM intents i CROSS JOIN intent_members m"
        " ON m.intent_id = i.id WHERE i.audience_id = ? AND m.remote_id IS NOT NULL"
        " AND (m.verdict IS NULL OR coalesce(i.settled_at, i.sent_at, i.written_at) > ?)",
        (audience_id, since),
    )


@dataclass(frozen=True, slots=True)
class Absent:
    """A row of the ledger whose member the reading did not show."""

    entry: Entry
    _: KW_ONLY
    at: int
    """When the row was written."""
    moving: bool


def absent(conn: sqlite3.Connection, audience_id: int) -> Iterator[list[Absent]]:
    """Yield, some at a time, the rows of who should be there and was not seen."""
    rows = conn.execute(
        "SELECT l.member_key, l.state, l.profile_id, l.remote_id, l.handle, l.object, l.value_hash, l.at,"
        " EXISTS (SELECT 1 FROM temp.moving_members v WHERE v.remote_id = coalesce(l.remote_id, l.member_key)) FROM ledger l"
        f" WHERE l.audience_id = ? AND l.state IN {_THERE}"
        " AND NOT EXISTS (SELECT 1 FROM temp.live_members v WHERE v.remote_id = coalesce(l.remote_id, l.member_key))",
        (audience_id,),
    )
    while some := rows.fetchmany(CHUNK):
        yield [Absent(_entry(row), at=row[7], moving=bool(row[8])) for row in some]


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(
        row[0], State(row[1]), profile_id=row[2], remote_id=row[3], handle=row[4], object=row[5], value_hash=row[6]
    )  # fmt: skip


def seen(conn: sqlite3.Connection, remote_ids: Iterable[str]) -> frozenset[str]:
    """Return who of *remote_ids* the reading showed."""
    rows = conn.execute(
        "SELECT v.remote_id FROM json_each(?) j CROSS JOIN temp.live_members v ON v.remote_id = j.value",
        (json.dumps(list(remote_ids)),),
    )
    return frozenset(remote_id for (remote_id,) in rows)


def set_aside(conn: sqlite3.Connection, remote_ids: Iterable[str]) -> None:
    """Take out of the reading who stands in the ledger under another id."""
    conn.execute(
        "DELETE FROM temp.live_members WHERE remote_id IN (SELECT value FROM json_each(?))", (json.dumps(list(remote_ids)),)
    )


def unheard_of(conn: sqlite3.Connection, audience_id: int) -> Iterator[list[tuple[Ref, bool]]]:
    """Yield, some at a time, who is there and not in the ledger; each with whether they are on the way in or out."""
    rows = conn.execute(
        "SELECT v.remote_id, v.handle, v.object, EXISTS"
        " (SELECT 1 FROM temp.moving_members m WHERE m.remote_id = v.remote_id) FROM temp.live_members v WHERE NOT EXISTS"
        # without a word from us the whole audience would be looked through for each member
        " (SELECT 1 FROM ledger l INDEXED BY ledger_remote WHERE l.audience_id = ?1 AND l.remote_id = v.remote_id"
        f" AND l.state IN {_THERE})"
        " AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.audience_id = ?1 AND l.member_key = v.remote_id"
        f" AND l.remote_id IS NULL AND l.state IN {_THERE})",
        (audience_id,),
    )
    while some := rows.fetchmany(CHUNK):
        yield [(Ref(remote_id, handle=handle, object=object_), bool(moving)) for remote_id, handle, object_, moving in some]


@dataclass(frozen=True, slots=True)
class Difference:
    """One member of whom ledger and destination do not say the same."""

    what: str
    member_key: str
    _: KW_ONLY
    profile_id: int | None
    remote_id: str
    wanted: bool | None = None
    """None where nobody can tell."""
    handle: str | None = None
    object: str | None = None


def note(conn: sqlite3.Connection, audience_id: int, differences: Iterable[Difference]) -> None:
    """Keep differences until the connection is closed."""
    rows = [
        (d.what, None if d.wanted is None else int(d.wanted), d.member_key, d.profile_id, d.remote_id, d.handle, d.object)
        for d in differences
    ]
    columns = ", ".join(f"json_extract(value, '$[{i}]')" for i in range(7))
    conn.execute(f"INSERT INTO temp.drifted SELECT ?, {columns} FROM json_each(?)", (audience_id, json.dumps(rows)))


def forget(conn: sqlite3.Connection, audience_id: int) -> None:
    """Forget the differences of an audience: its reading broke off."""
    conn.execute("DELETE FROM temp.drifted WHERE audience_id = ?", (audience_id,))


def counts(conn: sqlite3.Connection, audience_id: int) -> dict[tuple[str, bool], int]:
    """Return how many differences there are, by what and by whether the member is known to be wanted."""
    rows = conn.execute(
        "SELECT what, wanted IS 1, count(*) FROM temp.drifted WHERE audience_id = ? GROUP BY 1, 2", (audience_id,)
    )
    return {(what, bool(wanted)): number for what, wanted, number in rows}


def differences(
    conn: sqlite3.Connection, audience_id: int, *, of: Of = PERSON
) -> Iterator[tuple[Difference, str | None, str | None]]:
    """Yield each difference with the e-mail and the user id of its profile; of companies with their name and domain."""
    table, names = ("profiles", "p.email, p.user_id") if of == PERSON else ("companies", "p.name, p.domain")
    rows = conn.execute(
        f"SELECT d.what, d.member_key, d.profile_id, d.remote_id, d.wanted, {names} FROM temp.drifted d"
        f" LEFT JOIN {table} p ON p.id = d.profile_id WHERE d.audience_id = ? ORDER BY d.what, d.rowid",
        (audience_id,),
    )
    for what, key, profile_id, remote_id, wanted, first, second in rows:
        known = None if wanted is None else bool(wanted)
        yield Difference(what, key, profile_id=profile_id, remote_id=remote_id, wanted=known), first, second

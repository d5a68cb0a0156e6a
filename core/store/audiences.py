"""
The audiences that syncs are bound to, and the three bitmaps of each: ours, theirs, and on its way.

The ledger (`core.store.ledger`) holds one row a member; the bitmaps say the same of profiles and are changed in the same
transaction, so that a plan for a million members reads three blobs. Where an audience is `of` companies, every number of a
member, here and there, is a company's: what is called a profile is one then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from pyroaring import BitMap

from core.contract.audiences import Of

DAY_US: Final = 86_400_000_000
PERSON: Final = "person"
COMPANY: Final = "company"
DAYS_REMEMBERED: Final = 30


@dataclass(frozen=True, slots=True)
class AudienceRow:
    """An audience at a vendor that a sync was bound to once."""

    id: int
    connection: str
    _: KW_ONLY
    account: str
    kind: str
    name: str
    remote_id: str
    label: str | None
    """The sync (with `.GROUP` for a partition's) that binds it now; None when it was retired."""
    target: str | None
    """What the config called it when it was bound; something else now is a retarget."""
    made_by_us: bool
    foreign_read_at: int | None
    planned_at: int | None
    of: Of = PERSON


@dataclass(frozen=True, slots=True)
class Standing:
    """Profiles by what the ledger says of them."""

    owned: BitMap
    theirs: BitMap
    waiting: BitMap


@dataclass(frozen=True, slots=True)
class Churn:
    """Members sent before now, as the guards count them: approved ones and a first run's are left out."""

    adds_24h: int
    removes_24h: int
    most_owned_24h: int
    largest_adds_day: int
    """Of the 24 h windows of the last 30 days, without the one that ends now."""
    largest_growth_day: int = 0
    """The same of adds less removals."""


_COLUMNS = "id, connection, account, kind, name, remote_id, sync, target, made_by_us, foreign_read_at, planned_at, of"


def _row(row: tuple[Any, ...] | None) -> AudienceRow | None:
    if row is None:
        return None
    return AudienceRow(
        row[0],
        row[1],
        account=row[2],
        kind=row[3],
        name=row[4],
        remote_id=row[5],
        label=row[6],
        target=row[7],
        made_by_us=bool(row[8]),
        foreign_read_at=row[9],
        planned_at=row[10],
        of=row[11],
    )


def audience(conn: sqlite3.Connection, audience_id: int) -> AudienceRow:
    """Return one audience, as it is now."""
    found = _row(conn.execute(f"SELECT {_COLUMNS} FROM audiences WHERE id = ?", (audience_id,)).fetchone())
    if found is None:
        raise KeyError(audience_id)
    return found


def audiences(conn: sqlite3.Connection) -> list[AudienceRow]:
    """Return every audience that was ever bound."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM audiences ORDER BY id")
    return [found for found in map(_row, rows) if found is not None]


def bound_to(conn: sqlite3.Connection, label: str) -> list[AudienceRow]:
    """Return the audiences that *label* binds: one, but for those under an account that the connection no longer has."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM audiences WHERE sync = ? ORDER BY id DESC", (label,))
    return [found for found in map(_row, rows) if found is not None]


def by_remote_id(conn: sqlite3.Connection, *, connection: str, account: str, remote_id: str) -> AudienceRow | None:
    """Return the audience with that remote id."""
    where = "connection = ? AND account = ? AND remote_id = ?"
    return _row(conn.execute(f"SELECT {_COLUMNS} FROM audiences WHERE {where}", (connection, account, remote_id)).fetchone())


def by_target(conn: sqlite3.Connection, *, connection: str, account: str, target: str) -> AudienceRow | None:
    """Return the latest audience that the config called *target*, whichever sync binds it."""
    where = "connection = ? AND account = ? AND target = ? ORDER BY id DESC LIMIT 1"
    return _row(conn.execute(f"SELECT {_COLUMNS} FROM audiences WHERE {where}", (connection, account, target)).fetchone())


def insert(
    conn: sqlite3.Connection,
    *,
    connection: str,
    account: str,
    kind: str,
    name: str,
    remote_id: str,
    label: str,
    target: str,
    made_by_us: bool,
    of: Of = PERSON,
) -> int:
    """Bind a remote audience that was never bound before."""
    made = conn.execute(
        "INSERT INTO audiences (connection, account, kind, name, remote_id, sync, target, made_by_us, of)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (connection, account, kind, name, remote_id, label, target, int(made_by_us), of),
    )
    return int(made.lastrowid or 0)


def set_aside(conn: sqlite3.Connection, *, connection: str, account: str, remote_id: str) -> None:
    """Give up the id of an audience that was deleted: where names are ids, the one that was made anew has it."""
    conn.execute(
        "UPDATE audiences SET remote_id = remote_id || char(31) || id WHERE connection = ? AND account = ? AND remote_id = ?",
        (connection, account, remote_id),
    )


def rebind(
    conn: sqlite3.Connection, audience_id: int, *, label: str | None, target: str | None = None, name: str | None = None
) -> None:
    """Hand an audience, and with it its ledger, to another sync, or to nobody."""
    conn.execute(
        "UPDATE audiences SET sync = ?, target = coalesce(?, target), name = coalesce(?, name) WHERE id = ?",
        (label, target, name, audience_id),
    )


def remember_params(conn: sqlite3.Connection, audience_id: int, params: str) -> None:
    """Keep what the sync says of its audience, in JSON: what takes members out when the sync is gone from the config."""
    conn.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (f"params\x1f{audience_id}", params))


def params_of(conn: sqlite3.Connection, audience_id: int) -> str | None:
    """Return what was kept; None where nothing was sent since it is."""
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (f"params\x1f{audience_id}",)).fetchone()
    return None if row is None else str(row[0])


def set_planned(conn: sqlite3.Connection, audience_id: int, as_of: int) -> None:
    """Remember that a plan as of *as_of* was carried out whole: only later changes of keys and values are looked for."""
    conn.execute("UPDATE audiences SET planned_at = ? WHERE id = ?", (as_of, audience_id))


def set_foreign_read(conn: sqlite3.Connection, audience_id: int, at: int) -> None:
    """Remember that the members who are not ours were read."""
    conn.execute("UPDATE audiences SET foreign_read_at = ? WHERE id = ?", (at, audience_id))


def standing(conn: sqlite3.Connection, audience_id: int) -> Standing:
    """Return the three bitmaps."""
    row = conn.execute("SELECT owned, theirs, waiting FROM audiences WHERE id = ?", (audience_id,)).fetchone()
    owned, theirs, waiting = (BitMap.deserialize(blob) if blob else BitMap() for blob in row)
    return Standing(owned, theirs, waiting)


def refresh(conn: sqlite3.Connection, audience_id: int, profiles: BitMap, *, waiting: BitMap, settled: BitMap) -> None:
    """
    Bring the bitmaps in step with the ledger for *profiles*; call it in the transaction that changed their rows.

    *waiting* are profiles whose intent was just written, *settled* those who have none open any more.
    """
    stands = standing(conn, audience_id)
    ours, theirs = BitMap(), BitMap()
    for chunk in chunks(profiles):
        rows = conn.execute(
            "SELECT profile_id, max(state IN ('ours', 'unsure')), max(state = 'foreign') FROM ledger"
            " WHERE audience_id = ? AND profile_id IN (SELECT value FROM json_each(?)) GROUP BY profile_id",
            (audience_id, chunk),
        )
        for profile_id, is_ours, is_theirs in rows:
            if is_ours:
                ours.add(profile_id)
            elif is_theirs:
                theirs.add(profile_id)
    bitmaps = (stands.owned - profiles | ours, stands.theirs - profiles | theirs, (stands.waiting | waiting) - settled)
    conn.execute(
        "UPDATE audiences SET owned = ?, theirs = ?, waiting = ? WHERE id = ?",
        (*(bitmap.serialize() for bitmap in bitmaps), audience_id),
    )


def chunks(profiles: Iterable[int], size: int = 10_000) -> Iterable[str]:
    """Return profile ids in JSON arrays, for `IN (SELECT value FROM json_each(?))`."""
    part: list[str] = []
    for profile_id in profiles:
        part.append(str(profile_id))
        if len(part) == size:
            yield f"[{','.join(part)}]"
            part = []
    if part:
        yield f"[{','.join(part)}]"


def text_chunks(texts: Iterable[str], size: int = 5_000) -> Iterable[str]:
    """Return texts in JSON arrays, as `chunks` does ids."""
    every = list(texts)
    for start in range(0, len(every), size):
        yield json.dumps(every[start : start + size])


def count_churn(
    conn: sqlite3.Connection,
    audience_id: int,
    *,
    run_id: int,
    at: int,
    adds: int,
    removes: int,
    approved_adds: int,
    approved_removes: int,
    owned_before: int,
) -> None:
    """Add what was sent to the run's line."""
    if not (adds or removes):
        return
    conn.execute(
        "INSERT INTO churn (audience_id, at, run_id, adds, removes, approved_adds, approved_removes, owned_before)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (audience_id, at, run_id) DO UPDATE SET adds = adds + excluded.adds,"
        " removes = removes + excluded.removes, approved_adds = approved_adds + excluded.approved_adds,"
        " approved_removes = approved_removes + excluded.approved_removes",
        (audience_id, at, run_id, adds, removes, approved_adds, approved_removes, owned_before),
    )


def churn(conn: sqlite3.Connection, audience_id: int, *, at: int, owned: int) -> Churn:
    """Return what was sent in the 24 h up to *at*, and the largest day of the 30 before."""
    rows = conn.execute(
        "SELECT (?1 - at) / ?2, sum(adds - approved_adds), sum(removes - approved_removes), max(owned_before) FROM churn"
        " WHERE audience_id = ?3 AND at > ?1 - ?2 * ?4 AND at <= ?1 GROUP BY 1",
        (at, DAY_US, audience_id, DAYS_REMEMBERED),
    ).fetchall()
    today = next((row for row in rows if row[0] == 0), (0, 0, 0, 0))
    earlier = [row for row in rows if row[0] > 0]
    return Churn(
        today[1],
        today[2],
        max(owned, today[3]),
        max((adds for _, adds, _, _ in earlier), default=0),
        max((adds - removes for _, adds, removes, _ in earlier), default=0),
    )

"""
The ledger's rows when their people are joined, or their objects merged or gone: whose a row is by then, under which key.

`core.pushing.follow` says when this is done. What changes rows returns the profiles whose bitmaps must be refreshed in the same
transaction, as `core.store.ledger` does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pyroaring import BitMap

from core.contract.audiences import Of
from core.store import ledger
from core.store.audiences import PERSON, text_chunks
from core.store.ledger import Entry


def give_to(conn: sqlite3.Connection, audience_id: int, holders: Mapping[str, int | None]) -> BitMap:
    """Write who the member of each key is by now."""
    touched = BitMap()
    for key, holder in holders.items():
        row = conn.execute(
            "SELECT profile_id FROM ledger WHERE audience_id = ? AND member_key = ?", (audience_id, key)
        ).fetchone()
        if row is None:
            continue
        touched |= BitMap([profile for profile in (row[0], holder) if profile is not None])
        conn.execute("UPDATE ledger SET profile_id = ? WHERE audience_id = ? AND member_key = ?", (holder, audience_id, key))
    return touched


def rename(conn: sqlite3.Connection, audience_id: int, old_key: str, new: Entry) -> BitMap:
    """Change the key of a row, and whose it is; all else stays."""
    row = conn.execute(
        "SELECT profile_id FROM ledger WHERE audience_id = ? AND member_key = ?", (audience_id, old_key)
    ).fetchone()
    conn.execute("DELETE FROM ledger WHERE audience_id = ? AND member_key = ?", (audience_id, new.member_key))
    conn.execute(
        "UPDATE ledger SET member_key = ?, profile_id = ? WHERE audience_id = ? AND member_key = ?",
        (new.member_key, new.profile_id, audience_id, old_key),
    )
    return BitMap([profile for profile in (row and row[0], new.profile_id) if profile is not None])


def set_aside(conn: sqlite3.Connection, audience_id: int, put: Mapping[str, str]) -> BitMap:
    """
    Before rows are written under the keys *put*, each of an object: keep those of other objects of ours, by their objects.

    A key may have gone over to somebody else while its member was on the way. Who was put in under it is in the list as well,
    by our doing, and nobody would take them out.
    """
    touched = BitMap()
    for key, old in ledger.of_keys(conn, audience_id, put).items():
        if old.state not in ledger.OURS or old.remote_id in (None, put[key]):
            continue
        own = replace(old, member_key=f"{ledger.REMOTE_PREFIX}{old.remote_id}")
        if own.member_key not in ledger.of_keys(conn, audience_id, [own.member_key]):
            touched |= rename(conn, audience_id, key, own)
    return touched


def follow_aliases(conn: sqlite3.Connection, audience_id: int, *, since: int) -> BitMap:
    """Hand the rows of profiles that were joined into another since *since* to that other."""
    moved = conn.execute(
        "SELECT l.member_key, a.old_id, a.new_id FROM profile_aliases a CROSS JOIN ledger l"
        " ON l.audience_id = ? AND l.profile_id = a.old_id WHERE a.at >= ?",
        (audience_id, since),
    ).fetchall()
    touched = BitMap()
    for key, old_id, new_id in moved:
        winner = survivor(conn, new_id)
        touched |= BitMap([old_id, winner])
        conn.execute("UPDATE ledger SET profile_id = ? WHERE audience_id = ? AND member_key = ?", (winner, audience_id, key))
    return touched


def dead(conn: sqlite3.Connection, audience_id: int, stream_id: int, *, members: int) -> list[tuple[str, str, int]]:
    """
    Return key, remote id and profile of the rows of ours whose object's record is gone from a stream.

    *members*, about how many are ours, says which side is gone through: records that are gone become more with the years.
    """
    many = conn.execute(
        "SELECT 1 FROM subjects INDEXED BY subjects_dead WHERE stream_id = ? AND live = 0 LIMIT 1 OFFSET ?",
        (stream_id, members),
    ).fetchone()
    ours = "l.state IN ('ours', 'unsure') AND l.profile_id IS NOT NULL"
    gone = "s.stream_id = ?2 AND s.live = 0"
    if many:
        sides = (
            "ledger l INDEXED BY ledger_state CROSS JOIN subjects s INDEXED BY subjects_dead"
            f" ON {gone} AND s.ref = l.remote_id WHERE l.audience_id = ?1 AND {ours}"
        )
    else:
        sides = (
            "subjects s CROSS JOIN ledger l INDEXED BY ledger_remote"
            f" ON l.audience_id = ?1 AND l.remote_id = s.ref AND {ours} WHERE {gone}"
        )
    return conn.execute(f"SELECT l.member_key, l.remote_id, l.profile_id FROM {sides}", (audience_id, stream_id)).fetchall()


def returned(conn: sqlite3.Connection, audience_id: int, stream_id: int) -> list[str]:
    """Return the keys of members who were ours when their record went, and whose record is there again."""
    rows = conn.execute(
        "SELECT l.member_key FROM ledger l INDEXED BY ledger_state CROSS JOIN subjects s"
        " ON s.stream_id = ? AND s.ref = l.remote_id AND s.live = 1"
        " WHERE l.audience_id = ? AND l.state = 'not_found' AND l.remote_id IS NOT NULL",
        (stream_id, audience_id),
    )
    return [key for (key,) in rows]


def theirs(conn: sqlite3.Connection, audience_id: int, objects: Iterable[str], *, stream_id: int | None) -> frozenset[str]:
    """Return which of *objects* are there by another's hand: as they are, or as one that the vendor merged into them."""
    found: set[str] = set()
    foreign = "CROSS JOIN ledger l INDEXED BY ledger_remote ON l.audience_id = ?1 AND l.state = 'foreign' AND l.remote_id ="
    for chunk in text_chunks(objects):
        found.update(o for (o,) in conn.execute(f"SELECT j.value FROM json_each(?2) j {foreign} j.value", (audience_id, chunk)))
        merged = conn.execute(
            f"SELECT m.winner FROM merges m {foreign} m.loser"
            " WHERE m.stream_id = ?2 AND m.winner IN (SELECT value FROM json_each(?3)) AND NOT EXISTS"
            " (SELECT 1 FROM subjects s WHERE s.stream_id = m.stream_id AND s.ref = m.loser AND s.live = 1)",
            (audience_id, stream_id, chunk),
        )
        found.update(object_ for (object_,) in merged)
    return frozenset(found)


def survivor(conn: sqlite3.Connection, profile_id: int, *, of: Of = PERSON) -> int:
    """
    Return the profile that *profile_id* ended up in; itself where it was never joined.

    A company that was joined is found by its object, with the next plan (`core.company_members.follow`).
    """
    if of != PERSON:
        return profile_id
    seen = {profile_id}
    while True:
        row = conn.execute("SELECT new_id FROM profile_aliases WHERE old_id = ?", (profile_id,)).fetchone()
        if row is None or row[0] in seen:
            return profile_id
        profile_id = row[0]
        seen.add(profile_id)

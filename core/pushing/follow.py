"""
Keeps the ledger with the people and with their records: what happened to them since the last plan happens to its rows.

When profiles were joined, a row goes to the one that its profile was joined into; otherwise it belongs to whoever has its
object by now, where the store knows that (`Audience.ids_from`), else to whoever has its key (companies
go by their objects alone). When the record of somebody still
wanted was told deleted there, they count as not found: they are put in under the id that their key has by now, or as soon as it
has one. When that very record comes back, its lists may have come back too, so the row is ours again until an answer says
otherwise. Somebody no longer wanted is taken out all the same, for a record may be hidden from us and yet be in the list. Only
what changed is looked at, never the whole ledger.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import datetime

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Audience
from core.pushing import company_members, reach
from core.store import Store, audiences, ledger, succession
from core.store.audiences import COMPANY, AudienceRow
from core.store.ledger import State


def changed_since(conn: sqlite3.Connection, row: AudienceRow) -> BitMap:
    """Return the profiles of which anything may have changed since the audience's last plan was carried out whole."""
    if row.planned_at is None:  # none was, yet a part of one may have been: all whom that put there are looked at
        stands = audiences.standing(conn, row.id)
        return stands.owned | stands.theirs
    table = "companies" if row.of == COMPANY else "profiles"
    changed = conn.execute(f"SELECT id FROM {table} WHERE changed_at > ?", (row.planned_at,))
    return BitMap([profile_id for (profile_id,) in changed])


def changed_between(conn: sqlite3.Connection, looked_at: datetime, now: datetime, *, of: str) -> BitMap:
    """
    Return whom a resolve has changed or joined since *looked_at*: who is wanted was found out without knowing that.

    Somebody who was joined into another is not wanted under the number that their membership goes by from now on. What is
    dated later than *now* was written by a clock that was ahead, and long known.
    """
    span = (to_us(looked_at), to_us(now))
    table = "companies" if of == COMPANY else "profiles"
    rows = conn.execute(f"SELECT id FROM {table} WHERE changed_at > ? AND changed_at <= ?", span).fetchall()
    if of != COMPANY:
        rows += conn.execute("SELECT new_id FROM profile_aliases WHERE at > ? AND at <= ?", span).fetchall()
    return BitMap([profile_id for (profile_id,) in rows])


def changed_of(conn: sqlite3.Connection, profiles: BitMap, looked_at: datetime, now: datetime, *, of: str) -> BitMap:
    """Return who of *profiles* was changed since, as in `changed_between`, or joined into somebody else."""
    table = "companies" if of == COMPANY else "profiles"
    given = "FROM json_each(?1) j CROSS JOIN"
    asked = f"SELECT t.id {given} {table} t ON t.id = j.value AND t.changed_at > ?2 AND t.changed_at <= ?3"
    if of != COMPANY:
        asked += f" UNION SELECT a.old_id {given} profile_aliases a ON a.old_id = j.value AND a.at > ?2 AND a.at <= ?3"
    found = BitMap()
    for chunk in audiences.chunks(profiles):
        rows = conn.execute(asked, (chunk, to_us(looked_at), to_us(now)))
        found.update(BitMap([id_ for (id_,) in rows]))
    return found


def follow(store: Store, row: AudienceRow, audience: Audience, *, changed: BitMap) -> BitMap:
    """Hand the rows of one audience to the profiles that their members are by now; return who got some since the last plan."""
    if row.of == COMPANY:
        stream_id = reach.own_stream(store.conn, audience, row.connection)
        if stream_id is None or not company_members.strayed(store.conn, row.id, stream_id):
            return _followed(store.conn, row.id)
        with store.atomic() as conn:
            return _note_followed(conn, row.id, company_members.follow(conn, row.id, stream_id))
    kind = reach.identifier_kind(audience, row.connection)
    stands = audiences.standing(store.conn, row.id)
    suspects = changed & (stands.owned | stands.theirs)
    # a plan that was never carried out whole leaves no date: then every alias is looked at
    joined = store.conn.execute("SELECT 1 FROM profile_aliases WHERE at >= ? LIMIT 1", (row.planned_at or 0,)).fetchone()
    if joined is None and not suspects:
        return _followed(store.conn, row.id)
    with store.atomic() as conn:
        touched = succession.follow_aliases(conn, row.id, since=row.planned_at or 0)
        if kind != reach.PROFILE_ID:
            touched |= _by_key(conn, row.id, suspects, kind, reach.own_stream(conn, audience, row.connection))
        return _note_followed(conn, row.id, touched)


def follow_records(store: Store, row: AudienceRow, audience: Audience, *, wanted: BitMap) -> None:
    """Note in the ledger of one audience who of *wanted* has lost their record there, and whose is there again."""
    conn = store.conn
    stream_id = reach.own_stream(conn, audience, row.connection)
    if stream_id is None:
        return
    found = succession.dead(conn, row.id, stream_id, members=len(audiences.standing(conn, row.id).owned))
    dead = {key: remote_id for key, remote_id, profile in found if profile in wanted}
    winners = reach.merged_into(conn, stream_id, dead.values()) if dead else {}
    kind = reach.identifier_kind(audience, row.connection)
    alive = reach.profiles_of_refs(conn, stream_id, winners.values(), kind) if winners else {}
    gone = [key for key, remote_id in dead.items() if winners.get(remote_id) not in alive]
    back = succession.returned(conn, row.id, stream_id)
    if not (gone or back):
        return
    with store.atomic():
        # their time stays: who is asked for again after a day is asked for a day after they were last known there
        touched = ledger.set_state(conn, row.id, gone, State.NOT_FOUND) | ledger.set_state(conn, row.id, back, State.UNSURE)
        audiences.refresh(conn, row.id, touched, waiting=BitMap(), settled=BitMap())


def forget_followed(conn: sqlite3.Connection, audience_id: int) -> None:
    """A plan was carried out whole: whose rows changed hands before it has been looked at."""
    conn.execute("DELETE FROM settings WHERE key = ?", (_setting(audience_id),))


def _note_followed(conn: sqlite3.Connection, audience_id: int, touched: BitMap) -> BitMap:
    followed = touched | _followed(conn, audience_id)
    if touched:
        conn.execute(
            "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_setting(audience_id), json.dumps(list(followed)))
        )
        # an intent on its way follows too: its outcome is written under the key it was sent with
        audiences.refresh(conn, audience_id, followed, waiting=BitMap(), settled=BitMap())
    return followed


def _followed(conn: sqlite3.Connection, audience_id: int) -> BitMap:
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (_setting(audience_id),)).fetchone()
    return BitMap(json.loads(row[0])) if row else BitMap()


def _setting(audience_id: int) -> str:
    return f"followed\x1f{audience_id}"


def _by_key(conn: sqlite3.Connection, audience_id: int, suspects: BitMap, kind: str, stream_id: int | None) -> BitMap:
    entries = [entry for rows in ledger.of_profiles(conn, audience_id, suspects).values() for entry in rows]
    holders = reach.holders_of(conn, [entry.member_key for entry in entries], kind)
    objects = [str(entry.remote_id) for entry in entries if entry.remote_id]
    owners = reach.profiles_of_refs(conn, stream_id, objects, kind) if stream_id is not None else {}
    moved: dict[str, int | None] = {}
    touched = BitMap()
    for entry in entries:
        by_key = holders.get(entry.member_key)
        owner = owners.get(str(entry.remote_id), by_key)
        if owner is None or (owner == entry.profile_id and by_key in (None, owner)):
            continue
        if by_key in (None, owner):
            moved[entry.member_key] = owner
            continue
        # the key went over to somebody else, the object did not: the row is known by its object from now on
        own = replace(entry, member_key=f"{ledger.REMOTE_PREFIX}{entry.remote_id}", profile_id=owner)
        touched |= succession.rename(conn, audience_id, entry.member_key, own)
    return touched | succession.give_to(conn, audience_id, moved)

"""
What was made of what the sources said, section by section: segments, audiences, what was sent, held and refused.

A row that was written when two people were taken for one is theirs whose address is in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pyroaring import BitMap

from core.clock import iso
from core.export.person import STREAM, Person, Row, rows_of


def segments(person: Person) -> Iterator[Row]:
    """Each segment and group that they are or were in, with every time they came and went."""
    found: dict[str, Row] = {}
    for name, at, members in person.conn.execute("SELECT name, as_of, members FROM member_sets ORDER BY name"):
        if name not in person.company_sets and person.id in BitMap.deserialize(members):
            found[name] = {"set": name, "member": True, "as_of": iso(at), "history": []}
    for name, at, entered, left in person.conn.execute(
        "SELECT name, at, entered, left FROM membership_history ORDER BY name, at, run_id"
    ):
        if name in person.company_sets:
            continue
        for what, bits in (("entered", entered), ("left", left)):
            for one in set(person.ids) & set(BitMap.deserialize(bits) & BitMap(person.ids)):
                row = found.setdefault(name, {"set": name, "member": False, "as_of": None, "history": []})
                row["history"].append({"at": iso(at), "what": what, "as": one})
    yield from found.values()


def audiences(person: Person) -> Iterator[Row]:
    """Where they are a member, as far as we know, and by which key; *standing* is what the audience says of the profile."""
    conn = person.conn
    for id_, owned, theirs, waiting in conn.execute(
        "SELECT id, owned, theirs, waiting FROM audiences WHERE of <> 'company' ORDER BY id"
    ).fetchall():
        standing = [
            name
            for name, bits in (("ours", owned), ("theirs", theirs), ("on_their_way", waiting))
            if bits and not BitMap.deserialize(bits).isdisjoint(BitMap(person.ids))
        ]
        rows = rows_of(
            conn,
            "SELECT a.connection, a.kind, a.name, l.sync, l.member_key, l.remote_id, l.handle, l.object, l.state, l.at,"
            " l.added_at, l.profile_id FROM ledger l JOIN audiences a ON a.id = l.audience_id WHERE l.audience_id = ?1 AND"
            " (l.profile_id IN (SELECT value FROM json_each(?2)) OR l.member_key IN (SELECT value FROM json_each(?3)))"
            " ORDER BY l.member_key",
            id_, json.dumps(person.ids), json.dumps(sorted(person.own)),
        )  # fmt: skip
        for row in rows:
            if person.holds(row["member_key"], row.pop("profile_id")):
                yield {**row, "standing": standing}


def sent(person: Person) -> Iterator[Row]:
    """What was sent of them, where and when, and what came of it."""
    rows = rows_of(
        person.conn,
        "SELECT a.connection, a.kind, a.name, i.sync, m.op, m.member_key, m.remote_id, m.handle, m.object, i.written_at,"
        " i.sent_at, i.settled_at, m.verdict, m.reason, m.profile_id FROM intent_members m JOIN intents i ON i.id = m.intent_id"
        " JOIN audiences a ON a.id = i.audience_id WHERE a.of <> 'company'"
        " AND (m.profile_id IN (SELECT value FROM json_each(?)) OR m.member_key IN (SELECT value FROM json_each(?)))"
        " ORDER BY i.id, m.op",
        json.dumps(person.ids), json.dumps(sorted(person.own)),
    )  # fmt: skip
    for row in rows:
        if person.holds(row["member_key"], row.pop("profile_id")):
            yield row


def held(person: Person) -> Iterator[Row]:
    """Changes of theirs that wait for a person, or that a person let through."""
    for table, columns in (("holds", "target, kind, reason, since AS at"), ("approvals", "target, kind, at, expires_at")):
        for row in rows_of(person.conn, f"SELECT {columns}, adds, removes FROM {table}"):
            if row["target"] in person.company_sets:
                continue
            for op in ("adds", "removes"):
                bits = bytes.fromhex(row[op]) if row[op] else b""
                if bits and not BitMap.deserialize(bits).isdisjoint(BitMap(person.ids)):
                    what = {name: value for name, value in row.items() if name not in ("adds", "removes")}
                    yield {"what": "held" if table == "holds" else "approved", "op": op, **what}


def dead_letters(person: Person) -> Iterator[Row]:
    """What was refused of them, and records of theirs that could not be read."""
    refs = "SELECT c.name, t.name, s.ref FROM subjects s {} WHERE s.profile_id = ?".format(STREAM.format("s"))
    own = set(person.conn.execute(refs, (person.id,)).fetchall())
    for row in rows_of(
        person.conn,
        "SELECT what, connection, stream, sync, key, op, reason, message, attempts,"
        " first_at, last_at, next_try_at, given_up_at, dropped_at, profile_id FROM dead_letters WHERE"
        " coalesce(audience_id, 0) NOT IN (SELECT id FROM audiences WHERE of = 'company') ORDER BY id",
    ):
        profile_id = row.pop("profile_id")
        is_record = row["what"] == "record"
        if (row["connection"], row["stream"], row["key"]) in own if is_record else person.holds(row["key"], profile_id):
            yield row


def leaving(person: Person) -> Iterator[Row]:
    """Audiences that they are to leave and have not yet left."""
    rows = person.conn.execute(
        "SELECT a.connection, a.kind, a.name, l.since, l.profiles FROM leaving l JOIN audiences a ON a.id = l.audience_id"
        " WHERE a.of <> 'company'"
    )
    for connection, kind, name, since, profiles in rows:
        if not BitMap.deserialize(profiles).isdisjoint(BitMap(person.ids)):
            yield {"connection": connection, "kind": kind, "name": name, "since": iso(since)}


def refusals(person: Person) -> Iterator[Row]:
    """What they said no to, by address and user id, whatever became of the record that told of it."""
    return rows_of(
        person.conn,
        "SELECT r.kind, r.value, r.channel, r.source, r.record_key, r.since, r.reason, r.ended_at, r.ended_by"
        " FROM identifiers i CROSS JOIN refusals r ON r.kind = i.kind AND r.value = i.value WHERE i.profile_id = ?",
        person.id,
    )


def forgettings(person: Person) -> Iterator[Row]:
    """That they are being forgotten, while that is under way."""
    rows = person.conn.execute("SELECT state, begun_at, profiles FROM forgettings WHERE profiles IS NOT NULL")
    for state, begun_at, profiles in rows:
        if not BitMap.deserialize(profiles).isdisjoint(BitMap(person.ids)):
            yield {"state": state, "begun_at": iso(begun_at)}

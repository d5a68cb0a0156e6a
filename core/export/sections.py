"""
What stands in each section of an export: rows of one person, times as ISO text, money in major units beside what is stored.

Nobody else is in one. A company's other people and what is the company's alone are not the person's; a row that was written
when two people were taken for one is theirs whose address is in it.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

from pyroaring import BitMap

from core.clock import iso
from core.contract import Kind, minor_digits
from core.store.cuts import cuts
from core.store.history import SUBSCRIPTION_FIELDS
from core.store.links import links_of
from core.store.schema import CANONICAL, TABLES

Row = dict[str, Any]
_STREAM: Final = "JOIN streams t ON t.id = {0}.stream_id JOIN connections c ON c.id = t.connection_id"
_TIMES: Final = frozenset({
    "created_at", "changed_at", "at", "since", "first_at", "last_at", "next_try_at", "given_up_at", "written_at", "sent_at",
    "settled_at", "blocked_at", "deleted_at", "expires_at",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an export is about."""

    conn: sqlite3.Connection
    id: int
    _: KW_ONLY
    currency: str
    """The workspace's: of money that came without one."""
    company_sets: frozenset[str] = frozenset()
    """Segments whose members are companies: a number in one is nobody's profile."""
    ids: list[int] = field(default_factory=list)
    """The profile, and those that were joined into it."""
    own: frozenset[str] = frozenset()
    """The values of their identifiers."""

    def holds(self, key: str, profile_id: int | None) -> bool:
        """Whether a row that was written for *profile_id* under *key* (an address, an id) is this person's."""
        if key in self.own:
            return True
        if profile_id not in self.ids:
            return False
        kinds = "SELECT DISTINCT kind FROM identifiers"
        holder = self.conn.execute(
            f"SELECT 1 FROM ({kinds}) k CROSS JOIN identifiers i ON i.kind = k.kind AND i.value = ?"
            " WHERE i.profile_id IS NOT NULL AND i.profile_id <> ? LIMIT 1",
            (key, self.id),
        ).fetchone()
        return holder is None


def _rows(conn: sqlite3.Connection, sql: str, *values: object) -> Iterator[Row]:
    cursor = conn.execute(sql, values)
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield {name: _value(name, value) for name, value in zip(names, row, strict=True)}


def _value(name: str, value: Any, type_: str = "") -> Any:
    if value is None:
        return None
    if (name in _TIMES or type_ == "time") and isinstance(value, int):
        return iso(value)
    if type_ == "boolean" and value in (0, 1):
        return bool(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value.hex() if isinstance(value, bytes) else value


def profile(person: Person) -> Row:
    """The merged fields, and the numbers that it went by before."""
    (row,) = _rows(person.conn, "SELECT * FROM profiles WHERE id = ?", person.id)
    row.pop("company_id")
    return {**row, "live": bool(row["live"]), "joined": [one for one in person.ids if one != person.id]}


def company(person: Person) -> Row | None:
    """The company that they are of, by its name; what else is known of it is the company's."""
    sql = "SELECT c.name, c.domain FROM profiles p JOIN companies c ON c.id = p.company_id WHERE p.id = ?"
    return next(_rows(person.conn, sql, person.id), None)


def identifiers(person: Person) -> Iterator[Row]:
    """What they are known by."""
    sql = "SELECT kind, value, blocked_at FROM identifiers WHERE profile_id = ? ORDER BY kind, value"
    return _rows(person.conn, sql, person.id)


def links(person: Person) -> Iterator[Row]:
    """Which record, or which tuple of an event stream, brought which identifiers."""
    yield from links_of(person.conn, person.id)
    fresh = (
        "SELECT c.name || '.' || t.name AS stream, s.ref AS record, f.kind, f.value FROM subjects s"
        f" JOIN fresh_identifiers f ON f.subject_id = s.id {_STREAM.format('s')} WHERE s.profile_id = ?"
    )
    yield from _rows(person.conn, fresh, person.id)


def merges(person: Person) -> Iterator[Row]:
    """Records that a vendor joined into another."""
    for side in ("loser", "winner"):
        yield from _rows(
            person.conn,
            f"SELECT c.name || '.' || t.name AS stream, m.loser, m.winner, m.at FROM subjects s JOIN merges m"
            f" ON m.stream_id = s.stream_id AND m.{side} = s.ref {_STREAM.format('m')} WHERE s.profile_id = ?",
            person.id,
        )


def unmerged(person: Person) -> Iterator[Row]:
    """What of theirs was told apart from somebody else's by hand; whose is that other's to know."""
    refs = "SELECT 'record ' || c.name || '.' || t.name, s.ref FROM subjects s {} WHERE s.profile_id = ?"
    own = set(person.conn.execute(refs.format(_STREAM.format("s")), (person.id,)).fetchall())
    own |= set(person.conn.execute("SELECT kind, value FROM identifiers WHERE profile_id = ?", (person.id,)).fetchall())
    for cut in cuts(person.conn):
        for node in (cut.keep, cut.part):
            if tuple(node) in own:
                yield {"own": node.text, "at": iso(cut.at)}


def vanished(person: Person) -> Iterator[Row]:
    """Records that a source says are gone, kept until somebody approves."""
    return _rows(
        person.conn,
        "SELECT c.name || '.' || t.name AS stream, v.key, v.since, v.reason FROM subjects s JOIN vanished v"
        f" ON v.stream_id = s.stream_id AND v.key = s.ref {_STREAM.format('v')} WHERE s.profile_id = ?",
        person.id,
    )


def slices(person: Person) -> Iterator[Row]:
    """The lists, files and days at a source that hold a record besides the one that the record names."""
    return _rows(
        person.conn,
        "SELECT c.name || '.' || t.name AS stream, r.key, r.slice FROM subjects s JOIN record_slices r"
        f" ON r.stream_id = s.stream_id AND r.key = s.ref {_STREAM.format('r')} WHERE s.profile_id = ?",
        person.id,
    )


def records(person: Person) -> Iterator[Row]:
    """The vendors' records as they came, under their own names of fields."""
    conn = person.conn
    streams = conn.execute(
        "SELECT s.id, c.name || '.' || s.name, s.landing FROM streams s JOIN connections c ON c.id = s.connection_id "
        "WHERE s.landing <> '' AND s.landing IN (SELECT name FROM sqlite_master) ORDER BY 2"
    ).fetchall()
    for stream_id, stream, landing in streams:
        fields = conn.execute("SELECT column_name, field, type FROM catalogue WHERE stream_id = ?", (stream_id,)).fetchall()
        for row in _rows(conn, f'SELECT * FROM "{landing}" WHERE profile_id = ? ORDER BY key', person.id):
            known = {name: _value("", row[column], type_) for column, name, type_ in fields}
            more = json.loads(row["more"]) if row["more"] else {}
            yield {
                "stream": stream, "key": row["key"], "slice": row["slice"], "changed_at": row["changed_at"],
                "deleted_at": row["deleted_at"],
                "fields": {name: value for name, value in {**known, **more}.items() if value is not None},
            }  # fmt: skip


def canonical(person: Person, kind: Kind) -> Iterator[Row]:
    """The rows of one kind, whichever source they came from; deleted ones say since when."""
    columns = CANONICAL[kind]
    names = ", ".join(f'r."{column}"' for column in columns)
    rows = person.conn.execute(
        f"SELECT c.name || '.' || t.name, r.key, r.record_key, r.changed_at, r.deleted_at, {names} FROM {TABLES[kind]} r"
        f" {_STREAM.format('r')} WHERE r.profile_id = ? ORDER BY 1, 2, 3",
        (person.id,),
    )
    for stream, key, record, changed_at, deleted_at, *values in rows:
        found: Row = {"stream": stream, "key": key, "record": record}
        found |= {"changed_at": _value("changed_at", changed_at), "deleted_at": _value("deleted_at", deleted_at)}
        said = dict(zip(columns, values, strict=True))
        for column, type_ in columns.items():
            if type_ == "money" and said[column] is not None:
                currency = said.get("currency") or person.currency
                found |= {column: _major(said[column], currency), f"{column}_minor": said[column], "currency": currency}
            elif type_ == "json" and said[column] is not None:
                found[column] = json.loads(said[column])
            elif column not in found:
                found[column] = _value(column, said[column], type_)
        yield found


def _major(minor: int, currency: str) -> float | int:
    digits = minor_digits(currency)
    return minor / 10**digits if digits else minor


def events(person: Person) -> Iterator[Row]:
    """Every event, in order of time within its name, with all its properties."""
    for stream, key, name, time, properties in person.conn.execute(
        "SELECT c.name || '.' || t.name, e.key, n.name, e.time, e.properties FROM events e"
        f" JOIN event_names n ON n.id = e.name_id {_STREAM.format('e')} WHERE e.profile_id = ?"
        " ORDER BY e.name_id, e.time, e.id",
        (person.id,),
    ):
        yield {"stream": stream, "key": key, "name": name, "time": iso(time), "properties": json.loads(properties)}


def field_history(person: Person) -> Iterator[Row]:
    """Every change of a field of theirs, and of their own subscriptions."""
    fields = {"profile": [*CANONICAL[Kind.PROFILE], "user_id", "company_id", "live"], "subscription": [*SUBSCRIPTION_FIELDS]}
    owned = [row[0] for row in person.conn.execute("SELECT id FROM subscriptions WHERE profile_id = ?", (person.id,))]
    for of, ids in (("profile", person.ids), ("subscription", owned)):
        for row in person.conn.execute(
            "SELECT h.of_id, h.field, h.from_at, h.value FROM json_each(?) f CROSS JOIN json_each(?) i CROSS JOIN field_history"
            " h ON h.of = ? AND h.field = f.value AND h.of_id = i.value ORDER BY h.of_id, h.field, h.from_at",
            (json.dumps(fields[of]), json.dumps(ids), of),
        ):
            type_ = CANONICAL[Kind.PROFILE if of == "profile" else Kind.SUBSCRIPTION].get(row[1], "")
            value = _value("", row[3], type_)
            yield {"of": of, "id": row[0], "field": row[1], "from": iso(row[2]), "value": value, "unit": _unit(type_)}


def _unit(type_: str) -> str | None:
    return "minor units of the currency" if type_ == "money" else None


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
    for id_, owned, theirs, waiting in conn.execute("SELECT id, owned, theirs, waiting FROM audiences ORDER BY id").fetchall():
        standing = [
            name
            for name, bits in (("ours", owned), ("theirs", theirs), ("on_their_way", waiting))
            if bits and not BitMap.deserialize(bits).isdisjoint(BitMap(person.ids))
        ]
        rows = _rows(
            conn,
            "SELECT a.connection, a.kind, a.name, l.sync, l.member_key, l.remote_id, l.handle, l.object, l.state, l.at,"
            " l.profile_id FROM ledger l JOIN audiences a ON a.id = l.audience_id WHERE l.audience_id = ?1 AND (l.profile_id IN"
            " (SELECT value FROM json_each(?2)) OR l.member_key IN (SELECT value FROM json_each(?3))) ORDER BY l.member_key",
            id_, json.dumps(person.ids), json.dumps(sorted(person.own)),
        )  # fmt: skip
        for row in rows:
            if person.holds(row["member_key"], row.pop("profile_id")):
                yield {**row, "standing": standing}


def sent(person: Person) -> Iterator[Row]:
    """What was sent of them, where and when, and what came of it."""
    rows = _rows(
        person.conn,
        "SELECT a.connection, a.kind, a.name, i.sync, m.op, m.member_key, m.remote_id, m.handle, m.object, i.written_at,"
        " i.sent_at, i.settled_at, m.verdict, m.reason, m.profile_id FROM intent_members m JOIN intents i ON i.id = m.intent_id"
        " JOIN audiences a ON a.id = i.audience_id WHERE m.profile_id IN (SELECT value FROM json_each(?))"
        " OR m.member_key IN (SELECT value FROM json_each(?)) ORDER BY i.id, m.op",
        json.dumps(person.ids), json.dumps(sorted(person.own)),
    )  # fmt: skip
    for row in rows:
        if person.holds(row["member_key"], row.pop("profile_id")):
            yield row


def held(person: Person) -> Iterator[Row]:
    """Changes of theirs that wait for a person, or that a person let through."""
    for table, columns in (("holds", "target, kind, reason, since AS at"), ("approvals", "target, kind, at, expires_at")):
        for row in _rows(person.conn, f"SELECT {columns}, adds, removes FROM {table}"):
            for op in ("adds", "removes"):
                bits = bytes.fromhex(row[op]) if row[op] else b""
                if bits and not BitMap.deserialize(bits).isdisjoint(BitMap(person.ids)):
                    what = {name: value for name, value in row.items() if name not in ("adds", "removes")}
                    yield {"what": "held" if table == "holds" else "approved", "op": op, **what}


def dead_letters(person: Person) -> Iterator[Row]:
    """What was refused of them, and records of theirs that could not be read."""
    refs = "SELECT c.name, t.name, s.ref FROM subjects s {} WHERE s.profile_id = ?".format(_STREAM.format("s"))
    own = set(person.conn.execute(refs, (person.id,)).fetchall())
    for row in _rows(
        person.conn,
        "SELECT what, connection, stream, sync, key, op, reason, attempts, first_at, last_at, next_try_at, given_up_at,"
        " profile_id FROM dead_letters ORDER BY id",
    ):
        profile_id = row.pop("profile_id")
        is_record = row["what"] == "record"
        if (row["connection"], row["stream"], row["key"]) in own if is_record else person.holds(row["key"], profile_id):
            yield row

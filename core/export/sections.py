"""
What the sources said, section by section: who they are, their records, and the same in the words that segments use.

Nobody else is in one: a company's other people and what is the company's alone are not the person's. Times are ISO text, money
is in major units beside what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from core.clock import iso
from core.contract import Kind, minor_digits
from core.export.person import STREAM, Person, Row, rows_of, value_of
from core.store.cuts import cuts
from core.store.history import SUBSCRIPTION_FIELDS
from core.store.links import links_of
from core.store.schema import CANONICAL, TABLES


def profile(person: Person) -> Row:
    """The merged fields, and the numbers that it went by before."""
    (row,) = rows_of(person.conn, "SELECT * FROM profiles WHERE id = ?", person.id)
    row.pop("company_id")
    return {**row, "live": bool(row["live"]), "joined": [one for one in person.ids if one != person.id]}


def company(person: Person) -> Row | None:
    """The company that they are of, by its name; what else is known of it is the company's."""
    sql = "SELECT c.name, c.domain FROM profiles p JOIN companies c ON c.id = p.company_id WHERE p.id = ?"
    return next(rows_of(person.conn, sql, person.id), None)


def identifiers(person: Person) -> Iterator[Row]:
    """What they are known by."""
    sql = "SELECT kind, value, blocked_at FROM identifiers WHERE profile_id = ? ORDER BY kind, value"
    return rows_of(person.conn, sql, person.id)


def links(person: Person) -> Iterator[Row]:
    """Which record, or which tuple of an event stream, brought which identifiers."""
    yield from links_of(person.conn, person.id)
    fresh = (
        "SELECT c.name || '.' || t.name AS stream, s.ref AS record, f.kind, f.value FROM subjects s"
        f" JOIN fresh_identifiers f ON f.subject_id = s.id {STREAM.format('s')} WHERE s.profile_id = ?"
    )
    yield from rows_of(person.conn, fresh, person.id)


def merges(person: Person) -> Iterator[Row]:
    """Records that a vendor joined into another."""
    for side in ("loser", "winner"):
        yield from rows_of(
            person.conn,
            f"SELECT c.name || '.' || t.name AS stream, m.loser, m.winner, m.at FROM subjects s JOIN merges m"
            f" ON m.stream_id = s.stream_id AND m.{side} = s.ref {STREAM.format('m')} WHERE s.profile_id = ?",
            person.id,
        )


def unmerged(person: Person) -> Iterator[Row]:
    """What of theirs was told apart from somebody else's by hand; whose is that other's to know."""
    refs = "SELECT 'record ' || c.name || '.' || t.name, s.ref FROM subjects s {} WHERE s.profile_id = ?"
    own = set(person.conn.execute(refs.format(STREAM.format("s")), (person.id,)).fetchall())
    own |= set(person.conn.execute("SELECT kind, value FROM identifiers WHERE profile_id = ?", (person.id,)).fetchall())
    for cut in cuts(person.conn):
        for node in (cut.keep, cut.part):
            if tuple(node) in own:
                yield {"own": node.text, "at": iso(cut.at)}


def vanished(person: Person) -> Iterator[Row]:
    """Records that a source says are gone, kept until somebody approves."""
    return rows_of(
        person.conn,
        "SELECT c.name || '.' || t.name AS stream, v.key, v.since, v.reason FROM subjects s JOIN vanished v"
        f" ON v.stream_id = s.stream_id AND v.key = s.ref {STREAM.format('v')} WHERE s.profile_id = ?",
        person.id,
    )


def slices(person: Person) -> Iterator[Row]:
    """The lists, files and days at a source that hold a record besides the one that the record names."""
    return rows_of(
        person.conn,
        "SELECT c.name || '.' || t.name AS stream, r.key, r.slice FROM subjects s JOIN record_slices r"
        f" ON r.stream_id = s.stream_id AND r.key = s.ref {STREAM.format('r')} WHERE s.profile_id = ?",
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
        for row in rows_of(conn, f'SELECT * FROM "{landing}" WHERE profile_id = ? ORDER BY key', person.id):
            known = {name: value_of("", row[column], type_) for column, name, type_ in fields}
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
        f" {STREAM.format('r')} WHERE r.profile_id = ? ORDER BY 1, 2, 3",
        (person.id,),
    )
    for stream, key, record, changed_at, deleted_at, *values in rows:
        found: Row = {"stream": stream, "key": key, "record": record}
        found |= {"changed_at": value_of("changed_at", changed_at), "deleted_at": value_of("deleted_at", deleted_at)}
        said = dict(zip(columns, values, strict=True))
        for column, type_ in columns.items():
            if type_ == "money" and said[column] is not None:
                currency = said.get("currency") or person.currency
                found |= {column: _major(said[column], currency), f"{column}_minor": said[column], "currency": currency}
            elif type_ == "json" and said[column] is not None:
                found[column] = json.loads(said[column])
            elif column not in found:
                found[column] = value_of(column, said[column], type_)
        yield found


def _major(minor: int, currency: str) -> float | int:
    digits = minor_digits(currency)
    return minor / 10**digits if digits else minor


def events(person: Person) -> Iterator[Row]:
    """Every event, in order of time within its name, with all its properties."""
    for stream, key, name, time, properties in person.conn.execute(
        "SELECT c.name || '.' || t.name, e.key, n.name, e.time, e.properties FROM events e"
        f" JOIN event_names n ON n.id = e.name_id {STREAM.format('e')} WHERE e.profile_id = ?"
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
            if row[1] in ("email", "user_id") and not person.holds(str(row[3]), row[0]):
                continue  # of the time when they were taken for somebody else as well
            type_ = CANONICAL[Kind.PROFILE if of == "profile" else Kind.SUBSCRIPTION].get(row[1], "")
            value = value_of("", row[3], type_)
            yield {"of": of, "id": row[0], "field": row[1], "from": iso(row[2]), "value": value, "unit": _unit(type_)}


def _unit(type_: str) -> str | None:
    return "minor units of the currency" if type_ == "money" else None

"""
Event streams: rows go straight into `events`, without a landing table; the rest of a record is the event's properties.

An event's subject is the tuple of identifiers that it holds, so a million events of a thousand people make a thousand subjects.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from core import normalise
from core.contract import BadRecord, Kind, Record, Stream, pick
from core.store.canonical import UnreadableError
from core.store.catalogue import Catalogue
from core.store.field_types import flatten
from core.store.forgotten import Forgotten
from core.store.identity import (
    Fresh,
    IdentifierReader,
    Seen,
    Subject,
    add_fresh,
    attach,
    event_ref,
    known_subjects,
    numbered,
    plain,
)
from core.store.reading import Prepared, Stored, encode, fingerprint, reason, record_key
from core.store.rows import insert
from core.store.sources import Source

_NOBODY: Final[tuple[None, None, None]] = (None, None, None)


class EventRow(NamedTuple):
    """A row of `events`, but for stream, slice and run."""

    key: str
    name_id: int
    time: int
    subject_id: int | None
    profile_id: int | None
    company_id: int | None
    properties: str


class ParsedEvent(NamedTuple):
    """An event read but not stored."""

    name: str
    time: int
    seen: Seen
    properties: Mapping[str, object]
    text: str
    """The properties as JSON."""


class EventStore:
    """Stores the records of one event stream. Lives as long as one pull of it."""

    landing = None

    def __init__(self, conn: sqlite3.Connection, source: Source, stream: Stream) -> None:
        self._source = source
        self._stream = stream
        self._identifiers = IdentifierReader(source.connection, stream.identifiers)
        self._catalogue = Catalogue(source.id)
        self._fields = [(column, where, plain(where)) for column, where in stream.fields.items()]
        self._mapped = {where for where in (stream.key, *stream.fields.values()) if isinstance(where, str)}

    def prepare(self, records: Sequence[Record]) -> Prepared[ParsedEvent]:
        """Read the events; asks no database."""
        found: dict[str, ParsedEvent] = {}
        bad: list[BadRecord] = []
        for at, record in enumerate(records):
            key = record_key(self._stream, record)
            if isinstance(key, BadRecord):
                bad.append(key._replace(ref=f"record {at} of a page"))
                continue
            try:
                for name, event in self._read(record, key):
                    if name not in found or self._age(event) >= self._age(found[name]):
                        found[name] = event
            except Exception as error:  # the mapping is the connector's; one record must not stop the rest
                bad.append(BadRecord(key, reason(error), key))
        return Prepared(found, bad, len(records), fingerprint(key.encode() for key in found))

    def _read(self, record: Record, key: str) -> Iterable[tuple[str, ParsedEvent]]:
        people = self._identifiers.people(record)
        companies = self._identifiers.companies(record, {}, is_company=False)
        seen = Seen(event_ref(people, companies), people, companies)
        if self._stream.rows is None:
            return ((key, self._parsed(seen, self._values(record))),)
        rows = []
        for row in self._stream.rows(record):
            if row.kind is not Kind.EVENT:
                raise UnreadableError(f"a {row.kind.value} in a stream of events")
            rows.append((row.key, self._parsed(seen, row.values)))
        return rows

    def _age(self, event: ParsedEvent) -> float:
        """Return by what an event replaces another of its key; all alike where the stream does not say."""
        value = event.properties.get(self._stream.newest_by) if self._stream.newest_by is not None else None
        return value if isinstance(value, int | float) else 0

    def _values(self, record: Record) -> dict[str, object]:
        values = {column: record.get(name) if name is not None else pick(record, where) for column, where, name in self._fields}
        if "properties" not in self._stream.fields:
            flat = self._stream.columns(record) if self._stream.columns else flatten(record)
            values["properties"] = {
                name: value for name, value in flat.items() if name not in self._mapped and value is not None
            }
        return values

    def _parsed(self, seen: Seen, values: Mapping[str, object]) -> ParsedEvent:
        name, properties = values.get("name"), values.get("properties")
        try:
            time = normalise.time_us(values.get("time"))
        except ValueError as error:
            raise UnreadableError(f"time: {error}") from None
        if not isinstance(name, str) or not name or time is None:
            raise UnreadableError("an event without a name or a time")
        if properties is None:
            properties = {}
        elif not isinstance(properties, Mapping):
            raise UnreadableError("properties: not an object")
        return ParsedEvent(name, time, seen, properties, encode(properties).decode())

    def without(self, page: Prepared[ParsedEvent], forgotten: Forgotten) -> Prepared[ParsedEvent]:
        """Return the page without the events of people who were forgotten."""
        return page.keeping(lambda _, event: not forgotten.any_of(event.seen.people))

    def store(self, conn: sqlite3.Connection, page: Prepared[ParsedEvent], *, slice_: str, run_id: int, now: int) -> Stored:
        """Store the events of a page; one that came before is brought up to date."""
        if not page.items:
            return Stored(0, [])
        of_ref = {event.seen.ref: event.seen for event in page.items.values() if event.seen.ref}
        subjects = known_subjects(conn, self._source.id, list(of_ref))
        new = numbered(conn, [ref for ref in of_ref if ref not in subjects], {})
        if new:
            identifiers: Fresh = {}
            for ref, id_ in new.items():
                add_fresh(identifiers, id_, of_ref[ref])
            attach(conn, self._source.id, self._source.trust, new, {}, identifiers, now)
            subjects |= {ref: Subject(id_, None, None) for ref, id_ in new.items()}
        rows = []
        for key, (name, time, seen, properties, text) in page.items.items():
            name_id = self._catalogue.name_id(conn, name, now)
            self._catalogue.note_properties(conn, name_id, properties, now)
            subject_id, profile_id, company_id = subjects.get(seen.ref) or _NOBODY
            rows.append(EventRow(key, name_id, time, subject_id, profile_id, company_id, text))
        newest_by = self._stream.newest_by
        added, changed = write_events(conn, self._source.id, rows, slice_=slice_, run_id=run_id, newest_by=newest_by)
        if added:
            conn.execute("UPDATE streams SET live_count = live_count + ? WHERE id = ?", (added, self._source.id))
        return Stored(added + changed, [])


def write_events(
    conn: sqlite3.Connection,
    stream_id: int,
    rows: Sequence[EventRow],
    *,
    slice_: str,
    run_id: int,
    newest_by: str | None = None,
) -> tuple[int, int]:
    """
    Upsert events by key; return how many are new and how many of the others differ from what was stored.

    Where *newest_by* names a property, what is stored with a greater one stays.
    """
    new = insert(
        conn,
        "INSERT OR IGNORE INTO events (stream_id, slice, seen_run, key, name_id, time, subject_id, profile_id, company_id, "
        "properties) VALUES",
        rows,
        same=(stream_id, slice_, run_id),
    )
    if new == len(rows):
        return new, 0
    later = "" if newest_by is None else " AND coalesce(json_extract(properties, ?), 0) <= coalesce(json_extract(?, ?), 0)"
    path = f"$.{json.dumps(newest_by)}"
    changed = conn.executemany(
        "UPDATE events SET name_id = ?, time = ?, subject_id = ?, profile_id = ?, company_id = ?, properties = ? "
        f"WHERE stream_id = ? AND key = ? AND (name_id, time, subject_id, properties) IS NOT (?, ?, ?, ?){later}",
        [
            (*row[1:], stream_id, row.key, row.name_id, row.time, row.subject_id, row.properties)
            + ((path, row.properties, path) if newest_by is not None else ())
            for row in rows
        ],
    ).rowcount
    # apart from the above, for it touches no index
    conn.execute(
        "UPDATE events SET seen_run = ?, slice = ? WHERE stream_id = ? AND key IN (SELECT value FROM json_each(?))",
        (run_id, slice_, stream_id, json.dumps([row.key for row in rows])),
    )
    return new, changed

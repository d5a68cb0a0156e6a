"""
Stores a page of records: landing row, canonical rows, identifiers, and nothing at all for a record that did not change.

Speed comes from doing everything a page at a time: one look-up of what is known, then `executemany`. The caller holds the
transaction, and moves the checkpoint in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from core.contract import BadRecord, Kind, Record, Stream
from core.store import slices
from core.store.canonical import CanonicalRow, RowReader, write_rows
from core.store.catalogue import Catalogue
from core.store.events import EventRow, write_events
from core.store.identity import IdentifierReader, Seen, attach, known_subjects
from core.store.landing import Landing
from core.store.reading import Prepared, Stored, encode, fingerprint, reason, record_key
from core.store.schema import CANONICAL
from core.store.sources import Source

_LAYOUT: Final = 3
"""Part of every content hash: raise it when records must be read again although they did not change."""
_SURVEY, _QUESTION = (list(CANONICAL[Kind.ANSWER]).index(column) for column in ("survey", "question"))
_NAME, _TIME, _PROPERTIES = (list(CANONICAL[Kind.EVENT]).index(column) for column in ("name", "time", "properties"))


class Meaning(NamedTuple):
    """What a record says: its canonical rows and its subject."""

    rows: list[CanonicalRow]
    seen: Seen


class Item(NamedTuple):
    """A record of a page and the hash of what it holds."""

    digest: bytes
    record: Record


class RecordStore:
    """Stores the records of one stream that has a landing table. Lives as long as one pull of it."""

    def __init__(self, conn: sqlite3.Connection, source: Source, stream: Stream) -> None:
        self._source = source
        self._stream = stream
        self._rows = RowReader(stream, source.trust, source.currency)
        self._identifiers = IdentifierReader(source.connection, stream.identifiers)
        self._catalogue = Catalogue(source.id)
        self._salt = _salt(stream, source)
        self.landing = Landing(conn, source.id, source.landing, stream)

    def prepare(self, records: Sequence[Record]) -> Prepared[Item]:
        """Read keys and content hashes; asks no database."""
        found: dict[str, Item] = {}
        bad: list[BadRecord] = []
        salted, stream = self._salt.copy, self._stream
        for at, record in enumerate(records):
            key = record_key(stream, record)
            if isinstance(key, BadRecord):
                bad.append(key._replace(ref=f"record {at} of a page"))
                continue
            try:
                digest = salted()
                digest.update(encode(record))
            except (TypeError, ValueError) as error:  # a lone surrogate, or what no JSON has
                bad.append(BadRecord(key, f"cannot be stored ({type(error).__name__})"))
                continue
            found[key] = Item(digest.digest(), record)
        return Prepared(found, bad, len(records), fingerprint(item.digest for item in found.values()))

    def store(self, conn: sqlite3.Connection, page: Prepared[Item], *, slice_: str, run_id: int, now: int) -> Stored:
        """Store what is new or changed; what is not is only noted as seen."""
        if not page.items:
            return Stored(0, [])
        known = self.landing.known(conn, list(page.items))
        seen: list[str] = []
        changed: list[str] = []
        for key, item in page.items.items():
            (seen if known.get(key) == (item.digest, True) else changed).append(key)
        if self._stream.slices is not None:
            changed = self._keep_others(conn, page, changed, known, slice_=slice_, run_id=run_id)
            slices.take_over(conn, self._source, [*seen, *changed], slice_)
        bad: list[BadRecord] = []
        if changed:
            bad = self._write(conn, page, changed, known, slice_=slice_, run_id=run_id, now=now)
            # what cannot be read any more is still there
            seen += [key for key, _ in bad if key in known]
        if seen:
            self.landing.touch(conn, seen, slice_, run_id)
        gone = {key for key, _ in bad}
        added = len([key for key in changed if key not in gone and not (key in known and known[key][1])])
        if added:
            conn.execute("UPDATE streams SET live_count = live_count + ? WHERE id = ?", (added, self._source.id))
        return Stored(len(changed) - len(bad), bad)

    def _keep_others(
        self,
        conn: sqlite3.Connection,
        page: Prepared[Item],
        keys: Sequence[str],
        known: dict[str, tuple[bytes | None, bool]],
        *,
        slice_: str,
        run_id: int,
    ) -> list[str]:
        """Return those of *keys* that are news: what this slice said before, and another has said otherwise since, is none."""
        asked = [key for key in keys if key in known and known[key][1]]
        had = slices.held_elsewhere(conn, self._source, asked, slice_) if asked else {}
        old = [key for key, digest in had.items() if digest == page.items[key].digest]
        if old:
            slices.note_seen(conn, self._source, old, slice_, run_id)
        return [key for key in keys if key not in set(old)] if old else list(keys)

    def _write(
        self,
        conn: sqlite3.Connection,
        page: Prepared[Item],
        keys: Sequence[str],
        known: dict[str, tuple[bytes | None, bool]],
        *,
        slice_: str,
        run_id: int,
        now: int,
    ) -> list[BadRecord]:
        read, bad = self._read(conn, page, keys, now)
        known_refs = known_subjects(conn, self._source.id, list(read))
        subjects = attach(conn, self._source.id, self._source.trust, [m.seen for _, m in read.values()], known_refs, now)
        landing: list[tuple[Any, ...]] = []
        rows: dict[Kind, list[tuple[str, int | None, CanonicalRow]]] = {}
        for key, (values, meaning) in read.items():
            subject_id = subjects[key].id
            landing.append((slice_, run_id, now, key, subject_id, page.items[key].digest, *values))
            for row in meaning.rows:
                rows.setdefault(row.kind, []).append((key, subject_id, row))
        self.landing.write(conn, landing)
        old = [key for key in read if key in known]
        events = rows.pop(Kind.EVENT, [])
        if events or (old and Kind.EVENT in self._rows.kinds):
            self._write_events(conn, events, [subjects[key].id for key in old], slice_=slice_, run_id=run_id, now=now)
        write_rows(conn, self._source.id, rows, replaced=old, kinds=self._rows.kinds, now=now)
        if Kind.ANSWER in rows:
            pairs = ((row.values[_SURVEY], row.values[_QUESTION]) for _, _, row in rows[Kind.ANSWER])
            self._catalogue.note_answers(conn, pairs, now)
        return bad

    def _read(
        self, conn: sqlite3.Connection, page: Prepared[Item], keys: Sequence[str], now: int
    ) -> tuple[dict[str, tuple[list[Any], Meaning]], list[BadRecord]]:
        """Return landing row and meaning of the records of *keys*, and those that cannot be read."""
        bad: list[BadRecord] = []
        read: dict[str, tuple[list[Any], Meaning]] = {}
        changes = self.landing.changes
        before = len(changes)
        for key in keys:
            record = page.items[key].record
            try:
                meaning = self._meaning(key, record)
                read[key] = self.landing.read(conn, record, now), meaning
            except Exception as error:  # the mapping is the connector's; one record must not stop the rest
                bad.append(BadRecord(key, reason(error)))
        if len(changes) != before:  # rows of this page read before a column was widened have the old type
            read = {key: (self.landing.read(conn, page.items[key].record, now), meaning) for key, (_, meaning) in read.items()}
        return read, bad

    def _meaning(self, key: str, record: Record) -> Meaning:
        people = self._identifiers.people(record)
        email = next((value for kind, value in people if kind == "email"), None)
        rows, described = self._rows.read(record, key, email)
        companies = self._identifiers.companies(record, described, is_company=self._source.kind is Kind.COMPANY)
        return Meaning(rows, Seen(key, people, companies))

    def _write_events(
        self,
        conn: sqlite3.Connection,
        events: Sequence[tuple[str, int | None, CanonicalRow]],
        old: Sequence[int],
        *,
        slice_: str,
        run_id: int,
        now: int,
    ) -> None:
        """Events that a record of another kind gives: its own, and those it no longer gives go."""
        kept = json.dumps([row.key for _, _, row in events])
        conn.execute(
            "DELETE FROM events WHERE subject_id IN (SELECT value FROM json_each(?)) "
            "AND key NOT IN (SELECT value FROM json_each(?))",
            (json.dumps(old), kept),
        )
        rows = []
        for _, subject_id, row in events:
            properties = json.loads(row.values[_PROPERTIES] or "{}")
            name_id = self._catalogue.name_id(conn, row.values[_NAME], now)
            self._catalogue.note_properties(conn, name_id, properties, now)
            rows.append(EventRow(row.key, name_id, row.values[_TIME], subject_id, None, None, row.values[_PROPERTIES] or "{}"))
        write_events(conn, self._source.id, rows, slice_=slice_, run_id=run_id)


def _salt(stream: Stream, source: Source) -> Any:
    """The start of every content hash: a changed mapping makes every record a changed one."""

    def named(where: object) -> str:
        return where if isinstance(where, str) else getattr(where, "__qualname__", type(where).__qualname__)

    mapping = {
        "layout": _LAYOUT, "kind": stream.kind, "trust": source.trust, "currency": source.currency,
        "identifiers": [(kind, named(where)) for kind, where in stream.identifiers.items()],
        "fields": [(column, named(where)) for column, where in stream.fields.items()],
        "rows": named(stream.rows), "columns": named(stream.columns),
    }  # fmt: skip
    return blake2b(encode(mapping), digest_size=16)

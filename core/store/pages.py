"""
Stores a page of records: landing row, canonical rows, identifiers, and nothing at all for a record that did not change.

Speed comes from doing everything a page at a time: one look-up of what is known, then `executemany`. The caller holds the
transaction, and moves the checkpoint in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from core.contract import BadRecord, Kind, Record, Stream
from core.store import slices
from core.store.canonical_tables import StoredRow, write_rows
from core.store.catalogue import Catalogue
from core.store.events import EventRow, write_events
from core.store.forgotten import Forgotten
from core.store.identity import attach, known_subjects, numbered
from core.store.landing import Landing
from core.store.meaning import MeaningReader, Said
from core.store.reading import Item, Prepared, Stored, encode, encode_all, fingerprint, record_key, record_keys
from core.store.schema import CANONICAL
from core.store.sources import Source

_LAYOUT: Final = 3
"""Part of every content hash: raise it when records must be read again although they did not change."""
_AT_ONCE: Final = 10_000
"""Records whose subjects one statement takes for sure."""
_SURVEY, _QUESTION = (list(CANONICAL[Kind.ANSWER]).index(column) for column in ("survey", "question"))
_NAME, _TIME, _PROPERTIES = (list(CANONICAL[Kind.EVENT]).index(column) for column in ("name", "time", "properties"))


class RecordStore:
    """Stores the records of one stream that has a landing table. Lives as long as one pull of it."""

    def __init__(self, conn: sqlite3.Connection, source: Source, stream: Stream) -> None:
        self._source = source
        self._stream = stream
        self._catalogue = Catalogue(source.id)
        self._salt = _salt(stream, source)
        self.landing = Landing(conn, source.id, source.landing, stream)
        self._meaning = MeaningReader(source, stream, self.landing)
        self._only_news = stream.slices is None and self.landing.is_empty(conn)
        """Whether the page before held nothing but what is new, as the next one then does too."""

    def prepare(self, records: Sequence[Record]) -> Prepared[Item]:
        """Read keys and content hashes; asks no database."""
        keys = record_keys(self._stream, records)
        if keys is not None:
            try:
                digests = self._digests(records)
            except (TypeError, ValueError):
                pass  # of which record is found out one by one
            else:
                items = zip(digests, records, strict=True)
                return Prepared(dict(zip(keys, items, strict=True)), [], len(keys), fingerprint(digests))
        found: dict[str, Item] = {}
        bad: list[BadRecord] = []
        for at, record in enumerate(records):
            key = record_key(self._stream, record)
            if isinstance(key, BadRecord):
                bad.append(key._replace(ref=f"record {at} of a page"))
                continue
            try:
                found[key] = self._digests([record])[0], record
            except (TypeError, ValueError) as error:  # a lone surrogate, or what no JSON has
                bad.append(BadRecord(key, f"cannot be stored ({type(error).__name__})", key))
        return Prepared(found, bad, len(records), fingerprint(digest for digest, _ in found.values()))

    def _digests(self, records: Sequence[Record]) -> list[bytes]:
        texts, salted = encode_all(records), self._salt.copy
        digests = [salted() for _ in texts]
        for _ in map(blake2b.update, digests, texts):
            pass
        return list(map(blake2b.digest, digests))

    def without(self, page: Prepared[Item], forgotten: Forgotten) -> Prepared[Item]:
        """Return the page without the records of people who were forgotten."""
        where = (self._source.connection, self._source.stream)
        return page.keeping(
            lambda key, item: not (forgotten.has_record(*where, key) or forgotten.any_of(self._meaning.named(item[1])))
        )

    def store(self, conn: sqlite3.Connection, page: Prepared[Item], *, slice_: str, run_id: int, now: int) -> Stored:
        """Store what is new or changed; what is not is only noted as seen."""
        if not page.items:
            return Stored(0, [])
        if self._only_news and self._store_news(conn, page, slice_=slice_, run_id=run_id, now=now):
            return Stored(len(page.items), [])
        known = self.landing.known(conn, list(page.items))
        self._only_news = not known and self._stream.slices is None
        seen: list[str] = []
        changed: list[str] = []
        for key, (digest, _) in page.items.items():
            (seen if known.get(key) == (digest, True) else changed).append(key)
        if self._stream.slices is not None:
            changed = self._keep_others(conn, page, changed, known, slice_=slice_, run_id=run_id)
            slices.take_over(conn, self._source, [*seen, *changed], slice_)
        bad: list[BadRecord] = []
        if changed:
            bad = self._write(conn, page, changed, known, slice_=slice_, run_id=run_id, now=now)
            # what cannot be read any more is still there
            seen += [one.ref for one in bad if one.ref in known]
        if seen:
            self.landing.touch(conn, seen, slice_, run_id)
        gone = {one.ref for one in bad}
        added = len([key for key in changed if key not in gone and not (key in known and known[key][1])])
        if added:
            self._count(conn, added)
        return Stored(len(changed) - len(bad), bad)

    def _count(self, conn: sqlite3.Connection, added: int) -> None:
        conn.execute("UPDATE streams SET live_count = live_count + ? WHERE id = ?", (added, self._source.id))

    def _store_news(self, conn: sqlite3.Connection, page: Prepared[Item], *, slice_: str, run_id: int, now: int) -> bool:
        """
        Store a page of which everything is new; False, with nothing stored, where it is not or something is unreadable.

        That is found out without a look-up: a record that is stored has a subject, and its name can be taken only once.
        """
        if len(page.items) > _AT_ONCE:
            return False
        ids = numbered(conn, list(page.items), {})
        said = self._meaning.read(conn, page.items, ids, now)
        if said.bad:  # what is stored, and cannot be read any more, is still there
            return False
        try:
            attach(conn, self._source.id, self._source.trust, ids, {}, said.identifiers, now, said.whole)
        except sqlite3.IntegrityError:
            return False
        self._put(conn, said, ids, (), slice_=slice_, run_id=run_id, now=now)
        self._count(conn, len(ids))
        return True

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
        old = [key for key, digest in had.items() if digest == page.items[key][0]]
        if old:
            slices.note_seen(conn, self._source, old, slice_, run_id)
        return [key for key in keys if key not in set(old)] if old else list(keys)

    def _write(
        self,
        conn: sqlite3.Connection,
        page: Prepared[Item],
        keys: Sequence[str],
        known: Collection[str],
        *,
        slice_: str,
        run_id: int,
        now: int,
    ) -> list[BadRecord]:
        known_refs = known_subjects(conn, self._source.id, keys)
        ids = numbered(conn, keys, known_refs)
        said = self._meaning.read(conn, {key: page.items[key] for key in keys}, ids, now)
        for one in said.bad:
            del ids[one.ref]
        attach(conn, self._source.id, self._source.trust, ids, known_refs, said.identifiers, now, said.whole)
        self._put(conn, said, ids, known, slice_=slice_, run_id=run_id, now=now)
        return said.bad

    def _put(
        self,
        conn: sqlite3.Connection,
        said: Said,
        ids: Mapping[str, int],
        known: Collection[str],
        *,
        slice_: str,
        run_id: int,
        now: int,
    ) -> None:
        """Write what records say, which are subjects *ids* by key; those *known* have said something before."""
        self.landing.write(conn, said.landing, said.landing_same, said.landing_keys, slice_=slice_, run_id=run_id, now=now)
        old = [key for key in ids if key in known]
        events = said.rows.pop(Kind.EVENT, [])
        if events or (old and Kind.EVENT in self._meaning.kinds):
            self._write_events(conn, events, [ids[key] for key in old], slice_=slice_, run_id=run_id, now=now)
        write_rows(
            conn, self._source.id, said.rows, replaced=old, kinds=self._meaning.kinds, same=said.same, keyed=said.keyed, now=now
        )
        if Kind.ANSWER in said.rows:
            answers = ((values[_SURVEY], values[_QUESTION]) for _, _, _, *values in said.rows[Kind.ANSWER])
            self._catalogue.note_answers(conn, answers, now)

    def _write_events(
        self,
        conn: sqlite3.Connection,
        events: Sequence[StoredRow],
        old: Sequence[int],
        *,
        slice_: str,
        run_id: int,
        now: int,
    ) -> None:
        """Events that a record of another kind gives: its own, and those it no longer gives go."""
        kept = json.dumps([key for _, _, key, *_ in events])
        conn.execute(
            "DELETE FROM events WHERE subject_id IN (SELECT value FROM json_each(?)) "
            "AND key NOT IN (SELECT value FROM json_each(?))",
            (json.dumps(old), kept),
        )
        rows = []
        for _, subject_id, key, *values in events:
            text = values[_PROPERTIES] or "{}"
            name_id = self._catalogue.name_id(conn, values[_NAME], now)
            self._catalogue.note_properties(conn, name_id, json.loads(text), now)
            rows.append(EventRow(key, name_id, values[_TIME], subject_id, None, None, text))
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

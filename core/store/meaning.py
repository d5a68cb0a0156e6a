"""
What a page of records says: landing rows, canonical rows and identifiers, ready to be written.

A page whose records are alike is read column by column, any other record by record: only so is it known which is unreadable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from core.contract import BadRecord, Kind, Record, Stream
from core.store.canonical import RowReader
from core.store.canonical_tables import StoredRow
from core.store.columns import Columns, Sharing
from core.store.identity import Fresh, FreshKind, Identifier, IdentifierColumn, IdentifierReader, Seen, add_fresh
from core.store.landing import Landing, LandingRow
from core.store.reading import Item, reason
from core.store.rows import Turned
from core.store.sources import Source


class Said(NamedTuple):
    """What the records of a page say, and those that cannot be read."""

    landing: Sequence[LandingRow]
    rows: dict[Kind, Sequence[StoredRow]]
    identifiers: Fresh
    bad: list[BadRecord]
    same: dict[Kind, dict[str, Any]]
    """What all rows of a kind share, by column; the rows are without it."""
    landing_same: dict[int, Any]
    """Likewise of the landing rows, by place."""
    landing_keys: Sequence[int] = ()
    """Places of the landing rows that hold the record's key once more; the rows are without them."""
    keyed: Collection[Kind] = ()
    """Kinds whose rows have the record's key for their own; the rows are without it."""
    whole: Mapping[FreshKind, Sequence[str]] = MappingProxyType({})
    """Identifiers of which each record has one; the others are in `identifiers`."""


class MeaningReader:
    """Reads the records of one stream. Lives as long as one pull of it."""

    def __init__(self, source: Source, stream: Stream, landing: Landing) -> None:
        self._kind = source.kind
        self._landing = landing
        self._rows = RowReader(stream, source.trust, source.currency)
        self._identifiers = IdentifierReader(source.connection, stream.identifiers)
        self._sharing = Sharing(), Sharing()
        self.kinds = self._rows.kinds

    def named(self, record: Record) -> list[Identifier]:
        """Return whom a record names; nobody where that cannot be read, for then it is not stored either."""
        try:
            found = list(self._identifiers.people(record))
            address = self._rows.address(record)
        except Exception:  # the mapping is the connector's
            return []
        return found if address is None else [*found, ("email", address)]

    def read(self, conn: sqlite3.Connection, items: Mapping[str, Item], ids: Mapping[str, int], now: int) -> Said:
        """Return what *items* say, which are records by key; *ids* are their subjects. May add and widen columns."""
        page = Columns.of([record for _, record in items.values()])
        landing = None if page is None else self._landing.by_column(page)
        said = None if page is None or landing is None else self._by_column(page, landing, items, ids)
        return said or self._one_by_one(conn, landing, items, ids, now)

    def _by_column(
        self, page: Columns, landing: list[Sequence[Any]], items: Mapping[str, Item], ids: Mapping[str, int]
    ) -> Said | None:
        try:
            identifiers = self._identifiers.by_column(page)
            if identifiers is None:
                return None
            emails = next((column.texts for column in identifiers if column.kind == "email"), None)
            columns = self._rows.by_column(page, emails)
        except Exception:  # some record is unreadable, and the reading one by one says which
            return None
        if columns is None:
            return None
        digests = [digest for digest, _ in items.values()]
        landing_same, fields = self._sharing[0].part(dict(enumerate(landing)))
        keys, subjects = tuple(items), tuple(ids.values())
        landing_keys = self._sharing[0].like(fields, keys)
        for at in landing_keys:
            del fields[at]
        kind = self._rows.kind
        same: dict[str, Any] = {}
        keyed: tuple[Kind, ...] = ()
        if kind is Kind.ANSWER:  # its rows are looked at by position
            rows = Turned(keys, subjects, keys, *columns.values())
        else:
            keyed = (kind,)
            same, columns = self._sharing[1].part(columns)
            rows = Turned(keys, subjects, *columns.values())
        landed = Turned(keys, subjects, digests, *fields.values())
        fresh, whole = _fresh_columns(identifiers, ids)
        return Said(landed, {kind: rows}, fresh, [], {kind: same}, landing_same, landing_keys, keyed, whole)

    def _one_by_one(
        self,
        conn: sqlite3.Connection,
        landing: list[Sequence[Any]] | None,
        items: Mapping[str, Item],
        ids: Mapping[str, int],
        now: int,
    ) -> Said:
        """As `read`; *landing* are the landing rows, turned, where those could be read by column."""
        rows_of: dict[Kind, list[StoredRow]] = {}
        fresh: Fresh = {}
        bad: list[BadRecord] = []
        values = None if landing is None else list(zip(*landing, strict=True))
        read: dict[str, Sequence[Any]] = {}
        before = len(self._landing.changes)
        for at, (key, (_, record)) in enumerate(items.items()):
            try:
                rows, seen = self._meaning(key, record, ids[key])
                read[key] = self._landing.read(conn, record, now) if values is None else values[at]
            except Exception as error:  # the mapping is the connector's; one record must not stop the rest
                bad.append(BadRecord(key, reason(error), key))
                continue
            add_fresh(fresh, ids[key], seen)
            for kind, row in rows:
                rows_of.setdefault(kind, []).append(row)
        if len(self._landing.changes) != before:  # rows of this page read before a column was widened have the old type
            read = {key: self._landing.read(conn, items[key][1], now) for key in read}
        landed = [(key, ids[key], items[key][0], *row) for key, row in read.items()]
        return Said(landed, {**rows_of}, fresh, bad, {}, {})

    def _meaning(self, key: str, record: Record, subject_id: int) -> tuple[list[tuple[Kind, StoredRow]], Seen]:
        people = self._identifiers.people(record)
        email = next((value for kind, value in people if kind == "email"), None)
        rows, described = self._rows.read(record, key, email)
        companies = self._identifiers.companies(record, described, is_company=self._kind is Kind.COMPANY)
        stored = [(row.kind, (key, subject_id, row.key, *row.values)) for row in rows]
        return stored, Seen(key, people, companies)


def _fresh_columns(columns: Sequence[IdentifierColumn], ids: Mapping[str, int]) -> tuple[Fresh, dict[FreshKind, Sequence[str]]]:
    fresh: Fresh = {}
    whole: dict[FreshKind, Sequence[str]] = {}
    for at, (kind, texts, is_company) in enumerate(columns):
        had = (
            [(id_, text) for id_, text in zip(ids.values(), texts, strict=True) if text is not None] if None in texts else None
        )
        if had is None:
            whole[at, kind, is_company] = cast(Sequence[str], texts)
        else:
            fresh[at, kind, is_company] = had
    return fresh, whole

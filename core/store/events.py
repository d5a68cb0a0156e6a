"""
Event streams: rows go straight into `events`, without a landing table; the rest of a record is the event's properties.

An event's subject is the tuple of identifiers that it holds, so a million events of a thousand people make a thousand subjects.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from core import normalise
from core.contract import BadRecord, Kind, Record, Stream, pick
from core.store.canonical import Unreadable
from core.store.catalogue import Catalogue
from core.store.identity import IdentifierReader, Seen, attach, event_ref, known_subjects
from core.store.landing import flatten
from core.store.sources import Source

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str, check_circular=False).encode


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


def write_events(conn: sqlite3.Connection, stream_id: int, rows: Sequence[EventRow], *, slice_: str, run_id: int) -> int:
    """Upsert events by key; return how many are new."""
    new = conn.executemany(
        "INSERT OR IGNORE INTO events (stream_id, slice, seen_run, key, name_id, time, subject_id, profile_id, company_id, properties) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(stream_id, slice_, run_id, *row) for row in rows],
    ).rowcount
    if new < len(rows):  # some came before: those seen in this run as well are rewritten for nothing, and are few
        conn.executemany(
            "UPDATE events SET seen_run = ?, slice = ?, name_id = ?, time = ?, properties = ?, "
            "profile_id = CASE WHEN subject_id IS ? THEN profile_id ELSE ? END, "
            "company_id = CASE WHEN subject_id IS ? THEN company_id ELSE ? END, subject_id = ? "
            "WHERE stream_id = ? AND key = ?",
            [
                (run_id, slice_, r.name_id, r.time, r.properties, r.subject_id, r.profile_id, r.subject_id, r.company_id,
                 r.subject_id, stream_id, r.key)
                for r in rows
            ],
        )  # fmt: skip
    return new

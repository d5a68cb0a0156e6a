"""
Which events, surveys, questions and event properties there are, and who brought them: what segments can speak of.

Fields of landing tables have a catalogue of their own, kept by `landing`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from core.store.field_types import type_of, wider

QUESTION_SEPARATOR = "\x1f"
"""Between survey and question in `event_sources.name`."""
_MAX_SHAPES = 20_000


class Catalogue:
    """What one pull of one stream has noted already, so that each name is written once."""

    def __init__(self, stream_id: int) -> None:
        self._stream_id = stream_id
        self._ids: dict[str, int] = {}
        self._sources: set[tuple[str, str]] = set()
        self._types: dict[tuple[int, str], str] = {}
        self._shapes: set[tuple[object, ...]] = set()

    def name_id(self, conn: sqlite3.Connection, name: str, now: int) -> int:
        """Return the id of an event's name, made if new, and note that this stream brings it."""
        id_ = self._ids.get(name)
        if id_ is None:
            conn.execute("INSERT INTO event_names (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            id_ = self._ids[name] = int(conn.execute("SELECT id FROM event_names WHERE name = ?", (name,)).fetchone()[0])
            self.note(conn, "event", name, now)
        return id_

    def note(self, conn: sqlite3.Connection, what: str, name: str, now: int) -> None:
        """Note that this stream brings an event, a survey, or a question (survey, separator, question)."""
        if (what, name) not in self._sources:
            conn.execute("INSERT OR IGNORE INTO event_sources VALUES (?, ?, ?, ?)", (self._stream_id, what, name, now))
            self._sources.add((what, name))

    def note_answers(self, conn: sqlite3.Connection, answers: Iterable[tuple[str | None, str | None]], now: int) -> None:
        """Note the survey and the question of each answer."""
        for survey, question in answers:
            if survey is not None:
                self.note(conn, "survey", survey, now)
                if question is not None:
                    self.note(conn, "question", f"{survey}{QUESTION_SEPARATOR}{question}", now)

    def note_properties(self, conn: sqlite3.Connection, name_id: int, properties: Mapping[str, object], now: int) -> None:
        """Note the properties of an event and their types; one of two types is widened like a column."""
        shape = (name_id, *properties, *map(type, properties.values()))
        if shape in self._shapes:
            return
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        self._shapes.add(shape)
        for name, value in properties.items():
            type_ = "null" if value is None else type_of(value)
            known = self._types.get((name_id, name))
            if known is None:
                row = conn.execute(
                    "SELECT type FROM event_properties WHERE name_id = ? AND property = ?", (name_id, name)
                ).fetchone()
                known = row[0] if row else None
            new = type_ if known is None else known if type_ == "null" else wider(known, type_)
            if new != known:
                conn.execute(
                    "INSERT INTO event_properties VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (name_id, property) DO UPDATE SET type = excluded.type",
                    (name_id, name, new, now),
                )
            self._types[name_id, name] = new

"""
What `tagalong fields [TEXT]` shows: every name that a segment can use, its type, how many people have it, and a few values.

Values that say who somebody is are masked; texts of a vendor come back as they are, to be escaped by whoever prints them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import Final

from core.clock import from_us
from core.contract import Kind
from core.segments import dialect
from core.segments.tree_constants import Type
from core.segments.vocabulary import BILLING_WORDS, COMPANY_FIELDS, PROFILE_FIELDS, SCORE_WORDS, Vocabulary
from core.segments.words.billing import kind_of
from core.store import Store

SAMPLES: Final = 3
MASKED: Final = "***"
_SCANNED: Final = 2_000
"""Rows looked at for samples: enough to show what a field holds, too few to be waited for."""
_PERSONAL: Final = frozenset({"email", "phone", "first_name", "last_name", "user_id", "owner"})
_PERSONAL_PARTS: Final = ("mail", "phone", "name", "address", "street", "birth", "token")
_PERSONAL_WORDS: Final = frozenset({"ip", "user", "owner", "person"})
"""Words that are personal only where they stand alone: not in `subscription` and `recipient`."""
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that can be named."""

    name: str
    """As it is written in a segment."""
    kind: str
    """field, company, source, billing, survey, question, event, property."""
    _: KW_ONLY
    type: str
    sources: tuple[str, ...] = ()
    coverage: float | None = None
    """The share of people (companies, records, events) that have a value; None where it was not counted."""
    samples: tuple[str, ...] = ()
    seen: bool = True
    """Whether a complete pull has shown it."""

    def as_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)


def describe(store: Store | None, vocabulary: Vocabulary, text: str = "") -> list[Word]:
    """Return all words that hold *text* (in any case) in their name or type, in a fixed order; without a store, no values."""
    found = list(_all(store.conn if store is not None else None, vocabulary))
    wanted = text.casefold()
    return [word for word in found if not wanted or wanted in word.name.casefold() or wanted in word.kind]


def _all(conn: sqlite3.Connection | None, vocabulary: Vocabulary) -> Iterator[Word]:
    for name, type_ in PROFILE_FIELDS.items():
        if sources := vocabulary.feeding(Kind.PROFILE, name):
            yield _column(conn, "profiles", name, Word(name, "field", type=type_, sources=_sorted(sources)))
    for name, type_ in COMPANY_FIELDS.items():
        if sources := vocabulary.feeding(Kind.COMPANY, name):
            word = Word(f"company.{name}", "company", type=type_, sources=_sorted(sources))
            yield _column(conn, "companies", name, word)
    yield from _source_fields(conn, vocabulary)
    for name, type_ in BILLING_WORDS.items():
        if sources := vocabulary.feeding(kind_of(name)):
            yield Word(name, "billing", type=type_, sources=_sorted(sources))
    if sources := vocabulary.feeding(Kind.ANSWER):
        for name in SCORE_WORDS:
            yield Word(name, "survey", type=Type.NUMBER, sources=_sorted(sources))
    yield from _surveys(conn, vocabulary)
    yield from _events(conn, vocabulary)


def _sorted(sources: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(sources))


def _surveys(conn: sqlite3.Connection | None, vocabulary: Vocabulary) -> Iterator[Word]:
    for name, seen in sorted(vocabulary.surveys.items()):
        word = Word(
            f"answered({_quoted(name)})", "survey", type=Type.BOOLEAN, sources=_sorted(seen.streams), seen=seen.complete
        )
        asked = "SELECT count(DISTINCT profile_id) FROM answers WHERE deleted_at IS NULL AND survey = ?"
        yield word if conn is None else replace(word, coverage=_share(conn, asked, name))
    for (survey, question), seen in sorted(vocabulary.questions.items()):
        name = f"answer({_quoted(survey)}, {_quoted(question)})"
        word = Word(name, "question", type=Type.ANY, sources=_sorted(seen.streams), seen=seen.complete)
        yield word if conn is None else _question(conn, survey, question, word)


def _question(conn: sqlite3.Connection, survey: str, question: str, word: Word) -> Word:
    """Return *word* with how many answered it, and what."""
    rows = "FROM answers WHERE deleted_at IS NULL AND survey = ? AND question = ?"
    values = conn.execute(f"SELECT coalesce(choice, text, number) {rows} LIMIT {_SCANNED}", (survey, question))
    there = [value for (value,) in values if value is not None]
    coverage = _share(conn, f"SELECT count(DISTINCT profile_id) {rows}", survey, question)
    return _with(word, question, coverage, there)


def _share(conn: sqlite3.Connection, people: str, *params: str) -> float:
    """Return the share of all people whom the query *people* counts."""
    (everyone,) = conn.execute("SELECT count(*) FROM profiles WHERE live = 1").fetchone()
    (counted,) = conn.execute(people, params).fetchone()
    return counted / everyone if everyone else 0.0


def _source_fields(conn: sqlite3.Connection | None, vocabulary: Vocabulary) -> Iterator[Word]:
    for stream in vocabulary.streams:
        for name, column in sorted(stream.columns.items()):
            plain = all(part.isidentifier() for part in name.split("."))
            written = f"{stream.text}.{name}" if plain else f"field({_quoted(stream.text)}, {_quoted(name)})"
            word = Word(
                written, "source", type=column.type, sources=(stream.text,), seen=stream.completed and not column.missing
            )
            known = conn is not None and stream.landing is not None
            yield _column(conn, stream.landing or "", column.column, word, live="deleted_at IS NULL") if known else word


def _events(conn: sqlite3.Connection | None, vocabulary: Vocabulary) -> Iterator[Word]:
    for name, seen in sorted(vocabulary.events.items()):
        word = Word(f"did({_quoted(name)})", "event", type=Type.BOOLEAN, sources=_sorted(seen.streams), seen=seen.complete)
        having = "SELECT count(DISTINCT profile_id) FROM events WHERE name_id = (SELECT id FROM event_names WHERE name = ?)"
        yield word if conn is None else replace(word, coverage=_share(conn, having, name))
        for property_, types in sorted(vocabulary.properties.get(name, {}).items()):
            word = Word(
                f"{_quoted(name)} {property_}", "property", type=" or ".join(sorted(types)), sources=_sorted(seen.streams)
            )
            yield _property(conn, name, property_, word) if conn is not None else word


def _quoted(text: str) -> str:
    """Return *text* as the language writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _column(conn: sqlite3.Connection | None, table: str, column: str, word: Word, *, live: str = "live = 1") -> Word:
    """Return *word* with its coverage over all rows and a few of its values."""
    if conn is None:
        return word
    name, of = dialect.quoted(column), dialect.quoted(table)
    total, having = conn.execute(f"SELECT count(*), count({name}) FROM {of} WHERE {live}").fetchone()
    values = conn.execute(f"SELECT {name} FROM {of} WHERE {live} AND {name} IS NOT NULL LIMIT {_SCANNED}")
    return _with(word, column, having / total if total else 0.0, [row[0] for row in values])


def _property(conn: sqlite3.Connection, event: str, name: str, word: Word) -> Word:
    """Return *word* with what the newest events of the name say of it."""
    value = dialect.property_of(name, Type.ANY)
    newest = (
        "SELECT properties FROM events WHERE name_id = (SELECT id FROM event_names WHERE name = ?) "
        f"ORDER BY time DESC LIMIT {_SCANNED}"
    )
    values = [row[0] for row in conn.execute(f"SELECT {value.text} FROM ({newest})", (*value.params, event))]
    there = [v for v in values if v is not None]
    return _with(word, name, len(there) / len(values) if values else 0.0, there)


def _with(word: Word, name: str, coverage: float, values: list[object]) -> Word:
    counted: dict[str, int] = {}
    for value in values:
        text = _shown(value, name, word.type)
        counted[text] = counted.get(text, 0) + 1
    samples = sorted(counted, key=lambda text: (-counted[text], text))[:SAMPLES]
    return replace(word, coverage=coverage, samples=tuple(samples))


def _shown(value: object, name: str, type_: str) -> str:
    """Return a value as it may be shown: times as dates, what names a person masked, long texts cut."""
    if type_ == Type.TIME and isinstance(value, int):
        try:
            return from_us(value).date().isoformat()
        except OverflowError:
            return "?"
    text = str(bool(value)).lower() if type_ == Type.BOOLEAN and isinstance(value, int) else str(value)
    if "@" in text or (isinstance(value, str) and personal(name)):
        return mask(text)
    return text if len(text) <= 40 else text[:39] + "…"


def personal(name: str) -> bool:
    last = name.rpartition(".")[2]  # the country of an address is no address
    words = {word.casefold() for word in _WORDS.findall(last)}
    return last in _PERSONAL or bool(words & _PERSONAL_WORDS) or any(part in last.casefold() for part in _PERSONAL_PARTS)


def mask(text: str) -> str:
    """Return a text that says what it is like, not what it is: `a***@e***`."""
    return "@".join(part[:1] + MASKED for part in text.split("@")[:2])

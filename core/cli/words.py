"""What segments can speak of, with what the store has of it: for `tagalong fields`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.cli.definitions import vocabulary_of
from core.cli.output import cell
from core.clock import from_us
from core.config.model import Config
from core.contract import Kind
from core.segments.vocabulary import BILLING_WORDS, COMPANY_FIELDS, PROFILE_FIELDS, SCORE_WORDS, StreamWords, Vocabulary
from core.store import Store

SAMPLED_ROWS: Final = 2_000
"""Samples come from the first rows that have a value: enough to see what it looks like, quick on any table."""
SAMPLES: Final = 3


def read_words(config: Config, store: Store, text: str) -> dict[str, Any]:
    """Return the fields, events and questions whose names contain *text*, in any case."""
    vocabulary = vocabulary_of(config, store)
    wanted = text.casefold()
    profile = {name: str(type_) for name, type_ in PROFILE_FIELDS.items() if vocabulary.feeding(Kind.PROFILE, name)}
    company = {name: str(type_) for name, type_ in COMPANY_FIELDS.items() if vocabulary.feeding(Kind.COMPANY, name)}
    return {
        "fields": [
            *_canonical(store, "", "profiles", profile, wanted),
            *_canonical(store, "company.", "companies", company, wanted),
            *_words(vocabulary, wanted),
            *(field for stream in vocabulary.streams for field in _source(store, stream, wanted)),
        ],
        "events": _events(store, vocabulary, wanted),
        "questions": _questions(store, wanted),
    }


def _canonical(store: Store, prefix: str, table: str, types: Mapping[str, str], wanted: str) -> list[dict[str, Any]]:
    columns = {f"{prefix}{name}": name for name in types if wanted in f"{prefix}{name}".casefold()}
    return _described(store, table, "live = 1", columns, {f"{prefix}{name}": type_ for name, type_ in types.items()})


def _words(vocabulary: Vocabulary, wanted: str) -> list[dict[str, Any]]:
    """Words that are worked out from many rows; they have no column to sample."""
    billing = BILLING_WORDS if vocabulary.feeding(Kind.SUBSCRIPTION) else {}
    scores = dict.fromkeys(SCORE_WORDS, "number") if vocabulary.feeding(Kind.ANSWER) else {}
    words = {**billing, **scores}
    return [{"field": n, "type": str(t), "coverage": None, "samples": []} for n, t in words.items() if wanted in n]


def _source(store: Store, stream: StreamWords, wanted: str) -> list[dict[str, Any]]:
    """The vendor's own fields, as `connection.field`; the long form where the name is no plain word."""
    if not stream.landing or not stream.columns:
        return []
    names = {_spelled(stream, name): column for name, column in stream.columns.items() if not column.missing}
    chosen = {spelled: column.column for spelled, column in names.items() if wanted in spelled.casefold()}
    return _described(store, stream.landing, "deleted_at IS NULL", chosen, {n: c.type for n, c in names.items()})


def _spelled(stream: StreamWords, name: str) -> str:
    return f"{stream.connection}.{name}" if name.isidentifier() else f'field("{stream.connection}.{stream.name}", "{name}")'


def _described(
    store: Store, table: str, live: str, columns: Mapping[str, str], types: Mapping[str, str]
) -> list[dict[str, Any]]:
    if not columns:
        return []
    counts = ", ".join(f'count("{column}")' for column in columns.values())
    total, *filled = store.conn.execute(f'SELECT count(*), {counts} FROM "{table}" WHERE {live}').fetchone()
    return [
        {
            "field": name,
            "type": types[name],
            "coverage": round(count / total, 4) if total else 0.0,
            "samples": _samples(store, table, live, column, types[name]) if count else [],
        }
        for (name, column), count in zip(columns.items(), filled, strict=True)
    ]


def _samples(store: Store, table: str, live: str, column: str, type_: str) -> list[str]:
    rows = store.conn.execute(
        f'SELECT DISTINCT v FROM (SELECT "{column}" AS v FROM "{table}" WHERE {live} AND "{column}" IS NOT NULL LIMIT ?)'
        " LIMIT ?",
        (SAMPLED_ROWS, SAMPLES),
    )
    return [cell(from_us(value)) if type_ == "time" and isinstance(value, int) else cell(value) for (value,) in rows]


def _events(store: Store, vocabulary: Vocabulary, wanted: str) -> list[dict[str, Any]]:
    known = {name: [name, *vocabulary.properties.get(name, ())] for name in vocabulary.events}
    names = {name for name, words in known.items() if any(wanted in word.casefold() for word in words)}
    found = []
    for name_id, name in store.conn.execute("SELECT id, name FROM event_names ORDER BY name"):
        if name in names:
            count, people = store.conn.execute(
                "SELECT count(*), count(DISTINCT profile_id) FROM events WHERE name_id = ?", (name_id,)
            ).fetchone()
            properties = {key: "|".join(sorted(types)) for key, types in vocabulary.properties.get(name, {}).items()}
            found.append({"event": name, "count": count, "people": people, "properties": properties})
    return found


def _questions(store: Store, wanted: str) -> list[dict[str, Any]]:
    found = []
    for survey, question, count in store.conn.execute(
        "SELECT survey, question, count(*) FROM answers WHERE deleted_at IS NULL GROUP BY survey, question ORDER BY 1, 2"
    ):
        if wanted in f"{survey} {question}".casefold():
            rows = store.conn.execute(
                "SELECT DISTINCT coalesce(choice, text, number) FROM (SELECT * FROM answers WHERE survey IS ? AND question IS ?"
                " AND deleted_at IS NULL LIMIT ?) LIMIT ?",
                (survey, question, SAMPLED_ROWS, SAMPLES),
            )
            samples = [cell(value) for (value,) in rows if value is not None]
            found.append({"survey": survey, "question": question, "answers": count, "samples": samples})
    return found

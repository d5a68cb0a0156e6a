"""
Identifiers and subjects: who was seen together with whom, as a page of records says it.

An identifier is normalised here once. A subject is the set of identifiers of one record, or one distinct tuple of an event
stream. Pulling appends them to `fresh_identifiers`, or marks a subject without any dirty; `settle` stores them all at once when
`core.resolve` is about to decide, over all of them, who is the same person.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from core import normalise
from core.contract import Pick, Record, pick
from core.store.columns import Columns, each
from core.store.rows import Turned, insert, insert_each

WORKSPACE_KINDS: Final = frozenset({"email", "user_id", "company_domain"})
"""Kinds that mean the same in every connection; all others are their connection's own unless written with a dot."""
COMPANY_KINDS: Final = ("company_domain", "company_id", "company_name")
"""Best first: what a record is known by is the first that it has."""
_SEPARATOR: Final = "\x1f"


Identifier = tuple[str, str]
"""Kind and value, normalised."""


class Seen(NamedTuple):
    """The subject of a record: the identifiers it holds, people's first, in the order in which claims are tried."""

    ref: str
    people: tuple[Identifier, ...]
    companies: tuple[Identifier, ...]


FreshKind = tuple[int, str, bool]
"""Position, kind, and whether it names a company."""
Fresh = dict[FreshKind, list[tuple[int, str]]]
"""Subject and value."""


class IdentifierColumn(NamedTuple):
    """The identifiers of one kind of a page of records, one a record."""

    kind: str
    texts: Sequence[str | None]
    is_company: bool


class Subject(NamedTuple):
    """A stored subject."""

    id: int
    profile_id: int | None
    company_id: int | None


def full_kind(connection: str, kind: str) -> str:
    """Return the stored name of an identifier kind: the workspace's, or the connection's own."""
    return kind if kind in WORKSPACE_KINDS or "." in kind else f"{connection}.{kind}"


def _reader(kind: str) -> Callable[[object], str | None]:
    match kind.rsplit(".", 1)[-1]:
        case "email":
            return normalise.email
        case "user_id":
            return normalise.user_id
        case "company_domain":
            return normalise.domain
        case "company_name":
            return normalise.company_name
        case _:
            return normalise.identifier


class IdentifierReader:
    """Reads the identifiers of a stream's records, as its mapping says. A phone never joins, so it is none."""

    def __init__(self, connection: str, identifiers: Mapping[str, Pick]) -> None:
        self._people: list[tuple[str, Pick, str | None, Callable[[object], str | None]]] = []
        stated: dict[str, tuple[str, Pick]] = {}
        for kind, where in identifiers.items():
            base = kind.rsplit(".", 1)[-1]
            if base in COMPANY_KINDS:
                stated[base] = (full_kind(connection, kind), where)
            elif base != "phone":
                self._people.append((full_kind(connection, kind), where, plain(where), _reader(kind)))
        self._companies = [
            (base, *stated.get(base, (full_kind(connection, base), None)), base.removeprefix("company_"), _reader(base))
            for base in COMPANY_KINDS
        ]
        self._may_name_company = bool(stated)

    def people(self, record: Record) -> tuple[Identifier, ...]:
        """Return the identifiers that name a person, without repeats."""
        found: list[Identifier] = []
        for kind, where, key, read in self._people:
            value = record.get(key) if key is not None else pick(record, where)
            if value is None:
                continue
            if type(value) is list or type(value) is tuple:
                found += [(kind, text) for text in map(read, value) if text is not None]
            elif (text := read(value)) is not None:
                found.append((kind, text))
        return tuple(found) if len(found) == len(set(found)) else tuple(dict.fromkeys(found))

    def by_column(self, page: Columns) -> list[IdentifierColumn] | None:
        """Return the identifiers of a page, as `people` and `companies` do; None where that takes a look at each record."""
        found: list[IdentifierColumn] = []
        for kind, where, _, read in self._people:
            values = page.at(where)
            if values is not None:
                if (texts := each(read, values)) is None:
                    return None
                found.append(IdentifierColumn(kind, texts, False))
        had: Sequence[str | None] = (None,) * len(page.records)
        for _, kind, where, _, read in self._companies if self._may_name_company else ():
            values = None if where is None else page.at(where)
            if values is not None:
                if (texts := each(read, values)) is None:
                    return None
                found.append(IdentifierColumn(kind, [b if a is None else None for a, b in zip(had, texts, strict=True)], True))
                had = [b if a is None else a for a, b in zip(had, texts, strict=True)]
        return found if len({column.kind for column in found}) == len(found) else None

    def companies(self, record: Record, described: Mapping[str, object], *, is_company: bool) -> tuple[Identifier, ...]:
        """
        Return the identifiers that name a company; *described* are its canonical fields where the record has them.

        A company's own record links its domain and its id; anything else is known by the best one. A bare name counts only
        where there is nothing better, and only within its connection.
        """
        if not described and not self._may_name_company:
            return ()
        found: list[Identifier] = []
        for base, kind, where, field, read in self._companies:
            value = None if where is None else pick(record, where)
            if value is None and base != "company_id":
                value = described.get(field)
            if value is not None:
                values = value if isinstance(value, list | tuple) else (value,)
                found += [(kind, text) for text in map(read, values) if text is not None]
            if found and (not is_company or base == "company_id"):
                break
        return tuple(dict.fromkeys(found)) if is_company else tuple(found[:1])


def add_fresh(to: Fresh, subject_id: int, seen: Seen) -> None:
    """Add the identifiers of one subject to those for `attach`."""
    for at, (kind, value) in enumerate((*seen.people, *seen.companies)):
        to.setdefault((at, kind, at >= len(seen.people)), []).append((subject_id, value))


def plain(where: Pick) -> str | None:
    """Return the key of a field that is no path and no function: by far the most are, and `get` is fast."""
    return where if isinstance(where, str) and "." not in where else None


def event_ref(people: Iterable[Identifier], companies: Iterable[Identifier]) -> str:
    """Return the name of an event's subject: the identifiers themselves."""
    return _SEPARATOR.join(part for identifier in (*people, *companies) for part in identifier)


def known_subjects(conn: sqlite3.Connection, stream_id: int, refs: Sequence[str]) -> dict[str, Subject]:
    """Return the stored subjects of *refs*."""
    rows = conn.execute(
        "SELECT s.ref, s.id, s.profile_id, s.company_id FROM json_each(?) j "
        "CROSS JOIN subjects s ON s.stream_id = ? AND s.ref = j.value",
        (orjson.dumps(refs).decode(), stream_id),
    )
    return {ref: Subject(*rest) for ref, *rest in rows}


def numbered(conn: sqlite3.Connection, refs: Sequence[str], known: Mapping[str, Subject]) -> dict[str, int]:
    """Return the id of the subject of each of *refs*: that of the *known* one, or the one that `attach` is to give it."""
    free = count(conn.execute("SELECT coalesce(max(id), 0) + 1 FROM subjects").fetchone()[0])
    if not known:
        return dict(zip(refs, free, strict=False))
    return {ref: known[ref].id if ref in known else next(free) for ref in refs}


def attach(
    conn: sqlite3.Connection,
    stream_id: int,
    trust: str,
    ids: Mapping[str, int],
    known: Mapping[str, Subject],
    identifiers: Fresh,
    now: int,
    whole: Mapping[FreshKind, Sequence[str]] = MappingProxyType({}),
) -> None:
    """
    Store the subjects *ids*, by ref, live and `UNRESOLVED`, and let them have exactly *identifiers* from the next `settle` on.

    *whole* are those of which each subject has one, in the order of *ids*: they go in together, in the order of their table.

    *known* is what `known_subjects` gave for their refs, *ids* what `numbered` made of that.
    """
    named = None if whole else {subject_id for rows in identifiers.values() for subject_id, _ in rows}
    made = {ref: id_ for ref, id_ in ids.items() if ref not in known} if known else ids
    old = [id_ for ref, id_ in ids.items() if ref in known] if known else []
    _make(conn, stream_id, trust, made, named, now)
    if old:
        array = json.dumps(old)
        conn.execute("DELETE FROM fresh_identifiers WHERE subject_id IN (SELECT value FROM json_each(?))", (array,))
        conn.execute(
            "UPDATE subjects SET live = 1, dirty = 1, trust = ?, changed_at = ? WHERE id IN (SELECT value FROM json_each(?))",
            (trust, now, array),
        )
        bare = json.dumps([] if named is None else [id_ for id_ in old if id_ not in named])
        conn.execute("DELETE FROM subject_identifiers WHERE subject_id IN (SELECT value FROM json_each(?))", (bare,))
    statement = "INSERT INTO fresh_identifiers (position, kind, is_company, subject_id, value) VALUES"
    if whole:
        insert_each(conn, statement, Turned(tuple(ids.values()), *whole.values()), list(whole))
    for same, rows in identifiers.items():
        insert(conn, statement, rows, same=same)


def _make(
    conn: sqlite3.Connection, stream_id: int, trust: str, made: Mapping[str, int], named: Collection[int] | None, now: int
) -> None:
    """
    Store new subjects by ref. *named* are those that have identifiers to settle, None: all of them.

    These need no other mark that they are `UNRESOLVED`, nor a place in the index of those that have one.
    """
    insert_into, head = "INSERT INTO subjects (stream_id, trust, changed_at", (stream_id, trust, now)
    if named is None:
        rows = Turned(tuple(made.values()), tuple(made))
        insert(conn, f"{insert_into}, dirty, id, ref) VALUES", rows, same=(*head, 0))
    else:
        marked = [(id_, ref, id_ not in named) for ref, id_ in made.items()]
        insert(conn, f"{insert_into}, id, ref, dirty) VALUES", marked, same=head)


UNRESOLVED: Final = "SELECT id FROM subjects WHERE dirty = 1 UNION SELECT subject_id FROM fresh_identifiers"
"""SQL for the subjects that `core.resolve` has to look at; those of the second half as long as they are not settled."""


def is_unresolved(conn: sqlite3.Connection) -> bool:
    """Return whether there is anything for `core.resolve` to look at."""
    asked = "SELECT EXISTS (SELECT 1 FROM subjects WHERE dirty = 1) OR EXISTS (SELECT 1 FROM fresh_identifiers)"
    return bool(conn.execute(asked).fetchone()[0])


def settle(conn: sqlite3.Connection, *, resolving: bool = False) -> None:
    """
    Give the subjects that were pulled since the last time exactly the identifiers that they came with.

    They are marked dirty, unless *resolving* says that who was `UNRESOLVED` is known.
    """
    if not resolving:
        conn.execute("UPDATE subjects SET dirty = 1 WHERE id IN (SELECT subject_id FROM fresh_identifiers)")
    conn.execute(
        "INSERT OR IGNORE INTO identifiers (kind, value, is_company) "
        "SELECT kind, value, is_company FROM fresh_identifiers ORDER BY subject_id, position"  # near each other in every table
    )
    conn.execute("DELETE FROM subject_identifiers WHERE subject_id IN (SELECT subject_id FROM fresh_identifiers)")
    conn.execute(
        "INSERT OR IGNORE INTO subject_identifiers (subject_id, identifier_id, position) "
        "SELECT f.subject_id, i.id, f.position FROM fresh_identifiers f "
        "CROSS JOIN identifiers i ON i.kind = f.kind AND i.value = f.value"
    )
    conn.execute("DELETE FROM fresh_identifiers")


def bury(conn: sqlite3.Connection, stream_id: int, keys: Sequence[str]) -> None:
    """Note that the records of *keys* are gone: their subjects join nobody from the next resolve on."""
    conn.execute(
        "UPDATE subjects SET live = 0, dirty = 1 WHERE stream_id = ? AND ref IN (SELECT value FROM json_each(?))",
        (stream_id, json.dumps(keys)),
    )

"""
Identifiers and subjects: who was seen together with whom, as a page of records says it.

An identifier is normalised here once. A subject is the set of identifiers of one record, or one distinct tuple of an event
stream. Who is the same person is decided later, over all of them, by `core.resolve`; here changed subjects only become dirty.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from core import normalise
from core.contract import Pick, Record, pick
from core.store.rows import insert

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
        (json.dumps(refs), stream_id),
    )
    return {ref: Subject(*rest) for ref, *rest in rows}


def attach(
    conn: sqlite3.Connection, stream_id: int, trust: str, seen: Sequence[Seen], known: Mapping[str, Subject], now: int
) -> dict[str, Subject]:
    """
    Store the subjects of *seen*, live and dirty, with exactly their identifiers; return them all by ref.

    *known* is what `known_subjects` gave for their refs.
    """
    ids = _identifier_ids(conn, seen)
    subjects = dict(known)
    next_id = conn.execute("SELECT coalesce(max(id), 0) FROM subjects").fetchone()[0]
    made, links, old = [], [], []
    for ref, people, companies in seen:
        subject = subjects.get(ref)
        if subject is None:
            next_id += 1
            subjects[ref] = subject = Subject(next_id, None, None)
            made.append((next_id, stream_id, ref, trust, now))
        else:
            old.append(subject.id)
        at = 0
        for identifier in people:
            links.append((subject.id, ids[identifier], at))
            at += 1
        for identifier in companies:
            links.append((subject.id, ids[identifier], at))
            at += 1
    insert(conn, "INSERT INTO subjects (id, stream_id, ref, trust, changed_at) VALUES", made)
    if old:
        array = json.dumps(old)
        conn.execute("DELETE FROM subject_identifiers WHERE subject_id IN (SELECT value FROM json_each(?))", (array,))
        conn.execute(
            "UPDATE subjects SET live = 1, dirty = 1, trust = ?, changed_at = ? WHERE id IN (SELECT value FROM json_each(?))",
            (trust, now, array),
        )
    insert(conn, "INSERT OR IGNORE INTO subject_identifiers (subject_id, identifier_id, position) VALUES", links)
    return subjects


def _identifier_ids(conn: sqlite3.Connection, seen: Sequence[Seen]) -> dict[tuple[str, str], int]:
    by_kind: dict[str, dict[str, bool]] = {}
    for _, people, companies in seen:
        for kind, value in people:
            by_kind.setdefault(kind, {})[value] = False
        for kind, value in companies:
            by_kind.setdefault(kind, {})[value] = True
    ids: dict[tuple[str, str], int] = {}
    next_id = conn.execute("SELECT coalesce(max(id), 0) FROM identifiers").fetchone()[0]
    made = []
    for kind, values in by_kind.items():
        stored = dict(
            conn.execute(
                "SELECT i.value, i.id FROM json_each(?) j CROSS JOIN identifiers i ON i.kind = ? AND i.value = j.value",
                (json.dumps(list(values)), kind),
            ).fetchall()
        )
        for value, is_company in values.items():
            id_ = stored.get(value)
            if id_ is None:
                next_id += 1
                id_ = next_id
                made.append((id_, kind, value, is_company))
            ids[kind, value] = id_
    insert(conn, "INSERT INTO identifiers (id, kind, value, is_company) VALUES", made)
    return ids


def bury(conn: sqlite3.Connection, stream_id: int, keys: Sequence[str]) -> None:
    """Note that the records of *keys* are gone: their subjects join nobody from the next resolve on."""
    conn.execute(
        "UPDATE subjects SET live = 0, dirty = 1 WHERE stream_id = ? AND ref IN (SELECT value FROM json_each(?))",
        (stream_id, json.dumps(keys)),
    )

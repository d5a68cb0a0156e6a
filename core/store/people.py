"""
Finds a person by whatever one knows of them, and tells all that the store has on them. Reads only.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, Final

from pyroaring import BitMap

from core import normalise
from core.clock import iso, to_us
from core.contract import Kind, minor_digits
from core.store.db import Store
from core.store.links import links_of
from core.store.past import fields_at
from core.store.schema import CANONICAL, TABLES
from core.store.sources import workspace_currency

_TIMES: Final = frozenset({"created_at", "changed_at"})
NOW_ONLY: Final = ("identifiers", "links", "records", "rows", "audiences")
"""What of a person no history is kept of."""
DIGITS: Final = 19
"""As many as an id never has: SQLite's largest number has them."""
_MAX_EVENTS: Final = 20
"""Latest events that are told one by one."""


def find_profiles(store: Store, who: str) -> list[int]:
    """
    Return the live and dead profiles that *who* names: a profile id, an address, a user id, or `kind:value`.

    An id that was joined into another gives that one. Empty where nobody is known by it.
    """
    who = who.strip()
    found: set[int] = set()
    id_ = as_id(who)
    if id_ is not None:
        found.update(row[0] for row in store.conn.execute("SELECT id FROM profiles WHERE id = ?", (id_,)))
        found.update(row[0] for row in store.conn.execute("SELECT new_id FROM profile_aliases WHERE old_id = ?", (id_,)))
    address = normalise.email(who)
    candidates = [("user_id", who)]
    if address is not None:
        candidates.append(("email", address))
    kind, colon, value = who.partition(":")
    if colon and value:
        candidates.append((kind, (normalise.email(value) or value) if kind == "email" else value))
    for kind, value in candidates:
        found.update(
            row[0]
            for row in store.conn.execute(
                "SELECT profile_id FROM identifiers WHERE kind = ? AND value = ? AND profile_id IS NOT NULL", (kind, value)
            )
        )
    return sorted(found)


def as_id(text: str) -> int | None:
    """Return the profile id that a text may be; None for what is none, as a user id of twenty digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < DIGITS else None


def describe_person(store: Store, profile_id: int, at: datetime | None = None) -> dict[str, Any]:
    """
    Return all that is known of a profile, ready for JSON: times as ISO text.

    Keys: profile_id, live, fields, company, identifiers, links, records (by `connection.stream`), rows (by kind), events,
    segments (as last recorded), audiences, joined (older ids), approximate. KeyError where there is no such profile.

    With *at*, fields, company and events are as they were then; `approximate` lists what can only be told of today.
    """
    conn = store.conn
    profile = _one(conn, "SELECT * FROM profiles WHERE id = ?", profile_id)
    if profile is None:
        raise KeyError(profile_id)
    guessed: list[str] = []
    if at is not None:
        profile, guessed = fields_at(conn, "profile", profile, to_us(at))
    company, guessed_of_it = _company(conn, profile["company_id"], at)
    approximate = ["company" if name == "company_id" else name for name in guessed]
    approximate += [*guessed_of_it, *(NOW_ONLY if at is not None else ())]
    fields = {name: _plain(name, value) for name, value in profile.items() if name not in {"id", "live", "company_id"}}
    return {
        "profile_id": profile_id,
        "live": bool(profile["live"]),
        "fields": fields,
        "company": company,
        "identifiers": _identifiers(conn, profile_id),
        "links": links_of(conn, profile_id),
        "records": _records(conn, profile_id),
        "rows": _rows(conn, profile_id),
        "events": _events(conn, profile_id, at),
        "segments": [
            name for name, blob in conn.execute("SELECT name, members FROM member_sets ORDER BY name")
            if profile_id in BitMap.deserialize(blob)
        ],
        "audiences": _audiences(conn, profile_id),
        "joined": [r[0] for r in conn.execute("SELECT old_id FROM profile_aliases WHERE new_id = ? ORDER BY 1", (profile_id,))],
        "approximate": approximate,
    }  # fmt: skip


def _dicts(conn: sqlite3.Connection, sql: str, *arguments: object) -> list[dict[str, Any]]:
    cursor = conn.execute(sql, arguments)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _one(conn: sqlite3.Connection, sql: str, *arguments: object) -> dict[str, Any] | None:
    return next(iter(_dicts(conn, sql, *arguments)), None)


def _plain(name: str, value: Any) -> Any:
    return iso(value) if name in _TIMES and value is not None else value


def _company(conn: sqlite3.Connection, company_id: int | None, at: datetime | None) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the company, as it was *at*, and which of its fields are approximate."""
    found = None if company_id is None else _one(conn, "SELECT * FROM companies WHERE id = ?", company_id)
    if found is None:
        return None, []
    guessed: list[str] = []
    if at is not None:
        found, guessed = fields_at(conn, "company", found, to_us(at))
    told = {name: bool(value) if name == "live" else _plain(name, value) for name, value in found.items()}
    return told, [f"company.{name}" for name in guessed]


def _identifiers(conn: sqlite3.Connection, profile_id: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, value in conn.execute(
        "SELECT kind, value FROM identifiers WHERE profile_id = ? ORDER BY kind, value", (profile_id,)
    ):
        found.setdefault(kind, []).append(value)
    return found


def _records(conn: sqlite3.Connection, profile_id: int) -> dict[str, list[dict[str, Any]]]:
    """The landing rows, under their true field names."""
    streams = conn.execute(
        "SELECT s.id, c.name || '.' || s.name, s.landing FROM streams s JOIN connections c ON c.id = s.connection_id "
        "WHERE s.landing <> '' AND s.landing IN (SELECT name FROM sqlite_master) ORDER BY 2"
    ).fetchall()
    found: dict[str, list[dict[str, Any]]] = {}
    for stream_id, name, landing in streams:
        fields = conn.execute("SELECT column_name, field, type FROM catalogue WHERE stream_id = ?", (stream_id,)).fetchall()
        for row in _dicts(conn, f'SELECT * FROM "{landing}" WHERE profile_id = ? ORDER BY key', profile_id):
            record = {"key": row["key"], "deleted": row["deleted_at"] is not None}
            for column, field, type_ in fields:
                value = row[column]
                if value is not None:
                    record[field] = iso(value) if type_ == "time" else bool(value) if type_ == "boolean" else value
            found.setdefault(name, []).append(record)
    return found


def _rows(conn: sqlite3.Connection, profile_id: int) -> dict[str, list[dict[str, Any]]]:
    """The canonical rows of every kind but profile, with the connection that they came from; money in major units."""
    ours = workspace_currency(conn)
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, table in TABLES.items():
        if kind in {Kind.PROFILE, Kind.EVENT}:
            continue
        columns = CANONICAL[kind]
        names = ", ".join(f't."{column}"' for column in columns)
        rows = _dicts(
            conn,
            f"SELECT c.name AS connection, t.key, {names} FROM {table} t JOIN streams s ON s.id = t.stream_id "
            "JOIN connections c ON c.id = s.connection_id WHERE t.profile_id = ? AND t.deleted_at IS NULL ORDER BY 1, 2",
            profile_id,
        )
        for row in rows:
            for column, type_ in columns.items():
                if row[column] is not None and type_ == "money":
                    row["currency"] = row["currency"] or ours
                    row[column] = _major(row[column], row["currency"])
                elif row[column] is not None and type_ in {"time", "boolean"}:
                    row[column] = iso(row[column]) if type_ == "time" else bool(row[column])
        if rows:
            found[kind.value] = rows
    return found


def _major(minor: int, currency: str) -> float | int:
    digits = minor_digits(currency)
    return minor / 10**digits if digits else minor


def _events(conn: sqlite3.Connection, profile_id: int, at: datetime | None) -> dict[str, Any]:
    until = "" if at is None else " AND e.time <= ?"
    params = (profile_id,) if at is None else (profile_id, to_us(at))
    of = f"FROM events e JOIN event_names n ON n.id = e.name_id WHERE e.profile_id = ?{until}"
    counts = dict(conn.execute(f"SELECT n.name, count(*) {of} GROUP BY n.name ORDER BY n.name", params).fetchall())
    latest = conn.execute(f"SELECT e.time, n.name {of} ORDER BY e.time DESC LIMIT ?", (*params, _MAX_EVENTS))
    return {"counts": counts, "latest": [{"time": iso(time), "name": name} for time, name in latest]}


def _audiences(conn: sqlite3.Connection, profile_id: int) -> list[dict[str, Any]]:
    return _dicts(
        conn,
        "SELECT a.connection, a.kind, a.name, l.state, l.sync FROM audiences a JOIN ledger l ON l.audience_id = a.id "
        "WHERE l.profile_id = ? AND a.of <> 'company' ORDER BY a.connection, a.name",
        profile_id,
    )

"""
How far the forgetting of somebody has got: what is to be done once and is not done twice, whatever interrupts it.

No line of it names the person: they are asked for by a digest, and the ids go as soon as they are out of the store.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Any

from pyroaring import BitMap

from core.store.forgotten import Scopes, note_change
from core.store.person_key import PersonKey
from core.store.traces import Traces


class State(StrEnum):
    """How far it is."""

    BEGUN = "begun"
    """They do not come back, and are added nowhere; destinations and sources are being asked."""
    SWEPT = "swept"
    """Out of every table; the file is yet to be rewritten."""
    DONE = "done"
    LIFTED = "lifted"
    """They may come back."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """One line of it."""

    name: str
    subject: bytes
    _: KW_ONLY
    state: State
    begun_at: int
    certificate: Mapping[str, Any]


_COLUMNS = "name, subject, state, begun_at, certificate"


def digests(conn: sqlite3.Connection, key: PersonKey, traces: Traces) -> set[bytes]:
    """Return all that a record of the person, or a member of an audience, can be known by when it comes again."""
    scopes = Scopes(conn)
    found = {key.digest(scopes.kind(kind), value) for kind, value in traces.known_by}
    found |= {
        key.digest(scopes.record(connection, stream), ref)
        for connection, stream, kind, ref in traces.records
        if kind == "profile"  # a deal may be somebody else's tomorrow
    }
    return found | {key.digest(scopes.remote(connection), remote) for connection, remote in traces.remotes}


def begin(
    conn: sqlite3.Connection, subject: bytes, marks: Iterable[bytes], profiles: Collection[int], *, at: int
) -> Forgetting:
    """Begin, or go on with what was begun for any of *marks*; from now on nobody with one of them is stored."""
    marks = set(marks)
    known = find(conn, marks | {subject}, (State.BEGUN,))
    if known is None:
        name = secrets.token_hex(8)
        conn.execute(
            "INSERT INTO forgettings (name, subject, state, begun_at, profiles) VALUES (?, ?, ?, ?, ?)",
            (name, subject, State.BEGUN, at, BitMap(profiles).serialize()),
        )
    else:
        name = known.name
        conn.execute("UPDATE forgettings SET profiles = ? WHERE name = ?", (BitMap(profiles).serialize(), name))
    conn.executemany("INSERT OR REPLACE INTO forgotten (digest, forgetting) VALUES (?, ?)", ((mark, name) for mark in marks))
    note_change(conn)
    return forgetting(conn, name)


def forgetting(conn: sqlite3.Connection, name: str) -> Forgetting:
    """Return one by its id."""
    return _read(conn.execute(f"SELECT {_COLUMNS} FROM forgettings WHERE name = ?", (name,)).fetchone())


def find(conn: sqlite3.Connection, marks: Iterable[bytes], states: Collection[State]) -> Forgetting | None:
    """Return the latest forgetting in one of *states* that knows any of *marks*."""
    found = None
    for mark in marks:
        row = conn.execute(
            f"SELECT {_COLUMNS} FROM forgettings WHERE state IN (SELECT value FROM json_each(?2)) AND (subject = ?1 OR name IN "
            "(SELECT forgetting FROM forgotten WHERE digest = ?1)) ORDER BY begun_at DESC LIMIT 1",
            (mark, json.dumps([str(state) for state in states])),
        ).fetchone()
        if row is not None and (found is None or row[3] > found.begun_at):
            found = _read(row)
    return found


def _read(row: tuple[Any, ...]) -> Forgetting:
    return Forgetting(row[0], row[1], state=State(row[2]), begun_at=row[3], certificate=json.loads(row[4]))


def being_forgotten(conn: sqlite3.Connection) -> BitMap:
    """Return the profiles that are being forgotten and still in the store: nobody adds them anywhere."""
    rows = conn.execute("SELECT profiles FROM forgettings WHERE state = 'begun' AND profiles IS NOT NULL")
    return BitMap.union(BitMap(), *(BitMap.deserialize(blob) for (blob,) in rows))


def move(conn: sqlite3.Connection, name: str, state: State, certificate: Mapping[str, Any], *, at: int) -> None:
    """Note that a forgetting has got to *state*."""
    column = {State.SWEPT: "swept_at", State.DONE: "done_at"}[state]
    conn.execute(
        f"UPDATE forgettings SET state = ?, certificate = ?, profiles = NULL, {column} = ? WHERE name = ?",
        (state, json.dumps(certificate, default=str), at, name),
    )


def note_step(
    conn: sqlite3.Connection, name: str, step: str, connection: str, what: str, result: Mapping[str, Any], *, at: int
) -> None:
    """Keep what came of a step; nothing in *result* names the person."""
    conn.execute(
        "INSERT OR REPLACE INTO forgetting_steps (forgetting, step, connection, what, result, at) VALUES (?, ?, ?, ?, ?, ?)",
        (name, step, connection, what, json.dumps(result, default=str), at),
    )


def steps(conn: sqlite3.Connection, name: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return what came of each step, by step, connection and what."""
    rows = conn.execute(
        "SELECT step, connection, what, result FROM forgetting_steps WHERE forgetting = ? ORDER BY 1, 2, 3", (name,)
    )
    return {(step, connection, what): json.loads(result) for step, connection, what, result in rows}


def marks_kept(conn: sqlite3.Connection, name: str) -> int:
    """Return how many digests keep the person out."""
    return int(conn.execute("SELECT count(*) FROM forgotten WHERE forgetting = ?", (name,)).fetchone()[0])


def lift(conn: sqlite3.Connection, marks: Iterable[bytes]) -> int:
    """Let whoever any of *marks* names come back; return how many forgettings that ended."""
    found = {
        row[0]
        for mark in marks
        for row in conn.execute(
            "SELECT forgetting FROM forgotten WHERE digest = ?1 UNION SELECT name FROM forgettings WHERE subject = ?1 "
            "AND state IN ('swept', 'done')",
            (mark,),
        )
    }
    for name in found:
        conn.execute("DELETE FROM forgotten WHERE forgetting = ?", (name,))
        conn.execute("UPDATE forgettings SET state = ?, profiles = NULL WHERE name = ?", (State.LIFTED, name))
    if found:
        note_change(conn)
    return len(found)

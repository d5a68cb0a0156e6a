"""
What the store has of one person, as it has to be found in every table: ids, keys, and the texts by which others name them.

Reads only, but for temporary tables. Whose a record is, is what `resolve` said; a record that names the person by an identifier
of theirs is one of theirs too, for it would be left out if it came today.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from core.contract import Kind
from core.store import cuts
from core.store.ledger import REMOTE_PREFIX

LONG: Final = 6
"""Characters from which on an id or a phone in a text is taken for that."""


@dataclass(frozen=True, slots=True)
class Traces:
    """One person's."""

    profiles: frozenset[int]
    """With those that were joined into them."""
    _: KW_ONLY
    identifiers: frozenset[tuple[str, str]] = frozenset()
    """Kind and value, normalised."""
    former: frozenset[tuple[str, str]] = frozenset()
    """Addresses and user ids that they had before and nobody here has now; elsewhere they may be anybody's."""
    records: tuple[tuple[str, str, str, str], ...] = ()
    """Connection, stream, kind of the stream and record key, of all but events."""
    remotes: frozenset[tuple[str, str]] = frozenset()
    """Connection and object, as audiences know them."""
    subjects: frozenset[int] = frozenset()
    companies: frozenset[int] = frozenset()
    """Those of the person or of what names them."""
    connections: frozenset[str] = frozenset()
    """Those that brought something of theirs, or that have them in an audience."""
    events: int = 0
    slices: tuple[tuple[str, str], ...] = ()
    """Connection and slice (a file, a form) of the records."""
    names: frozenset[str] = field(default_factory=frozenset)
    """Names and phones, which a text may quote."""

    @property
    def known_by(self) -> frozenset[tuple[str, str]]:
        """What they are known by here, and were before."""
        return self.identifiers | self.former

    @property
    def members(self) -> frozenset[tuple[str | None, str]]:
        """
        Every text by which a destination may know the person, with the connection that it holds for; None where for all.

        A user id is not among them: what is one here may be anybody's id elsewhere.
        """
        own: set[tuple[str | None, str]] = {(None, value) for kind, value in self.known_by if kind == "email"}
        own |= {(kind.partition(".")[0], value) for kind, value in self.identifiers if "." in kind}
        own |= {(connection, key) for connection, _, kind, key in self.records if kind == Kind.PROFILE}
        own |= set(self.remotes)
        return frozenset(own | {(connection, f"{REMOTE_PREFIX}{value}") for connection, value in own})

    @property
    def quotable(self) -> frozenset[str]:
        """What of it a text that somebody else wrote may quote, and nothing else is likely to say."""
        said = {value for kind, value in self.known_by if kind == "email" or len(value) >= LONG} | set(self.names)
        return frozenset(said | {remote for _, remote in self.remotes if len(remote) >= LONG})

    def __bool__(self) -> bool:
        return bool(self.profiles or self.subjects or self.records or self.remotes)


def gather(conn: sqlite3.Connection, profiles: Collection[int], addresses: Iterable[tuple[str, str]] = ()) -> Traces:
    """Return all traces of *profiles*, who are one person, and of identifiers that nobody may be known by yet."""
    people = _with_aliases(conn, profiles)
    own = _own(conn, people) | set(addresses)
    # an address that a source only maps, and does not join people by, is hers all the same
    more = _with_address(conn, [value for kind, value in own if kind == "email"]) - people
    if more:
        people |= _with_aliases(conn, more)
        own |= _own(conn, people)
    array = json.dumps(sorted(people))
    own -= cuts.shared(conn, people)
    subjects = _subjects(conn, array, own)
    # what came with a record of theirs since the last resolve is theirs as well
    ids = json.dumps(sorted(subjects))
    own |= _fresh(conn, array, ids)
    remotes = _remotes(conn, array, json.dumps(sorted(value for kind, value in own if kind == "email")))
    return Traces(
        frozenset(people),
        identifiers=frozenset(own),
        former=_former(conn, array) - own,
        records=_records(conn, ids),
        remotes=remotes,
        connections=_brought(conn, ids) | {connection for connection, _ in remotes},
        subjects=frozenset(subjects),
        companies=_companies(conn, array, ids),
        events=_count_events(conn, array, ids),
        slices=_slices(conn, ids),
        names=_names(conn, array),
    )


def _subjects(conn: sqlite3.Connection, people: str, own: Collection[tuple[str, str]]) -> set[int]:
    """Return the subjects of *people*, and those that name them by an identifier."""
    rows = conn.execute(
        "SELECT id FROM subjects WHERE profile_id IN (SELECT value FROM json_each(?1)) "
        "UNION SELECT l.subject_id FROM json_each(?2) j CROSS JOIN identifiers i ON i.kind = j.value ->> 0 "
        "AND i.value = j.value ->> 1 AND i.is_company = 0 CROSS JOIN subject_identifiers l ON l.identifier_id = i.id "
        "UNION SELECT f.subject_id FROM fresh_identifiers f WHERE f.is_company = 0 "
        "AND (f.kind, f.value) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?2))",
        (people, json.dumps([list(pair) for pair in sorted(own)])),
    )
    return {row[0] for row in rows}


def _fresh(conn: sqlite3.Connection, people: str, subjects: str) -> set[tuple[str, str]]:
    """Return the identifiers of *people* that were read since the last resolve."""
    rows = conn.execute(
        "SELECT f.kind, f.value FROM fresh_identifiers f CROSS JOIN subjects s ON s.id = f.subject_id AND s.trust = 'key' "
        "WHERE f.is_company = 0 AND f.subject_id IN (SELECT value FROM json_each(?)) AND s.profile_id IN "
        "(SELECT value FROM json_each(?))",
        (subjects, people),
    )
    return set(rows)


def _records(conn: sqlite3.Connection, subjects: str) -> tuple[tuple[str, str, str, str], ...]:
    rows = conn.execute(
        "SELECT c.name, t.name, t.kind, s.ref FROM json_each(?) j CROSS JOIN subjects s ON s.id = j.value "
        "JOIN streams t ON t.id = s.stream_id JOIN connections c ON c.id = t.connection_id "
        "WHERE t.kind <> ? AND substr(s.ref, 1, 1) <> char(31) ORDER BY 1, 2, 4",  # one that was dropped has no key
        (subjects, Kind.EVENT.value),
    )
    return tuple(rows.fetchall())


def _brought(conn: sqlite3.Connection, subjects: str) -> frozenset[str]:
    """Return the connections that subjects came from."""
    rows = conn.execute(
        "SELECT DISTINCT c.name FROM json_each(?) j CROSS JOIN subjects s ON s.id = j.value "
        "JOIN streams t ON t.id = s.stream_id JOIN connections c ON c.id = t.connection_id",
        (subjects,),
    )
    return frozenset([name for (name,) in rows])


def _own(conn: sqlite3.Connection, people: Collection[int]) -> set[tuple[str, str]]:
    rows = conn.execute(
        "SELECT kind, value FROM identifiers WHERE is_company = 0 AND profile_id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(people)),),
    )
    return {(kind, value) for kind, value in rows}


_FORMER: Final = """
    SELECT DISTINCT h.field, h.value FROM json_each(?1) j CROSS JOIN json_each('["email", "user_id"]') f
    CROSS JOIN field_history h ON h.of = 'profile' AND h.field = f.value AND h.of_id = j.value
    WHERE h.value IS NOT NULL AND NOT EXISTS (SELECT 1 FROM identifiers i CROSS JOIN subject_identifiers l
        ON l.identifier_id = i.id CROSS JOIN subjects s ON s.id = l.subject_id WHERE i.kind = h.field AND i.value = h.value
        AND (s.profile_id IS NULL OR s.profile_id NOT IN (SELECT value FROM json_each(?1))))
    AND NOT EXISTS (SELECT 1 FROM profiles p WHERE p.email = h.value AND h.field = 'email'
        AND p.id NOT IN (SELECT value FROM json_each(?1)))
"""


def _former(conn: sqlite3.Connection, people: str) -> frozenset[tuple[str, str]]:
    """Return the addresses and user ids that *people* had before, but for what is anybody else's by now."""
    return frozenset((kind, str(value)) for kind, value in conn.execute(_FORMER, (people,)))


def had_before(conn: sqlite3.Connection, traces: Traces) -> list[int]:
    """Return the profiles that had the address of somebody who is nobody's profile now."""
    if traces.profiles:
        return []
    rows = conn.execute(
        "SELECT DISTINCT h.of_id FROM field_history h JOIN profiles p ON p.id = h.of_id WHERE h.of = 'profile'"
        " AND h.field = 'email' AND h.value IN (SELECT value FROM json_each(?)) ORDER BY 1",
        (json.dumps([value for kind, value in traces.identifiers if kind == "email"]),),
    )
    return [id_ for (id_,) in rows]


def _with_address(conn: sqlite3.Connection, addresses: Collection[str]) -> set[int]:
    """Return the profiles of some addresses; of one that too many share, and that so joins nobody, nobody's."""
    rows = conn.execute(
        "SELECT p.id FROM json_each(?) j CROSS JOIN profiles p ON p.email = j.value WHERE NOT EXISTS "
        "(SELECT 1 FROM identifiers i WHERE i.kind = 'email' AND i.value = j.value AND i.blocked_at IS NOT NULL)",
        (json.dumps(sorted(addresses)),),
    )
    return {row[0] for row in rows}


def _with_aliases(conn: sqlite3.Connection, profiles: Collection[int]) -> set[int]:
    array = json.dumps(sorted(profiles))
    older = conn.execute(
        "WITH RECURSIVE one (id) AS (SELECT value FROM json_each(?) UNION SELECT a.old_id FROM one "
        "CROSS JOIN profile_aliases a ON a.new_id = one.id) SELECT id FROM one",
        (array,),
    )
    return {row[0] for row in older}


def _remotes(conn: sqlite3.Connection, people: str, addresses: str) -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for table, audience in (
        ("ledger", "x.audience_id"),
        ("intent_members", "(SELECT audience_id FROM intents i WHERE i.id = x.intent_id)"),
    ):
        found |= set(
            conn.execute(
                f"SELECT a.connection, x.remote_id FROM {table} x JOIN audiences a ON a.id = {audience} AND a.of <> 'company' "
                "WHERE x.remote_id IS NOT NULL "
                "AND (x.profile_id IN (SELECT value FROM json_each(?)) OR x.member_key IN (SELECT value FROM json_each(?)))",
                (people, addresses),
            )
        )
    return frozenset(found)


def _companies(conn: sqlite3.Connection, people: str, subjects: str) -> frozenset[int]:
    rows = conn.execute(
        "SELECT company_id FROM profiles WHERE id IN (SELECT value FROM json_each(?)) "
        "UNION SELECT company_id FROM subjects WHERE id IN (SELECT value FROM json_each(?))",
        (people, subjects),
    )
    return frozenset(row[0] for row in rows if row[0] is not None)


def _count_events(conn: sqlite3.Connection, people: str, subjects: str) -> int:
    row = conn.execute(
        "SELECT count(*) FROM (SELECT id FROM events WHERE subject_id IN (SELECT value FROM json_each(?)) "
        "UNION SELECT id FROM events WHERE profile_id IN (SELECT value FROM json_each(?)))",
        (subjects, people),
    ).fetchone()
    return int(row[0])


def _slices(conn: sqlite3.Connection, subjects: str) -> tuple[tuple[str, str], ...]:
    found: set[tuple[str, str]] = set()
    for name, landing in landings(conn):
        found |= {
            (name, row[0])
            for row in conn.execute(
                f"SELECT DISTINCT slice FROM \"{landing}\" WHERE slice <> '' "
                "AND subject_id IN (SELECT value FROM json_each(?))",
                (subjects,),
            )
        }
    return tuple(sorted(found))


def landings(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return connection and table of every landing table there is, those that no stream knows any more included."""
    found = []
    for (table,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%\\_\\_%' ESCAPE '\\'"):
        if {"key", "subject_id", "profile_id", "content_hash"} <= {
            row[1] for row in conn.execute(f'PRAGMA table_info("{table}")')
        }:
            found.append((table.partition("__")[0], table))
    return sorted(found)


def _names(conn: sqlite3.Connection, people: str) -> frozenset[str]:
    found = set()
    for first, last, phone in conn.execute(
        "SELECT first_name, last_name, phone FROM profile_rows WHERE profile_id IN (SELECT value FROM json_each(?))", (people,)
    ):
        found |= {f"{first} {last}"} if first and last else set()
        found |= {phone} if phone and len(phone) >= LONG else set()
    return frozenset(found)

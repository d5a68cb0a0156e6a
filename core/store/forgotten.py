"""
Who is not to come back: what a pull brings is held against the digests of the forgotten before it is stored.

A record is one of theirs if any identifier of a person that it holds is, or its own key is an object that was theirs. With an
empty list nothing is computed; otherwise it is one digest for each identifier and a look into a set, however long the list.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final

from core import normalise
from core.contract import Category
from core.store.person_key import PersonKey, open_key

_GENERATION: Final = "forgotten.generation"
"""The setting that counts how often the list was changed, so that a pull under way notices."""
GENERATION: Final = f"(SELECT value FROM settings WHERE key = '{_GENERATION}')"
"""SQL for what it says now."""
WORKSPACE: Final = frozenset({"email", "user_id"})
RECORD: Final = "record"
REMOTE: Final = "remote"


class Scopes:
    """
    What stands for a connection's own ids in a digest: the vendor and its account, so that a new name changes nothing.

    Where the account is not known yet, as after a rebind, the ids are nobody's that we know. Files have no account: the first
    row of one folder is not that of another, so there it is the connection's name.
    """

    def __init__(self, conn: sqlite3.Connection) -> None:
        rows = conn.execute("SELECT name, connector, account, category FROM connections").fetchall()
        self._names = {
            name: f"{connector}/{name if category == Category.FILE else account or ''}"
            for name, connector, account, category in rows
        }

    def kind(self, kind: str) -> str:
        """Return an identifier kind (`crm.contact_id`) as digests have it."""
        if kind in WORKSPACE:
            return kind
        connection, _, rest = kind.partition(".")
        return f"{self._names.get(connection, connection)}.{rest}"

    def record(self, connection: str, stream: str) -> str:
        """Return what stands for the record keys of a stream."""
        return f"{RECORD} {self.kind(f'{connection}.{stream}')}"

    def remote(self, connection: str) -> str:
        """Return what stands for the objects that audiences of a connection hold."""
        return f"{REMOTE} {self.kind(f'{connection}.')}"


class Forgotten:
    """The list as one process sees it; false while it is empty. Reads only."""

    def __init__(self, conn: sqlite3.Connection, database: Path) -> None:
        self._database = database
        self._generation: str | None = ""
        self._digests: frozenset[bytes] = frozenset()
        self._key: PersonKey | None = None
        self._kinds: dict[tuple[str, ...], str] = {}
        self.refresh(conn)

    def refresh(self, conn: sqlite3.Connection) -> None:
        """
        See whether somebody was forgotten or let back since; call it in the transaction that stores.

        Raises:
            StoreError: the key is gone, so nobody can tell who must not come back.
        """
        self.heed(conn, conn.execute(f"SELECT {GENERATION}").fetchone()[0])

    def heed(self, conn: sqlite3.Connection, said: str | int | None) -> None:
        """As `refresh`, for who has asked for `GENERATION` together with something else."""
        generation = None if said is None else str(said)
        if generation == self._generation:
            return
        self._digests = frozenset(digest for (digest,) in conn.execute("SELECT digest FROM forgotten WHERE forgetting <> ''"))
        self._key = open_key(conn, self._database) if self._digests else None
        self._scopes = Scopes(conn)
        self._kinds.clear()
        self._generation = generation

    def __bool__(self) -> bool:
        return bool(self._digests)

    def has(self, kind: str, value: str) -> bool:
        """Return whether an identifier, normalised, is a forgotten person's."""
        return self._key is not None and self._known(("kind", kind), value)

    def any_of(self, identifiers: Iterable[tuple[str, str]]) -> bool:
        """Return whether any of some identifiers is."""
        return any(self.has(kind, value) for kind, value in identifiers)

    def has_record(self, connection: str, stream: str, key: str) -> bool:
        """Return whether a record's key is an object that was a forgotten person's, or their address."""
        return self._key is not None and (self._known(("record", connection, stream), key) or self._has_address(key))

    def has_remote(self, connection: str, remote_id: str) -> bool:
        """Return whether a member of an audience is somebody forgotten, as the destination knows them."""
        return self._key is not None and (self._known(("remote", connection), remote_id) or self._has_address(remote_id))

    def _has_address(self, text: str) -> bool:
        address = normalise.email(text) if "@" in text else None
        return address is not None and self.has("email", address)

    def _spelled(self, what: str, of: str, stream: str = "") -> str:
        match what:
            case "record":
                return self._scopes.record(of, stream)
            case "remote":
                return self._scopes.remote(of)
            case _:
                return self._scopes.kind(of)

    def digest(self, kind: str, value: str) -> bytes:
        """Return the digest of an identifier, normalised; of a list that is not empty."""
        return self._digest(("kind", kind), value)

    def mark(self, what: tuple[str, ...], value: str) -> bytes | None:
        """Return the digest of an identifier (`kind`), a record's key or an object of an audience, if it is in the list."""
        digest = self._digest(what, value) if self._key is not None else None
        return digest if digest in self._digests else None

    def _known(self, what: tuple[str, ...], value: str) -> bool:
        return self._digest(what, value) in self._digests

    def _digest(self, what: tuple[str, ...], value: str) -> bytes:
        assert self._key is not None
        kind = self._kinds.get(what)
        if kind is None:
            kind = self._kinds[what] = self._spelled(*what)
        return self._key.digest(kind, value)


@dataclass(frozen=True, slots=True)
class Back:
    """Whom a list of the forgotten finds in the store all the same."""

    profiles: tuple[int, ...] = ()
    _: KW_ONLY
    identifiers: frozenset[tuple[str, str]] = frozenset()
    """Kind and value of those that are nobody's: of records that join nobody, or of none any more."""
    remotes: frozenset[tuple[str, str]] = frozenset()
    """Connection and object of members of audiences whom we know by nothing else."""

    def __len__(self) -> int:
        return len(self.profiles) + len(self.identifiers) + len(self.remotes)


_OWN_RECORDS: Final = """
    SELECT c.name, t.name, s.ref, s.profile_id FROM subjects s JOIN streams t ON t.id = s.stream_id AND t.kind = 'profile'
    JOIN connections c ON c.id = t.connection_id WHERE s.profile_id IS NOT NULL
"""
_NOBODYS_MEMBERS: Final = """
    SELECT a.connection, l.remote_id FROM ledger l JOIN audiences a ON a.id = l.audience_id
    WHERE a.of <> 'company' AND l.profile_id IS NULL AND l.remote_id IS NOT NULL
"""


def returned(conn: sqlite3.Connection, database: Path) -> Back:
    """Return who is in the store by anything of somebody who was forgotten, and is not being forgotten just now."""
    forgotten = Forgotten(conn, database)
    if not forgotten:
        return Back()
    begun = "SELECT digest FROM forgotten WHERE forgetting IN (SELECT name FROM forgettings WHERE state = 'begun')"
    under_way = {digest for (digest,) in conn.execute(begun)}
    of_people: dict[int, set[bytes]] = {}
    identifiers, remotes = set(), set()
    for kind, value, profile_id in conn.execute("SELECT kind, value, profile_id FROM identifiers WHERE is_company = 0"):
        mark = forgotten.mark(("kind", kind), value)
        if mark is not None and profile_id is not None:
            of_people.setdefault(profile_id, set()).add(mark)
        elif mark is not None and mark not in under_way:
            identifiers.add((kind, value))
    for connection, stream, ref, profile_id in conn.execute(_OWN_RECORDS):  # hers too under an address that she had then
        mark = forgotten.mark(("record", connection, stream), ref)
        if mark is not None:
            of_people.setdefault(profile_id, set()).add(mark)
    for connection, remote_id in conn.execute(_NOBODYS_MEMBERS):
        address = normalise.email(remote_id) if "@" in remote_id else None
        marks = {forgotten.mark(("remote", connection), remote_id)}
        marks |= {forgotten.mark(("kind", "email"), address)} if address is not None else set()
        if marks - under_way - {None}:
            remotes.add((connection, remote_id))
    profiles = sorted(profile_id for profile_id, marks in of_people.items() if not marks & under_way)
    return Back(tuple(profiles), identifiers=frozenset(identifiers), remotes=frozenset(remotes))


def note_change(conn: sqlite3.Connection) -> None:
    """Have every process read the list anew; call it in the transaction that changes it."""
    conn.execute(
        "INSERT INTO settings (key, value) VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
        (_GENERATION,),
    )

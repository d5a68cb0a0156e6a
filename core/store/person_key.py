"""
The key under which people are remembered who must not come back: in a file of its own, never in the database.

A digest is HMAC-SHA-256 of a kind and a value. Whoever has the database alone cannot try addresses against it; whoever loses
the key file cannot tell any more who was forgotten, and nothing is pulled until it is there again (decision 0017).
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
from pathlib import Path
from typing import Final

from core.durable import write_file
from core.errors import PersonKeyError, StoreError

KEY_BYTES: Final = 32
_NOBODY: Final = ("check", "")
"""Whose digest is among the others, from the first on: it tells the right key from another."""


class PersonKey:
    """The key, and what it makes of an identifier."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def digest(self, kind: str, value: str) -> bytes:
        """Return the digest of an identifier of *kind*, 32 bytes."""
        return hmac.digest(self._key, f"{kind}\x1f{value}".encode("utf-8", "surrogatepass"), "sha256")


def key_path(database: Path) -> Path:
    """Return where the key of *database* is."""
    return database.with_name(f"{database.name}.person.key")


def open_key(conn: sqlite3.Connection, database: Path) -> PersonKey | None:
    """
    Return the key that this store's digests were made with, None where nobody was ever forgotten.

    Raises:
        PersonKeyError: there are digests, and the key is gone, unreadable or another one.
    """
    if conn.execute("SELECT 1 FROM forgotten LIMIT 1").fetchone() is None:
        return None
    path = key_path(database)
    found = PersonKey(_read(path))
    if conn.execute("SELECT 1 FROM forgotten WHERE digest = ?", (found.digest(*_NOBODY),)).fetchone() is None:
        raise PersonKeyError(f"{path}: is not the key that people were forgotten with; {_REMEDY}")
    return found


def ensure_key(conn: sqlite3.Connection, database: Path) -> PersonKey:
    """Return the key, made where there is none; to be called inside a transaction that writes."""
    known = open_key(conn, database)
    if known is not None:
        return known
    path = key_path(database)
    if not path.exists():
        _make(path)
    key = PersonKey(_read(path))
    conn.execute("INSERT INTO forgotten (digest, forgetting) VALUES (?, '')", (key.digest(*_NOBODY),))
    return key


def lose_key(conn: sqlite3.Connection) -> int:
    """Let go of everything that only the key could tell; return how many digests there were. Everybody may come back."""
    gone = conn.execute("DELETE FROM forgotten WHERE forgetting <> ''").rowcount
    conn.execute("DELETE FROM forgotten")
    conn.execute("DELETE FROM refusals WHERE kind = 'forgotten'")
    return gone


_REMEDY: Final = "put the right one back, for without it forgotten people would come back with the next pull"


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise PersonKeyError(f"{path}: is gone, and holds the key that people were forgotten with; {_REMEDY}") from None
    except OSError as error:
        raise PersonKeyError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    except ValueError:
        raise PersonKeyError(f"{path}: is damaged; {_REMEDY}") from None
    if len(key) != KEY_BYTES:
        raise PersonKeyError(f"{path}: is damaged; {_REMEDY}")
    return key


def _make(path: Path) -> None:
    """Write a new key, whole or not at all, mode 0600; of two processes that do so at once one wins."""
    try:
        write_file(path, f"{secrets.token_hex(KEY_BYTES)}\n".encode("ascii"), new=True)
    except OSError as error:
        raise StoreError(f"{path}: the key cannot be written ({error.strerror}); nobody was forgotten") from error

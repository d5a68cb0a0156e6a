"""
Which store this is, and the key that only it has: made when first asked for, kept in the store, and shown to nobody.

What is sealed with the key is known again as this store's own and unchanged. A copy of the file is the same store.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass, field

STORE_ID, SEAL_KEY = "store_id", "seal_key"


@dataclass(frozen=True, slots=True)
class Seal:
    """A store's name and its key."""

    store_id: str
    key: bytes = field(repr=False)


def seal_of(conn: sqlite3.Connection) -> Seal:
    """Return the seal of a store; call it in a transaction, for the first time it is made."""
    conn.execute("INSERT OR IGNORE INTO settings (key, value) VALUES (?, ?)", (STORE_ID, secrets.token_hex(8)))
    conn.execute("INSERT OR IGNORE INTO settings (key, value) VALUES (?, ?)", (SEAL_KEY, secrets.token_hex(32)))
    found = dict(conn.execute("SELECT key, value FROM settings WHERE key IN (?, ?)", (STORE_ID, SEAL_KEY)))
    return Seal(found[STORE_ID], bytes.fromhex(found[SEAL_KEY]))

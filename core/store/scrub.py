"""
Rewrites the database file, so that what was deleted is not in its free pages, its write-ahead log or a half-empty page either.

Deleting a row leaves its bytes where they were until something else needs the place. What the disk itself keeps of blocks that
are no longer any file's is out of reach from here (docs/erasure.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from core.errors import StoreError
from core.store.db import BUSY_TIMEOUT_S, Store, translated

WAIT_S: Final = 30.0
"""How long readers of an older state are waited for."""


def overwrite_deleted(conn: sqlite3.Connection) -> None:
    """Let what this connection deletes be overwritten with zeros."""
    conn.execute("PRAGMA secure_delete = ON").fetchone()


def scrub(store: Store, sleep: Callable[[float], None]) -> None:
    """
    Write the file anew and cut its log off.

    Raises:
        StoreError: no room for a second copy of the database, or somebody reads an old state of it all the time.
    """
    conn = store.conn
    overwrite_deleted(conn)  # new pages begin as zeros then
    try:
        conn.execute("VACUUM")
    except sqlite3.Error as error:
        told = f"{translated(error, store.path)}; it is yet to be written anew, which takes its size once more:"
        raise StoreError(f"{told} see to that, then give the same command again") from error
    conn.execute("PRAGMA busy_timeout = 0")  # the waiting is done here, where somebody may interrupt it
    try:
        waited = 0.0
        while conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if waited >= WAIT_S:
                raise StoreError(f"{store.path}: another process reads an old state of it; the log cannot be cut off yet")
            sleep(0.5)
            waited += 0.5
    finally:
        conn.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")

"""
A new store as a copy of one that was migrated once, for a process of tests that makes thousands: 4 ms of work instead of 16.

Only what has no table yet is copied into; whatever is of an older version is upgraded as in life, and so is all that a process
of its own opens.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable

from core.store import Store


class NewStores:
    """Stands in for `core.store.upgrade.upgrade`."""

    def __init__(self, upgrade: Callable[[Store], None]) -> None:
        self._upgrade = upgrade
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._made: sqlite3.Connection | None = None

    def __call__(self, store: Store) -> None:
        """Bring the schema of *store* up to this version."""
        if os.getpid() != self._pid:  # it may share a new file with another process
            self._upgrade(store)
            return
        with self._lock:
            if store.conn.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
                self._upgrade(store)
            elif self._made is None:
                self._upgrade(store)
                self._made = sqlite3.connect(":memory:", check_same_thread=False)
                store.conn.backup(self._made)
            else:
                self._made.backup(store.conn)

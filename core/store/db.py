"""
The one SQLite file: opened inside the job that uses it, WAL, mode 0600, migrated on first sight.

One thread of a process writes. `atomic` is the only way to write; it turns SQLite's failures into `StoreError`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from core.errors import NewerStoreError, StoreError
from core.store import adapters
from core.store.schema import known_migrations, migrations
from core.store.upgrade import upgrade

BUSY_TIMEOUT_S = 30.0

adapters.register()


class Store:
    """
    An open store. `conn` is in autocommit mode: reads see the last commit, writes go through `atomic`.

    Use as a context manager; it belongs to the thread that opened it unless *any_thread* was given.
    """

    def __init__(self, path: Path, *, any_thread: bool = False, read_only: bool = False) -> None:
        self.path = path
        self._steps: int | None = None
        """How many migrations had been applied when it was opened."""
        try:
            if not read_only and not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
            self.conn = sqlite3.connect(
                uri,
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=not any_thread,
                cached_statements=512,
            )
            self.conn.execute("PRAGMA foreign_keys = OFF")
            self.conn.execute("PRAGMA cache_size = -65536")
            # temporary tables stay in memory up to their cache and spill to a file beyond it
            self.conn.execute("PRAGMA temp_store = FILE")
            self.conn.execute("PRAGMA temp.cache_size = -65536")
            self.conn.execute("PRAGMA mmap_size = 134217728")
            self.db = Database(self.conn)
            if not read_only:
                self._enter_wal()
                self.conn.execute("PRAGMA synchronous = NORMAL")
                self.conn.execute("PRAGMA wal_autocheckpoint = 8000")
                if self.is_outdated():
                    upgrade(self)
                self._steps = _steps(self.conn)
        except sqlite3.Error as error:
            raise translated(error, path) from error
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened ({error.strerror}); check the folder and its permissions") from error

    def _enter_wal(self) -> None:
        # SQLite does not wait here as it does elsewhere when another process is doing the same to a new file
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self.conn.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "BUSY" not in getattr(error, "sqlite_errorname", "") or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def is_outdated(self) -> bool:
        """Return whether migrations are to be applied; StoreError where a newer version wrote the file."""
        applied = {migration.name for migration in migrations.applied(self.db)}
        known = known_migrations()
        if applied - known:
            raise NewerStoreError(f"{self.path}: was written by a newer tagalong; upgrade this one")
        return applied != known

    def _refuse_newer(self) -> None:
        # an upgrade waits for nobody who has the file open: the next write of whoever has may not know the tables any more
        if self._steps is not None and _steps(self.conn) != self._steps:
            refuse_newer(self.conn)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; harmless twice."""
        self.conn.close()

    @contextmanager
    def atomic(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, or a savepoint inside one; rolled back whole if the block raises."""
        nested = self.conn.in_transaction
        try:
            self.conn.execute("SAVEPOINT nested" if nested else "BEGIN IMMEDIATE")
            try:
                if not nested:
                    self._refuse_newer()
                yield self.conn
            except BaseException:
                if self.conn.in_transaction:
                    self.conn.execute("ROLLBACK TO nested" if nested else "ROLLBACK")
                raise
            self.conn.execute("RELEASE nested" if nested else "COMMIT")
        except sqlite3.Error as error:
            if not nested and self.conn.in_transaction:
                self.conn.execute("ROLLBACK")
            raise translated(error, self.path) from error


def _steps(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT count(*) FROM _sqlite_migrations").fetchone()[0])


def refuse_newer(conn: sqlite3.Connection) -> None:
    """Raise NewerStoreError where a newer version has upgraded the store while this one ran."""
    applied = {name for (name,) in conn.execute("SELECT name FROM _sqlite_migrations")}
    if applied - known_migrations():
        path = conn.execute("PRAGMA database_list").fetchone()[2]
        raise NewerStoreError(
            f"{path}: a newer tagalong has upgraded it while this one ran, and this one writes no more; start the newer one"
        )


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """Return what SQLite's *error* means to a person."""
    name = getattr(error, "sqlite_errorname", "")
    match name.split("_")[1] if name.count("_") else "":
        case "FULL":
            return StoreError(f"{path}: the disk is full; nothing of this step was written")
        case "BUSY" | "LOCKED":
            return StoreError(f"{path}: locked by another process for {BUSY_TIMEOUT_S:.0f} s; nothing of this step was written")
        case "READONLY" | "CANTOPEN" | "PERM":
            return StoreError(f"{path}: cannot be written; check the file's and the folder's permissions")
        case "CORRUPT" | "NOTADB":
            return StoreError(f"{path}: is damaged or not a database; restore a backup")
        case _:
            return StoreError(f"{path}: {error}")

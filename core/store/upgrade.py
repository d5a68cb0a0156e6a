"""
A store of an older version becomes one of this: all migrations in one transaction, with a copy made first.

The copy is made while the write lock is held, by another connection that reads: of several processes that open an older store
at once one makes it, and nothing is written between it and the first step. Of each older version the latest copy is kept, and
no more than `KEPT` of them. A new store, and one that holds nothing yet, is not copied.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.clock import to_us, utc_now
from core.errors import StoreError, told
from core.log import log
from core.store import backups
from core.store.copies import COPIED_AT, check_room, copy_database, needed_bytes, sweep_parts
from core.store.schema import migrations

if TYPE_CHECKING:
    from core.store.db import Store

KEPT: Final = 3
_EMPTY: Final = frozenset({"_sqlite_migrations", "kept_state"})
"""Tables that have rows in a store that nothing was ever put into."""


def upgrade(store: Store) -> None:
    """
    Bring the schema up to this version.

    Raises:
        StoreError: there is no room for the copy (nothing was touched), or a migration failed (all of it was taken back).
    """
    copy: Path | None = None
    kept: list[Path] = []
    try:
        with store.atomic() as conn:
            if not store.is_outdated():
                return  # another process was quicker
            if _holds_something(conn):
                copy = _copy(store)
            migrations.apply(store.db)
            if copy is not None:
                kept = _note(conn, store.path)
    except Exception as error:
        if copy is None:
            raise
        _prune(store.path, lambda path: path != copy and _version(path) == _version(copy))
        raise StoreError(_failed(store.path, copy, error)) from error
    if copy is not None:
        _prune(store.path, lambda path: path not in kept)
        log.warning("store_upgraded", copy=str(copy), version=backups.version_of(store.conn))


def _holds_something(conn: sqlite3.Connection) -> bool:
    tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    if "_sqlite_migrations" not in tables or "settings" not in tables:
        return False
    own = [name for name in tables if name not in _EMPTY and not name.startswith("sqlite_")]
    return any(conn.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}")').fetchone()[0] for name in own)


def _copy(store: Store) -> Path:
    at = utc_now()
    path = store.path.with_name(f"{store.path.name}.{backups.version_of(store.conn)}.{at:%Y%m%dT%H%M%S%fZ}.backup")
    # whoever holds the write lock is the only one who copies for this: what is left is of a kill, and a restart may come soon
    sweep_parts(path.parent, f"{store.path.name}.m*.backup", after_s=-1.0)
    try:
        check_room(path.parent, needed_bytes(store.conn), f"{store.path}: is to be upgraded, and the copy made before that")
        copy_database(store.path, path, at=to_us(at), replace=True)
    except StoreError as error:
        raise StoreError(f"{error}; the upgrade did not begin, and nothing was changed") from error
    return path


def _note(conn: sqlite3.Connection, store_path: Path) -> list[Path]:
    """Write the copies down that are kept, those of upgrades that failed among them; return them."""
    kept = _kept(store_path)
    for known in backups.backups(conn):
        if known.why == backups.UPGRADE and known.path not in kept and known.path.parent == store_path.absolute().parent:
            backups.forget(conn, known.path)
    for path in kept:
        made_at = _read(path)
        if made_at is not None:
            backups.note(conn, path, made_at=made_at, why=backups.UPGRADE, version=_version(path))
    return kept


def _read(path: Path) -> int | None:
    """Return when a copy was made, by what it says itself; None where an older one is damaged, which stops nothing."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            row = conn.execute("SELECT value FROM settings WHERE key = ?", (COPIED_AT,)).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else int(row[0])


def _version(path: Path) -> str:
    return path.name.split(".")[-3]


def _stamp(path: Path) -> str:
    return path.name.split(".")[-2]


def _copies(store_path: Path) -> list[Path]:
    """Return the copies made by upgrades, the newest first."""
    named = re.compile(re.escape(store_path.name) + r"\.m\d+[a-z]?\.\d+T\d+Z\.backup")
    folder = store_path.absolute().parent
    return sorted((path for path in folder.iterdir() if named.fullmatch(path.name)), key=_stamp, reverse=True)


def _kept(store_path: Path) -> list[Path]:
    latest = {_version(path): path for path in reversed(_copies(store_path))}
    return sorted(latest.values(), key=_stamp, reverse=True)[:KEPT]


def _prune(store_path: Path, goes: Callable[[Path], bool]) -> None:
    for path in filter(goes, _copies(store_path)):
        path.unlink(missing_ok=True)


def _failed(path: Path, copy: Path, error: Exception) -> str:
    return (
        f"{path}: the upgrade failed and was taken back whole ({told(error)}). The version of tagalong before this one goes on"
        f" with the file as it is. A copy made before the first step is {copy}; `tagalong backup --restore {copy}` puts it back"
    )

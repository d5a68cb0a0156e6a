"""Which copies of this store were made, where and when: each holds the people who were in it then."""

from __future__ import annotations

import sqlite3
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final

COMMAND: Final = "command"
UPGRADE: Final = "upgrade"
REPLACED: Final = "replaced"


@dataclass(frozen=True, slots=True)
class Backup:
    """One copy."""

    path: Path
    made_at: int
    _: KW_ONLY
    why: str
    size: int
    version: str


def version_of(conn: sqlite3.Connection) -> str:
    """Return the number of the last migration that a store has, as `m012`; `new` where it has none."""
    row = conn.execute("SELECT max(name) FROM _sqlite_migrations WHERE migration_set = 'tagalong'").fetchone()
    return "new" if row[0] is None else str(row[0]).partition("_")[0]


def note(conn: sqlite3.Connection, path: Path, *, made_at: int, why: str, version: str, size: int | None = None) -> None:
    """Write down that there is a copy at *path*, or will be in a moment: of *size* then."""
    conn.execute(
        "INSERT OR REPLACE INTO backups (path, made_at, why, size, version) VALUES (?, ?, ?, ?, ?)",
        (str(path.absolute()), made_at, why, path.stat().st_size if size is None else size, version),
    )


def forget(conn: sqlite3.Connection, path: Path) -> None:
    """Write down that we have removed a copy. One that somebody else moved stays known: it is somewhere."""
    conn.execute("DELETE FROM backups WHERE path = ?", (str(path.absolute()),))


def backups(conn: sqlite3.Connection) -> list[Backup]:
    """Return the copies that we know of, the newest first."""
    rows = conn.execute("SELECT path, made_at, why, size, version FROM backups ORDER BY made_at DESC, id DESC")
    return [Backup(Path(path), made_at, why=why, size=size, version=version) for path, made_at, why, size, version in rows]

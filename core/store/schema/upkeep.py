"""What the store knows of its own upkeep: the copies that were made of it, and what was let go for its age."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m018_upkeep(db: Database) -> None:
    """Copies of this file, which hold the people who were in it then, and since when each sort of history is kept."""
    statements(
        db,
        """
        CREATE TABLE backups (
            id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, made_at INTEGER NOT NULL,
            why TEXT NOT NULL,               -- command, upgrade, replaced (set aside by a restore)
            size INTEGER NOT NULL,           -- bytes
            version TEXT NOT NULL            -- the last migration that is in it
        );
        CREATE TABLE history_begins (        -- what was older than this has been pruned
            what TEXT PRIMARY KEY,           -- a key of [workspace.retention]
            at INTEGER NOT NULL, pruned_at INTEGER NOT NULL
        ) WITHOUT ROWID;
    """,
    )

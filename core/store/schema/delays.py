"""What a removal that waits is decided by: since when a member has been out of the segment, and since when they are a member."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m013_delays(db: Database) -> None:
    """`leaving`: ours and no longer wanted, by when that was first seen; `ledger.added_at`: since when a member is ours."""
    statements(
        db,
        """
        CREATE TABLE leaving (
            audience_id INTEGER NOT NULL, since INTEGER NOT NULL,
            profiles BLOB NOT NULL,          -- profile ids, a roaring bitmap; nobody is in two rows of an audience
            PRIMARY KEY (audience_id, since)
        ) WITHOUT ROWID;
        ALTER TABLE ledger ADD COLUMN added_at INTEGER;    -- NULL in rows from before: then `at` is no earlier
    """,
    )

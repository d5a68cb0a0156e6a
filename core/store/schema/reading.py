"""Which stream is in the middle of a pull, or was when it was broken off."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m033_reading(db: Database) -> None:
    """The run that has stored pages of its connection and not come to the stream's end; NULL of one that ended, well or not."""
    statements(db, "ALTER TABLE streams ADD COLUMN reading INTEGER;")

"""Which file a lease was taken in: a copy of the store holds the leases of the file that it was made of."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m024_lease_files(db: Database) -> None:
    """The file, as device and inode; NULL of a lease taken by an earlier version."""
    statements(db, "ALTER TABLE leases ADD COLUMN file TEXT;")

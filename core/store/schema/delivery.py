"""What the store gained for delivery: the vendor's words in dead letters, vendors that are left alone, quota kept for people."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m015_letters(db: Database) -> None:
    """What a vendor said of somebody it refused, masked; and which dead letters a person has dropped."""
    statements(
        db,
        """
        ALTER TABLE dead_letters ADD COLUMN message TEXT;
        ALTER TABLE dead_letters ADD COLUMN dropped_at INTEGER;
    """,
    )

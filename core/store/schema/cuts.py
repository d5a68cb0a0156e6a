"""Who was told apart by hand (core/store/cuts.py)."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m017b_cuts(db: Database) -> None:
    """Pairs of identifiers or records that are never one person, by name: they outlive the rows that they speak of."""
    statements(
        db,
        """
        CREATE TABLE identity_cuts (
            id INTEGER PRIMARY KEY,
            keep_name TEXT NOT NULL, keep_value TEXT NOT NULL,   -- name: a kind of identifier, or `record CONNECTION.STREAM`
            part_name TEXT NOT NULL, part_value TEXT NOT NULL,
            at INTEGER NOT NULL,
            UNIQUE (keep_name, keep_value, part_name, part_value)
        );
        CREATE TABLE cut_subjects (          -- all that the two sides of a cut hang together with, as of the last resolve
            subject_id INTEGER PRIMARY KEY
        ) WITHOUT ROWID;
    """,
    )

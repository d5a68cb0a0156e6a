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


@step
def m015b_outages(db: Database) -> None:
    """Vendors that do not answer, and until when they are left alone; quota that is kept for people."""
    statements(
        db,
        """
        CREATE TABLE outages (
            connection TEXT PRIMARY KEY, failures INTEGER NOT NULL, since INTEGER NOT NULL, opened_at INTEGER,
            probes INTEGER NOT NULL DEFAULT 0, probe_at INTEGER, reason TEXT NOT NULL
        ) WITHOUT ROWID;
        ALTER TABLE connections ADD COLUMN kept_until INTEGER;
    """,
    )


@step
def m015c_finer_slots(db: Database) -> None:
    """Rates are kept by shorter slots: what was granted keeps its place in time, so that no window begins anew."""
    statements(
        db,
        """
        UPDATE budgets SET bucket = substr(bucket, 1, length(bucket) - 15)
            || printf('%015d', CAST(CAST(substr(bucket, -15) AS INTEGER) * ((1.02 / 50) / (1.035 / 200)) AS INTEGER))
            WHERE bucket GLOB '*@*';
    """,
    )

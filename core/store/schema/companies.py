"""Audiences whose members are companies (decision 0021)."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m022_companies_as_members(db: Database) -> None:
    """
    What an audience's members are: `person` or `company`.

    It says what every number of a member is: `profile_id` in ledger, intent_members and dead_letters, and the bitmaps of
    audiences and `leaving`. The same number is a person in the one and a company in the other.
    """
    statements(
        db,
        """
        ALTER TABLE audiences ADD COLUMN of TEXT NOT NULL DEFAULT 'person';
        CREATE INDEX companies_changed ON companies (changed_at);
    """,
    )

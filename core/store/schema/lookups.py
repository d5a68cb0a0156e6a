"""What is asked in every run of tables that only ever grow: by an index, so that a run costs no more in the third year."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m020_lookups(db: Database) -> None:
    """Approvals by what they are of, aliases by when they came, what was sent by audience, runs by how they ended."""
    statements(
        db,
        """
        CREATE INDEX approvals_target ON approvals (target, kind);
        CREATE INDEX profile_aliases_at ON profile_aliases (at);
        CREATE INDEX intents_audience ON intents (audience_id, settled_at);
        CREATE INDEX runs_status ON runs (kind, name, status);
    """,
    )

"""What was told to whom, and what is still to be told (core/alerts, decision 0018)."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m017_alerts(db: Database) -> None:
    """The states that each alert has told of, and the messages that wait to be delivered. No person is in them."""
    statements(
        db,
        """
        CREATE TABLE alert_states (          -- what was told as begun and not yet as over
            alert TEXT NOT NULL, subject TEXT NOT NULL,      -- subject: connection.NAME, stream.CONNECTION.NAME, sync.NAME
            state TEXT NOT NULL,             -- failed, held, stale, rejected, overdue
            since INTEGER NOT NULL, reason TEXT NOT NULL,
            PRIMARY KEY (alert, subject, state)
        ) WITHOUT ROWID;
        CREATE TABLE alert_outbox (          -- written in the transaction that changes a state, and sent after it
            id INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL,
            message_id TEXT NOT NULL UNIQUE, -- the same over all tries: whoever gets it twice can tell
            notice TEXT NOT NULL,            -- JSON: core.alerts.notices.Notice
            made_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_try_at INTEGER NOT NULL,
            reason TEXT,                     -- of the last failure
            sent_at INTEGER, given_up_at INTEGER
        );
        CREATE INDEX alert_outbox_waiting ON alert_outbox (alert, id) WHERE sent_at IS NULL AND given_up_at IS NULL;
        CREATE TABLE alert_endpoints (       -- those that are away, logged once
            alert TEXT PRIMARY KEY, away_since INTEGER NOT NULL, reason TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX dead_letters_run ON dead_letters (run_id);
    """,
    )

"""Who was forgotten, as keyed hashes alone, and who said no, by their own identifiers."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m016_erasure(db: Database) -> None:
    """
    Forgetting people, and a ledger of refusals that outlives the records that told of them (decision 0017).

    A digest is HMAC-SHA-256 under a key that is not in this file (`core.store.person_key`).
    """
    statements(
        db,
        """
        CREATE TABLE forgettings (           -- one line for each time that somebody was to be forgotten
            name TEXT PRIMARY KEY,           -- random, so that a store put back from a copy can take the lines over
            subject BLOB NOT NULL,           -- digest of what the person was asked for by
            state TEXT NOT NULL,             -- begun, swept (out of the store), done, lifted
            begun_at INTEGER NOT NULL, swept_at INTEGER, done_at INTEGER,
            profiles BLOB,                   -- the ids, until they are out of the store: nobody adds them anywhere meanwhile
            certificate TEXT NOT NULL DEFAULT '{}'   -- JSON; names no person
        ) WITHOUT ROWID;
        CREATE TABLE forgetting_steps (      -- what was done where, so that it is not done twice
            forgetting TEXT NOT NULL, step TEXT NOT NULL,       -- remove, erase
            connection TEXT NOT NULL, what TEXT NOT NULL,             -- the audience; empty for an erasure
            result TEXT NOT NULL, at INTEGER NOT NULL,                -- JSON; names no person
            PRIMARY KEY (forgetting, step, connection, what)
        ) WITHOUT ROWID;
        CREATE TABLE forgotten (             -- whoever comes with one of these is not stored
            digest BLOB PRIMARY KEY, forgetting TEXT NOT NULL     -- empty: the digest of nobody, which tells the right key
        ) WITHOUT ROWID;
        CREATE TABLE refusals (              -- a no, by identifier and channel, whatever becomes of the record that told of it
            kind TEXT NOT NULL,              -- email, user_id; of somebody forgotten: forgotten
            value TEXT NOT NULL,             -- of somebody forgotten: the digest, in hex
            channel TEXT NOT NULL,
            source TEXT NOT NULL,            -- connector/account.stream; `hand` where a person entered it
            record_key TEXT NOT NULL,
            since INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
            ended_at INTEGER, ended_by TEXT, -- yes: a later yes of that very record; hand: lifted
            PRIMARY KEY (kind, value, channel, source, record_key)
        ) WITHOUT ROWID;
        CREATE INDEX refusals_record ON refusals (source, record_key);
    """,
    )
    statements(db, _REFUSED_BEFORE)


_REFUSED_BEFORE = """
        INSERT OR IGNORE INTO refusals (kind, value, channel, source, record_key, since)
        SELECT i.kind, i.value, coalesce(c.channel, 'email'),
            CASE coalesce(n.connector, '') WHEN '' THEN n.name ELSE n.connector END || '/' || coalesce(n.account, '') || '.' || s.name,
            c.record_key, coalesce(c.at, c.changed_at, 0)
        FROM consents c CROSS JOIN streams s ON s.id = c.stream_id CROSS JOIN connections n ON n.id = s.connection_id
        CROSS JOIN subject_identifiers l ON l.subject_id = c.subject_id
        CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.kind IN ('email', 'user_id')
        WHERE c.state = 'denied';
"""
"""What stands when the ledger is made."""

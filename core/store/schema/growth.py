"""What the store gained on its way to keeping the leaves of its segments."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step


@step
def m007_dead_records(db: Database) -> None:
    """Which records are gone, for the plans that must know it of their members: by far the most are not."""
    statements(db, "CREATE INDEX subjects_dead ON subjects (stream_id, ref) WHERE live = 0;")


@step
def m008_record_slices(db: Database) -> None:
    """The slices that hold a record beside the one that its landing row names."""
    statements(
        db,
        """
        CREATE TABLE record_slices (
            stream_id INTEGER NOT NULL, key TEXT NOT NULL, slice TEXT NOT NULL, seen_run INTEGER, content_hash BLOB,
            PRIMARY KEY (stream_id, key, slice)
        ) WITHOUT ROWID;
        CREATE INDEX record_slices_slice ON record_slices (stream_id, slice, seen_run);
    """,
    )


@step
def m009_refusals(db: Database) -> None:
    """Who said no, by the record that told of it: found by the address that it had."""
    statements(db, "CREATE INDEX consents_refusals ON consents (subject_id) WHERE state = 'denied';")


@step
def m010_measures(db: Database) -> None:
    """What a score measures, for answers of before: newer stores have the column from the beginning (m003)."""
    if "measure" not in db["answers"].columns_dict:
        statements(db, "ALTER TABLE answers ADD COLUMN measure TEXT;")


@step
def m011_fresh_identifiers(db: Database) -> None:
    """The identifiers that pulls have read since the last resolve, which stores them all at once."""
    statements(
        db,
        """
        CREATE TABLE fresh_identifiers (
            subject_id INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
            is_company INTEGER NOT NULL, PRIMARY KEY (subject_id, position)
        ) WITHOUT ROWID;
    """,
    )


KEPT_LEAVES = """
        CREATE TABLE kept_state (            -- one row: when the leaves were taken
            one INTEGER PRIMARY KEY CHECK (one = 1),
            watching INTEGER NOT NULL DEFAULT 0,     -- whether changes are noted: once somebody keeps leaves
            epoch INTEGER NOT NULL DEFAULT 0,        -- counts how often the log was begun anew
            as_of INTEGER,                   -- the clock of the leaves; NULL: none are kept
            seq INTEGER NOT NULL DEFAULT 0,  -- the last of `changes` that is in them
            mark INTEGER NOT NULL DEFAULT 0, -- the last event that is in them
            facts TEXT NOT NULL DEFAULT ''   -- hash of what all of them rest on
        );
        INSERT INTO kept_state (one) VALUES (1);
        CREATE TABLE kept_leaves (name TEXT PRIMARY KEY, bits BLOB NOT NULL);
        CREATE TABLE changes (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL,       -- person, moved, company, event
            id INTEGER,                      -- of the profile or company
            name_id INTEGER,                 -- of an event that is gone or other than it was
            mark INTEGER                     -- the last event there was when that one went: ids above may be another's now
        );
        CREATE TRIGGER changes_event_gone AFTER DELETE ON events WHEN (SELECT watching FROM kept_state) BEGIN
            INSERT INTO changes (what, id, name_id, mark)
                VALUES ('event', OLD.profile_id, OLD.name_id, (SELECT coalesce(max(id), 0) FROM events)); END;
        CREATE TRIGGER changes_event AFTER UPDATE OF name_id, time, properties ON events
            WHEN (SELECT watching FROM kept_state) BEGIN
            INSERT INTO changes (what, id, name_id) SELECT 'event', OLD.profile_id, OLD.name_id WHERE OLD.profile_id IS NOT NULL;
            INSERT INTO changes (what, id, name_id) SELECT 'event', NEW.profile_id, NEW.name_id WHERE NEW.profile_id IS NOT NULL; END;
        CREATE TRIGGER changes_subject AFTER UPDATE OF profile_id, company_id ON subjects
            WHEN (OLD.profile_id IS NOT NEW.profile_id OR OLD.company_id IS NOT NEW.company_id)
            AND (SELECT watching FROM kept_state) BEGIN
            INSERT INTO changes (what, id) SELECT 'moved', OLD.profile_id WHERE OLD.profile_id IS NOT NULL;
            INSERT INTO changes (what, id) SELECT 'moved', NEW.profile_id WHERE NEW.profile_id IS NOT NULL;
            INSERT INTO changes (what, id) SELECT 'company', OLD.company_id WHERE OLD.company_id IS NOT NULL;
            INSERT INTO changes (what, id) SELECT 'company', NEW.company_id WHERE NEW.company_id IS NOT NULL; END;
        CREATE TRIGGER changes_profile AFTER UPDATE OF company_id ON profiles
            WHEN OLD.company_id IS NOT NEW.company_id AND (SELECT watching FROM kept_state) BEGIN
            INSERT INTO changes (what, id) SELECT 'company', OLD.company_id WHERE OLD.company_id IS NOT NULL;
            INSERT INTO changes (what, id) SELECT 'company', NEW.company_id WHERE NEW.company_id IS NOT NULL; END;
        CREATE TRIGGER changes_profile_gone AFTER DELETE ON profiles WHEN (SELECT watching FROM kept_state) BEGIN
            INSERT INTO changes (what, id) VALUES ('moved', OLD.id);
            INSERT INTO changes (what, id) SELECT 'company', OLD.company_id WHERE OLD.company_id IS NOT NULL; END;
    """


@step
def m012_kept_leaves(db: Database) -> None:
    """The leaves of the last evaluation, and what has changed since (core/store/changes.py, decision 0012)."""
    statements(db, KEPT_LEAVES)

"""
The tables that every store began with: sources, identity, canonical rows, memberships, delivery, operation.

A store keeps the text of its tables, white space and all: what stands here is what older stores have.
"""

from __future__ import annotations

from sqlite_utils import Database

from core.contract import Kind
from core.store.schema.canonical import CANONICAL, SQL_TYPES, TABLES
from core.store.schema.steps import statements, step

SOURCES = """
        CREATE TABLE connections (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, connector TEXT NOT NULL, category TEXT NOT NULL,
            account TEXT,                    -- the vendor's id of the account; NULL until first opened
            resume_at INTEGER,               -- a quota is used up until then
            removed_at INTEGER               -- taken out of the config: rows stay, unseen by segments
        );
        CREATE TABLE streams (
            id INTEGER PRIMARY KEY, connection_id INTEGER NOT NULL REFERENCES connections(id), name TEXT NOT NULL,
            kind TEXT NOT NULL, trust TEXT NOT NULL, landing TEXT NOT NULL,
            removed_at INTEGER,
            started_at INTEGER, finished_at INTEGER, error TEXT,      -- of the last pull; error is NULL after a clean end
            completed_at INTEGER,            -- clean end of the last pull of all slices
            full_completed_at INTEGER,       -- ... of the last full pull (cursor None)
            took_s REAL,                     -- how long that pull took
            accepted_count INTEGER,          -- live records after the last pull whose losses were accepted
            live_count INTEGER NOT NULL DEFAULT 0,
            held_since INTEGER,              -- vanished rows wait for approve
            UNIQUE (connection_id, name)
        );
        CREATE TABLE checkpoints (
            stream_id INTEGER NOT NULL, slice TEXT NOT NULL DEFAULT '',
            cursor TEXT,                     -- JSON: {"t": microseconds} or {"s": string}; NULL before the first
            pending TEXT,                    -- likewise: the cursor to store at the clean end of the slice
            resume TEXT,                     -- token of a broken pull
            began TEXT,                      -- the cursor that the broken pull began with
            began_run INTEGER,               -- the run in which it began: rows unseen since then have vanished
            full INTEGER NOT NULL DEFAULT 0, -- whether the pull under way is a full one
            began_at INTEGER,                -- when it began, over restarts: no cursor of an unordered stream may pass it
            replacing TEXT,                  -- JSON [start, end]: the range whose replacement is under way
            completed_at INTEGER,
            full_completed_at INTEGER,       -- when the last full pull of this slice that came to a clean end began
            PRIMARY KEY (stream_id, slice)
        ) WITHOUT ROWID;
        CREATE TABLE vanished (              -- rows that a pull says are gone, held until approve
            stream_id INTEGER NOT NULL, key TEXT NOT NULL, since INTEGER NOT NULL, reason TEXT NOT NULL,
            PRIMARY KEY (stream_id, key)
        ) WITHOUT ROWID;
        CREATE TABLE merges (
            stream_id INTEGER NOT NULL, loser TEXT NOT NULL, winner TEXT NOT NULL, at INTEGER NOT NULL,
            PRIMARY KEY (stream_id, loser)
        ) WITHOUT ROWID;
        CREATE TABLE catalogue (             -- columns of landing tables: true names and types
            stream_id INTEGER NOT NULL, field TEXT NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL,
            first_seen_at INTEGER NOT NULL, changed_at INTEGER, missing_since INTEGER,
            PRIMARY KEY (stream_id, field)
        ) WITHOUT ROWID;
        CREATE TABLE event_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE event_sources (         -- which stream brought which event, survey or question
            stream_id INTEGER NOT NULL, what TEXT NOT NULL,           -- event, survey, question (survey || char(31) || question)
            name TEXT NOT NULL, first_seen_at INTEGER NOT NULL, PRIMARY KEY (stream_id, what, name)
        ) WITHOUT ROWID;
        CREATE TABLE event_properties (
            name_id INTEGER NOT NULL, property TEXT NOT NULL, type TEXT NOT NULL, first_seen_at INTEGER NOT NULL,
            PRIMARY KEY (name_id, property)
        ) WITHOUT ROWID;
    """


@step
def m001_sources(db: Database) -> None:
    """What is known of each connection and stream, and how far each slice has been pulled."""
    statements(db, SOURCES)


IDENTITY = """
        CREATE TABLE identifiers (
            id INTEGER PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL,    -- kind: email, user_id, or connection.kind
            is_company INTEGER NOT NULL DEFAULT 0,   -- names a company: joins companies, never people
            profile_id INTEGER, company_id INTEGER,
            known INTEGER NOT NULL DEFAULT 0,        -- a live key subject has it (as of the last resolve): claims attach to it
            blocked_at INTEGER,              -- would join too many people; joins nobody, anywhere
            UNIQUE (kind, value)
        );
        CREATE INDEX identifiers_profile ON identifiers (profile_id) WHERE profile_id IS NOT NULL;
        CREATE INDEX identifiers_company ON identifiers (company_id) WHERE company_id IS NOT NULL;
        CREATE INDEX identifiers_blocked ON identifiers (id) WHERE blocked_at IS NOT NULL;
        CREATE TABLE subjects (
            id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL,
            ref TEXT NOT NULL,               -- a record's key; for events the identifiers themselves
            trust TEXT NOT NULL, live INTEGER NOT NULL DEFAULT 1, dirty INTEGER NOT NULL DEFAULT 1,
            profile_id INTEGER,
            company_id INTEGER,              -- what its own company identifiers name, if it has any
            changed_at INTEGER NOT NULL DEFAULT 0,
            UNIQUE (stream_id, ref)
        );
        CREATE INDEX subjects_profile ON subjects (profile_id) WHERE profile_id IS NOT NULL;
        CREATE INDEX subjects_company ON subjects (company_id) WHERE company_id IS NOT NULL;
        CREATE INDEX subjects_dirty ON subjects (id) WHERE dirty = 1;
        CREATE TABLE subject_identifiers (
            subject_id INTEGER NOT NULL, identifier_id INTEGER NOT NULL, position INTEGER NOT NULL,
            PRIMARY KEY (subject_id, identifier_id)
        ) WITHOUT ROWID;
        CREATE INDEX subject_identifiers_back ON subject_identifiers (identifier_id, subject_id);
        CREATE TABLE profiles (
            id INTEGER PRIMARY KEY AUTOINCREMENT, company_id INTEGER, live INTEGER NOT NULL DEFAULT 1,
            email TEXT, user_id TEXT, first_name TEXT, last_name TEXT, phone TEXT, country TEXT, language TEXT, timezone TEXT,
            job_title TEXT, created_at INTEGER, lifecycle_stage TEXT, owner TEXT,
            changed_at INTEGER NOT NULL      -- any canonical field, liveness or company
        );
        CREATE INDEX profiles_email ON profiles (email);
        CREATE INDEX profiles_user_id ON profiles (user_id);
        CREATE INDEX profiles_company ON profiles (company_id);
        CREATE INDEX profiles_changed ON profiles (changed_at);
        CREATE TABLE companies (
            id INTEGER PRIMARY KEY AUTOINCREMENT, live INTEGER NOT NULL DEFAULT 1,
            name TEXT, domain TEXT, industry TEXT, employees INTEGER, revenue REAL, country TEXT, created_at INTEGER,
            changed_at INTEGER NOT NULL
        );
        CREATE TABLE profile_aliases (       -- profiles that were joined into another
            old_id INTEGER PRIMARY KEY, new_id INTEGER NOT NULL, at INTEGER NOT NULL
        );
        CREATE INDEX profile_aliases_new ON profile_aliases (new_id);
        CREATE TABLE field_history (         -- every change of a canonical field, from the first day
            of TEXT NOT NULL,                -- profile, company, subscription
            field TEXT NOT NULL, of_id INTEGER NOT NULL, from_at INTEGER NOT NULL, value,
            PRIMARY KEY (of, field, of_id, from_at)
        ) WITHOUT ROWID;
    """


@step
def m002_identity(db: Database) -> None:
    """
    Who is who. A *subject* is a set of identifiers seen together by one stream: one record, or one distinct tuple of an event
    stream. Key subjects join the profiles of their identifiers; claim subjects only point at one.
    """
    statements(db, IDENTITY)


@step
def m003_canonical(db: Database) -> None:
    """One table a kind, whichever vendor a row came from."""
    for kind, table in TABLES.items():
        if kind is Kind.EVENT:
            continue
        columns = ", ".join(f'"{name}" {SQL_TYPES[type_]}' for name, type_ in CANONICAL[kind].items())
        statements(
            db,
            f"""
            CREATE TABLE {table} (
                id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, key TEXT NOT NULL, record_key TEXT NOT NULL,
                subject_id INTEGER, profile_id INTEGER, company_id INTEGER, changed_at INTEGER, deleted_at INTEGER, {columns},
                UNIQUE (stream_id, record_key, key)
            );
            CREATE INDEX {table}_profile ON {table} (profile_id) WHERE profile_id IS NOT NULL;
            CREATE INDEX {table}_company ON {table} (company_id) WHERE company_id IS NOT NULL;
        """,
        )
    statements(
        db,
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, key TEXT NOT NULL,      -- key: the dedupe id
            slice TEXT NOT NULL DEFAULT '', seen_run INTEGER,
            name_id INTEGER NOT NULL, time INTEGER NOT NULL, subject_id INTEGER, profile_id INTEGER, company_id INTEGER,
            properties TEXT NOT NULL DEFAULT '{}',
            UNIQUE (stream_id, key)
        );
        CREATE INDEX events_count ON events (name_id, profile_id, time);
        CREATE INDEX events_person ON events (profile_id, name_id, time);
        CREATE INDEX events_window ON events (name_id, time);
        CREATE INDEX events_subject ON events (subject_id);
    """,
    )


@step
def m004_memberships(db: Database) -> None:
    """Who is in which set: now, and what each recorded run changed. A set is `segment.NAME` or `partition.NAME.GROUP`."""
    statements(
        db,
        """
        CREATE TABLE member_sets (
            name TEXT PRIMARY KEY, definition TEXT NOT NULL,           -- hash of the text it came from
            members BLOB NOT NULL, run_id INTEGER NOT NULL, as_of INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE membership_history (
            name TEXT NOT NULL, run_id INTEGER NOT NULL, at INTEGER NOT NULL, entered BLOB NOT NULL, left BLOB NOT NULL,
            PRIMARY KEY (name, run_id)
        ) WITHOUT ROWID;
    """,
    )


DELIVERY = """
        CREATE TABLE audiences (
            id INTEGER PRIMARY KEY, connection TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL,
            name TEXT NOT NULL,              -- as configured when it was bound
            remote_id TEXT NOT NULL,
            sync TEXT,                       -- the sync (with .GROUP for a partition's) that binds it now; NULL when retired
            target TEXT,                     -- casefolded configured kind and name: another one is a retarget
            made_by_us INTEGER NOT NULL, foreign_read_at INTEGER,
            owned BLOB, theirs BLOB, waiting BLOB,       -- profile ids: ours, foreign, with an unsettled intent
            planned_at INTEGER,              -- the as_of of the last plan carried out: later key changes are moves
            UNIQUE (connection, account, remote_id)
        );
        CREATE INDEX audiences_sync ON audiences (sync);
        CREATE TABLE ledger (
            audience_id INTEGER NOT NULL, member_key TEXT NOT NULL,   -- the identifier the person was found by (address, user id)
            profile_id INTEGER, sync TEXT, remote_id TEXT, handle TEXT, object TEXT, value_hash TEXT,
            state TEXT NOT NULL,             -- ours, foreign, not_found, suppressed
            at INTEGER NOT NULL, run_id INTEGER,
            PRIMARY KEY (audience_id, member_key)
        ) WITHOUT ROWID;
        CREATE INDEX ledger_profile ON ledger (audience_id, profile_id);
        CREATE INDEX ledger_remote ON ledger (audience_id, remote_id);
        CREATE INDEX ledger_state ON ledger (audience_id, state, at);
        CREATE TABLE intents (               -- written before a batch is sent, settled after
            id INTEGER PRIMARY KEY, audience_id INTEGER NOT NULL, sync TEXT NOT NULL, run_id INTEGER NOT NULL,
            written_at INTEGER NOT NULL, sent_at INTEGER, settled_at INTEGER, job TEXT, approved INTEGER NOT NULL DEFAULT 0
        );
        CREATE INDEX intents_open ON intents (audience_id) WHERE settled_at IS NULL;
        CREATE TABLE intent_members (
            intent_id INTEGER NOT NULL, op TEXT NOT NULL, member_key TEXT NOT NULL, profile_id INTEGER, remote_id TEXT, handle TEXT,
            object TEXT, value_hash TEXT, verdict TEXT, reason TEXT,
            PRIMARY KEY (intent_id, op, member_key)
        ) WITHOUT ROWID;
        CREATE TABLE churn (                 -- members sent, by hour, for the guards that look back 24 hours and 30 days
            audience_id INTEGER NOT NULL, at INTEGER NOT NULL, run_id INTEGER NOT NULL, adds INTEGER NOT NULL, removes INTEGER NOT NULL,
            approved_adds INTEGER NOT NULL DEFAULT 0, approved_removes INTEGER NOT NULL DEFAULT 0, owned_before INTEGER NOT NULL,
            PRIMARY KEY (audience_id, at, run_id)
        ) WITHOUT ROWID;
        CREATE TABLE holds (                 -- what waits for approve, shown by status
            target TEXT NOT NULL,            -- sync, or connection.stream
            kind TEXT NOT NULL,              -- removals, adds, source, vanished, retarget, unseen, baseline
            reason TEXT NOT NULL, facts TEXT NOT NULL DEFAULT '{}', since INTEGER NOT NULL,
            adds BLOB, removes BLOB,         -- the members shown
            PRIMARY KEY (target, kind)
        ) WITHOUT ROWID;
        CREATE TABLE approvals (
            id INTEGER PRIMARY KEY, target TEXT NOT NULL, kind TEXT NOT NULL, adds BLOB, removes BLOB, definition TEXT,
            at INTEGER NOT NULL, expires_at INTEGER NOT NULL
        );
        CREATE TABLE dead_letters (
            id INTEGER PRIMARY KEY, what TEXT NOT NULL,                -- record, member
            connection TEXT NOT NULL, stream TEXT, audience_id INTEGER, sync TEXT, key TEXT NOT NULL, op TEXT, profile_id INTEGER,
            reason TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 1, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
            run_id INTEGER, next_try_at INTEGER, given_up_at INTEGER,
            UNIQUE (what, connection, stream, audience_id, key)
        );
    """


@step
def m005_delivery(db: Database) -> None:
    """What we believe is at each destination, what is on its way, and what was given up on."""
    statements(db, DELIVERY)


@step
def m006_operation(db: Database) -> None:
    """Runs, requests, leases, budgets, pauses."""
    statements(
        db,
        """
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,  -- pull, sync, resolve, evaluate
            name TEXT NOT NULL,              -- connection or sync
            trigger TEXT NOT NULL DEFAULT 'command',                   -- command, schedule, approve
            started_at INTEGER NOT NULL, finished_at INTEGER, status TEXT,    -- done, failed, held, waiting, stopped
            limited INTEGER NOT NULL DEFAULT 0, summary TEXT NOT NULL DEFAULT '{}', error TEXT
        );
        CREATE INDEX runs_name ON runs (kind, name, id);
        CREATE TABLE requests (
            run_id INTEGER NOT NULL, connection TEXT NOT NULL, method TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (run_id, connection, method)
        ) WITHOUT ROWID;
        CREATE TABLE leases (
            name TEXT PRIMARY KEY, owner TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, process_started TEXT NOT NULL,
            acquired_at INTEGER NOT NULL, renewed_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE budgets (               -- rate buckets, shared by processes
            connection TEXT NOT NULL, bucket TEXT NOT NULL, tokens REAL NOT NULL, at REAL NOT NULL, not_before REAL NOT NULL DEFAULT 0,
            PRIMARY KEY (connection, bucket)
        ) WITHOUT ROWID;
        CREATE TABLE pauses (target TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;   -- sync.NAME, connection.NAME, all
        CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
    )

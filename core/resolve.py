"""
Resolve: decides which records are one person, and which are one company. Deterministic, set-based, in one transaction.

Only what changed since the last time is looked at: subjects that `pull` left dirty and all that they touch. Who is joined is in
`core.store.components`, what is then known of them in `core.store.profiles`; nothing is guessed.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.clock import to_us
from core.config.model import Config
from core.store.blocking import block
from core.store.changes import note_resolved
from core.store.components import COMPANIES, PEOPLE, regroup, script
from core.store.cuts import sever, stir
from core.store.db import Store
from core.store.identity import UNRESOLVED, settle
from core.store.profiles import choose_companies, merge_fields, rewrite_rows
from core.store.refusals import note_said

_PRIORITY: Final = "resolve.priority"
"""The setting that keeps the priorities that the stored fields were chosen by."""


@dataclass(frozen=True, slots=True)
class ResolveReport:
    """What `resolve` did."""

    changed: int
    """Profiles that are new, or have another field, company or liveness."""
    merged: int
    """Profiles that turned out to be somebody known and were joined to them."""
    blocked: int
    """Identifiers that would have joined too many people and now join nobody."""


def resolve(store: Store, config: Config, *, at: datetime) -> ResolveReport:
    """Bring profiles and companies up to date with what was pulled; idempotent."""
    now = to_us(at)
    with store.atomic() as conn:
        priority = [str(entry) for entry in config.workspace.priority]
        everybody = _priority_changed(conn, priority)
        conn.execute("DROP TABLE IF EXISTS temp.r_dirty")
        conn.execute("CREATE TEMP TABLE r_dirty (id INTEGER PRIMARY KEY)")
        dirty = conn.execute(f"INSERT INTO r_dirty {UNRESOLVED}").rowcount
        settle(conn, resolving=True)
        if not dirty and not everybody:
            return ResolveReport(0, 0, 0)
        note_said(conn, store.path, now)
        _rank_sources(conn, priority)
        stir(conn)
        blocked = block(conn, now)
        merged = regroup(conn, PEOPLE, sever)
        regroup(conn, COMPANIES)
        if everybody:
            conn.execute("INSERT OR IGNORE INTO r_touch_profile SELECT id FROM profiles")
            conn.execute("INSERT OR IGNORE INTO r_touch_company SELECT id FROM companies")
            script(conn, "DELETE FROM r_touch_profile WHERE id IN (SELECT old FROM r_alias_profile);")
            script(conn, "DELETE FROM r_touch_company WHERE id IN (SELECT old FROM r_alias_company);")
        choose_companies(conn)
        rewrite_rows(conn)
        merge_fields(conn, COMPANIES, now)
        changed = merge_fields(conn, PEOPLE, now)
        _keep_aliases(conn, now)
        note_resolved(conn)
        conn.execute("UPDATE subjects SET dirty = 0 WHERE dirty = 1")
    return ResolveReport(changed, merged, blocked)


def _priority_changed(conn: sqlite3.Connection, priority: list[str]) -> bool:
    text = json.dumps(priority)
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (_PRIORITY,)).fetchone()
    if row is None or row[0] != text:
        conn.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_PRIORITY, text))
    return row is not None and row[0] != text


def _rank_sources(conn: sqlite3.Connection, priority: list[str]) -> None:
    """`r_active`: the streams whose rows count, and their place in the priorities; a connection's name beats its category."""
    place = {name: at for at, name in enumerate(priority)}
    rows = conn.execute(
        "SELECT s.id, c.id, c.name, c.category, s.kind, c.name || '.' || s.name FROM streams s "
        "JOIN connections c ON c.id = s.connection_id WHERE s.removed_at IS NULL OR s.held_since IS NOT NULL"
    ).fetchall()
    script(
        conn,
        "CREATE TEMP TABLE r_active "
        "(stream_id INTEGER PRIMARY KEY, connection_id INTEGER, rank INTEGER, kind TEXT, name TEXT);",
    )
    conn.executemany(
        "INSERT INTO r_active VALUES (?, ?, ?, ?, ?)",
        [
            (id_, conn_id, place.get(name, place.get(cat, len(place))), kind, full)
            for id_, conn_id, name, cat, kind, full in rows
        ],
    )


def _keep_aliases(conn: sqlite3.Connection, now: int) -> None:
    """Remember which ids were joined into which, always the last."""
    conn.execute(
        "UPDATE profile_aliases SET new_id = a.new FROM r_alias_profile a WHERE profile_aliases.new_id = a.old "
        "AND profile_aliases.new_id IN (SELECT old FROM r_alias_profile)"
    )
    conn.execute("INSERT OR REPLACE INTO profile_aliases SELECT old, new, ? FROM r_alias_profile", (now,))

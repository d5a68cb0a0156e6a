"""
What is known of a profile or a company: its canonical fields from all its rows, by the sources' priority, then the latest.

Works on the temporary tables that `components` leaves. Every change is noted in the history; a profile whose records are all
gone keeps its last fields and is no longer live. Every statement is driven by what was touched (`CROSS JOIN`; a unary plus
where the planner would rather read all addresses), so a small change costs little whatever the size of the store.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from core.contract import Kind
from core.store.components import COMPANIES, PEOPLE, Graph, script
from core.store.history import note_merged
from core.store.schema import CANONICAL, TABLES

_ROWS: Final = {PEOPLE: Kind.PROFILE, COMPANIES: Kind.COMPANY}
_FALLBACK: Final = {PEOPLE: ("email", "email"), COMPANIES: ("domain", "company_domain")}
"""A field that the identifiers give where no row does."""
_READ_ALL: Final = 4
"""If more than one row in so many is to be written, a table is read through: a look-up by key costs as much as several rows."""


def choose_companies(conn: sqlite3.Connection) -> None:
    """`r_employer`: the company of each touched profile: of its best source, and within that of the latest subject."""
    script(
        conn,
        """
        INSERT OR IGNORE INTO r_touch_profile SELECT s.profile_id FROM r_moved_company m
            CROSS JOIN subjects s ON s.id = m.id WHERE s.profile_id IS NOT NULL;
        CREATE TEMP TABLE r_employer (id INTEGER PRIMARY KEY, company_id INTEGER NOT NULL);
        INSERT OR IGNORE INTO r_employer SELECT s.profile_id, s.company_id
            FROM r_touch_profile t CROSS JOIN subjects s ON s.profile_id = t.id
            CROSS JOIN r_active a ON a.stream_id = s.stream_id
            WHERE s.trust = 'key' AND s.live = 1 AND s.company_id IS NOT NULL
            ORDER BY s.profile_id, a.rank, s.changed_at DESC, a.name, s.ref;
        """,
    )


def rewrite_rows(conn: sqlite3.Connection) -> None:
    """Write profile and company to the rows of every subject that is another's now, or whose profile has another company."""
    script(
        conn,
        """
        CREATE TEMP TABLE r_target (subject_id INTEGER PRIMARY KEY);
        INSERT INTO r_target SELECT id FROM r_dirty;
        INSERT OR IGNORE INTO r_target SELECT id FROM r_moved_profile;
        INSERT OR IGNORE INTO r_target SELECT id FROM r_moved_company;
        INSERT OR IGNORE INTO r_target SELECT s.id FROM r_touch_profile t CROSS JOIN profiles p ON p.id = t.id
            LEFT JOIN r_employer e ON e.id = t.id CROSS JOIN subjects s ON s.profile_id = t.id
            WHERE p.company_id IS NOT e.company_id;
        CREATE TEMP TABLE r_row (subject_id INTEGER PRIMARY KEY, stream_id INTEGER, ref TEXT, profile_id INTEGER, own INTEGER,
            company_id INTEGER);
        INSERT INTO r_row SELECT s.id, s.stream_id, s.ref, s.profile_id, s.company_id,
            coalesce(s.company_id, e.company_id, CASE WHEN t.id IS NULL THEN p.company_id END)
            FROM r_target r CROSS JOIN subjects s ON s.id = r.subject_id LEFT JOIN r_employer e ON e.id = s.profile_id
            LEFT JOIN r_touch_profile t ON t.id = s.profile_id LEFT JOIN profiles p ON p.id = s.profile_id;
        """,
    )
    for stream_id, landing, moved in conn.execute(
        "SELECT s.id, s.landing, count(*) FROM r_row x JOIN streams s ON s.id = x.stream_id GROUP BY s.id"
    ).fetchall():
        if landing and conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (landing,)).fetchone():
            _rewrite(conn, f'"{landing}"', "t.key = x.ref", stream_id, moved)
        for kind, table in TABLES.items():
            held = f"SELECT 1 FROM {table} WHERE stream_id = ? LIMIT 1"
            if kind is not Kind.EVENT and conn.execute(held, (stream_id,)).fetchone():
                _rewrite(conn, table, "t.stream_id = x.stream_id AND t.record_key = x.ref", stream_id, moved)
    # driven by the few subjects that moved, never by a scan of all events
    conn.execute(
        "UPDATE events SET profile_id = x.profile_id, company_id = x.own FROM r_row x "
        "WHERE x.subject_id = events.subject_id AND events.id IN (SELECT e.id FROM r_row m CROSS JOIN events e "
        "INDEXED BY events_subject ON e.subject_id = m.subject_id "
        "WHERE e.profile_id IS NOT m.profile_id OR e.company_id IS NOT m.own)"
    )


def _rewrite(conn: sqlite3.Connection, table: str, match: str, stream_id: int, moved: int) -> None:
    """Write what `r_row` says to the rows of a stream in *table*; *moved* of its subjects are in there."""
    differs = "(t.profile_id IS NOT x.profile_id OR t.company_id IS NOT x.company_id)"
    if moved * _READ_ALL > conn.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()[0]:
        conn.execute(
            f"UPDATE {table} AS t SET profile_id = x.profile_id, company_id = x.company_id FROM r_row x "
            f"WHERE x.subject_id = t.subject_id AND x.stream_id = ? AND {differs}",
            (stream_id,),
        )
        return
    script(conn, "CREATE TEMP TABLE r_target_row (id INTEGER PRIMARY KEY, profile_id INTEGER, company_id INTEGER);")
    conn.execute(
        f"INSERT INTO r_target_row SELECT t.rowid, x.profile_id, x.company_id FROM r_row x CROSS JOIN {table} t ON {match} "
        f"WHERE x.stream_id = ? AND {differs}",
        (stream_id,),
    )
    conn.execute(
        f"UPDATE {table} SET profile_id = x.profile_id, company_id = x.company_id FROM r_target_row x "
        f"WHERE x.id = {table}.rowid AND {table}.rowid IN (SELECT id FROM r_target_row)"
    )


def merge_fields(conn: sqlite3.Connection, graph: Graph, now: int) -> int:
    """Bring the touched profiles or companies up to date, with history; return how many changed."""
    columns = list(CANONICAL[_ROWS[graph]])
    _collect(conn, graph, columns)
    if graph is PEOPLE:
        _add_user_ids(conn)
        columns += ["user_id", "company_id"]
    note_merged(conn, graph.name, columns, old=graph.table, new="r_merged", now=now)
    columns.append("live")
    names = ", ".join(f'"{column}"' for column in columns)
    updates = ", ".join(f'"{column}" = excluded."{column}"' for column in columns)
    new = ", ".join(f'm."{column}"' for column in columns)
    old = ", ".join(f'o."{column}"' for column in columns)
    changed = conn.execute(
        f"INSERT INTO {graph.table} (id, changed_at, {names}) SELECT m.id, ?, {new} FROM r_merged m "
        f"LEFT JOIN {graph.table} o ON o.id = m.id WHERE o.id IS NULL OR ({new}) IS NOT ({old}) ORDER BY m.id "
        f"ON CONFLICT (id) DO UPDATE SET {updates}, changed_at = excluded.changed_at",
        (now,),
    ).rowcount
    conn.execute(f"DELETE FROM {graph.table} WHERE id IN (SELECT old FROM r_alias_{graph.name})")
    return changed


def _collect(conn: sqlite3.Connection, graph: Graph, columns: list[str]) -> None:
    """`r_merged`: the fields of each touched one. One row alone is taken as it is; of several, the best for each field."""
    kind, node, touch = _ROWS[graph], graph.column, f"r_touch_{graph.name}"
    rows = TABLES[kind]
    names = ", ".join(f'"{column}"' for column in columns)
    own = ", ".join(f'r."{column}"' for column in columns)
    kept = ", ".join(f'"{column}" = (SELECT o."{column}" FROM {graph.table} o WHERE o.id = r_merged.id)' for column in columns)
    best = ", ".join(
        f'"{c}" = (SELECT k."{c}" FROM r_ranked k WHERE k.id = r_merged.id AND k."{c}" IS NOT NULL ORDER BY k.n LIMIT 1)'
        for c in columns
    )
    field, identifier = _FALLBACK[graph]
    extra, employer, join = "", "", ""
    if graph is PEOPLE:
        extra, employer = ", user_id, company_id INTEGER", ", company_id"
        join = "LEFT JOIN r_employer e ON e.id = t.id"
    its = ", e.company_id" if join else ""
    live = (
        "EXISTS (SELECT 1 FROM subjects s CROSS JOIN r_active v ON v.stream_id = s.stream_id "
        f"WHERE s.{node} = t.id AND s.live = 1)"
    )
    script(
        conn,
        f"""
        CREATE TEMP TABLE r_merged (id INTEGER PRIMARY KEY, live INTEGER NOT NULL DEFAULT 0, {names}{extra});
        INSERT INTO r_merged (id, live, {names}{employer}) SELECT t.id, {live}, {own}{its}
            FROM {touch} t CROSS JOIN {rows} r ON r.{node} = t.id AND r.deleted_at IS NULL
            CROSS JOIN r_active a ON a.stream_id = r.stream_id {join} GROUP BY t.id HAVING count(*) = 1;
        CREATE TEMP TABLE r_several (id INTEGER PRIMARY KEY);
        INSERT INTO r_several SELECT id FROM {touch} WHERE id NOT IN (SELECT id FROM r_merged);
        INSERT INTO r_merged (id, live{employer}) SELECT t.id, {live}{its} FROM r_several t {join};
        CREATE TEMP TABLE r_ranked (id INTEGER, n INTEGER, {names}, PRIMARY KEY (id, n)) WITHOUT ROWID;
        INSERT INTO r_ranked SELECT r.{node}, row_number() OVER (PARTITION BY r.{node} ORDER BY a.rank,
                a.kind <> '{kind.value}', r.changed_at DESC, a.name, r.record_key, r.key), {own}
            FROM r_several t CROSS JOIN {rows} r ON r.{node} = t.id AND r.deleted_at IS NULL
            CROSS JOIN r_active a ON a.stream_id = r.stream_id;
        UPDATE r_merged SET {best} WHERE id IN (SELECT id FROM r_ranked);
        UPDATE r_merged SET {field} = (SELECT min(i.value) FROM identifiers i WHERE i.{node} = r_merged.id
            AND +i.kind = '{identifier}' AND i.known = 1) WHERE {field} IS NULL;
        UPDATE r_merged SET {kept} WHERE live = 0;
        """,
    )


def _add_user_ids(conn: sqlite3.Connection) -> None:
    """The user id of the best source that gives one."""
    script(
        conn,
        """
        CREATE TEMP TABLE r_user (id INTEGER PRIMARY KEY, value TEXT, n INTEGER);
        INSERT INTO r_user SELECT m.id, min(i.value), count(*) FROM r_merged m CROSS JOIN identifiers i ON i.profile_id = m.id
            AND +i.kind = 'user_id' AND i.known = 1
            WHERE EXISTS (SELECT 1 FROM identifiers WHERE kind = 'user_id') GROUP BY m.id;
        UPDATE r_user SET value = (SELECT i.value FROM identifiers i CROSS JOIN subject_identifiers l ON l.identifier_id = i.id
                CROSS JOIN subjects s ON s.id = l.subject_id CROSS JOIN r_active a ON a.stream_id = s.stream_id
                WHERE i.profile_id = r_user.id AND +i.kind = 'user_id' AND i.known = 1 AND s.trust = 'key' AND s.live = 1
                ORDER BY a.rank, s.changed_at DESC, i.value LIMIT 1) WHERE n > 1;
        UPDATE r_merged SET user_id = u.value FROM r_user u WHERE u.id = r_merged.id;
        UPDATE r_merged SET user_id = p.user_id, company_id = p.company_id FROM profiles p
            WHERE p.id = r_merged.id AND r_merged.live = 0;
        """,
    )

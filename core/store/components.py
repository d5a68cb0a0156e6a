"""
Who is the same: connected components of identifiers over live key subjects, for people and, the same way, for companies.

Set-based, over temporary tables, and only over what dirty subjects touch: by construction all that one profile holds is in one
component, so the components to make anew are those of the profiles that a dirty subject had or names. The result does not
depend on the order in which records came. What a component's fields are is `profiles`' business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_LATER: Final = 1 << 60
"""An identifier's claim to an old id comes after every subject's."""


@dataclass(frozen=True, slots=True)
class Graph:
    """People or companies."""

    name: str
    is_company: int

    @property
    def column(self) -> str:
        return f"{self.name}_id"

    @property
    def dirty(self) -> str:
        """The table of the dirty subjects that matter here: most have nothing to do with a company."""
        return "r_company_dirty" if self.is_company else "r_dirty"

    @property
    def table(self) -> str:
        return "companies" if self.is_company else "profiles"


PEOPLE: Final = Graph("profile", 0)
COMPANIES: Final = Graph("company", 1)


def script(conn: sqlite3.Connection, text: str) -> None:
    """Execute statements one by one inside the open transaction, temporary tables dropped before they are made."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            words = statement.split(None, 4)
            if words[:3] == ["CREATE", "TEMP", "TABLE"]:
                conn.execute(f"DROP TABLE IF EXISTS temp.{words[3].split('(')[0]}")
            conn.execute(statement)
            statement = ""


def regroup(conn: sqlite3.Connection, graph: Graph, sever: Callable[[sqlite3.Connection], None] | None = None) -> int:
    """
    Make the components anew around `r_dirty` and write them to identifiers and subjects; return how many were joined away.

    *sever* may take links out of `r_edge` before they join anybody.

    Leaves `r_touch_NAME` (components that changed or may have), `r_alias_NAME` (old id, new id) and `r_moved_NAME` (subjects
    whose component is another).
    """
    if graph is COMPANIES:
        _company_dirty(conn)
    _affected(conn, graph)
    if sever is not None:
        sever(conn)
    _label(conn)
    _claims(conn, graph)
    _assign(conn, graph)
    _write(conn, graph)
    return int(conn.execute(f"SELECT count(*) FROM r_alias_{graph.name}").fetchone()[0])


def _company_dirty(conn: sqlite3.Connection) -> None:
    """`r_company_dirty`: the dirty subjects that name or had a company, or are one."""
    script(
        conn,
        """
        CREATE TEMP TABLE r_company_dirty (id INTEGER PRIMARY KEY);
        INSERT INTO r_company_dirty SELECT d.id FROM r_dirty d CROSS JOIN subjects s ON s.id = d.id
            LEFT JOIN r_active a ON a.stream_id = s.stream_id WHERE s.company_id IS NOT NULL OR a.kind = 'company';
        INSERT OR IGNORE INTO r_company_dirty SELECT subject_id FROM r_link WHERE is_company = 1;
        """,
    )


def _affected(conn: sqlite3.Connection, graph: Graph) -> None:
    """`r_node`: old components concerned; `r_ident`: their identifiers; `r_subject`: live key subjects; `r_edge`: its links."""
    node, company, dirty = graph.column, graph.is_company, graph.dirty
    script(
        conn,
        f"""
        CREATE TEMP TABLE r_node (id INTEGER PRIMARY KEY);
        CREATE TEMP TABLE r_ident (id INTEGER PRIMARY KEY);
        INSERT OR IGNORE INTO r_ident SELECT identifier_id FROM r_link WHERE is_company = {company} AND standing > 0;
        INSERT OR IGNORE INTO r_node SELECT s.{node} FROM {dirty} d CROSS JOIN subjects s ON s.id = d.id
            WHERE s.{node} IS NOT NULL;
        INSERT OR IGNORE INTO r_node SELECT i.{node} FROM r_ident r CROSS JOIN identifiers i ON i.id = r.id
            WHERE i.{node} IS NOT NULL;
        INSERT OR IGNORE INTO r_ident SELECT i.id FROM r_node n CROSS JOIN identifiers i ON i.{node} = n.id;
        CREATE TEMP TABLE r_concerned (id INTEGER PRIMARY KEY);
        INSERT INTO r_concerned SELECT id FROM {dirty};
        INSERT OR IGNORE INTO r_concerned SELECT s.id FROM r_node n CROSS JOIN subjects s ON s.{node} = n.id;
        CREATE TEMP TABLE r_subject (id INTEGER PRIMARY KEY, entity INTEGER NOT NULL);
        INSERT INTO r_subject SELECT s.id, a.kind = '{graph.name}' FROM r_concerned c CROSS JOIN subjects s ON s.id = c.id
            CROSS JOIN r_active a ON a.stream_id = s.stream_id WHERE s.trust = 'key' AND s.live = 1;
        CREATE TEMP TABLE r_edge (identifier_id INTEGER, subject_id INTEGER,
            PRIMARY KEY (identifier_id, subject_id)) WITHOUT ROWID;
        INSERT INTO r_edge SELECT identifier_id, subject_id FROM r_link WHERE is_company = {company} AND standing = 2
            AND identifier_id NOT IN (SELECT id FROM identifiers WHERE blocked_at IS NOT NULL);
        INSERT INTO r_edge SELECT l.identifier_id, l.subject_id FROM r_subject s
            CROSS JOIN subject_identifiers l ON l.subject_id = s.id
            CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.is_company = {company} AND i.blocked_at IS NULL
            WHERE s.id NOT IN (SELECT id FROM r_dirty);
        INSERT OR IGNORE INTO r_edge SELECT l.identifier_id, w.id FROM merges m
            CROSS JOIN subjects w ON w.stream_id = m.stream_id AND w.ref = m.winner
            CROSS JOIN r_subject s ON s.id = w.id
            CROSS JOIN subjects d ON d.stream_id = m.stream_id AND d.ref = m.loser AND d.live = 0 AND d.trust = 'key'
            CROSS JOIN subject_identifiers l ON l.subject_id = d.id
            CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.is_company = {company} AND i.blocked_at IS NULL;
        """,
    )


def _label(conn: sqlite3.Connection) -> None:
    """
    `r_label`: each subject's component, named by its smallest subject.

    Only shared identifiers can join anything, and only subjects with two of them join more than those who share one.
    """
    script(
        conn,
        """
        CREATE TEMP TABLE r_least (identifier_id INTEGER PRIMARY KEY, label INTEGER NOT NULL);
        INSERT INTO r_least SELECT identifier_id, min(subject_id) FROM r_edge GROUP BY identifier_id HAVING count(*) > 1;
        CREATE TEMP TABLE r_shared (subject_id INTEGER, identifier_id INTEGER,
            PRIMARY KEY (subject_id, identifier_id)) WITHOUT ROWID;
        INSERT INTO r_shared SELECT e.subject_id, e.identifier_id FROM r_least t
            CROSS JOIN r_edge e ON e.identifier_id = t.identifier_id;
        CREATE TEMP TABLE r_bridge (subject_id INTEGER, identifier_id INTEGER,
            PRIMARY KEY (subject_id, identifier_id)) WITHOUT ROWID;
        INSERT INTO r_bridge SELECT h.subject_id, e.identifier_id FROM
            (SELECT subject_id FROM r_shared GROUP BY subject_id HAVING count(*) > 1) h
            CROSS JOIN r_shared e ON e.subject_id = h.subject_id;
        CREATE TEMP TABLE r_lowest (subject_id INTEGER PRIMARY KEY, label INTEGER NOT NULL);
        """,
    )
    _lower(conn)
    script(
        conn,
        """
        CREATE TEMP TABLE r_label (subject_id INTEGER PRIMARY KEY, label INTEGER NOT NULL);
        INSERT INTO r_label SELECT e.subject_id, min(t.label) FROM r_shared e
            CROSS JOIN r_least t ON t.identifier_id = e.identifier_id GROUP BY e.subject_id;
        INSERT OR IGNORE INTO r_label SELECT id, id FROM r_subject WHERE id NOT IN (SELECT subject_id FROM r_label)
            AND (entity OR id IN (SELECT subject_id FROM r_edge));
        """,
    )


def _lower(conn: sqlite3.Connection) -> None:
    """Give each shared identifier the smallest subject that it is joined with: round after round, until none is smaller."""
    changed = conn.execute("SELECT EXISTS (SELECT 1 FROM r_bridge)").fetchone()[0]
    while changed:
        conn.execute("DELETE FROM r_lowest")
        conn.execute(
            "INSERT INTO r_lowest SELECT b.subject_id, min(t.label) FROM r_bridge b "
            "CROSS JOIN r_least t ON t.identifier_id = b.identifier_id GROUP BY b.subject_id"
        )
        changed = conn.execute(
            "UPDATE r_least SET label = n.label FROM (SELECT b.identifier_id, min(w.label) AS label FROM r_bridge b "
            "CROSS JOIN r_lowest w ON w.subject_id = b.subject_id GROUP BY b.identifier_id) n "
            "WHERE n.identifier_id = r_least.identifier_id AND n.label < r_least.label"
        ).rowcount
        # a label is a subject, and that has a label: a chain of n takes log n rounds
        conn.execute(
            "UPDATE r_least SET label = w.label FROM r_lowest w WHERE w.subject_id = r_least.label AND w.label < r_least.label"
        )


def _claims(conn: sqlite3.Connection, graph: Graph) -> None:
    """`r_choice`: the identifier that each concerned claim goes by: the first that a key subject knows, else its first."""
    node, company = graph.column, graph.is_company
    script(
        conn,
        f"""
        CREATE TEMP TABLE r_claim (id INTEGER PRIMARY KEY);
        INSERT INTO r_claim SELECT s.id FROM r_concerned c CROSS JOIN subjects s ON s.id = c.id
            CROSS JOIN r_active a ON a.stream_id = s.stream_id WHERE s.trust = 'claim' AND s.live = 1;
        INSERT OR IGNORE INTO r_claim SELECT s.id FROM r_ident i CROSS JOIN subject_identifiers l ON l.identifier_id = i.id
            CROSS JOIN subjects s ON s.id = l.subject_id CROSS JOIN r_active a ON a.stream_id = s.stream_id
            WHERE s.trust = 'claim' AND s.live = 1 AND EXISTS (SELECT 1 FROM streams WHERE trust = 'claim');
        CREATE TEMP TABLE r_choice (subject_id INTEGER PRIMARY KEY, identifier_id INTEGER NOT NULL, known INTEGER NOT NULL);
        INSERT OR IGNORE INTO r_choice SELECT l.subject_id, l.identifier_id,
                CASE WHEN i.id IN (SELECT id FROM r_ident) THEN EXISTS (SELECT 1 FROM r_edge e WHERE e.identifier_id = i.id)
                    ELSE i.known END AS is_known
            FROM r_claim c CROSS JOIN subject_identifiers l ON l.subject_id = c.id
            CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.is_company = {company} AND i.blocked_at IS NULL
            ORDER BY l.subject_id, is_known DESC, l.position;
        CREATE TEMP TABLE r_anonymous (identifier_id INTEGER PRIMARY KEY, old INTEGER);
        INSERT OR IGNORE INTO r_anonymous SELECT c.identifier_id, i.{node} FROM r_choice c
            CROSS JOIN identifiers i ON i.id = c.identifier_id
            WHERE c.known = 0 AND (i.{node} IS NULL OR i.id IN (SELECT id FROM r_ident));
        """,
    )


def _assign(conn: sqlite3.Connection, graph: Graph) -> None:
    """
    `r_component`: each component's id. It keeps the smallest that it has had, unless a part with an older subject holds it.

    Only a person's own records (a company's, for companies) carry an id along when their identifiers change: a deal that is
    given to somebody else, or an employee who goes, must not.
    """
    node = graph.column
    script(
        conn,
        f"""
        CREATE TEMP TABLE r_first (identifier_id INTEGER PRIMARY KEY, component INTEGER NOT NULL);
        INSERT OR IGNORE INTO r_first SELECT e.identifier_id, l.label FROM r_edge e
            CROSS JOIN r_label l ON l.subject_id = e.subject_id;
        INSERT OR IGNORE INTO r_first SELECT identifier_id, -identifier_id FROM r_anonymous;
        CREATE TEMP TABLE r_had (component INTEGER, node INTEGER, rank INTEGER);
        INSERT INTO r_had SELECT l.label, s.{node}, s.id FROM r_label l
            CROSS JOIN r_subject r ON r.id = l.subject_id AND r.entity
            CROSS JOIN subjects s ON s.id = l.subject_id WHERE s.{node} IS NOT NULL;
        INSERT INTO r_had SELECT f.component, i.{node}, {_LATER} + i.id FROM r_first f
            CROSS JOIN identifiers i ON i.id = f.identifier_id WHERE i.{node} IS NOT NULL;
        CREATE TEMP TABLE r_won (node INTEGER PRIMARY KEY, component INTEGER NOT NULL, rank INTEGER);
        INSERT INTO r_won SELECT node, component, min(rank) FROM r_had GROUP BY node;
        CREATE TEMP TABLE r_component (component INTEGER PRIMARY KEY, node INTEGER);
        INSERT INTO r_component SELECT component, min(node) FROM r_won GROUP BY component;
        CREATE TEMP TABLE r_new (n INTEGER PRIMARY KEY, component INTEGER);
        INSERT INTO r_new (component) SELECT component FROM
            (SELECT DISTINCT label AS component FROM r_label UNION SELECT -identifier_id FROM r_anonymous)
            WHERE component NOT IN (SELECT component FROM r_component) ORDER BY component < 0, abs(component);
        INSERT INTO r_component SELECT component, n + (SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name =
            '{graph.table}'), 0), coalesce((SELECT max(id) FROM {graph.table}), 0))) FROM r_new;
        CREATE TEMP TABLE r_alias_{graph.name} (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
        INSERT INTO r_alias_{graph.name} SELECT w.node, c.node FROM r_won w JOIN r_component c ON c.component = w.component
            WHERE w.node <> c.node;
        """,
    )


def _write(conn: sqlite3.Connection, graph: Graph) -> None:
    """Write the new components to identifiers and subjects; the dead keep theirs, and follow a merge."""
    node, name = graph.column, graph.name
    script(
        conn,
        f"""
        CREATE TEMP TABLE r_ident_now (id INTEGER PRIMARY KEY, node INTEGER, known INTEGER NOT NULL);
        INSERT INTO r_ident_now SELECT f.identifier_id, c.node, f.component > 0 FROM r_first f
            CROSS JOIN r_component c ON c.component = f.component;
        INSERT OR IGNORE INTO r_ident_now SELECT i.id,
            CASE WHEN i.blocked_at IS NULL AND i.{node} NOT IN (SELECT node FROM r_won) THEN i.{node} END, 0
            FROM r_ident r CROSS JOIN identifiers i ON i.id = r.id WHERE r.id NOT IN (SELECT id FROM r_ident_now);
        UPDATE identifiers SET {node} = n.node, known = n.known FROM r_ident_now n
            WHERE n.id = identifiers.id AND identifiers.id IN (SELECT id FROM r_ident_now)
            AND (identifiers.{node} IS NOT n.node OR identifiers.known <> n.known);
        CREATE TEMP TABLE r_now (subject_id INTEGER PRIMARY KEY, node INTEGER);
        INSERT INTO r_now SELECT l.subject_id, c.node FROM r_label l CROSS JOIN r_component c ON c.component = l.label;
        INSERT OR IGNORE INTO r_now SELECT id, NULL FROM r_subject;
        INSERT OR IGNORE INTO r_now SELECT c.subject_id, i.{node} FROM r_choice c
            CROSS JOIN identifiers i ON i.id = c.identifier_id;
        INSERT OR IGNORE INTO r_now SELECT id, NULL FROM r_claim;
        INSERT OR IGNORE INTO r_now SELECT d.id, wn.node FROM merges m
            CROSS JOIN subjects w ON w.stream_id = m.stream_id AND w.ref = m.winner
            CROSS JOIN r_now wn ON wn.subject_id = w.id
            CROSS JOIN subjects d ON d.stream_id = m.stream_id AND d.ref = m.loser;
        INSERT OR IGNORE INTO r_now SELECT s.id, coalesce(a.new, s.{node}) FROM r_concerned c
            CROSS JOIN subjects s ON s.id = c.id LEFT JOIN r_alias_{name} a ON a.old = s.{node};
        CREATE TEMP TABLE r_moved_{name} (id INTEGER PRIMARY KEY);
        INSERT INTO r_moved_{name} SELECT s.id FROM r_now n CROSS JOIN subjects s ON s.id = n.subject_id
            WHERE s.{node} IS NOT n.node;
        CREATE TEMP TABLE r_touch_{name} (id INTEGER PRIMARY KEY);
        INSERT INTO r_touch_{name} SELECT id FROM r_node;
        INSERT OR IGNORE INTO r_touch_{name} SELECT n.node FROM r_now n WHERE n.node IS NOT NULL
            AND (n.subject_id IN (SELECT id FROM r_moved_{name}) OR n.subject_id IN (SELECT id FROM {graph.dirty}));
        INSERT OR IGNORE INTO r_touch_{name} SELECT node FROM r_component;
        DELETE FROM r_touch_{name} WHERE id IN (SELECT old FROM r_alias_{name});
        UPDATE subjects SET {node} = (SELECT n.node FROM r_now n WHERE n.subject_id = subjects.id), dirty = 0
            WHERE id IN (SELECT id FROM r_moved_{name});
        """,
    )

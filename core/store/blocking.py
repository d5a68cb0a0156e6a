"""
Values that would join too many people, a shop's own address or a shared inbox: they join nobody.

Read are the dirty subjects and who shares a value with them; `components` joins by what is left.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from core.store.components import script

MAX_EMAILS: Final = 5
MAX_USER_IDS: Final = 2
"""More distinct ones than these, joined by one value within one connection, and the value is blocked."""
_LINK: Final = """INSERT INTO r_link
            SELECT i.is_company, i.id, s.id,
                CASE s.trust WHEN 'key' THEN 1 + (s.live = 1 AND a.stream_id IS NOT NULL) ELSE 0 END
            FROM"""
"""All that dirty subjects name, read once. *standing*: 0 a claim, 1 a key that joins nobody now, 2 one that does."""
_OF_SUBJECT: Final = """
            CROSS JOIN subjects s ON s.id = d.id LEFT JOIN r_active a ON a.stream_id = s.stream_id
            CROSS JOIN subject_identifiers l ON l.subject_id = s.id CROSS JOIN identifiers i ON i.id = l.identifier_id"""


def block(conn: sqlite3.Connection, now: int) -> int:
    """
    Find the values that would join too many people, and those that no longer would; return how many are newly blocked.

    A subject counts with its first e-mail and first user id, so one person's many addresses block nothing. What changed makes
    dirty everybody who holds it.
    """
    _find_hubs(conn)
    _find_blocked(conn)
    _touch_turned(conn)
    blocked = conn.execute(
        "UPDATE identifiers SET blocked_at = ? WHERE blocked_at IS NULL AND id IN (SELECT id FROM r_turned) "
        "AND id IN (SELECT id FROM r_blocked)",
        (now,),
    ).rowcount
    conn.execute(
        "UPDATE identifiers SET blocked_at = NULL WHERE id IN (SELECT id FROM r_turned EXCEPT SELECT id FROM r_blocked)"
    )
    return blocked


def _find_hubs(conn: sqlite3.Connection) -> None:
    """Make `r_link`, all that dirty subjects name, and `r_hub`, the values among them that more than two subjects share."""
    script(
        conn,
        f"""
        CREATE TEMP TABLE r_link (is_company INTEGER, identifier_id INTEGER, subject_id INTEGER, standing INTEGER);
        {_LINK} r_dirty d {_OF_SUBJECT};
        CREATE TEMP TABLE r_candidate (id INTEGER PRIMARY KEY);
        INSERT OR IGNORE INTO r_candidate SELECT identifier_id FROM r_link WHERE is_company = 0;
        INSERT OR IGNORE INTO r_candidate SELECT id FROM identifiers WHERE blocked_at IS NOT NULL;
        CREATE TEMP TABLE r_hub (id INTEGER PRIMARY KEY);
        INSERT INTO r_hub SELECT c.id FROM r_candidate c CROSS JOIN subject_identifiers l ON l.identifier_id = c.id
            GROUP BY c.id HAVING count(*) > 2;
        CREATE TEMP TABLE r_blocked (id INTEGER PRIMARY KEY);
        """,
    )


def _find_blocked(conn: sqlite3.Connection) -> None:
    """Fill `r_blocked` with the hubs that would join too many people within one connection."""
    conn.execute(
        """
        INSERT INTO r_blocked SELECT DISTINCT hub FROM (
            SELECT h.id AS hub, i.kind AS kind, count(DISTINCT i.id) AS n FROM r_hub h
            CROSS JOIN subject_identifiers l ON l.identifier_id = h.id
            CROSS JOIN subjects s ON s.id = l.subject_id AND s.trust = 'key' AND s.live = 1
            CROSS JOIN r_active a ON a.stream_id = s.stream_id
            CROSS JOIN subject_identifiers o ON o.subject_id = s.id
            CROSS JOIN identifiers i ON i.id = o.identifier_id AND i.kind IN ('email', 'user_id')
            WHERE NOT EXISTS (
                SELECT 1 FROM subject_identifiers f JOIN identifiers e ON e.id = f.identifier_id
                WHERE f.subject_id = s.id AND f.position < o.position AND e.kind = i.kind)
            GROUP BY h.id, a.connection_id, i.kind
        ) found
        WHERE (found.kind = 'email' AND n > ?) OR (found.kind = 'user_id' AND n > ?)
        """,
        (MAX_EMAILS, MAX_USER_IDS),
    )


def _touch_turned(conn: sqlite3.Connection) -> None:
    """Make `r_turned`, the values that are blocked from now on or no longer, and dirty whoever holds one."""
    script(
        conn,
        """
        CREATE TEMP TABLE r_turned AS SELECT id FROM r_blocked UNION SELECT id FROM identifiers WHERE blocked_at IS NOT NULL;
        DELETE FROM r_turned WHERE (id IN (SELECT id FROM r_blocked)) =
            (id IN (SELECT id FROM identifiers WHERE blocked_at IS NOT NULL));
        """,
    )
    more = "SELECT l.subject_id AS id FROM r_turned t CROSS JOIN subject_identifiers l ON l.identifier_id = t.id"
    conn.execute(f"{_LINK} (SELECT DISTINCT id FROM ({more}) WHERE id NOT IN (SELECT id FROM r_dirty)) d {_OF_SUBJECT}")
    conn.execute(f"INSERT OR IGNORE INTO r_dirty {more}")

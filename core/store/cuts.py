"""
Cuts: two identifiers or records that somebody said are not one person, obeyed by every resolve from then on.

Where both still hang together, everything between them goes to the nearer one, by the fewest links (a record that is named
counts as one of its identifiers would); what is as near to both stays with the one that was named first. That looks at the
links alone, so it does not depend on the order in which records came. All that a cut concerns is made anew by each resolve,
since one side alone would not show what the other holds; a store without cuts is asked one question.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from core.store.components import script

RECORD: Final = "record "
"""Begins the name of a node that is a record; what follows is its stream."""


class Node(NamedTuple):
    """An identifier, or a record."""

    name: str
    """A kind of identifier as the store has it, or `record CONNECTION.STREAM`."""
    value: str

    @property
    def text(self) -> str:
        """As it is typed: `email:ann@example.com`, `crm.contacts:7`."""
        return f"{self.name.removeprefix(RECORD)}:{self.value}"


@dataclass(frozen=True, slots=True)
class Cut:
    """*part* is not *keep*; what is as near to both is *keep*'s."""

    keep: Node
    part: Node
    at: int


Edge = tuple[int, int]
"""An identifier's id and a subject's."""


def cuts(conn: sqlite3.Connection) -> list[Cut]:
    """Return all cuts, in the order in which they are obeyed: that of their names, whenever each was made."""
    rows = conn.execute(
        "SELECT keep_name, keep_value, part_name, part_value, at FROM identity_cuts"
        " ORDER BY keep_name, keep_value, part_name, part_value"
    )
    return [Cut(Node(*row[:2]), Node(*row[2:4]), row[4]) for row in rows]


def add(conn: sqlite3.Connection, keep: Node, part: Node, *, at: int) -> None:
    """Store a cut in place of one between the same two, and let the next resolve see it."""
    remove(conn, keep, part)
    conn.execute(
        "INSERT INTO identity_cuts (keep_name, keep_value, part_name, part_value, at) VALUES (?, ?, ?, ?, ?)",
        (*keep, *part, at),
    )
    _stir_nodes(conn, [keep, part])


def remove(conn: sqlite3.Connection, one: Node, other: Node) -> bool:
    """Take a cut back, whichever of the two was kept, and let the next resolve see it; False where there is none."""
    sql = "DELETE FROM identity_cuts WHERE keep_name = ? AND keep_value = ? AND part_name = ? AND part_value = ?"
    gone = conn.execute(sql, (*one, *other)).rowcount + conn.execute(sql, (*other, *one)).rowcount
    if gone:
        _stir_nodes(conn, [one, other])
    return gone > 0


def forget(conn: sqlite3.Connection, identifiers: Iterable[tuple[str, str]], records: Iterable[tuple[str, str]]) -> int:
    """Delete the cuts that name one of *identifiers* or of *records* (stream and key): who is gone is nobody's other half."""
    gone = 0
    for node in (*identifiers, *((RECORD + stream, key) for stream, key in records)):
        for end in ("keep", "part"):
            sql = f"DELETE FROM identity_cuts WHERE {end}_name = ? AND {end}_value = ?"
            gone += conn.execute(sql, tuple(node)).rowcount
    return gone


_SHARED: Final = """
    FROM cut_subjects c CROSS JOIN subjects s ON s.id = c.subject_id AND s.live = 1
    CROSS JOIN subject_identifiers l ON l.subject_id = s.id CROSS JOIN identifiers i ON i.id = l.identifier_id
    WHERE i.profile_id IN (SELECT value FROM json_each(?1)) AND s.profile_id NOT IN (SELECT value FROM json_each(?1))
"""
"""What people have that records of somebody else have as well, who was told apart from them."""


def shared(conn: sqlite3.Connection, people: Collection[int]) -> set[tuple[str, str]]:
    """Return the identifiers of *people* that are somebody else's by right of a record, a cut apart."""
    return set(conn.execute(f"SELECT DISTINCT i.kind, i.value {_SHARED}", (json.dumps(sorted(people)),)))


def release(conn: sqlite3.Connection, people: Collection[int]) -> None:
    """Let go of the identifiers that are `shared`: the next resolve gives them to whose record has them."""
    found = conn.execute(f"SELECT s.id, i.id {_SHARED}", (json.dumps(sorted(people)),)).fetchall()
    conn.executemany("UPDATE subjects SET dirty = 1 WHERE id = ?", [(subject,) for subject, _ in found])
    conn.executemany("UPDATE identifiers SET profile_id = NULL WHERE id = ?", [(identifier,) for _, identifier in found])


def _stir_nodes(conn: sqlite3.Connection, nodes: Iterable[Node]) -> None:
    for node in nodes:
        conn.executemany("UPDATE subjects SET dirty = 1 WHERE id = ?", _subjects_of(conn, node))


def _subjects_of(conn: sqlite3.Connection, node: Node) -> list[tuple[int]]:
    """Return the subjects that a resolve has to look at for *node*: the record's own, or those that have the identifier."""
    found = node_id(conn, node)
    if found is None or found > 0:
        return [] if found is None else [(found,)]
    return conn.execute(
        "SELECT s.id FROM subject_identifiers l CROSS JOIN subjects s ON s.id = l.subject_id AND s.trust = 'key'"
        " WHERE l.identifier_id = ?",
        (-found,),
    ).fetchall()


def node_id(conn: sqlite3.Connection, node: Node) -> int | None:
    """Return a subject's id, or an identifier's below zero; None where the store has no such thing now."""
    if node.name.startswith(RECORD):
        row = conn.execute(
            "SELECT s.id FROM subjects s JOIN streams t ON t.id = s.stream_id JOIN connections c ON c.id = t.connection_id"
            " WHERE c.name || '.' || t.name = ? AND s.ref = ?",
            (node.name.removeprefix(RECORD), node.value),
        ).fetchone()
        return None if row is None else int(row[0])
    row = conn.execute("SELECT id FROM identifiers WHERE kind = ? AND value = ?", tuple(node)).fetchone()
    return None if row is None else -int(row[0])


# --- in a resolve


def stir(conn: sqlite3.Connection) -> None:
    """Add to `r_dirty` all that the cuts concern: both sides of each are made anew, or neither would be right."""
    if not _any(conn):
        return
    conn.execute("INSERT OR IGNORE INTO r_dirty SELECT s.id FROM cut_subjects c CROSS JOIN subjects s ON s.id = c.subject_id")
    for cut in cuts(conn):
        for node in (cut.keep, cut.part):
            conn.executemany("INSERT OR IGNORE INTO r_dirty VALUES (?)", _subjects_of(conn, node))


def sever(conn: sqlite3.Connection) -> None:
    """Take out of `r_edge` the links between people who were told apart."""
    if not _any(conn):
        return
    conn.execute("DELETE FROM cut_subjects")
    found = [(node_id(conn, cut.keep), node_id(conn, cut.part)) for cut in cuts(conn)]
    pairs = [(keep, part) for keep, part in found if keep is not None and part is not None]
    if not pairs:
        return
    script(conn, "CREATE INDEX temp.r_edge_back ON r_edge (subject_id, identifier_id);")
    edges = _around(conn, {node for pair in pairs for node in pair})
    conn.executemany("INSERT OR IGNORE INTO cut_subjects VALUES (?)", [(subject,) for subject in {s for _, s in edges}])
    gone = severed(edges, pairs)
    conn.executemany("DELETE FROM r_edge WHERE identifier_id = ? AND subject_id = ?", sorted(gone))


def _any(conn: sqlite3.Connection) -> bool:
    return bool(
        conn.execute("SELECT EXISTS (SELECT 1 FROM identity_cuts) OR EXISTS (SELECT 1 FROM cut_subjects)").fetchone()[0]
    )


def _around(conn: sqlite3.Connection, nodes: Collection[int]) -> set[Edge]:
    """Return every link that hangs together with *nodes*."""
    edges: set[Edge] = set()
    seen = set(nodes)
    frontier = list(nodes)
    while frontier:
        found: set[Edge] = set()
        identifiers = json.dumps([-node for node in frontier if node < 0])
        subjects = json.dumps([node for node in frontier if node > 0])
        for column, values in (("identifier_id", identifiers), ("subject_id", subjects)):
            found |= set(
                conn.execute(
                    f"SELECT e.identifier_id, e.subject_id FROM json_each(?) j CROSS JOIN r_edge e ON e.{column} = j.value",
                    (values,),
                )
            )
        edges |= found
        frontier = [node for i, s in found for node in (-i, s) if node not in seen]
        seen.update(frontier)
    return edges


def severed(edges: Collection[Edge], pairs: Sequence[tuple[int, int]]) -> set[Edge]:
    """
    Return which of *edges* are to go so that no pair hangs together.

    A node is a subject's id, or an identifier's below zero. The pairs are obeyed one after the other; what lies between two is
    the nearer one's, and the first one's where it is as near to both.
    """
    near: dict[int, set[int]] = {}
    for identifier, subject in edges:
        near.setdefault(-identifier, set()).add(subject)
        near.setdefault(subject, set()).add(-identifier)
    gone: set[Edge] = set()
    for keep, part in pairs:
        from_keep = _distances(near, keep)
        if part not in from_keep or part == keep:
            continue
        from_part = _distances(near, part)
        # a record's own identifiers would always be nearer to it than to somebody who was named by one
        mixed = (keep > 0) != (part > 0) and from_keep[part] > 1
        lead = 0 if not mixed else 1 if part > 0 else -1
        parts = {node for node, far in from_part.items() if far + lead < from_keep[node]}
        for node in parts:
            for other in near[node] - parts:
                near[other].discard(node)
                gone.add((-node, other) if node < 0 else (-other, node))
            near[node] &= parts
    return gone


def _distances(near: Mapping[int, Collection[int]], start: int) -> dict[int, int]:
    found = {start: 0} if start in near else {}
    frontier = list(found)
    while frontier:
        further = dict.fromkeys(other for node in frontier for other in near[node] if other not in found)
        found |= dict.fromkeys(further, found[frontier[0]] + 1)
        frontier = list(further)
    return found

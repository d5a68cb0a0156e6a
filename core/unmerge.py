"""
Unmerge: two identifiers or records that were taken for one person are told apart, and stay so; and that can be taken back.

What the two people would be is found out by doing it, in a transaction that is rolled back. How links are cut is in
`core.store.cuts`; who is listed where afterwards is the next plan's business, by each member's key.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime

from core import normalise
from core.clock import to_us
from core.errors import ConfigError, Problem
from core.hub import Hub
from core.pulling.fill import resolve_now
from core.resolve import resolve
from core.segments.definitions import Definitions
from core.segments.sets_of import sets_of
from core.store import Store, cuts
from core.store.cuts import RECORD, Node
from core.store.links import links_of


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two people."""

    node: str
    """What was named: `email:ann@example.com`, `crm.contacts:7`."""
    _: KW_ONLY
    profile_id: int | None
    """None where nobody is left who has it."""
    name: str = ""
    email: str | None = None
    user_id: str | None = None
    identifiers: list[str] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    events: int = 0
    segments: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    """Sets of which only a look at everybody could tell."""


@dataclass(frozen=True, slots=True)
class Split:
    """What a cut makes of them."""

    were_one: bool
    keep: Side
    part: Side


def find_node(store: Store, text: str) -> Node:
    """
    Return what *text* names: an address, `KIND:VALUE` or `KIND=VALUE`, `CONNECTION.STREAM:KEY`, or a user id.

    Raises:
        ConfigError: the store has no such identifier or record, or it is one that joins nobody.
    """
    conn, text = store.conn, text.strip()
    name, _, value = text.partition(":") if ":" in text else text.partition("=")
    address = normalise.email(text)
    named = (normalise.email(value) or value) if name == "email" else value
    candidates = [*([Node(RECORD + name, value), Node(name, named)] if value else [])]
    candidates += [*([Node("email", address)] if address else []), Node("user_id", text)]
    for node in candidates:
        if node.name.startswith(RECORD):
            row = conn.execute(
                "SELECT s.trust, s.live, t.id FROM subjects s JOIN streams t ON t.id = s.stream_id"
                " JOIN connections c ON c.id = t.connection_id WHERE c.name || '.' || t.name = ? AND s.ref = ?",
                (name, value),
            ).fetchone()
            if row is not None:
                _check_record(conn, node, *row)
                return node
        else:
            row = conn.execute("SELECT is_company, blocked_at FROM identifiers WHERE kind = ? AND value = ?", node).fetchone()
            if row is not None:
                _check_identifier(node, *row)
                return node
    remedy = "`tagalong person` lists what somebody is known by, and which record brought it"
    raise ConfigError(Problem("nothing in the store is known by one of these", remedy=remedy))


def _check_record(conn: sqlite3.Connection, node: Node, trust: str, live: int, stream_id: int) -> None:
    merged = conn.execute("SELECT 1 FROM merges WHERE stream_id = ? AND loser = ?", (stream_id, node.value)).fetchone()
    if merged is not None:
        raise ConfigError(Problem(f"{node.text} was joined into another record by its vendor; take it apart there"))
    if not live:
        raise ConfigError(Problem(f"{node.text} is deleted, and joins nobody"))
    if trust != "key":
        raise ConfigError(Problem(f"{node.text} only points at somebody (`trust`), and joins nobody"))


def _check_identifier(node: Node, is_company: int, blocked_at: int | None) -> None:
    if is_company:
        raise ConfigError(Problem(f"{node.text} names a company; people are told apart"))
    if blocked_at is not None:
        raise ConfigError(Problem(f"{node.text} is blocked, since it would join too many people; it joins nobody"))


def preview(hub: Hub, store: Store, keep: Node, part: Node) -> Split:
    """Return what the two would be, and leave everything as it is."""
    before = (_profile(store.conn, keep), _profile(store.conn, part))
    definitions = hub.definitions(store)
    at = hub.clock()
    with store.atomic() as conn:
        conn.execute("SAVEPOINT what_if")
        try:
            cuts.add(conn, keep, part, at=to_us(at))
            resolve(store, hub.config, at=at)
            sides = [_side(store, definitions, node, at) for node in (keep, part)]
        finally:
            conn.execute("ROLLBACK TO what_if")
            conn.execute("RELEASE what_if")
    return Split(before[0] is not None and before[0] == before[1], *sides)


def unmerge(hub: Hub, store: Store, keep: Node, part: Node) -> None:
    """Tell them apart, now and in every resolve to come."""
    with store.atomic() as conn:
        cuts.add(conn, keep, part, at=to_us(hub.clock()))
    _carry_out(hub, store, keep, part)


def undo(hub: Hub, store: Store, one: Node, other: Node) -> bool:
    """Take it back; False where nobody had told them apart."""
    with store.atomic() as conn:
        removed = cuts.remove(conn, one, other)
    if removed:
        _carry_out(hub, store, one, other)
    return removed


def _carry_out(hub: Hub, store: Store, one: Node, other: Node) -> None:
    at = resolve_now(hub, store)
    with store.atomic() as conn:  # whose key and object is whose is looked at by the next plan, also where no field changed
        concerned = conn.execute("SELECT s.profile_id FROM cut_subjects c JOIN subjects s ON s.id = c.subject_id").fetchall()
        people = {id_ for (id_,) in concerned} | {_profile(conn, one), _profile(conn, other)}
        conn.executemany("UPDATE profiles SET changed_at = ? WHERE id = ?", [(to_us(at), id_) for id_ in people if id_])
        _give_back(conn, {id_ for id_ in people if id_})


def _give_back(conn: sqlite3.Connection, people: set[int]) -> None:
    """Let the numbers that were joined into one of *people* stand for whose address or user id they had."""
    older = conn.execute(
        "SELECT old_id, new_id FROM profile_aliases WHERE new_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(people)),),
    ).fetchall()
    for old_id, new_id in older:
        had = conn.execute(
            "SELECT DISTINCT i.profile_id FROM field_history h JOIN identifiers i ON i.kind = h.field AND i.value = h.value"
            " WHERE h.of = 'profile' AND h.field IN ('email', 'user_id') AND h.of_id = ?",
            (old_id,),
        )
        owners = {id_ for (id_,) in had} & people
        if owners and new_id not in owners:
            conn.execute("UPDATE profile_aliases SET new_id = ? WHERE old_id = ?", (min(owners), old_id))


def _profile(conn: sqlite3.Connection, node: Node) -> int | None:
    found = cuts.node_id(conn, node)
    if found is None:
        return None
    table = "subjects" if found > 0 else "identifiers"
    profile_id: int | None = conn.execute(f"SELECT profile_id FROM {table} WHERE id = ?", (abs(found),)).fetchone()[0]
    return profile_id


def _side(store: Store, definitions: Definitions, node: Node, at: datetime) -> Side:
    conn, profile_id = store.conn, _profile(store.conn, node)
    if profile_id is None:
        return Side(node.text, profile_id=None)
    first, last, email, user_id = conn.execute(
        "SELECT first_name, last_name, email, user_id FROM profiles WHERE id = ?", (profile_id,)
    ).fetchone()
    (events,) = conn.execute("SELECT count(*) FROM events WHERE profile_id = ?", (profile_id,)).fetchone()
    held = conn.execute(
        "SELECT kind, value FROM identifiers WHERE profile_id = ? ORDER BY kind, value", (profile_id,)
    ).fetchall()
    links = [(link["stream"], link["record"]) for link in links_of(conn, profile_id) if link["live"]]
    member, untold = sets_of(store, definitions, profile_id, as_of=at)
    return Side(
        node.text, profile_id=profile_id, name=" ".join(part for part in (first, last) if part), email=email, user_id=user_id,
        identifiers=[f"{kind}:{value}" for kind, value in held],
        records=[f"{stream}:{record}" for stream, record in links if record is not None],
        events=events, segments=member, untold=untold,
    )  # fmt: skip

"""
Under which key, and as which object, a destination knows our people.

What the store knows is asked first: this connection's own stream whose record keys are the remote ids (`Audience.ids_from`).
Only who is not there is asked for at the vendor (`Audience.find`). Nothing here decides who is to be added.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pyroaring import BitMap

from core.contract import Api, Audience, Ref
from core.pushing import company_members
from core.store.audiences import COMPANY, chunks, text_chunks
from core.store.ledger import Entry, State

Memory = dict[str, tuple[Ref, ...]]
"""Who a destination said it knows under each key."""
PROFILE_ID: Final = "profile_id"


def identifier_kind(audience: Audience, connection: str) -> str:
    """Return the kind under which the store keeps the keys of an audience; COMPANY where its members are companies."""
    if audience.of == COMPANY:
        return COMPANY
    kind = audience.key_kind
    return kind if kind in {"email", "user_id", PROFILE_ID} or "." in kind else f"{connection}.{kind}"


def keys_of(conn: sqlite3.Connection, profiles: Iterable[int], kind: str) -> dict[int, str]:
    """Return the key of each profile that has one; of companies, where the *kind* is theirs."""
    found: dict[int, str] = {}
    if kind == COMPANY:
        return {company_id: company_members.key_of(company_id) for company_id in profiles}
    for chunk in chunks(profiles):
        if kind == PROFILE_ID:
            found |= {profile_id: str(profile_id) for profile_id in json.loads(chunk)}
        elif kind in {"email", "user_id"}:
            rows = conn.execute(
                f"SELECT p.id, p.{kind} FROM json_each(?) j CROSS JOIN profiles p ON p.id = j.value WHERE p.{kind} IS NOT NULL",
                (chunk,),
            )
            found.update(rows)
        else:
            rows = conn.execute(
                "SELECT i.profile_id, i.value FROM json_each(?) j CROSS JOIN identifiers i ON i.profile_id = j.value"
                " WHERE i.kind = ? ORDER BY i.id DESC",
                (chunk, kind),
            )
            found.update(rows)  # the oldest comes last and stays
    return found


def holders_of(conn: sqlite3.Connection, keys: Iterable[str], kind: str) -> dict[str, int]:
    """Return which live profile each key belongs to now."""
    if kind == PROFILE_ID:
        return {key: int(key) for key in keys if key.isdigit()}
    if kind == COMPANY:
        return company_members.holders_of(conn, keys)
    found: dict[str, int] = {}
    for chunk in text_chunks(keys):
        rows = conn.execute(
            "SELECT i.value, p.id FROM json_each(?) j CROSS JOIN identifiers i ON i.kind = ? AND i.value = j.value"
            " JOIN profiles p ON p.id = i.profile_id WHERE p.live = 1",
            (chunk, kind),
        )
        found.update(rows)
    return found


def shared_keys(conn: sqlite3.Connection, keys: Mapping[int, str], kind: str) -> dict[str, BitMap]:
    """Return the keys that several live profiles have (a blocked identifier joins nobody), each with all of these."""
    found: dict[str, BitMap] = {}
    if kind not in {"email", "user_id"}:
        return found
    for chunk in text_chunks(keys.values()):
        rows = conn.execute(
            f"SELECT p.{kind}, p.id FROM json_each(?) j CROSS JOIN profiles p ON p.{kind} = j.value WHERE p.live = 1", (chunk,)
        )
        for key, profile_id in rows:
            found.setdefault(key, BitMap()).add(profile_id)
    return {key: profiles for key, profiles in found.items() if len(profiles) > 1}


def own_stream(conn: sqlite3.Connection, audience: Audience, connection: str) -> int | None:
    """Return the id of the stream whose record keys are the audience's remote ids; None where it is not pulled."""
    if audience.ids_from is None:
        return None
    row = conn.execute(
        "SELECT s.id FROM streams s JOIN connections c ON c.id = s.connection_id"
        " WHERE c.name = ? AND s.name = ? AND s.removed_at IS NULL",
        (connection, audience.ids_from),
    ).fetchone()
    return None if row is None else int(row[0])


def known_refs(conn: sqlite3.Connection, stream_id: int, keys: Iterable[str], kind: str) -> dict[str, list[str]]:
    """Return the remote ids of the stream's live records that have each key."""
    found: dict[str, list[str]] = {}
    if kind == COMPANY:
        known = company_members.known_refs(conn, stream_id, company_members.ids_of(keys))
        return {company_members.key_of(company_id): refs for company_id, refs in known.items()}
    for chunk in text_chunks(keys):
        rows = conn.execute(
            "SELECT j.value, s.ref FROM json_each(?) j CROSS JOIN identifiers i ON i.kind = ? AND i.value = j.value"
            " CROSS JOIN subject_identifiers si ON si.identifier_id = i.id CROSS JOIN subjects s ON s.id = si.subject_id"
            " WHERE s.stream_id = ? AND s.live = 1 ORDER BY s.id",
            (chunk, kind, stream_id),
        )
        for key, ref in rows:
            found.setdefault(key, []).append(ref)
    return found


def profiles_of_refs(conn: sqlite3.Connection, stream_id: int | None, refs: Iterable[str], kind: str) -> dict[str, int]:
    """Return whose record each remote id is; where no stream tells, whose key it is."""
    if stream_id is None:
        return holders_of(conn, refs, kind)
    whose = "company_id" if kind == COMPANY else "profile_id"
    found: dict[str, int] = {}
    for chunk in text_chunks(refs):
        rows = conn.execute(
            f"SELECT s.ref, s.{whose} FROM json_each(?) j CROSS JOIN subjects s ON s.stream_id = ? AND s.ref = j.value"
            f" WHERE s.live = 1 AND s.{whose} IS NOT NULL",
            (chunk, stream_id),
        )
        found.update(rows)
    return found


def merged_into(conn: sqlite3.Connection, stream_id: int | None, refs: Iterable[str]) -> dict[str, str]:
    """Return the remote ids that the vendor merged into another, with that other; one whose record is back is itself."""
    if stream_id is None or conn.execute("SELECT 1 FROM merges WHERE stream_id = ? LIMIT 1", (stream_id,)).fetchone() is None:
        return {}  # by far the most streams know of no merge at all
    found: dict[str, str] = {}
    for ref in refs:
        winner, seen = ref, {ref}
        while True:
            row = conn.execute(
                "SELECT m.winner FROM merges m WHERE m.stream_id = ? AND m.loser = ? AND NOT EXISTS"
                " (SELECT 1 FROM subjects s WHERE s.stream_id = m.stream_id AND s.ref = m.loser AND s.live = 1)",
                (stream_id, winner),
            ).fetchone()
            if row is None or row[0] in seen:
                break
            winner = row[0]
            seen.add(winner)
        if winner != ref:
            found[ref] = winner
    return found


def as_merged(entry: Entry, winners: Mapping[str, str]) -> Entry:
    """
    Return *entry* with the object that its own was merged into, a record of the stream: those are of no other type.

    Whether the vendor handed their place on nobody knows until its next answer.
    """
    winner = winners.get(str(entry.remote_id))
    if winner is None:
        return entry
    state = State.UNSURE if entry.state is State.OURS else entry.state
    return replace(entry, remote_id=winner, object=None, state=state)


@dataclass(slots=True)
class Reached:
    """Who the destination knows."""

    refs: dict[int, Ref] = field(default_factory=dict)
    found: dict[int, Ref] = field(default_factory=dict)
    """Those of them that the vendor was asked for."""
    not_found: dict[int, str] = field(default_factory=dict)
    """Profile to the key that was asked for."""
    several: dict[int, frozenset[str]] = field(default_factory=dict)
    """Profiles whose key is several objects there, which ones."""
    nameless: BitMap = field(default_factory=BitMap)
    """Companies without a record of their own there: nobody can be asked for them."""


def reach(
    conn: sqlite3.Connection,
    audience: Audience,
    keys: Mapping[int, str],
    *,
    stream_id: int | None,
    kind: str,
    api: Callable[[], Api],
    memory: Memory,
) -> Reached:
    """
    Return who is known under each key (profile to key).

    *api* is opened only where neither the store nor *memory*, what was asked for in this run, can tell.
    """
    if kind == COMPANY:
        return _companies(conn, keys, stream_id)
    if stream_id is None and asks_nobody(audience):
        return Reached({profile_id: Ref(key) for profile_id, key in keys.items()})
    reached = Reached()
    known = known_refs(conn, stream_id, keys.values(), kind) if stream_id is not None else {}
    ask: dict[int, str] = {}
    for profile_id, key in keys.items():
        match known.get(key, ()):
            case ():
                ask[profile_id] = key
            case [ref]:
                reached.refs[profile_id] = Ref(ref)
            case refs:
                reached.several[profile_id] = frozenset(refs)
    _remember(memory, audience, api, ask.values())
    for profile_id, key in ask.items():
        match list(memory[key]):
            case []:
                reached.not_found[profile_id] = key
            case [found]:
                reached.refs[profile_id] = reached.found[profile_id] = found
            case those:
                reached.several[profile_id] = frozenset(one.remote_id for one in those)
    return reached


def _companies(conn: sqlite3.Connection, companies: Iterable[int], stream_id: int | None) -> Reached:
    known = company_members.known_refs(conn, stream_id, companies) if stream_id is not None else {}
    reached = Reached(nameless=BitMap(companies) - BitMap(known))
    for company_id, refs in known.items():
        if len(refs) == 1:
            reached.refs[company_id] = Ref(refs[0])
        else:
            reached.several[company_id] = frozenset(refs)
    return reached


def asks_nobody(audience: Audience) -> bool:
    """Return whether a destination knows people by their very key: then there is nothing to ask, and nothing to remember."""
    return audience.of != COMPANY and type(audience).find is Audience.find


def _remember(memory: Memory, audience: Audience, api: Callable[[], Api], keys: Iterable[str]) -> None:
    """Ask for the keys that *memory* does not have, and keep in it who was found under each, or that nobody was."""
    news = [key for key in dict.fromkeys(keys) if key not in memory]
    memory.update({key: tuple(refs) for key, refs in _find(audience, api, news).items()} if news else {})
    memory.update({key: () for key in news if key not in memory})


def _find(audience: Audience, api: Callable[[], Api], keys: Sequence[str]) -> dict[str, Sequence[Ref]]:
    if asks_nobody(audience):
        return {key: (Ref(key),) for key in keys}
    found: dict[str, Sequence[Ref]] = {}
    for start in range(0, len(keys), audience.find_batch):
        found |= audience.find(api(), keys[start : start + audience.find_batch])
    return found

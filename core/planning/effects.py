"""
What a plan would send, member by member, as fingerprints: key, object and values of each, hashed with the store's own key.

Two plans that would send the same for the same people have the same effects. A fingerprint tells nobody an address: without
the key it cannot even be guessed. Members are read a part at a time, and what is kept of each is `SIZE` bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from itertools import islice
from typing import Final

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Op
from core.planning.plan import Plan
from core.pushing import member_values
from core.pushing.batches import READ_AHEAD, Batches
from core.store import Store, ledger

SIZE: Final = 8
"""Bytes of a fingerprint: an edit goes unseen once in 2^64 times."""
NOTHING: Final = bytes(SIZE)
"""Of somebody in the plan for whom nothing would be sent after all."""


class Way(StrEnum):
    """What is done with a member."""

    ADD = "add"
    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Effects:
    """Some members and what would be sent for each."""

    ids: BitMap
    prints: bytes
    """`SIZE` bytes a member, in order of their ids."""

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for at, profile_id in enumerate(self.ids):
            yield profile_id, self.prints[at * SIZE : (at + 1) * SIZE]


def differing(first: Effects, second: Effects) -> BitMap:
    """Return who of those in both has another effect in the one than in the other."""
    if first == second:
        return BitMap()
    found, others = BitMap(), iter(second)
    other, its = next(others, (-1, NOTHING))
    for profile_id, mine in first:
        while -1 < other < profile_id:
            other, its = next(others, (-1, NOTHING))
        if other == profile_id and its != mine:
            found.add(profile_id)
    return found


def members_of(plan: Plan) -> dict[Way, BitMap]:
    """Return who would be sent, and how."""
    return {
        Way.ADD: plan.adds,
        Way.CREATE: plan.creates,
        Way.UPDATE: plan.updates,
        Way.REMOVE: plan.removes,
        Way.MOVE: BitMap([move.profile_id for move in plan.moves]),
    }


def only(plan: Plan, members: Mapping[Way, BitMap]) -> Plan:
    """Return *plan* for *members* alone, as far as it has them; `limited` where it had more."""

    def of(way: Way) -> BitMap:
        return members.get(way, BitMap())

    kept = replace(
        plan,
        adds=plan.adds & of(Way.ADD),
        creates=plan.creates & of(Way.CREATE),
        updates=plan.updates & of(Way.UPDATE),
        removes=plan.removes & of(Way.REMOVE),
        moves=tuple(move for move in plan.moves if move.profile_id in of(Way.MOVE)),
        strangers=0,  # nobody can name them
    )
    if plan.draft.baseline is not None:
        kept = replace(kept, draft=replace(plan.draft, baseline=plan.draft.baseline.alone(kept.removes)))
    return replace(kept, limited=plan.limited or kept.size < plan.size)


def effects_of(store: Store, plan: Plan, key: bytes) -> dict[Way, Effects]:
    """Return the effects of all whom *plan* would send, by way; asks nobody but the store."""
    return {way: _effects(store, plan, way, ids, key) for way, ids in members_of(plan).items() if ids}


def before_us(store: Store, plan: Plan, key: bytes) -> str | None:
    """Return a fingerprint of what is done with who was there before us; None where that is nothing."""
    baseline, row = plan.draft.baseline, plan.draft.bound.row
    done = baseline is not None and baseline.goes and not baseline.partly
    if row is None or not (done or plan.strangers):
        return None
    digest = blake2b(key=key, digest_size=2 * SIZE)
    if baseline is not None and done:
        digest.update(json.dumps([baseline.mode, baseline.digest, baseline.taken_out]).encode())
        digest.update(baseline.adopted.serialize() + baseline.leaving.serialize())
    for entries in ledger.nameless(store.conn, row.id, at=to_us(plan.as_of), size=READ_AHEAD) if plan.draft.nameless else ():
        digest.update(json.dumps([entry.member_key for entry in entries]).encode())
    return digest.hexdigest()


def with_before_us(plan: Plan, whole: Plan) -> Plan:
    """Return *plan*, made less of, with all that *whole* does with who was there before us."""
    kept = replace(plan, strangers=whole.strangers, draft=replace(plan.draft, baseline=whole.draft.baseline))
    return replace(kept, limited=whole.limited or kept.size < whole.size)


def _effects(store: Store, plan: Plan, way: Way, ids: BitMap, key: bytes) -> Effects:
    prints = bytearray(SIZE * len(ids))
    alone = only(plan, {way: ids})
    for profile_id, what in _created(store, alone) if way is Way.CREATE else _sent(store, alone):
        at = (ids.rank(profile_id) - 1) * SIZE
        before = bytes(prints[at : at + SIZE])
        digest = blake2b(key=key, digest_size=SIZE)
        digest.update(before)  # a member may be several rows of the ledger, and a move is an add and a removal
        digest.update(json.dumps([way, *what]).encode())
        prints[at : at + SIZE] = digest.digest()
    return Effects(ids, bytes(prints))


def _sent(store: Store, plan: Plan) -> Iterator[tuple[int, tuple[object, ...]]]:
    batches = Batches(store, plan)
    for items in (batches.adds(), batches.removes()):
        for item in items:
            member, ref = item.member, item.member.ref
            if member.profile_id is not None:
                carried = member.value_hash if item.change is not None else None  # a removal carries nothing
                told = (member.op, member.member_key, ref.remote_id, ref.handle, ref.object, carried)
                yield member.profile_id, told
    # until it is carried out the ledger has these under what they went by before
    renamed = {r.new.profile_id: r.new for r in plan.draft.rekeys if r.new is not None and r.new.profile_id is not None}
    renamed = {profile_id: entry for profile_id, entry in renamed.items() if profile_id in plan.updates}
    audience = plan.target.audience
    values = member_values.values_of(store.conn, renamed, audience.wanted_fields())
    for profile_id, entry in renamed.items():
        carried = member_values.hash_of(audience, values.get(profile_id, {}))
        yield profile_id, (Op.ADD, entry.member_key, entry.remote_id, entry.handle, entry.object, carried)


def _created(store: Store, plan: Plan) -> Iterator[tuple[int, tuple[object, ...]]]:
    names, fields = ("first_name", "last_name"), plan.target.audience.wanted_fields()
    ids = iter(plan.creates)
    while part := list(islice(ids, READ_AHEAD)):
        made = member_values.values_of(store.conn, part, names)
        carried = member_values.values_of(store.conn, part, fields)
        for profile_id in part:
            values = member_values.hash_of(plan.target.audience, carried.get(profile_id, {}))
            yield profile_id, (plan.draft.unknown.get(profile_id), member_values.value_hash(made.get(profile_id, {})), values)

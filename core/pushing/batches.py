"""
Who goes into which call: the members of a plan as batches, each with what it carries, read from the store as they are needed.

Moves come first, so that the way out and the way in of one member fall into one batch. Nothing here sends or writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Change, Op, Ref
from core.planning.plan import Plan, after
from core.pushing import member_values, reach
from core.pushing.send import Item
from core.store import Store, ledger
from core.store.audiences import AudienceRow
from core.store.intents import Member
from core.store.ledger import Entry, State

READ_AHEAD: Final = 2_000


class Batches:
    """The members of one plan."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store = store
        self.plan = plan
        self.audience = plan.target.audience
        self.row = plan.draft.bound.row
        self.kind = reach.identifier_kind(self.audience, plan.target.connection)
        self.stream_id = reach.own_stream(store.conn, self.audience, plan.target.connection)
        self.created: dict[int, Ref] = {}
        """People who were made at the destination for this plan."""

    def adds(self) -> Iterator[Item]:
        """Yield everybody to be put in: moves first, so that their removal falls into the same batch."""
        moves = {move.profile_id: move.new for move in self.plan.moves if move.new is not None}
        yield from self._items({p: new[0] for p, new in moves.items()}, {p: new[1] for p, new in moves.items()})
        for part in _parts(self.plan.updates - BitMap(moves)):
            rows = ledger.of_profiles(self.store.conn, self.row.id, part) if self.row else {}
            keys = reach.keys_of(self.store.conn, part, self.kind)
            current = {p: _listed(rows.get(p, ()), key) for p, key in keys.items()}
            entries = {p: entry for p, entry in current.items() if entry is not None}
            yield from self._items({p: e.member_key for p, e in entries.items()}, {p: self._now(e) for p, e in entries.items()})
        for part in _parts(self.plan.adds):
            keys = reach.keys_of(self.store.conn, part, self.kind)
            yield from self._items(keys, self._refs(keys))
        if self.created:
            yield from self._items({p: self.plan.draft.unknown[p] for p in self.created}, self.created)

    def _items(self, keys: dict[int, str], refs: dict[int, Ref]) -> Iterator[Item]:
        fields = self.audience.wanted_fields()
        values = member_values.values_of(self.store.conn, keys, fields)
        for profile_id, key in keys.items():
            ref = refs.get(profile_id)
            if ref is None:
                continue
            carried = values.get(profile_id, {})
            mark = member_values.hash_of(self.audience, carried)
            member = Member(Op.ADD, key, profile_id=profile_id, ref=ref, value_hash=mark)
            yield Item(member, Change(ref, carried))

    def _refs(self, keys: dict[int, str]) -> dict[int, Ref]:
        if self.stream_id is None and reach.asks_nobody(self.audience):
            return {p: Ref(key) for p, key in keys.items()}
        found = {p: self.plan.draft.found[p] for p in keys if p in self.plan.draft.found}
        if self.stream_id is not None:
            known = reach.known_refs(self.store.conn, self.stream_id, keys.values(), self.kind)
            found |= {p: Ref(known[key][0]) for p, key in keys.items() if p not in found and len(known.get(key, ())) == 1}
        return found

    def _now(self, entry: Entry) -> Ref:
        """Return the object that a member is by now: the vendor may have merged it into another."""
        return self._merged([entry])[0].ref

    def _merged(self, entries: Sequence[Entry]) -> list[Entry]:
        winners = reach.merged_into(self.store.conn, self.stream_id, [e.remote_id for e in entries if e.remote_id])
        return [reach.as_merged(e, winners) for e in entries]

    def removes(self) -> Iterator[Item]:
        """Yield everybody to be taken out, moves first."""
        for move in self.plan.moves:
            for entry in self._merged(move.old):
                yield Item(_removal(entry))
        for part in _parts(self.plan.removes):
            rows = ledger.of_profiles(self.store.conn, self.row.id, part) if self.row else {}
            for entry in self._merged([e for entries in rows.values() for e in entries if e.state in ledger.OURS]):
                yield Item(_removal(entry))
        if self.row is not None and self.plan.strangers:
            yield from islice(self._strangers(self.row), self.plan.strangers)

    def _strangers(self, row: AudienceRow) -> Iterator[Item]:
        """Yield the members of ours whom nobody knows; their rows go while these are read."""
        for entries in ledger.nameless(self.store.conn, row.id, at=to_us(self.plan.as_of), size=READ_AHEAD):
            for entry in self._merged(entries):
                yield Item(_removal(entry))

    def batches(self) -> Iterator[list[Item]]:
        """Yield what goes in one call each: as many adds and as many removes as the vendor takes."""
        adds, removes, size = self.adds(), self.removes(), self.audience.max_batch
        while True:
            batch = [*islice(adds, size), *islice(removes, size)]
            if not batch:
                return
            yield batch

    def everybody(self, row: AudienceRow, out: BitMap) -> Iterator[Change]:
        """Yield who is ours when the plan is done, without those in *out*, for an audience that is written whole."""
        moved = {move.profile_id: move for move in self.plan.moves}
        for part in _parts(after(self.plan) - out):
            rows = ledger.of_profiles(self.store.conn, row.id, part)
            keys = reach.keys_of(self.store.conn, part, self.kind)
            values = member_values.values_of(self.store.conn, part, self.audience.wanted_fields())
            for profile_id in part:
                ours = [e for e in rows.get(profile_id, ()) if e.state in ledger.OURS]
                move = moved.get(profile_id)
                if move is not None:
                    ref = move.new[1] if move.new else next((e.ref for e in ours if e not in move.old), None)
                else:
                    ref = ours[0].ref if ours else self.plan.draft.found.get(profile_id, self.created.get(profile_id))
                if ref is None and profile_id in keys:
                    ref = self._refs({profile_id: keys[profile_id]}).get(profile_id)
                if ref is not None:
                    yield Change(ref, values.get(profile_id, {}))


def _listed(entries: Iterable[Entry], key: str) -> Entry | None:
    """Return a member's row: under their *key*, else one never confirmed, of somebody else who had the object before."""
    ours = sorted((entry for entry in entries if entry.state in ledger.OURS), key=lambda entry: entry.member_key != key)
    return next((entry for entry in ours if entry.member_key == key or entry.state is State.UNSURE), None)


def _removal(entry: Entry) -> Member:
    return Member(Op.REMOVE, entry.member_key, profile_id=entry.profile_id, ref=entry.ref, value_hash=entry.value_hash)


def _parts(profiles: BitMap) -> Iterator[BitMap]:
    ids = iter(profiles)
    while part := BitMap(islice(ids, READ_AHEAD)):
        yield part

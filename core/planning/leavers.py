"""
Who of those that are no longer wanted is really to go: nobody whose key or object another wanted profile holds.

Such a member stays, as that other's: only the ledger changes. So does who was there before us and lives on as an object that
the vendor made of theirs and of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyroaring import BitMap

from core.planning.changes import parts
from core.planning.plan import Rekey
from core.pushing import reach
from core.store import ledger, succession
from core.store.ledger import Entry, State

if TYPE_CHECKING:
    from core.planning.draft import Drafting


class Leavers:
    """Finds the removals of a draft."""

    def __init__(self, drafting: Drafting) -> None:
        self.drafting = drafting

    def removable(self, removes: BitMap, states: Sequence[State] = ledger.OURS) -> BitMap:
        """Return who of *removes* is really to go: not whose key or object another wanted profile holds."""
        drafting = self.drafting
        going = BitMap()
        for part in parts(removes):
            rows = ledger.of_profiles(drafting.conn, drafting.id, part)
            entries = self.as_merged([e for entries in rows.values() for e in entries if e.state in states])
            held = self.held_by_others(entries)
            for entry in entries:
                if entry.member_key not in held:
                    going.add(entry.profile_id or 0)
        return going

    def as_merged(self, entries: list[Entry]) -> list[Entry]:
        """Return *entries* with the objects that the vendor made of theirs: one that lives on as a wanted one is not to go."""
        drafting = self.drafting
        winners = reach.merged_into(drafting.conn, drafting.stream_id, {str(e.remote_id) for e in entries if e.remote_id})
        return [reach.as_merged(e, winners) for e in entries]

    def held_by_others(self, entries: list[Entry]) -> frozenset[str]:
        """Hand over each of *entries* that another wanted profile holds; return their keys."""
        drafting = self.drafting
        holders = reach.holders_of(drafting.conn, [e.member_key for e in entries], drafting.kind)
        shared = reach.shared_keys(drafting.conn, {i: e.member_key for i, e in enumerate(entries)}, drafting.kind)
        objects = {str(e.remote_id) for e in entries if e.remote_id}
        twins = ledger.of_remote_ids(drafting.conn, drafting.id, objects)
        whose = reach.profiles_of_refs(drafting.conn, drafting.stream_id, objects, drafting.kind) if drafting.stream_id else {}
        theirs = succession.theirs(drafting.conn, drafting.id, objects, stream_id=drafting.stream_id)
        wanted, held = drafting.case.wanted, set()
        for entry in entries:
            others = shared.get(entry.member_key, BitMap()) & wanted
            candidates = [holders.get(entry.member_key), *others, whose.get(str(entry.remote_id))]
            holder = next((h for h in candidates if h is not None and h != entry.profile_id and h in wanted), None)
            twin = any(
                t.member_key != entry.member_key and t.state in ledger.OURS and is_in(t, wanted)
                for t in twins.get(str(entry.remote_id), ())
            )
            if twin or (entry.state in ledger.OURS and entry.remote_id in theirs):
                drafting.rekeys.append(Rekey(entry.member_key, None))
            elif holder is not None:
                drafting.newcomers.hand_over(entry, holder, entry.member_key)
            else:
                continue
            held.add(entry.member_key)
        return frozenset(held)


def is_in(entry: Entry, profiles: BitMap) -> bool:
    """Return whether a row is of one of *profiles*."""
    return entry.profile_id is not None and entry.profile_id in profiles

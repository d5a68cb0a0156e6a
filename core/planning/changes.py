"""
Members who are listed and wanted, and yet not as they were: another key, another object, other values, or never confirmed.

Only who changed since the last plan is looked at. A member who goes by another key is moved as one thing; where both keys are
one object, only the ledger changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyroaring import BitMap

from core.contract import Audience, Ref, fields_of
from core.planning.plan import Move, Rekey, Skip
from core.pushing import member_values, reach
from core.store import ledger
from core.store.ledger import Entry, State

if TYPE_CHECKING:
    from core.planning.draft import Drafting

CHUNK: Final = 20_000


class Changes:
    """Finds the moves and the updates of a draft."""

    def __init__(self, drafting: Drafting) -> None:
        self.drafting = drafting

    def find(self, add_only: bool) -> BitMap:
        """Find the moves, and return who is to be sent again with other values, another object, or for want of an answer."""
        if self.drafting.row is None:
            return BitMap()
        unsure = ledger.in_state(self.drafting.conn, self.drafting.id, State.UNSURE)
        case, standing, rests = self.drafting.case, self.drafting.standing, self.drafting.rests
        listed = (standing.owned & case.wanted) - standing.waiting - rests.adds - rests.removes
        suspects = (case.changed | rests.due | unsure | self._valued()) & listed
        updates = BitMap()
        for part in parts(suspects):
            updates |= self._part(part, unsure, add_only)
        return updates

    def _valued(self) -> BitMap:
        """Return everybody where the audience carries other fields than when it was last written."""
        everybody, audience = self.drafting.standing.owned, self.drafting.audience
        if any(member_values.is_trait(name) for name in audience.wanted_fields()):
            return everybody  # a trait changes by itself, while nothing else of the person does
        setting = (fields_setting(self.drafting.id),)
        row = self.drafting.conn.execute("SELECT value FROM settings WHERE key = ?", setting).fetchone()
        return everybody if fields_text(audience) != (row[0] if row else "[]") else BitMap()

    def _part(self, part: BitMap, unsure: BitMap, add_only: bool) -> BitMap:
        keys = reach.keys_of(self.drafting.conn, part, self.drafting.kind)
        rows = ledger.of_profiles(self.drafting.conn, self.drafting.id, part)
        audience, leavers = self.drafting.audience, self.drafting.leavers
        fields = audience.wanted_fields()
        values = member_values.values_of(self.drafting.conn, part, fields)
        objects = {str(e.remote_id) for entries in rows.values() for e in entries if e.remote_id}
        merged = reach.merged_into(self.drafting.conn, self.drafting.stream_id, objects)
        updates, gone = BitMap(), {}
        for profile_id, entries in rows.items():
            ours = [e for e in entries if e.state in ledger.OURS]
            current = next((e for e in ours if e.member_key == keys.get(profile_id)), None)
            # a row of the surviving object itself comes before one of an object merged into it: its handle is the good one
            others = sorted((e for e in ours if e is not current), key=lambda e: e.remote_id in merged)
            if others:
                now = leavers.as_merged([current])[0] if current else None
                gone[profile_id] = (now, leavers.as_merged(others))
            if current is not None:
                other = current.value_hash != member_values.hash_of(audience, values.get(profile_id, {})) and bool(fields)
                if current.remote_id in merged:
                    # until its answer it is the other object that may be there, by our doing
                    self.drafting.rekeys.append(Rekey(current.member_key, ledger.unsure(leavers.as_merged([current])[0])))
                if other or profile_id in unsure or current.remote_id in merged:
                    updates.add(profile_id)
        self._move(gone, keys, add_only)
        return updates

    def _move(self, gone: dict[int, tuple[Entry | None, list[Entry]]], keys: dict[int, str], add_only: bool) -> None:
        """Decide for each listed member with rows under other keys: out and in, or the ledger alone."""
        newcomers, skips = self.drafting.newcomers, self.drafting.skips
        held = self.drafting.leavers.held_by_others([entry for _, old in gone.values() for entry in old])
        keyed = {p: keys[p] for p, (current, _) in gone.items() if current is None and p in keys}
        said_no = newcomers.said_no(BitMap(keyed))
        skips[Skip.CONSENT] |= said_no
        new = {p: key for p, key in keyed.items() if p not in said_no}
        skips[Skip.NO_IDENTIFIER] |= BitMap(p for p, (current, _) in gone.items() if current is None and p not in keys)
        refs = newcomers.ask(new)
        self._settle_same_object(gone, keys, refs, held)
        newcomers.settle_keys(new)
        refs = {p: ref for p, ref in refs.items() if p in new}
        newcomers.settle_refs(new, refs)
        for profile_id, (current, entries) in gone.items():
            if current is None and profile_id in self.drafting.several:
                self._stay(entries, keys[profile_id], self.drafting.several[profile_id], held)
                continue
            old = tuple(e for e in entries if e.member_key not in held) if not add_only else ()
            if profile_id in refs:
                self.drafting.moves.append(Move(profile_id, old, (new[profile_id], refs[profile_id])))
            elif old:
                self.drafting.moves.append(Move(profile_id, old, None))

    def _stay(self, entries: list[Entry], key: str, several: frozenset[str], held: frozenset[str]) -> None:
        """
        Leave a wanted member whose new *key* is several objects there: a look-up that cannot tell takes nobody out.

        Where what is listed is one of these objects, it goes by the new key from now on.
        """
        theirs = next((e for e in entries if e.remote_id in several and e.member_key not in held), None)
        if theirs is not None and not ledger.of_keys(self.drafting.conn, self.drafting.id, [key]):
            self.drafting.rekeys.append(Rekey(theirs.member_key, replace(theirs, member_key=key)))

    def _settle_same_object(
        self,
        gone: dict[int, tuple[Entry | None, list[Entry]]],
        keys: dict[int, str],
        refs: dict[int, Ref],
        held: frozenset[str],
    ) -> None:
        """Where the old keys and the new one are one object, the ledger changes and nothing else."""
        for profile_id, (current, old) in gone.items():
            ref = current.ref if current else refs.get(profile_id)
            # there are several where the vendor merged two listed people: one row lives on, and none is a removal
            same = [e for e in old if ref is not None and e.remote_id == ref.remote_id]
            if not same:
                continue
            first, *others = sorted(same, key=lambda e: e.member_key in held)
            new = None if current else replace(first, member_key=keys[profile_id], profile_id=profile_id)
            self.drafting.rekeys.append(Rekey(first.member_key, new))
            self.drafting.rekeys += [Rekey(e.member_key, None) for e in others if e.member_key not in held]
            old[:] = [e for e in old if e not in same]
            refs.pop(profile_id, None)


def fields_text(audience: Audience) -> str:
    """Return which fields an audience is written with, and under which names."""
    named, wanted = fields_of(audience), list(audience.wanted_fields())
    return json.dumps(wanted if list(named) == wanted else dict(named))


def fields_setting(audience_id: int) -> str:
    """Return under which setting the fields are kept that an audience was last written with."""
    return f"fields\x1f{audience_id}"


def parts(profiles: Iterable[int]) -> Iterator[BitMap]:
    """Return *profiles* in parts of a size that a few queries can take."""
    part: list[int] = []
    for profile_id in profiles:
        part.append(profile_id)
        if len(part) == CHUNK:
            yield BitMap(part)
            part = []
    if part:
        yield BitMap(part)

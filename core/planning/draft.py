"""
Fills a plan for one audience: from the bitmaps and the store, and from what may be read at the destination.

Only who differs is looked at: with nothing changed, a million members are three bitmaps and no request. Who must never be
removed is `core.planning.leavers`' business; how much may be removed is the guards'.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

from pyroaring import BitMap

from core.contract import Api, Ref
from core.live import baseline
from core.live.baseline import Baseline
from core.planning.case import Case
from core.planning.changes import Changes, parts
from core.planning.delay import Delay
from core.planning.leavers import Leavers, is_in
from core.planning.newcomers import Newcomers
from core.planning.plan import Draft, Move, Rekey, Skip, difference
from core.pushing import reach
from core.store import Store, audiences, holds, ledger
from core.store.audiences import Churn, Standing
from core.store.dead_letters import Resting, resting
from core.store.ledger import State


def draft(store: Store, case: Case, *, api: Callable[[], Api]) -> Draft:
    """Return what the sets and the destination say; a case that is held whole asks nobody."""
    return Drafting(store.conn, case, api).draft()


class Drafting:
    """One draft in the making."""

    def __init__(self, conn: sqlite3.Connection, case: Case, api: Callable[[], Api]) -> None:
        self.conn = conn
        self.case = case
        self.api = api
        self.audience = case.target.audience
        self.row = case.bound.row
        self.id = self.row.id if self.row else -1
        self.at = case.at
        self.kind = reach.identifier_kind(self.audience, case.target.connection)
        self.stream_id = reach.own_stream(conn, self.audience, case.target.connection)
        self.standing = audiences.standing(conn, self.id) if self.row else Standing(BitMap(), BitMap(), BitMap())
        self.rests = (
            resting(conn, self.id, connection=case.target.connection, at=self.at, of=self.audience.of)
            if self.row
            else Resting(BitMap(), BitMap(), BitMap())
        )
        self.skips: dict[Skip, BitMap] = {skip: BitMap() for skip in Skip}
        self.consent: dict[str, BitMap] = {}
        """Who is skipped for want of consent, by reason."""
        self.creates = BitMap()
        self.found: dict[int, Ref] = {}
        self.unknown: dict[int, str] = {}
        self.several: dict[int, frozenset[str]] = {}
        """Profiles whose key is several objects at the destination, which ones."""
        self.rekeys: list[Rekey] = []
        self.moves: list[Move] = []
        self.claimed: dict[str, int] = {}
        """Foreign members, by key, who turned out to be wanted."""
        self.leavers = Leavers(self)
        self.newcomers = Newcomers(self)
        self.kept = BitMap()
        """Wanted profiles who turn out to be there already, by a row that was somebody else's."""

    def draft(self) -> Draft:
        case, standing = self.case, self.standing
        add_only = case.bound.add_only or case.target.sync.mode == "add_only"
        adds, removes = difference(case.wanted, standing, add_only=add_only)
        self.skips[Skip.EXCLUDED] = case.excluded
        self.skips[Skip.WAITING] = case.wanted & standing.waiting
        self.skips[Skip.FOREIGN] = case.wanted & standing.theirs
        for reason in Delay:
            self.skips[Skip(reason)] = case.stays.by_reason(reason) & (adds | removes)
        adds, removes = adds - case.stays.awaited(), removes - case.stays.staying()
        self.skips[Skip.CHANGED] = (adds | removes) & case.changed_since
        adds, removes = adds - case.changed_since, removes - case.changed_since
        updates = BitMap()
        if not case.held:
            removes = self.leavers.removable(removes - self.rests.removes)
            adds, updates = self._adds_and_updates(adds, add_only)
        before_us = self._baseline(add_only)
        if before_us is not None:
            removes |= before_us.leaving
            self.skips[Skip.FOREIGN] -= before_us.adopted
            updates |= before_us.adopted if self.audience.wanted_fields() else BitMap()
        return self._draft_of(adds, updates, removes, before_us, add_only)

    def _adds_and_updates(self, adds: BitMap, add_only: bool) -> tuple[BitMap, BitMap]:
        case, newcomers = self.case, self.newcomers
        updates = Changes(self).find(add_only)
        adds -= self.kept
        permitted = newcomers.permitted(adds)
        if case.target.sync.baseline != baseline.IGNORE and self._baseline_is_due(add_only):
            self._recognise(adds - permitted)
        adds = newcomers.reachable(permitted) - self.kept
        # a row that was never confirmed is sent again under its new name: nobody knows whether the vendor has it
        unsure = (r.new for r in self.rekeys if r.new is not None and r.new.state is State.UNSURE)
        updates |= BitMap([e.profile_id or 0 for e in unsure if is_in(e, case.wanted)])
        return adds, updates - newcomers.doubted(updates)

    def _draft_of(self, adds: BitMap, updates: BitMap, removes: BitMap, before_us: Baseline | None, add_only: bool) -> Draft:
        case = self.case
        known = self.row is not None and not add_only and not case.held
        return Draft(
            case.target,
            case.bound,
            as_of=case.as_of,
            wanted=case.wanted,
            standing=self.standing,
            adds=adds,
            creates=self.creates - self.kept,
            updates=updates,
            removes=removes,
            moves=tuple(self.moves),
            rekeys=tuple(self.rekeys),
            skips={skip: profiles for skip, profiles in self.skips.items() if profiles},
            consent=self.consent,
            stays=case.stays,
            category=case.category,
            definition=case.definition,
            found=self.found,
            unknown=self.unknown,
            churn=self._churn(),
            turnover=case.turnover,
            first_run=case.first_run,
            approved=holds.approved_members(self.conn, case.target.label, at=self.at),
            held=case.held,
            baseline=before_us,
            nameless=baseline.nameless(self.conn, self.id, at=self.at) if known else 0,
        )

    def _churn(self) -> Churn:
        owned = len(self.standing.owned)
        return audiences.churn(self.conn, self.id, at=self.at, owned=owned) if self.row else Churn(0, 0, owned, 0)

    # --- who was there before us -------------------------------------------------------------------------------------

    def _baseline_is_due(self, add_only: bool) -> bool:
        wished = self.case.target.sync.baseline
        if self.case.held or (add_only and wished == baseline.REPLACE):
            return False
        return baseline.due(self.conn, self.row, wished)

    def _baseline(self, add_only: bool) -> Baseline | None:
        """Return what becomes of who was there before us, once everybody wanted is recognised among them."""
        if not self._baseline_is_due(add_only):
            return None
        found = baseline.find(
            self.conn,
            self.row,
            self.case.target.sync.baseline,
            label=self.case.target.label,
            stands=self.standing,
            wanted=self.case.wanted,
            resting=self.rests.removes,
            claimed=self.claimed,
            at=self.at,
        )
        return replace(found, leaves=self.leavers.removable(found.leaves, (State.FOREIGN,)))

    def _recognise(self, profiles: BitMap) -> None:
        """Find who of *profiles*, wanted and not to be added, is there: nobody wanted is taken out for a stranger."""
        if self.row is None or next(ledger.strangers(self.conn, self.id), None) is None:
            return
        for part in parts(profiles):
            keys = reach.keys_of(self.conn, part, self.kind)
            reached = reach.reach(
                self.conn, self.audience, keys, stream_id=self.stream_id, kind=self.kind, api=self.api, memory=self.case.memory
            )
            there = ledger.of_remote_ids(self.conn, self.id, {ref.remote_id for ref in reached.refs.values()})
            for profile_id, ref in reached.refs.items():
                foreign = next((e for e in there.get(ref.remote_id, ()) if e.state is State.FOREIGN), None)
                if foreign is not None:
                    self.newcomers.claim(foreign, profile_id)

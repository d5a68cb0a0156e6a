"""
Fills a plan for one audience: from the bitmaps and the store, and from what may be read at the destination.

Only who differs is looked at: with nothing changed, a million members are three bitmaps and no request. Who must never be
removed is `core.planning.leavers`' business; how much may be removed is the guards'.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from typing import Final

from pyroaring import BitMap

from core.clock import to_us
from core.config.countries import ASK_NOBODY, ConsentRules
from core.contract import Api, Category, Ref
from core.live import baseline
from core.live.baseline import Baseline
from core.planning.changes import Changes, parts
from core.planning.delay import NOBODY, Delay, Stays
from core.planning.guards import Held
from core.planning.leavers import Leavers, is_in
from core.planning.permission import refused
from core.planning.plan import Draft, Move, Rekey, Skip, difference
from core.pushing import reach
from core.pushing.bind import Bound
from core.pushing.targets import Target, Turnover
from core.store import Store, audiences, holds, ledger
from core.store.audiences import COMPANY, DAY_US, Churn, Standing
from core.store.dead_letters import Resting, resting
from core.store.ledger import Entry, State

ASK_AGAIN_AFTER_US: Final = DAY_US
_RECORDS: Final = (("profile_rows", "profile_id"), ("consents", "profile_id"))
"""What changes when a person's record at a destination does."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a plan for one audience is made of."""

    target: Target
    bound: Bound
    _: KW_ONLY
    as_of: datetime
    wanted: BitMap
    excluded: BitMap = field(default_factory=BitMap)
    """Whom the workspace's `exclude` kept out of the set."""
    changed: BitMap = field(default_factory=BitMap)
    """Profiles of which anything changed since the audience's last plan."""
    consent: ConsentRules = ASK_NOBODY
    """Where a yes is needed."""
    category: Category = Category.CRM
    """Of the destination: e-mail tools do not get people who said no."""
    turnover: Turnover = field(default_factory=Turnover)
    first_run: bool = False
    held: tuple[Held, ...] = ()
    memory: reach.Memory = field(default_factory=dict)
    """What the destination was asked for in this run, for this sync or another."""
    stays: Stays = NOBODY
    """Who is not removed yet, or not added yet since they stay in another group."""
    changed_since: BitMap = field(default_factory=BitMap)
    """Who may be somebody else, or other than they were, since *wanted* was found out: neither added nor removed."""
    definition: str = ""
    """Hash of the set's text."""

    @property
    def at(self) -> int:
        """Microseconds since 1970."""
        return to_us(self.as_of)


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
            updates = Changes(self).find(add_only)
            adds -= self.kept
            permitted = self._permitted(adds)
            if case.target.sync.baseline != baseline.IGNORE and self._baseline_is_due(add_only):
                self._recognise(adds - permitted)
            adds = self._reachable(permitted) - self.kept
            # a row that was never confirmed is sent again under its new name: nobody knows whether the vendor has it
            unsure = (r.new for r in self.rekeys if r.new is not None and r.new.state is State.UNSURE)
            updates |= BitMap([e.profile_id or 0 for e in unsure if is_in(e, case.wanted)])
            updates -= self._doubted(updates)
        before_us = self._baseline(add_only)
        if before_us is not None:
            removes |= before_us.leaving
            self.skips[Skip.FOREIGN] -= before_us.adopted
            updates |= before_us.adopted if self.audience.wanted_fields() else BitMap()
        return Draft(
            case.target,
            case.bound,
            as_of=case.as_of,
            wanted=case.wanted,
            standing=standing,
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
            nameless=0 if add_only or self.row is None or case.held else baseline.nameless(self.conn, self.id, at=self.at),
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
                    self._claim(foreign, profile_id)

    # --- adds --------------------------------------------------------------------------------------------------------

    def _permitted(self, adds: BitMap) -> BitMap:
        """Take out who must not be added, or not yet: refused, said no, asked for in vain a moment ago."""
        self.skips[Skip.REJECTED] = adds & self.rests.adds
        adds = adds - self.rests.adds
        said_no = self.said_no(adds)
        self.skips[Skip.CONSENT] |= said_no  # a move may have found some before
        adds = adds - said_no
        for state, skip in ((State.NOT_FOUND, Skip.NOT_FOUND), (State.SUPPRESSED, Skip.SUPPRESSED)):
            asleep = self._asleep(state) & adds
            self.skips[skip] |= asleep
            adds = adds - asleep
        return adds

    def said_no(self, profiles: BitMap) -> BitMap:
        """Return who of *profiles* must not be added here for want of consent."""
        case = self.case
        if self.kind == COMPANY:
            return BitMap()  # nobody asks a company; and its number may be that of somebody who said no
        found = refused(
            self.conn,
            profiles,
            category=case.category,
            require_consent=case.target.sync.require_consent,
            rules=case.consent,
        )
        for reason, who in found.items():
            self.consent[reason] = self.consent.get(reason, BitMap()) | who
        return BitMap.union(BitMap(), *found.values())

    def _doubted(self, updates: BitMap) -> BitMap:
        """Return whom to send again might be to add, as nobody knows whether they are there, and who must not be added."""
        unsure = ledger.in_state(self.conn, self.id, State.UNSURE)
        unsure |= BitMap([r.new.profile_id or 0 for r in self.rekeys if r.new is not None and r.new.state is State.UNSURE])
        said_no = self.said_no(updates & unsure)
        self.skips[Skip.CONSENT] |= said_no
        return said_no

    def _asleep(self, state: State) -> BitMap:
        """Return who was asked for within a day and whose record there has not changed since."""
        since = self.at - ASK_AGAIN_AFTER_US
        asleep = ledger.in_state(self.conn, self.id, state, since=since)
        if not asleep:
            return asleep
        tables = (("company_rows", "company_id"),) if self.kind == COMPANY else _RECORDS
        changed = " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} r JOIN streams s ON s.id = r.stream_id JOIN connections c ON c.id = s.connection_id"
            f" WHERE r.{column} = l.profile_id AND c.name = ?4 AND r.changed_at > l.at)"
            for table, column in tables
        )
        awake = self.conn.execute(
            f"SELECT l.profile_id FROM ledger l WHERE l.audience_id = ?1 AND l.state = ?2 AND l.at > ?3 AND ({changed})",
            (self.id, state, since, self.case.target.connection),
        )
        return asleep - BitMap([profile_id for (profile_id,) in awake])

    def _reachable(self, adds: BitMap) -> BitMap:
        """Return who of *adds* can be added now; everybody else goes to the skips, the creations or the ledger's changes."""
        reachable = BitMap()
        for part in parts(adds):
            keys = reach.keys_of(self.conn, part, self.kind)
            self.skips[Skip.NO_IDENTIFIER] |= part - BitMap(keys)
            self.settle_keys(keys)
            refs = self.ask(keys)
            self.settle_refs(keys, refs)
            reachable |= BitMap(refs)
        return reachable

    def settle_keys(self, keys: dict[int, str]) -> None:
        """Take out of *keys* whose key is in the ledger already, or is several people's."""
        entries = ledger.of_keys(self.conn, self.id, keys.values())
        shared = reach.shared_keys(self.conn, keys, self.kind)
        for profile_id, key in list(keys.items()):
            entry = entries.get(key)
            others = (shared.get(key, BitMap()) & self.case.wanted) - BitMap([profile_id])
            if entry and entry.state in ledger.OURS and entry.profile_id != profile_id:
                if is_in(entry, self.case.wanted):
                    self.skips[Skip.DUPLICATE].add(profile_id)
                else:
                    self.hand_over(entry, profile_id, key)
            elif entry and entry.state is State.FOREIGN:
                self._claim(entry, profile_id)
            elif others and (others & self.standing.owned or others[0] < profile_id):
                self.skips[Skip.DUPLICATE].add(profile_id)
            else:
                continue
            del keys[profile_id]

    def ask(self, keys: dict[int, str]) -> dict[int, Ref]:
        """Return who the destination knows of *keys*; note who it does not."""
        reached = reach.reach(
            self.conn,
            self.audience,
            keys,
            stream_id=self.stream_id,
            kind=self.kind,
            api=self.api,
            memory=self.case.memory,
        )
        self.skips[Skip.DUPLICATE] |= BitMap(reached.several)
        self.several |= reached.several
        self.skips[Skip.NO_IDENTIFIER] |= reached.nameless
        missing = BitMap(reached.not_found)
        creates = missing - self._deleted_there(reached.not_found) if self.case.target.sync.create_missing else BitMap()
        self.creates |= creates
        self.skips[Skip.NOT_FOUND] |= missing - creates
        self.unknown |= reached.not_found
        self.found |= reached.found
        return reached.refs

    def _deleted_there(self, keys: dict[int, str]) -> BitMap:
        """Return whom somebody deleted at the destination after we had put them in: they are not made there once more."""
        rows = ledger.of_keys(self.conn, self.id, keys.values())
        lost = (State.NOT_FOUND, State.MISSING)
        gone = {key for key, entry in rows.items() if entry.state in lost and entry.remote_id is not None}
        return BitMap([profile_id for profile_id, key in keys.items() if key in gone])

    def settle_refs(self, keys: dict[int, str], refs: dict[int, Ref]) -> None:
        """Take out of *refs* whose object is there already, whoever put it there, or is another wanted profile's."""
        there = ledger.of_remote_ids(self.conn, self.id, {ref.remote_id for ref in refs.values()})
        found = {profile_id: ref.remote_id for profile_id, ref in refs.items() if profile_id in self.found}
        whose = reach.profiles_of_refs(self.conn, self.stream_id, found.values(), self.kind) if self.stream_id else {}
        taken: dict[str, int] = {}
        for profile_id, ref in list(refs.items()):
            entries = [e for e in there.get(ref.remote_id, ()) if e.profile_id != profile_id]
            foreign = next((e for e in entries if e.state is State.FOREIGN), None)
            ours = [e for e in entries if e.state in ledger.OURS]
            owner = whose.get(ref.remote_id, profile_id) if profile_id in found else profile_id
            first = taken.setdefault(ref.remote_id, profile_id)
            if foreign is not None:
                self._claim(foreign, profile_id)
            elif any(is_in(e, self.case.wanted) for e in ours) or (owner != profile_id and owner in self.case.wanted):
                self.skips[Skip.DUPLICATE].add(profile_id)
            elif ours:
                self.hand_over(ours[0], profile_id, keys[profile_id])
            elif first != profile_id:
                self.skips[Skip.DUPLICATE].add(profile_id)
            else:
                continue
            del refs[profile_id]
            self.found.pop(profile_id, None)

    def hand_over(self, entry: Entry, profile_id: int, key: str) -> None:
        """The member of *entry* is wanted after all, as another profile: only the ledger changes."""
        self.rekeys.append(Rekey(entry.member_key, replace(entry, member_key=key, profile_id=profile_id)))
        self.kept.add(profile_id)

    def _claim(self, entry: Entry, profile_id: int) -> None:
        """A foreign member turns out to be this profile."""
        if entry.profile_id != profile_id:
            self.rekeys.append(Rekey(entry.member_key, replace(entry, profile_id=profile_id)))
        self.claimed[entry.member_key] = profile_id
        self.skips[Skip.FOREIGN].add(profile_id)

"""
Who of those that are to be added can be, and as whom the destination knows them.

Not who said no, nor who was refused or asked for in vain a moment ago; not whose key or object is in the audience already,
whoever put it there: of such a member only the ledger changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyroaring import BitMap

from core.contract import Ref
from core.planning.changes import parts
from core.planning.leavers import is_in
from core.planning.permission import refused
from core.planning.plan import Rekey, Skip
from core.pushing import reach
from core.store import ledger
from core.store.audiences import COMPANY, DAY_US
from core.store.ledger import Entry, State

if TYPE_CHECKING:
    from core.planning.draft import Drafting

ASK_AGAIN_AFTER_US: Final = DAY_US
_RECORDS: Final = (("profile_rows", "profile_id"), ("consents", "profile_id"))
"""What changes when a person's record at a destination does."""


class Newcomers:
    """Finds the additions of a draft."""

    def __init__(self, drafting: Drafting) -> None:
        self.drafting = drafting

    def permitted(self, adds: BitMap) -> BitMap:
        """Take out who must not be added, or not yet: refused, said no, asked for in vain a moment ago."""
        self.drafting.skips[Skip.REJECTED] = adds & self.drafting.rests.adds
        adds = adds - self.drafting.rests.adds
        said_no = self.said_no(adds)
        self.drafting.skips[Skip.CONSENT] |= said_no  # a move may have found some before
        adds = adds - said_no
        for state, skip in ((State.NOT_FOUND, Skip.NOT_FOUND), (State.SUPPRESSED, Skip.SUPPRESSED)):
            asleep = self._asked_as_they_are(self._asleep(state) & adds, state)
            self.drafting.skips[skip] |= asleep
            adds = adds - asleep
        return adds

    def said_no(self, profiles: BitMap) -> BitMap:
        """Return who of *profiles* must not be added here for want of consent."""
        case = self.drafting.case
        if self.drafting.kind == COMPANY:
            return BitMap()  # nobody asks a company; and its number may be that of somebody who said no
        found = refused(
            self.drafting.conn,
            profiles,
            category=case.category,
            require_consent=case.target.sync.require_consent,
            rules=case.consent,
        )
        for reason, who in found.items():
            self.drafting.consent[reason] = self.drafting.consent.get(reason, BitMap()) | who
        return BitMap.union(BitMap(), *found.values())

    def doubted(self, updates: BitMap) -> BitMap:
        """Return whom to send again might be to add, as nobody knows whether they are there, and who must not be added."""
        unsure = ledger.in_state(self.drafting.conn, self.drafting.id, State.UNSURE)
        renamed = [rekey.new for rekey in self.drafting.rekeys if rekey.new is not None]
        unsure |= BitMap([entry.profile_id or 0 for entry in renamed if entry.state is State.UNSURE])
        said_no = self.said_no(updates & unsure)
        self.drafting.skips[Skip.CONSENT] |= said_no
        return said_no

    def _asleep(self, state: State) -> BitMap:
        """Return who was asked for within a day and whose record there has not changed since."""
        since = self.drafting.at - ASK_AGAIN_AFTER_US
        asleep = ledger.in_state(self.drafting.conn, self.drafting.id, state, since=since)
        if not asleep:
            return asleep
        tables = (("company_rows", "company_id"),) if self.drafting.kind == COMPANY else _RECORDS
        changed = " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} r JOIN streams s ON s.id = r.stream_id JOIN connections c ON c.id = s.connection_id"
            f" WHERE r.{column} = l.profile_id AND c.name = ?4 AND r.changed_at > l.at)"
            for table, column in tables
        )
        awake = self.drafting.conn.execute(
            f"SELECT l.profile_id FROM ledger l WHERE l.audience_id = ?1 AND l.state = ?2 AND l.at > ?3 AND ({changed})",
            (self.drafting.id, state, since, self.drafting.case.target.connection),
        )
        return asleep - BitMap([profile_id for (profile_id,) in awake])

    def _asked_as_they_are(self, asleep: BitMap, state: State) -> BitMap:
        """Return who of *asleep* was asked for by the key of today: who was merged since may have another's row."""
        found = BitMap()
        for part in parts(asleep):
            keys = reach.keys_of(self.drafting.conn, part, self.drafting.kind)
            for profile_id, entries in ledger.of_profiles(self.drafting.conn, self.drafting.id, part).items():
                if any(e.state is state and e.member_key == keys.get(profile_id) for e in entries):
                    found.add(profile_id)
        return found

    def reachable(self, adds: BitMap) -> BitMap:
        """Return who of *adds* can be added now; everybody else goes to the skips, the creations or the ledger's changes."""
        reachable = BitMap()
        for part in parts(adds):
            keys = reach.keys_of(self.drafting.conn, part, self.drafting.kind)
            self.drafting.skips[Skip.NO_IDENTIFIER] |= part - BitMap(keys)
            self.settle_keys(keys)
            refs = self.ask(keys)
            self.settle_refs(keys, refs)
            reachable |= BitMap(refs)
        return reachable

    def settle_keys(self, keys: dict[int, str]) -> None:
        """Take out of *keys* whose key is in the ledger already, or is several people's."""
        entries = ledger.of_keys(self.drafting.conn, self.drafting.id, keys.values())
        shared = reach.shared_keys(self.drafting.conn, keys, self.drafting.kind)
        for profile_id, key in list(keys.items()):
            entry = entries.get(key)
            others = (shared.get(key, BitMap()) & self.drafting.case.wanted) - BitMap([profile_id])
            if entry and entry.state in ledger.OURS and entry.profile_id != profile_id:
                if is_in(entry, self.drafting.case.wanted):
                    self.drafting.skips[Skip.DUPLICATE].add(profile_id)
                else:
                    self.hand_over(entry, profile_id, key)
            elif entry and entry.state is State.FOREIGN:
                self.claim(entry, profile_id)
            elif others and (others & self.drafting.standing.owned or others[0] < profile_id):
                self.drafting.skips[Skip.DUPLICATE].add(profile_id)
            else:
                continue
            del keys[profile_id]

    def ask(self, keys: dict[int, str]) -> dict[int, Ref]:
        """Return who the destination knows of *keys*; note who it does not."""
        reached = reach.reach(
            self.drafting.conn,
            self.drafting.audience,
            keys,
            stream_id=self.drafting.stream_id,
            kind=self.drafting.kind,
            api=self.drafting.api,
            memory=self.drafting.case.memory,
        )
        self.drafting.skips[Skip.DUPLICATE] |= BitMap(reached.several)
        self.drafting.several |= reached.several
        self.drafting.skips[Skip.NO_IDENTIFIER] |= reached.nameless
        missing = BitMap(reached.not_found)
        create = self.drafting.case.target.sync.create_missing
        creates = missing - self._deleted_there(reached.not_found) if create else BitMap()
        self.drafting.creates |= creates
        self.drafting.skips[Skip.NOT_FOUND] |= missing - creates
        self.drafting.unknown |= reached.not_found
        self.drafting.found |= reached.found
        return reached.refs

    def _deleted_there(self, keys: dict[int, str]) -> BitMap:
        """Return whom somebody deleted at the destination after we had put them in: they are not made there once more."""
        rows = ledger.of_keys(self.drafting.conn, self.drafting.id, keys.values())
        lost = (State.NOT_FOUND, State.MISSING)
        gone = {key for key, entry in rows.items() if entry.state in lost and entry.remote_id is not None}
        return BitMap([profile_id for profile_id, key in keys.items() if key in gone])

    def settle_refs(self, keys: dict[int, str], refs: dict[int, Ref]) -> None:
        """Take out of *refs* whose object is there already, whoever put it there, or is another wanted profile's."""
        there = ledger.of_remote_ids(self.drafting.conn, self.drafting.id, {ref.remote_id for ref in refs.values()})
        found = {profile_id: ref.remote_id for profile_id, ref in refs.items() if profile_id in self.drafting.found}
        stream_id, wanted = self.drafting.stream_id, self.drafting.case.wanted
        whose = reach.profiles_of_refs(self.drafting.conn, stream_id, found.values(), self.drafting.kind) if stream_id else {}
        taken: dict[str, int] = {}
        for profile_id, ref in list(refs.items()):
            entries = [e for e in there.get(ref.remote_id, ()) if e.profile_id != profile_id]
            foreign = next((e for e in entries if e.state is State.FOREIGN), None)
            ours = [e for e in entries if e.state in ledger.OURS]
            owner = whose.get(ref.remote_id, profile_id) if profile_id in found else profile_id
            first = taken.setdefault(ref.remote_id, profile_id)
            if foreign is not None:
                self.claim(foreign, profile_id)
            elif any(is_in(e, wanted) for e in ours) or (owner != profile_id and owner in wanted):
                self.drafting.skips[Skip.DUPLICATE].add(profile_id)
            elif ours:
                self.hand_over(ours[0], profile_id, keys[profile_id])
            elif first != profile_id:
                self.drafting.skips[Skip.DUPLICATE].add(profile_id)
            else:
                continue
            del refs[profile_id]
            self.drafting.found.pop(profile_id, None)

    def hand_over(self, entry: Entry, profile_id: int, key: str) -> None:
        """The member of *entry* is wanted after all, as another profile: only the ledger changes."""
        self.drafting.rekeys.append(Rekey(entry.member_key, replace(entry, member_key=key, profile_id=profile_id)))
        self.drafting.kept.add(profile_id)

    def claim(self, entry: Entry, profile_id: int) -> None:
        """A foreign member turns out to be this profile."""
        if entry.profile_id != profile_id:
            self.drafting.rekeys.append(Rekey(entry.member_key, replace(entry, profile_id=profile_id)))
        self.drafting.claimed[entry.member_key] = profile_id
        self.drafting.skips[Skip.FOREIGN].add(profile_id)

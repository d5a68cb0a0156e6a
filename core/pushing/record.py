"""
What became of members, written down: outcomes into the ledger, the bitmaps, the dead letters and the guards' counts, at once.

An intent goes before a batch, and this after its answer. Both check the lease inside their transaction, so a process that lost
it writes nothing more.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from pyroaring import BitMap

from core.clock import Clock, to_us
from core.contract import Op, Outcome, Verdict
from core.masking import masked
from core.store import Store, audiences, intents, ledger, succession
from core.store.audiences import AudienceRow
from core.store.dead_letters import OUTCOME_UNKNOWN, Refusal, bury_members, unbury_members
from core.store.intents import Member
from core.store.leases import Lease
from core.store.ledger import Entry, State

UNKNOWN: Final = "unknown"
"""Verdict of a member whose intent was never answered; the ledger has it as unsure."""
THERE: Final = frozenset({Verdict.DONE, Verdict.SENT})
NOT_THERE: Final = frozenset({Verdict.DONE, Verdict.SENT, Verdict.NOOP, Verdict.NOT_FOUND, Verdict.SUPPRESSED})
"""What makes a removal good: whoever the destination does not know, or will not have, is not in its list."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Where the outcomes of one run for one audience go."""

    store: Store
    row: AudienceRow
    _: KW_ONLY
    label: str
    run_id: int
    lease: Lease
    clock: Clock
    owned_before: int
    """Members when the run began."""
    approved_adds: BitMap = field(default_factory=BitMap)
    approved_removes: BitMap = field(default_factory=BitMap)
    counts: bool = True
    """False for a first run: its members are the baseline, which the size guards do not count."""
    began_at: int = 0

    def intend(self, members: Sequence[Member]) -> int:
        """Write an intent for a batch about to be sent."""
        with self.store.atomic() as conn:
            self.lease.check(conn)
            at = to_us(self.clock())
            intent_id = intents.write(conn, self.row.id, members, sync=self.label, run_id=self.run_id, at=at)
            audiences.refresh(conn, self.row.id, BitMap(), waiting=_profiles(members), settled=BitMap())
        return intent_id

    def settle(
        self,
        intent_id: int,
        results: Sequence[tuple[Member, Outcome]],
        *,
        unsure: bool = False,
        updates: BitMap | None = None,
        approved: bool = False,
    ) -> Counter[tuple[str, str]]:
        """
        Write what became of members of an intent.

        *unsure*: they may have been sent before, so what "was so already" may be our own doing. *updates* are profiles who
        were ours before and are not counted as added. *approved*: none counts for the guards, as noted when a job took them.
        """
        with self.store.atomic() as conn:
            self.lease.check(conn)
            return self._settle(conn, intent_id, results, unsure, updates if updates is not None else BitMap(), approved)

    def _settle(
        self,
        conn: sqlite3.Connection,
        intent_id: int,
        results: Sequence[tuple[Member, Outcome]],
        unsure: bool,
        updates: BitMap,
        approved: bool,
    ) -> Counter[tuple[str, str]]:
        at = to_us(self.clock())
        pending = [(m, o) for m, o in results if o.verdict is Verdict.PENDING]
        final = [(m, o) for m, o in results if o.verdict is not Verdict.PENDING]
        jobs = [(o.job or "", self._exempt(m)) for m, o in pending]
        for job, exempt in dict.fromkeys(jobs):
            handed = [m for (m, _), taken in zip(pending, jobs, strict=True) if taken == (job, exempt)]
            intents.hand_to_job(conn, intent_id, handed, job, at=at, approved=exempt)
        before = ledger.of_keys(conn, self.row.id, [m.member_key for m, _ in final])
        touched = self._write(conn, final, before, unsure, at)
        self._bury(conn, final, at)
        self._count(conn, final, updates, approved or not self.counts)
        intents.settle(conn, intent_id, [(m, o.verdict, o.reason) for m, o in final], at=at)
        settled = _profiles([m for m, _ in final]) - _profiles([m for m, _ in pending])
        audiences.refresh(conn, self.row.id, touched, waiting=BitMap(), settled=settled)
        return Counter((str(m.op), str(o.verdict)) for m, o in results)

    def _write(
        self, conn: sqlite3.Connection, final: Sequence[tuple[Member, Outcome]], before: dict[str, Entry], unsure: bool, at: int
    ) -> BitMap:
        put, drop = [], []
        for member, outcome in final:
            old = before.get(member.member_key)
            if member.op is Op.REMOVE:
                if outcome.verdict in NOT_THERE:
                    drop.append(member.member_key)
                continue
            state = _state(outcome.verdict, outcome.ref.remote_id, old, unsure)
            if state is not None:
                put.append(self._entry(conn, member, outcome, state))
        touched = ledger.drop(conn, self.row.id, drop)
        # by the object that was asked for: where the answer names another, the vendor has made that one of it
        sent = {m.member_key: m.ref.remote_id for m, _ in final if m.op is Op.ADD}
        touched |= succession.set_aside(conn, self.row.id, {entry.member_key: sent[entry.member_key] for entry in put})
        put_for = ledger.put(conn, self.row.id, put, sync=self.label, run_id=self.run_id, at=at)
        gone = BitMap([e.profile_id for e in before.values() if e.profile_id is not None])
        return touched | put_for | gone

    def _entry(self, conn: sqlite3.Connection, member: Member, outcome: Outcome, state: State) -> Entry:
        # the profile may have been joined into another while a job was under way
        profile_id = None if member.profile_id is None else succession.survivor(conn, member.profile_id, of=self.row.of)
        ref = outcome.ref
        return Entry(
            member.member_key,
            state,
            profile_id=profile_id,
            remote_id=ref.remote_id if state in (State.OURS, State.FOREIGN) else None,
            handle=ref.handle or member.ref.handle,
            object=ref.object or member.ref.object,
            value_hash=member.value_hash,
        )

    def _bury(self, conn: sqlite3.Connection, final: Sequence[tuple[Member, Outcome]], at: int) -> None:
        connection, audience_id = self.row.connection, self.row.id
        fine = [m.member_key for m, o in final if o.verdict not in (Verdict.REJECTED, Verdict.RETRY)]
        unbury_members(conn, connection=connection, audience_id=audience_id, keys=fine)
        refused = [
            Refusal(
                m.member_key,
                m.op,
                profile_id=m.profile_id,
                reason=o.reason or "refused",
                final=o.reason == OUTCOME_UNKNOWN,
                message=masked(o.message, known=(m.member_key, m.ref.remote_id, m.ref.handle or "")),
            )
            for m, o in final
            if o.verdict is Verdict.REJECTED
        ]
        bury_members(conn, refused, connection=connection, audience_id=audience_id, sync=self.label, run_id=self.run_id, at=at)

    def _exempt(self, member: Member) -> bool:
        """Whether a member on its way in a job is not to be counted when the job has ended, in whichever run that is."""
        approved = self.approved_adds if member.op is Op.ADD else self.approved_removes
        return not self.counts or (member.profile_id is not None and member.profile_id in approved)

    def _count(self, conn: sqlite3.Connection, final: Iterable[tuple[Member, Outcome]], updates: BitMap, exempt: bool) -> None:
        adds, removes = BitMap(), BitMap()
        for member, outcome in final:
            if member.profile_id is None:
                continue
            if member.op is Op.ADD and outcome.verdict in THERE and member.profile_id not in updates:
                adds.add(member.profile_id)
            if member.op is Op.REMOVE and outcome.verdict in THERE:
                removes.add(member.profile_id)
        adds -= removes  # out under one key and in under another is one move, and counts as one removal
        audiences.count_churn(
            conn,
            self.row.id,
            run_id=self.run_id,
            at=self.began_at,
            adds=len(adds),
            removes=len(removes),
            approved_adds=len(adds if exempt else adds & self.approved_adds),
            approved_removes=len(removes if exempt else removes & self.approved_removes),
            owned_before=self.owned_before,
        )


def _state(verdict: Verdict, remote_id: str, old: Entry | None, unsure: bool) -> State | None:
    """Return what the ledger says of an added member from now on; None to leave it as it is."""
    match verdict:
        case Verdict.DONE | Verdict.SENT:
            return State.OURS
        case Verdict.NOOP:
            # ours only if it was we who put just that object there: one that came back with its lists counts too
            before = (*ledger.OURS, State.NOT_FOUND, State.MISSING)
            known = old is not None and old.state in before and old.remote_id == remote_id
            return State.OURS if unsure or known else State.FOREIGN
        case Verdict.NOT_FOUND:
            return State.NOT_FOUND
        case Verdict.SUPPRESSED:
            return State.SUPPRESSED
        case _:
            return None


def _profiles(members: Iterable[Member]) -> BitMap:
    return BitMap([m.profile_id for m in members if m.profile_id is not None])

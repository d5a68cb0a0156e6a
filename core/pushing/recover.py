"""
What an earlier run left open: jobs that settle later, and intents that were never answered.

An unanswered intent of an audience where sending twice is harmless makes its members `unsure`: ours for removal, and sent again
if they are still wanted. Where sending twice does more than once, the audience is read first; where it cannot be read, the
member becomes a dead letter, for nobody can know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Api, Audience, Op, Outcome, Ref, Unsupported, Verdict
from core.errors import NotFoundError
from core.pushing.record import UNKNOWN, Recorder
from core.store import audiences, intents, ledger, succession
from core.store.dead_letters import OUTCOME_UNKNOWN
from core.store.intents import Intent, Member
from core.store.ledger import Entry, State

LOST_AFTER_US: Final = 7 * 86_400_000_000
"""How long a job may take."""


def recover(recorder: Recorder, audience: Audience, *, api: Callable[[], Api]) -> None:
    """Settle what earlier runs left open, as far as it can be told now."""
    left = intents.open_intents(recorder.store.conn, recorder.row.id)
    unanswered = (intent for intent in left if intent.job is None or not _settle_job(recorder, audience, intent, api))
    if audience.repeat == "safe" or audience.whole:
        for intent in unanswered:
            _make_unsure(recorder, intent)
        return
    several = list(unanswered)
    there = _read(audience, api(), recorder.row.remote_id) if several else None
    for intent in several:
        results = [(m, _from_reading(m, there)) for m in intent.members]
        recorder.settle(intent.id, results, unsure=True)
        _keep_for_removal(recorder, results)


def _settle_job(recorder: Recorder, audience: Audience, intent: Intent, api: Callable[[], Api]) -> bool:
    """Ask after a job; False where the vendor knows nothing of it any more, or it has not ended in a week."""
    try:
        outcomes = audience.settle(api(), recorder.row.remote_id, str(intent.job))
    except NotFoundError:
        return False
    if outcomes is None:
        # no vendor keeps a job for longer; until then its members wait, and after it nobody would ever hear of them
        return to_us(recorder.clock()) - intent.written_at < LOST_AFTER_US
    results = [(m, _of(outcomes, m)) for m in intent.members]
    recorder.settle(intent.id, results, approved=intent.approved)
    return True


def _of(outcomes: Mapping[str, Outcome], member: Member) -> Outcome:
    # whom the vendor leaves out was not confirmed: planned anew
    found = outcomes.get(member.ref.remote_id) or outcomes.get(member.ref.handle or "")
    if found is None or found.verdict is Verdict.PENDING:
        return Outcome(member.ref, Verdict.RETRY, reason="not in the job's answer")
    return found


def _make_unsure(recorder: Recorder, intent: Intent) -> None:
    with recorder.store.atomic() as conn:
        recorder.lease.check(conn)
        _doubt(conn, recorder, intent, to_us(recorder.clock()))


def _doubt(conn: sqlite3.Connection, recorder: Recorder, intent: Intent, at: int) -> None:
    known = ledger.of_keys(conn, recorder.row.id, [m.member_key for m in intent.members])
    doubtful = []
    adds = 0
    for member in intent.members:
        old = known.get(member.member_key)
        ours = old is not None and old.state in ledger.OURS
        if member.op is Op.ADD:
            adds += not ours
            doubtful.append(_unsure_add(conn, recorder, member, old if ours else None))
        elif old is not None and ours:
            doubtful.append(ledger.unsure(old))
    touched = succession.set_aside(conn, recorder.row.id, {entry.member_key: str(entry.remote_id) for entry in doubtful})
    touched |= ledger.put(conn, recorder.row.id, doubtful, sync=intent.sync, run_id=intent.run_id, at=at)
    intents.settle(conn, intent.id, [(m, UNKNOWN, "never answered") for m in intent.members], at=at)
    settled = BitMap([m.profile_id for m in intent.members if m.profile_id is not None])
    audiences.refresh(conn, recorder.row.id, touched, waiting=BitMap(), settled=settled)
    # it was sent as far as anybody knows; sending it again will be an update, which is not counted
    audiences.count_churn(
        conn, recorder.row.id, run_id=intent.run_id, at=intent.written_at, adds=adds, removes=0,
        approved_adds=0 if recorder.counts else adds, approved_removes=0, owned_before=recorder.owned_before,
    )  # fmt: skip


def _unsure_add(conn: sqlite3.Connection, recorder: Recorder, member: Member, old: Entry | None) -> Entry:
    profile_id = None if member.profile_id is None else succession.survivor(conn, member.profile_id, of=recorder.row.of)
    return Entry(
        member.member_key,
        State.UNSURE,
        profile_id=profile_id,
        remote_id=member.ref.remote_id,
        handle=member.ref.handle or (old.handle if old else None),
        object=member.ref.object,
        value_hash=member.value_hash,
    )


def _read(audience: Audience, api: Api, remote_id: str) -> Mapping[str, Ref] | None:
    pages = audience.members(api, remote_id)
    if isinstance(pages, Unsupported):
        return None
    return {ref.remote_id: ref for page in pages for ref in page}


def _from_reading(member: Member, there: Mapping[str, Ref] | None) -> Outcome:
    if there is None:
        return Outcome(member.ref, Verdict.REJECTED, reason=OUTCOME_UNKNOWN)
    present = there.get(member.ref.remote_id)
    if member.op is Op.ADD:
        return Outcome(present, Verdict.DONE) if present else Outcome(member.ref, Verdict.RETRY, reason="did not arrive")
    return Outcome(member.ref, Verdict.RETRY, reason="still there") if present else Outcome(member.ref, Verdict.DONE)


def _keep_for_removal(recorder: Recorder, results: Sequence[tuple[Member, Outcome]]) -> None:
    """An add that nobody can tell the outcome of makes the member ours, for removal; it is never sent again by itself."""
    lost = [m for m, o in results if m.op is Op.ADD and o.reason == OUTCOME_UNKNOWN]
    if not lost:
        return
    with recorder.store.atomic() as conn:
        recorder.lease.check(conn)
        at = to_us(recorder.clock())
        entries = [_unsure_add(conn, recorder, m, None) for m in lost]
        touched = ledger.put(conn, recorder.row.id, entries, sync=recorder.label, run_id=recorder.run_id, at=at)
        audiences.refresh(conn, recorder.row.id, touched, waiting=BitMap(), settled=BitMap())

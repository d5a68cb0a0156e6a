"""
Carries a plan out: an intent before each batch, its outcomes after, as few requests as the vendor's batch sizes allow.

The store is written by one thread; batches under way are as many as the vendor permits. A kill at any instant leaves an intent
open at most, which `core.pushing.recover` reads at the next start. What may be sent was decided by `core.planning.plan` and
nobody here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Op, Person, Ref, Unsupported, Verdict
from core.errors import NotFoundError, Stopped
from core.http.permit import Permit, permitting
from core.log import log
from core.planning.changes import fields_setting, fields_text
from core.planning.permission import refused_meanwhile
from core.planning.plan import Plan
from core.pushing import member_values
from core.pushing.batches import Batches
from core.pushing.beginning import Beginning
from core.pushing.follow import changed_of, forget_followed
from core.pushing.record import Recorder
from core.pushing.send import Item, Sender, Sent
from core.pushing.sending import Sending
from core.pushing.whole import Whole, written
from core.store import audiences, intents, leases, pauses
from core.store.audiences import COMPANY, AudienceRow
from core.store.intents import Member

GRACE_S: Final = 10.0
"""How long a batch under way may take once the process was told to stop."""
INTENT_SIZE: Final = 5_000
"""Members of one intent, where an audience is written whole."""


@dataclass(slots=True)
class PushReport:
    """What became of a plan's members."""

    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many, by (op, verdict)."""
    created: int = 0
    """People made at the destination."""
    batches: int = 0
    error: Exception | None = None
    """What ended it early."""

    def count(self, op: Op, *verdicts: Verdict) -> int:
        """Return how many members got one of *verdicts*."""
        return sum(self.verdicts[op, verdict] for verdict in verdicts)

    @property
    def settled(self) -> bool:
        """Whether every member has an answer that stands."""
        return self.error is None and not any(v in (Verdict.RETRY, Verdict.PENDING) for (_, v), n in self.verdicts.items() if n)


def push(plan: Plan, sending: Sending) -> PushReport:
    """Send what the plan lets through. What ends it early is in the report; what was settled until then stays so."""
    return _Push(plan, sending).run()


class _Push:
    """One plan under way."""

    def __init__(self, plan: Plan, sending: Sending) -> None:
        self.plan = plan
        self.sending = sending
        self.store = sending.store
        self.target = plan.target
        self.audience = plan.target.audience
        self.batches = Batches(self.store, plan)
        self.report = PushReport()
        self.permit = partial(leases.ask, self.store.path, self.sending.lease)

    def run(self) -> PushReport:
        try:
            with permitting(self.permit):
                self._carry_out()
        except Exception as error:
            self.report.error = error
        return self.report

    def _carry_out(self) -> None:
        plan, beginning = self.plan, Beginning(self.plan, self.sending, self.batches)
        row = plan.draft.bound.row
        if row is None:
            if not (plan.size or self.audience.whole) or plan.whole_held:
                return
            row = beginning.make()
        self.recorder = self._recorder(row)
        beginning.remember_params(row)
        beginning.change_ledger(row)
        beginning.adopt(row)
        if not plan.size and not (self.audience.whole and plan.draft.bound.row is None):
            return
        self._create_people()
        if self.audience.whole:
            self._replace(row)
        else:
            self._send_all(row)

    def _recorder(self, row: AudienceRow) -> Recorder:
        draft = self.plan.draft
        return Recorder(
            self.store,
            row,
            label=self.plan.label,
            run_id=self.sending.run_id,
            lease=self.sending.lease,
            clock=self.sending.clock,
            owned_before=len(draft.standing.owned),
            approved_adds=draft.approved.adds,
            approved_removes=draft.approved.removes,
            counts=not draft.first_run,
            began_at=to_us(self.plan.as_of),
        )

    def _create_people(self) -> None:
        """Make those at the destination who are not there, never as subscribed."""
        create = self.audience.create_people
        if not self.plan.creates or create is None:
            return
        ids = iter(self.plan.creates)
        while part := list(islice(ids, self.audience.max_batch)):
            self._check()
            part = list(BitMap(part) - self._refused(BitMap(part)) - self._changed(BitMap(part)))
            keys = {p: self.plan.draft.unknown[p] for p in part if p in self.plan.draft.unknown}
            if not keys:
                continue
            values = member_values.values_of(self.store.conn, keys, ("first_name", "last_name"))
            people = [Person(key, {n: v for n, v in values.get(p, {}).items() if v is not None}) for p, key in keys.items()]
            outcomes = create(self.sending.api(), people)
            asked = [Member(Op.ADD, key, profile_id=p, ref=Ref(key)) for p, key in keys.items()]
            refused = []
            for member, outcome in zip(asked, outcomes, strict=True):
                if outcome.verdict in (Verdict.DONE, Verdict.NOOP, Verdict.SENT):
                    self.batches.created[member.profile_id or 0] = outcome.ref
                    self.report.created += outcome.verdict is not Verdict.NOOP
                else:
                    refused.append((member, outcome))
            if refused:
                intent_id = self.recorder.intend([member for member, _ in refused])
                self.report.verdicts += self.recorder.settle(intent_id, refused)

    # --- the members -------------------------------------------------------------------------------------------------

    def _send_all(self, row: AudienceRow) -> None:
        sender = Sender(self.sending.api(), self.audience, row.remote_id, self.sending.sleep, lambda: self._exists(row))
        updates = self.plan.updates | self.plan.draft.movers
        running: dict[Future[Sent], int] = {}
        try:
            for planned in self.batches.batches():
                self._check()
                with self.store.atomic():  # nobody is forgotten between the look and the intent
                    batch = self._permitted(self._as_planned(planned))
                    if not batch:
                        continue
                    intent_id = self.recorder.intend([item.member for item in batch])
                running[_start(sender, batch, self.permit, f"push {self.plan.label}")] = intent_id
                while len(running) >= self.audience.concurrency:
                    self._settle_some(running, updates)
            while running:
                self._settle_some(running, updates)
        except BaseException:
            self._settle_rest(running, updates)
            raise

    def _as_planned(self, batch: list[Item]) -> list[Item]:
        """Return *batch* without who changed after the plan was made."""
        changed = self._changed(BitMap([item.member.profile_id for item in batch if item.member.profile_id is not None]))
        return [item for item in batch if (item.member.profile_id or 0) not in changed]

    def _changed(self, profiles: BitMap) -> BitMap:
        """Return of whom something was learnt since: the next run knows who they are and whether they are wanted."""
        found = changed_of(self.store.conn, profiles, self.plan.as_of, self.sending.clock(), of=self.audience.of)
        if found:
            log.info("changed_meanwhile", label=self.plan.label, members=len(found))
        return found

    def _permitted(self, batch: list[Item]) -> list[Item]:
        """Return *batch* without the adds of people who said no after the plan was made: at a vendor's pace that is hours."""
        updates = self.plan.updates - self.plan.draft.movers
        entering = BitMap([item.member.profile_id or 0 for item in batch if item.member.op is Op.ADD]) - updates
        refused = self._refused(entering)
        return [item for item in batch if item.member.op is not Op.ADD or (item.member.profile_id or 0) not in refused]

    def _refused(self, profiles: BitMap) -> BitMap:
        if self.audience.of == COMPANY:
            return BitMap()  # nobody asks a company; and its number may be that of somebody who said no
        sync, draft = self.target.sync, self.plan.draft
        found = refused_meanwhile(self.store.conn, profiles, category=draft.category, require_consent=sync.require_consent)
        if found:
            log.info("refused_meanwhile", label=self.plan.label, members=len(found))
        return found

    def _settle_some(self, running: dict[Future[Sent], int], updates: BitMap) -> None:
        done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            self._settle(running.pop(future), future.result(), updates)
        if not done and self.sending.stopping():
            raise Stopped("told to stop; the batch under way is left to the next start")

    def _settle(self, intent_id: int, sent: Sent, updates: BitMap) -> None:
        verdicts = self.recorder.settle(intent_id, sent.results, unsure=sent.unsure, updates=updates)
        self.report.verdicts += verdicts
        self.report.batches += 1
        if self.sending.on_batch is not None:
            self.sending.on_batch(self.plan.label, sum(verdicts.values()))
        if sent.error is not None:
            raise sent.error

    def _settle_rest(self, running: dict[Future[Sent], int], updates: BitMap) -> None:
        """Give the batches under way their time, so that as few intents as may be stay open."""
        done, _ = wait(running, timeout=GRACE_S)
        for future in done:
            intent_id, sent = running.pop(future), future.result()
            sent.error = None
            self._settle(intent_id, sent, updates)

    def _exists(self, row: AudienceRow) -> bool:
        try:
            pages = self.audience.members(self.sending.api(), row.remote_id)
            if isinstance(pages, Unsupported):
                return self.audience.lookup(self.sending.api(), row.name) == row.remote_id
            next(iter(pages), None)
        except NotFoundError:
            return False
        return True

    def _replace(self, row: AudienceRow) -> None:
        """Write a `whole` audience: who is ours after this plan, given as an iterator."""
        intended = [*self._intend_all(self.batches.removes()), *self._intend_all(self.batches.adds())]
        whole = Whole(self.store, self.plan, self.batches, refused=self._refused, check=self._check)
        out = whole.write(self.sending.api(), row)
        updates = self.plan.updates | self.plan.draft.movers
        # the removals first, as in a batch: one member's old key may be another's new one
        for intent_id in intended:
            members = intents.open_members(self.store.conn, intent_id)
            results = [(member, written(member, out)) for member in members]
            self._settle(intent_id, Sent([], [], results=results), updates)

    def _intend_all(self, items: Iterator[Item]) -> list[int]:
        """Write intents for all of *items*, some at a time: nobody has them all in memory."""
        written = []
        while planned := list(islice(items, INTENT_SIZE)):
            with self.store.atomic():  # nobody is forgotten between the look and the intent
                if part := self._permitted(planned):
                    written.append(self.recorder.intend([item.member for item in part]))
        return written

    def _check(self) -> None:
        """Stop between batches when told to, or when somebody paused it."""
        if self.sending.stopping():
            raise Stopped("told to stop")
        sync = self.target.sync
        pauses.refuse_paused(self.store.conn, f"sync.{sync.name}", f"connection.{sync.to}")


def _start(sender: Sender, batch: Sequence[Item], permit: Permit, name: str) -> Future[Sent]:
    """Send a batch in a thread of its own, one that never keeps a process from ending: its intent is written."""
    sent: Future[Sent] = Future()

    def run() -> None:
        try:
            with permitting(permit):
                sent.set_result(sender.send(batch))
        except BaseException as error:
            sent.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return sent


def finish(conn: sqlite3.Connection, plan: Plan, report: PushReport) -> None:
    """Remember that a plan was carried out whole, so that the next one looks only at what changes from now on."""
    row = next(iter(audiences.bound_to(conn, plan.label)), None)
    if row is None or plan.limited or plan.held or not report.settled or audiences.standing(conn, row.id).waiting:
        return
    audiences.set_planned(conn, row.id, to_us(plan.as_of))
    forget_followed(conn, row.id)
    fields = fields_text(plan.target.audience)
    conn.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (fields_setting(row.id), fields))

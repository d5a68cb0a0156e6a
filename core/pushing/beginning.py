"""What a push does before its first member is sent: the audience itself, and what changes in the ledger alone."""

from __future__ import annotations

from pyroaring import BitMap

from core.clock import to_us
from core.errors import TransientError
from core.live import baseline
from core.planning.plan import Plan
from core.pushing import bind, making
from core.pushing.batches import Batches
from core.pushing.sending import Sending
from core.store import audiences, ledger
from core.store.audiences import AudienceRow
from core.store.ledger import Entry, State


class Beginning:
    """The beginning of one push."""

    def __init__(self, plan: Plan, sending: Sending, batches: Batches) -> None:
        self.plan = plan
        self.sending = sending
        self.store = sending.store
        self.target = plan.target
        self.audience = plan.target.audience
        self.batches = batches

    def make(self) -> AudienceRow:
        """Make the audience; after an unknown outcome it is looked up, never made twice."""
        target, account = self.target, self.plan.draft.bound.account
        first = next(self.batches.adds(), None) if self.audience.seeded else None
        seed = None if first is None else first.member
        with self.store.atomic() as conn:
            self.sending.lease.check(conn)
            making.note_making(conn, target, account, seed)
        try:
            remote_id = self.audience.create(self.sending.api(), target.name, [] if seed is None else [seed.ref])
        except TransientError:
            found = self.audience.lookup(self.sending.api(), target.name)
            if found is None:
                raise
            remote_id = found
        with self.store.atomic() as conn:
            self.sending.lease.check(conn)
            audience_id = bind.insert_new(conn, target, remote_id, account=account, at=to_us(self.sending.clock()))
            return audiences.audience(conn, audience_id)

    def change_ledger(self, row: AudienceRow) -> None:
        """Write what changes in the ledger alone: other keys, other profiles, who was not found."""
        draft = self.plan.draft
        unknown = {p: key for p, key in draft.unknown.items() if p not in draft.creates}
        if not (draft.rekeys or unknown) or self.plan.whole_held:
            return
        with self.store.atomic() as conn:
            self.sending.lease.check(conn)
            at = to_us(self.sending.clock())
            touched = BitMap()
            # all old keys go first: one's new key may be another's old one
            touched |= ledger.drop(conn, row.id, [rekey.old_key for rekey in draft.rekeys])
            new = [rekey.new for rekey in draft.rekeys if rekey.new is not None]
            touched |= ledger.put(conn, row.id, new, sync=self.plan.label, run_id=self.sending.run_id, at=at)
            known = ledger.of_keys(conn, row.id, unknown.values())
            asked = [
                Entry(key, State.NOT_FOUND, profile_id=p, remote_id=known[key].remote_id if key in known else None)
                for p, key in unknown.items()
                if key not in known or known[key].state in (State.NOT_FOUND, State.SUPPRESSED, State.MISSING)
            ]
            touched |= ledger.put(conn, row.id, asked, sync=self.plan.label, run_id=self.sending.run_id, at=at)
            audiences.refresh(conn, row.id, touched, waiting=BitMap(), settled=BitMap())

    def remember_params(self, row: AudienceRow) -> None:
        params = self.audience.params.model_dump_json()
        made_up = not self.target.set_name  # for a removal, where no sync is left to say
        if made_up or self.plan.whole_held or audiences.params_of(self.store.conn, row.id) == params:
            return
        with self.store.atomic() as conn:
            self.sending.lease.check(conn)
            audiences.remember_params(conn, row.id, params)

    def adopt(self, row: AudienceRow) -> None:
        """Make ours who was there before us, as far as the sync's `baseline` has it."""
        found = self.plan.draft.baseline
        if found is not None and not self.plan.whole_held:
            baseline.carry_out(self.store, row, self.audience, found, lease=self.sending.lease, clock=self.sending.clock)

"""
Takes somebody out of every audience that we put them in, as a sync would: by the ledger, intents first, ours alone.

Runs under the lease of the sync that fills the audience, so a sync that planned before has ended, and one that plans later
knows that nobody adds them any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from pydantic import ValidationError
from pyroaring import BitMap

from core.clock import to_us
from core.config.model import Place, SyncConfig
from core.contract import Op, Verdict
from core.errors import LeaseLost
from core.hub import Hub, Session
from core.planning.plan import Draft, Plan
from core.pushing.bind import Bound
from core.pushing.push import push
from core.pushing.record import Recorder
from core.pushing.recover import recover
from core.pushing.sending import Sending
from core.pushing.targets import Target, targets_of
from core.store import Store, audiences, intents, leases
from core.store.audiences import PERSON, AudienceRow
from core.store.holds import Approved
from core.store.leases import Lease

LEASE_WAIT_S: Final = 120.0
Result = dict[str, Any]
"""`did` is removed, waiting, failed or by_hand; with `reason` and, once, `verdicts`."""


@contextmanager
def patient_lease(hub: Hub, name: str) -> Iterator[Lease]:
    """Hold a lease, waiting for whoever has it; LeaseLost where that takes too long."""
    waited = 0.0
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(leases.hold(hub.path, name, hub.clock))
                break
            except LeaseLost:
                if waited >= LEASE_WAIT_S:
                    raise
            hub.sleep(0.5)
            waited += 0.5
        yield lease


def holding(store: Store, row: AudienceRow, people: BitMap) -> bool:
    """Return whether somebody of *people* is ours in an audience, or on the way into it."""
    if row.of != PERSON:
        return False  # a company may have the number of one of them
    stands = audiences.standing(store.conn, row.id)
    return bool(people & (stands.owned | stands.waiting))


def remove_from(session: Session, store: Store, row: AudienceRow, people: BitMap, *, lease: Lease, run_id: int) -> Result:
    """Take *people*, who are one person, out of one audience; what ends it is in the result."""
    hub = session.hub
    target = target_of(hub, row, audiences.params_of(store.conn, row.id))
    if target is None:
        return {"did": "by_hand", "reason": "what it was filled with is no longer in the config"}
    account = store.conn.execute("SELECT account FROM connections WHERE name = ?", (row.connection,)).fetchone()
    if account is None or account[0] != row.account:
        return {"did": "by_hand", "reason": "the credentials are another account's"}
    if any(True for _ in intents.open_intents(store.conn, row.id)):
        recover(_recorder(hub, store, row, target, lease, run_id), target.audience, api=lambda: session.api(row.connection))
    stands = audiences.standing(store.conn, row.id)
    if people & stands.waiting:
        return {"did": "waiting", "reason": "a job is under way there; forget once more when it has ended"}
    ours = people & stands.owned
    if not ours:
        return {"did": "removed"}
    report = push(_plan(hub, target, row, store, ours), _sending(session, store, target, lease, run_id))
    if report.error is not None:
        raise report.error
    if report.count(Op.REMOVE, Verdict.PENDING, Verdict.RETRY):
        return {"did": "waiting", "reason": "the destination has not done it yet; forget once more"}
    if report.count(Op.REMOVE, Verdict.REJECTED):
        return {"did": "by_hand", "reason": "the destination refused it"}
    return {"did": "removed", "verdicts": {str(verdict): n for (_, verdict), n in sorted(report.verdicts.items())}}


def target_of(hub: Hub, row: AudienceRow, params: str | None) -> Target | None:
    """
    Return the audience as its sync has it, or had it where none fills it any more; None where that cannot be told.

    *params* is what the sync last said of its audience: it decides which values are taken away with the membership.
    """
    connection = hub.config.connections.get(row.connection)
    if connection is None or not connection.enabled:
        return None
    connector = hub.connector(row.connection)
    for sync in hub.config.syncs.values():
        if sync.to == row.connection and sync.audience_kind == row.kind:
            found = next((target for target in targets_of(sync, hub.config, connector) if target.label == row.label), None)
            if found is not None:
                return found
    made = connector.audiences.get(row.kind)
    try:
        audience = None
        if made is not None:
            audience = made(made.Params() if params is None else made.Params.model_validate_json(params))
    except ValidationError:  # it cannot be told what the sync said
        return None
    if audience is None:
        return None
    name = row.label or f"retired {row.id}"
    place = Place(str(hub.config.path), None, name)
    sync = SyncConfig(name, place=place, to=row.connection, audience_kind=row.kind, audience_name=row.name)
    return Target(sync, name, set_name="", audience=audience, name=row.name, target=row.target or "")


def _plan(hub: Hub, target: Target, row: AudienceRow, store: Store, ours: BitMap) -> Plan:
    """A plan of removals that a person has approved: the guards need not count them."""
    stands = audiences.standing(store.conn, row.id)
    draft = Draft(
        target,
        Bound(row, account=row.account),
        as_of=hub.clock(),
        wanted=stands.owned - ours,
        standing=stands,
        removes=ours,
        approved=Approved(BitMap(), ours),
    )
    none = BitMap()
    return Plan(
        draft, adds=none, creates=none, updates=none, removes=ours, moves=(), held=(), held_adds=none, held_removes=none
    )  # fmt: skip


def _sending(session: Session, store: Store, target: Target, lease: Lease, run_id: int) -> Sending:
    hub = session.hub
    return Sending(
        store,
        lambda: session.api(target.connection),
        lease=lease,
        run_id=run_id,
        clock=hub.clock,
        sleep=hub.sleep,
        stopping=hub.stop.is_set,
    )


def _recorder(hub: Hub, store: Store, row: AudienceRow, target: Target, lease: Lease, run_id: int) -> Recorder:
    return Recorder(
        store,
        row,
        label=target.label,
        run_id=run_id,
        lease=lease,
        clock=hub.clock,
        owned_before=len(audiences.standing(store.conn, row.id).owned),
        began_at=to_us(hub.clock()),
    )

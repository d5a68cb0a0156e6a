"""
Letting go of a sync that is no longer in the config: its members are taken out of its audiences, or left there as theirs.

A removal goes the way of every removal (lease, intents, outcomes, ledger), by the config that the sync had when it last sent;
what a kill leaves open is settled by the next try. Who is foreign is never touched. That a person asked for it, and saw how
many, is what the size guards would have asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace

from pydantic import ValidationError
from pyroaring import BitMap

from core.clock import to_us
from core.config.model import Place, SyncConfig
from core.contract import Api
from core.errors import ConfigError, HubError, LeaseLost, Problem, Stopped, StoreError, told
from core.hub import Hub, Session
from core.live.orphans import label_of
from core.log import log
from core.planning.case import Case
from core.planning.cost import priced
from core.planning.draft import draft
from core.planning.gate import hold
from core.planning.plan import Plan
from core.pulling.fill import refuse_disabled
from core.pushing import bind
from core.pushing.push import PushReport, push
from core.pushing.record import UNKNOWN, Recorder
from core.pushing.recover import recover
from core.pushing.send import AudienceGone
from core.pushing.sending import Sending
from core.pushing.targets import Target
from core.store import Store, audiences, intents, leases, pauses, runs
from core.store.audiences import AudienceRow
from core.store.holds import Approved
from core.store.leases import Lease
from core.store.ledger import State
from core.store.runs import Status
from core.upkeep import restored


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to become, or became, of our members in one audience of a retired sync."""

    row: AudienceRow
    _: KW_ONLY
    plan: Plan | None = None
    report: PushReport | None = None
    left: int = 0
    """Members who are still ours."""
    forgotten: int = 0
    """Members who were ours and are theirs from now on."""
    error: Exception | None = None

    @property
    def label(self) -> str:
        return label_of(self.row)


# --- taking members out --------------------------------------------------------------------------------------------


def planned(hub: Hub, store: Store, row: AudienceRow) -> Plan:
    """
    Return the removal of our members from one audience; asks nobody.

    Raises:
        ConfigError: the connection is no longer there, or is another account's by now.
    """
    plan = _plan(hub, store, row, _target(hub, store.conn, row), _no_api)
    waiting = len(plan.draft.standing.waiting)
    if not waiting:
        return plan
    note = f"on their way in or out since an earlier run: {waiting:,}; who of them is there is taken out as well"
    return replace(plan, draft=replace(plan.draft, notes=(*plan.draft.notes, note)))


def _no_api() -> Api:
    raise AssertionError("nobody is wanted, so nobody is looked for")


def _target(hub: Hub, conn: sqlite3.Connection, row: AudienceRow) -> Target:
    """Return what the sync was aimed at, by the connection of today and the params that it had."""
    if row.connection not in hub.config.connections:
        said = f"{label_of(row)} was sent to the connection {row.connection}, which is no longer in the config"
        raise ConfigError(Problem(said, remedy="put the connection back, or let go of its members with --forget"))
    refuse_disabled(hub, [row.connection])
    account = conn.execute("SELECT account FROM connections WHERE name = ?", (row.connection,)).fetchone()
    if account is not None and account[0] not in (None, row.account):
        said = f"{label_of(row)} is of another account than {row.connection} has now"
        raise ConfigError(Problem(said, remedy="put that account's credentials back, or let go of its members with --forget"))
    _refuse_restored(conn, row)
    made = hub.connector(row.connection).audiences.get(row.kind)
    kept = audiences.params_of(conn, row.id)
    try:
        if made is None:
            raise ConfigError(Problem(f"{row.connection} has no audience of the kind {row.kind} any more"))
        params = made.Params.model_validate({}) if kept is None else made.Params.model_validate_json(kept)
    except ValidationError as error:
        said = f"{label_of(row)}: how members are taken out of the {row.kind} {row.name!r} is not known any more"
        raise ConfigError(
            Problem(said, remedy="put the sync back into the config, sync it once, and retire it then")
        ) from error
    name = (row.label or row.name).partition(".")[0] if row.label else row.name
    sync = SyncConfig(
        name,
        place=Place(str(hub.config.path), None, "syncs"),
        to=row.connection,
        audience_kind=row.kind,
        audience_name=row.name,
        params=params.model_dump(),
    )
    return Target(sync, label_of(row), set_name="", audience=made(params), name=row.name, target=row.target or "")


def _refuse_restored(conn: sqlite3.Connection, row: AudienceRow) -> None:
    """As a sync is held: nobody knows which of the members in a copy's ledger are ours today."""
    if row.label is not None and restored.held(conn, row.label, sync=row.label.partition(".")[0]) is not None:
        said = f"{label_of(row)}: the database was put back from a copy, and the {row.kind} {row.name!r} has gone on since"
        remedy = "put the sync back into the config, look with `tagalong drift`, sync it, and retire it then; or --forget"
        raise ConfigError(Problem(said, remedy=remedy))


def _plan(hub: Hub, store: Store, row: AudienceRow, target: Target, api: Callable[[], Api]) -> Plan:
    bound = bind.bound_already(store.conn, target, row)
    made = draft(store, Case(target, bound, as_of=hub.clock(), wanted=BitMap()), api=api)
    # who approved it looks on: what was removed counts for no guard of whoever fills the audience next
    made = replace(made, approved=Approved(BitMap(), made.removes))
    (plan,) = hold([made], attended=True, size_guards=())
    return priced(plan, hub.connector(row.connection).manifest)


def remove(
    hub: Hub, store: Store, rows: Sequence[AudienceRow], *, on_batch: Callable[[str, int], None] | None = None
) -> list[Removal]:
    """Take our members out of *rows*; one that fails is a status of its own, never the end of the others."""
    found = []
    with hub.session() as session:
        for row in rows:
            found.append(_remove_one(session, store, row, on_batch))
            if hub.stop.is_set():
                break
    return found


def _remove_one(session: Session, store: Store, row: AudienceRow, on_batch: Callable[[str, int], None] | None) -> Removal:
    hub = session.hub
    with _run(session, store, row) as run:
        try:
            with _leased(hub, store, row) as lease:
                session.api(row.connection)  # tells another account before anybody is taken out of it
                target = _target(hub, store.conn, row)
                pauses.refuse_paused(store.conn, f"sync.{target.sync.name}", f"connection.{row.connection}")
                _recover(session, store, row, target, lease, run.id)
                run.removal = replace(run.removal, plan=_plan(hub, store, row, target, lambda: session.api(row.connection)))
                sending = Sending(
                    store, lambda: session.api(row.connection), lease=lease, run_id=run.id, clock=hub.clock, sleep=hub.sleep,
                    stopping=hub.stop.is_set, on_batch=on_batch,
                )  # fmt: skip
                assert run.removal.plan is not None
                report = push(run.removal.plan, sending)
                run.removal = replace(run.removal, report=report, error=_spoken(report.error, row))
        except StoreError:
            raise
        except Exception as caught:
            if not isinstance(caught, HubError):
                log.exception("retire_broke", label=label_of(row))
            run.removal = replace(run.removal, error=caught)
        run.removal = replace(run.removal, left=_left(store.conn, row))
    return run.removal


def _left(conn: sqlite3.Connection, row: AudienceRow) -> int:
    stands = audiences.standing(conn, row.id)
    return len(stands.owned | stands.waiting)


def _spoken(error: Exception | None, row: AudienceRow) -> Exception | None:
    if not isinstance(error, AudienceGone):
        return error
    return AudienceGone(f"the {row.kind} {row.name!r} is no longer there; --forget lets go of what we believe of it")


def _recover(session: Session, store: Store, row: AudienceRow, target: Target, lease: Lease, run_id: int) -> None:
    hub = session.hub
    owned = len(audiences.standing(store.conn, row.id).owned)
    recorder = Recorder(
        store, row, label=target.label, run_id=run_id, lease=lease, clock=hub.clock, owned_before=owned,
        counts=False, began_at=to_us(hub.clock()),
    )  # fmt: skip
    recover(recorder, target.audience, api=lambda: session.api(row.connection))


# --- leaving them there --------------------------------------------------------------------------------------------


def forget(hub: Hub, store: Store, rows: Sequence[AudienceRow]) -> list[Removal]:
    """Let go of our members in *rows*: they stay where they are, and nobody here removes them any more. Asks nobody."""
    found = []
    with hub.session() as session:
        for row in rows:
            with _run(session, store, row) as run, _leased(hub, store, row) as lease, store.atomic() as conn:
                lease.check(conn)
                run.removal = Removal(row, forgotten=_forget(conn, row, to_us(hub.clock())))
            found.append(run.removal)
    return found


def _forget(conn: sqlite3.Connection, row: AudienceRow, at: int) -> int:
    for intent in intents.open_intents(conn, row.id):
        # nobody will ask any more what became of these
        intents.settle(conn, intent.id, [(member, UNKNOWN, "let go of") for member in intent.members], at=at)
    stands = audiences.standing(conn, row.id)
    changed = conn.execute(
        "UPDATE ledger SET state = ? WHERE audience_id = ? AND state IN ('ours', 'unsure')", (State.FOREIGN, row.id)
    )
    audiences.refresh(conn, row.id, stands.owned, waiting=BitMap(), settled=stands.waiting)
    return changed.rowcount


# --- what both have ------------------------------------------------------------------------------------------------


@contextmanager
def _leased(hub: Hub, store: Store, row: AudienceRow) -> Iterator[Lease]:
    """Hold the lease that the sync would have, and see that nobody fills the audience by now."""
    with leases.hold(hub.path, f"sync.{(row.label or row.name).partition('.')[0]}", hub.clock) as lease:
        held = _Held(lease.name, lease.owner, lease.clock, row)
        held.refuse_taken(store.conn)
        yield held


@dataclass(frozen=True, slots=True)
class _Held(Lease):
    """The lease, good for as long as no other sync has taken the audience over, which would hold one of its own name."""

    row: AudienceRow

    def check(self, conn: sqlite3.Connection) -> None:
        Lease.check(self, conn)
        self.refuse_taken(conn)

    def refuse_taken(self, conn: sqlite3.Connection) -> None:
        row = self.row
        if audiences.audience(conn, row.id).label != row.label:
            raise LeaseLost(
                f"{label_of(row)}: another sync has taken the {row.kind} {row.name!r} over; nothing more is removed"
            )


@dataclass(slots=True)
class _Run:
    """A run under way."""

    id: int
    removal: Removal


@contextmanager
def _run(session: Session, store: Store, row: AudienceRow) -> Iterator[_Run]:
    """Keep the record of one audience's removal."""
    hub = session.hub
    run = _Run(runs.start_run(store, "retire", label_of(row), at=hub.clock()), Removal(row))
    try:
        yield run
    except Exception as error:
        run.removal = replace(run.removal, error=error)
        raise
    finally:
        removal = run.removal
        verdicts = {} if removal.report is None else {f"{op}.{v}": n for (op, v), n in sorted(removal.report.verdicts.items())}
        status = Status.DONE
        if removal.error is not None:
            status = Status.STOPPED if isinstance(removal.error, (Stopped, LeaseLost)) else Status.FAILED
        runs.finish_run(
            store,
            run.id,
            status,
            at=hub.clock(),
            summary={"left": removal.left, "forgotten": removal.forgotten, "verdicts": verdicts},
            error=None if removal.error is None else told(removal.error),
            requests=session.taken(),
        )

"""
One sync from its sets to its audiences: bind, recover, plan, push, and the record of it.

All audiences of a partition are planned together, so that who goes from one group to another goes once. What ends a sync is a
status in its run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime

from pyroaring import BitMap

from core.clock import iso, to_us
from core.config.model import SyncConfig
from core.contract import Api
from core.errors import HubError, LeaseLost, QuotaExhausted, Stopped, StoreError, told
from core.evaluated import Evaluated
from core.hub import Session
from core.log import log
from core.planning import delay, guards, holding
from core.planning.cost import priced
from core.planning.draft import Case, draft
from core.planning.guards import SOURCE_GUARDS, Held, HeldKind, SourceGuard
from core.planning.plan import Draft, Plan, Skip, hold, limit
from core.planning.sizes import SIZE_GUARDS, SizeGuard
from core.pulling import freshness
from core.pushing import bind, reach, targets, trait_values
from core.pushing.bind import Bound
from core.pushing.follow import changed_between, changed_since, follow, follow_records
from core.pushing.push import PushReport, Sending, finish, push
from core.pushing.record import Recorder
from core.pushing.recover import recover
from core.pushing.send import AudienceGone
from core.pushing.targets import Target
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation
from core.store import Store, audiences, holds, leases, pauses, runs
from core.store.audiences import COMPANY
from core.store.dead_letters import count_buried
from core.store.leases import Lease
from core.store.letters import forget_dropped
from core.store.runs import Status
from core.upkeep import restored


@dataclass(frozen=True, slots=True)
class Delivery:
    """What all syncs of one run share."""

    session: Session
    store: Store
    definitions: Definitions
    evaluation: Evaluation
    _: KW_ONLY
    attended: bool
    trigger: str = "command"
    limit: int | None = None
    source_guards: Sequence[SourceGuard] = SOURCE_GUARDS
    size_guards: Sequence[SizeGuard] = SIZE_GUARDS
    on_batch: Callable[[str, int], None] | None = None
    after_run: int = 0
    """The last run that had begun before *evaluation* was made."""
    anew: Callable[[], Evaluated] | None = None
    """Evaluates once more. None: whoever evaluated held the leases already, so nobody can have come between."""
    asked: dict[tuple[str, str, str], reach.Memory] = field(default_factory=dict)
    """What each destination was asked for, by connection, kind of audience and its params."""

    @property
    def as_of(self) -> datetime:
        return self.evaluation.as_of

    def caught_up(self, sync: str, *, run_id: int) -> Delivery:
        """
        Return this, evaluated anew where another run of *sync* came between; to be called under its lease.

        That one had looked later: whom it put in, this one would take out again.
        """
        if self.anew is None or not runs.began_after(self.store.conn, "sync", sync, after=self.after_run, but=run_id):
            return self
        found = self.anew()
        log.info("sync_evaluated_anew", sync=sync)
        return replace(self, definitions=found.definitions, evaluation=found.evaluation, after_run=found.after_run)


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One run of one sync."""

    name: str
    status: Status
    _: KW_ONLY
    run_id: int
    plans: list[Plan] = field(default_factory=list)
    reports: dict[str, PushReport] = field(default_factory=dict)
    """By label."""
    error: Exception | None = None
    resume_at: datetime | None = None
    requests: int = 0
    refused: int = 0
    """Members that became dead letters."""


Narrow = Callable[[list[Plan]], list[Plan]]
"""Makes less of the plans of a sync just before they are sent, or raises where they must not be."""


def deliver(delivery: Delivery, sync: SyncConfig, *, lease: Lease | None = None, narrow: Narrow | None = None) -> SyncRun:
    """
    Run one sync under its lease, or under *lease* where the caller holds it.

    With *narrow* the run is a limited one, and what it leaves nothing of is not begun.
    """
    hub, store = delivery.session.hub, delivery.store
    limited = delivery.limit is not None or narrow is not None
    run_id = runs.start_run(store, "sync", sync.name, at=hub.clock(), trigger=delivery.trigger, limited=limited)
    plans: list[Plan] = []
    reports: dict[str, PushReport] = {}
    error: Exception | None = None
    try:
        pauses.refuse_paused(store.conn, f"sync.{sync.name}", f"connection.{sync.to}")
        holding_it = leases.hold(hub.path, lease_of(sync), hub.clock) if lease is None else nullcontext(lease)
        with holding_it as held:
            delivery = delivery.caught_up(sync.name, run_id=run_id)
            planned = plans_of(delivery, sync, lease=held, run_id=run_id)
            plans += planned if narrow is None else narrow(planned)
            for plan in plans:
                if narrow is not None and plan.limited and not plan.size:
                    continue
                reports[plan.label] = push(plan, _sending(delivery, sync, held, run_id))
                with store.atomic() as conn:
                    finish(conn, plan, reports[plan.label])
                if reports[plan.label].created:
                    delivery.asked.clear()  # they are known there now
                if reports[plan.label].error is not None:
                    error = reports[plan.label].error
                    if isinstance(error, AudienceGone):
                        with store.atomic() as conn:
                            holding.note_gone(conn, plan)
                    break
    except Exception as caught:
        error = caught
    if isinstance(error, StoreError):
        raise error
    status = _status(error, plans)
    if status is Status.FAILED and not isinstance(error, HubError):
        log.error("sync_broke", sync=sync.name, exc_info=error)
    requests = delivery.session.taken()
    result = SyncRun(
        sync.name,
        status,
        run_id=run_id,
        plans=plans,
        reports=reports,
        error=error,
        resume_at=error.resume_at if isinstance(error, QuotaExhausted) else None,
        requests=sum(sum(counts.values()) for counts in requests.values()),
        refused=count_buried(store.conn, run_id),
    )
    message = None if error is None else told(error)
    runs.finish_run(store, run_id, status, at=hub.clock(), summary=summary(result), error=message, requests=requests)
    log.info("sync_ended", sync=sync.name, status=str(status), requests=result.requests)
    return result


def lease_of(sync: SyncConfig) -> str:
    """Return the name of the lease that a run of *sync* is held under."""
    return f"sync.{sync.name}"


def _status(error: Exception | None, plans: Sequence[Plan]) -> Status:
    match error:
        case QuotaExhausted():
            return Status.WAITING
        case Stopped() | LeaseLost():
            return Status.STOPPED
        case AudienceGone():
            return Status.HELD
        case None:
            return Status.HELD if any(plan.held for plan in plans) else Status.DONE
        case _:
            return Status.FAILED


def _sending(delivery: Delivery, sync: SyncConfig, lease: Lease, run_id: int) -> Sending:
    hub = delivery.session.hub
    return Sending(
        delivery.store,
        lambda: delivery.session.api(sync.to),
        lease=lease,
        run_id=run_id,
        clock=hub.clock,
        sleep=hub.sleep,
        stopping=hub.stop.is_set,
        on_batch=delivery.on_batch,
    )


def plans_of(
    delivery: Delivery, sync: SyncConfig, *, lease: Lease | None = None, run_id: int | None = None, remember: bool = True
) -> list[Plan]:
    """
    Return the plans of a sync; with a *lease* what earlier runs left open is settled first.

    *remember* writes down what is held, which is what `approve` lets through.
    """
    hub, store = delivery.session.hub, delivery.store
    connector = hub.connector(sync.to)
    drafts = _drafts(delivery, targets.targets_of(sync, delivery.definitions.config, connector), lease, run_id)
    plans = limit(hold(drafts, attended=delivery.attended, size_guards=delivery.size_guards), delivery.limit)
    if remember:
        with store.atomic() as conn:
            for plan in plans:
                holding.remember(conn, plan, definition=plan.draft.definition, syncing=lease is not None)
    return [priced(plan, connector.manifest) for plan in plans]


def _drafts(delivery: Delivery, several: Sequence[Target], lease: Lease | None, run_id: int | None) -> list[Draft]:
    """Return the drafts of one sync's audiences: who stays in one group for now is known before another one's is made."""
    store = delivery.store

    def api() -> Api:
        return delivery.session.api(several[0].connection)

    cases = [_case(delivery, target, lease, run_id, api) for target in several]
    with store.atomic() if lease is not None else nullcontext():
        stays = delay.stays_of(store.conn, cases, syncing=lease is not None)
    return [draft(store, replace(case, stays=of), api=api) for case, of in zip(cases, stays, strict=True)]


def _case(delivery: Delivery, target: Target, lease: Lease | None, run_id: int | None, api: Callable[[], Api]) -> Case:
    session, store = delivery.session, delivery.store
    held = _held(delivery, target)
    bound = _bind(delivery, target, api, quietly=bool(held))
    first_run = not runs.has_completed(store.conn, target.sync.name) and (bound.row is None or bound.row.planned_at is None)
    wanted = delivery.evaluation.sets.get(target.set_name, BitMap())
    changed = BitMap()
    if bound.row is not None:
        changed = changed_since(store.conn, bound.row)
        changed = changed | follow(store, bound.row, target.audience, changed=changed)
        follow_records(store, bound.row, target.audience, wanted=wanted)
        if not held and bound.held is None:
            if lease is not None and run_id is not None:
                recover(_recorder(delivery, target, bound, lease, run_id, first_run), target.audience, api=api)
                with store.atomic() as conn:
                    forget_dropped(conn, bound.row.id, wanted)
            bound = bind.read_foreign(store, target, bound, api=api, at=delivery.as_of, leased=lease is not None)
    return Case(
        target,
        bound,
        as_of=delivery.as_of,
        wanted=wanted,
        excluded=delivery.evaluation.excluded.get(target.set_name, BitMap()),
        changed=changed,
        category=session.hub.connector(target.connection).manifest.category,
        consent=delivery.definitions.config.workspace.consent,
        turnover=targets.turnover(delivery.definitions, target.set_name),
        first_run=first_run,
        changed_since=BitMap()
        if lease is None
        else changed_between(store.conn, delivery.as_of, session.hub.clock(), of=target.audience.of),
        held=(*held, *([bound.held] if bound.held else [])),
        memory=delivery.asked.setdefault(_asking(target), {}),
        definition=delivery.definitions.sets[target.set_name].definition,
    )


def _asking(target: Target) -> tuple[str, str, str]:
    return target.connection, target.sync.audience_kind, target.audience.params.model_dump_json()


def _held(delivery: Delivery, target: Target) -> list[Held]:
    """Return why all of a target is held before its audience is looked at: its sources and its words."""
    conn, config = delivery.store.conn, delivery.definitions.config
    definition = delivery.definitions.sets[target.set_name]
    found = []
    reason = delivery.evaluation.failed.get(target.set_name)
    if reason is not None:
        found.append(Held(HeldKind.SOURCE, f"{target.set_name} cannot be told: {reason}"))
    fields = target.audience.wanted_fields()
    for name, reason in trait_values.keep(delivery.store, delivery.definitions, fields, delivery.as_of).items():
        found.append(Held(HeldKind.SOURCE, f"the trait {name} cannot be told: {reason}"))
    traits = [delivery.definitions.traits[name] for name in fields if name in delivery.definitions.traits]
    names = definition.rests_on.union(*(trait.rests_on for trait in traits)) | freshness.everyones_streams(conn)
    if target.audience.of == COMPANY:
        names |= {f"{target.connection}.{target.audience.ids_from}"}  # nothing else tells which object a company is there
    # the sets may be of a time ahead of the clock, where that was set back; how old a source is goes by the clock
    now = min(delivery.as_of, delivery.session.hub.clock())
    states = freshness.source_states(conn, names, config=config, now=now)
    found += guards.sources_held(states, now, guards=delivery.source_guards)
    if delivery.source_guards:
        approved = holds.approved_text(conn, target.label, HeldKind.UNSEEN, definition.definition)
        words = definition.unseen.union(*(trait.unseen for trait in traits))
        unseen = guards.unseen(sorted(words), sync=target.sync.name, approved=approved)
        put_back = restored.held(conn, target.label, sync=target.sync.name)
        found += [one for one in (unseen, put_back) if one is not None]
    return found


def _bind(delivery: Delivery, target: Target, api: Callable[[], Api], *, quietly: bool) -> Bound:
    """Bind a target; *quietly* asks nobody, since nothing will be sent."""
    store = delivery.store
    account = _account(store, target.connection)
    if quietly:
        rows = [
            r for r in audiences.bound_to(store.conn, target.label) if (r.connection, r.account) == (target.connection, account)
        ]
        return Bound(rows[0] if rows else None, account=account or "")
    if account is None:
        api()
        account = _account(store, target.connection)
    labels = _labels(delivery)
    return bind.bind(store, target, account=str(account), api=api, labels=labels, at=delivery.as_of)


def _account(store: Store, connection: str) -> str | None:
    row = store.conn.execute("SELECT account FROM connections WHERE name = ?", (connection,)).fetchone()
    return None if row is None else row[0]


def _labels(delivery: Delivery) -> frozenset[str]:
    config, hub = delivery.definitions.config, delivery.session.hub
    return frozenset(
        target.label for sync in config.syncs.values() for target in targets.targets_of(sync, config, hub.connector(sync.to))
    )


def _recorder(delivery: Delivery, target: Target, bound: Bound, lease: Lease, run_id: int, first_run: bool) -> Recorder:
    if bound.row is None:
        raise ValueError(target.label)
    owned = len(audiences.standing(delivery.store.conn, bound.row.id).owned)
    return Recorder(
        delivery.store,
        bound.row,
        label=target.label,
        run_id=run_id,
        lease=lease,
        clock=delivery.session.hub.clock,
        owned_before=owned,
        counts=not first_run,
        began_at=to_us(delivery.as_of),
    )


def told_delays(plan: Plan) -> dict[str, dict[str, object]]:
    """Return how many stay for `grace` and for `min_stay`, and when the first and the last of them go."""
    found: dict[str, dict[str, object]] = {}
    for reason in delay.Delay:
        ends = plan.draft.stays.ends(reason)
        if ends is not None:
            members = len(plan.skips.get(Skip(reason), ()))
            found[str(reason)] = {"members": members, "first_at": iso(ends[0]), "last_at": iso(ends[1])}
    return found


def summary(run: SyncRun) -> dict[str, object]:
    """Return what `runs` shows of a sync's run."""
    found: dict[str, object] = {}
    for plan in run.plans:
        report = run.reports.get(plan.label)
        verdicts = report.verdicts if report is not None else Counter[tuple[str, str]]()
        found[plan.label] = {
            "wanted": len(plan.draft.wanted),
            "adds": len(plan.adds) + len(plan.creates),
            "removes": len(plan.removes),
            "moves": len(plan.moves),
            "updates": len(plan.updates),
            "held_adds": len(plan.held_adds),
            "held_removes": len(plan.held_removes),
            "skips": {str(skip): len(profiles) for skip, profiles in plan.skips.items()},
            "delayed": told_delays(plan),
            "held": [str(held.kind) for held in plan.held],
            "verdicts": {f"{op}.{verdict}": n for (op, verdict), n in sorted(verdicts.items())},
        }
    return found

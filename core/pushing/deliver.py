"""
One sync from its sets to its audiences: bind, recover, plan, push, and the record of it.

All audiences of a partition are planned together, so that who goes from one group to another goes once. What ends a sync is a
status in its run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

from core.config.model import SyncConfig
from core.errors import HubError, LeaseLost, QuotaExhausted, Stopped, StoreError, told
from core.log import log
from core.planning import holding
from core.planning.cost import priced
from core.planning.gate import hold
from core.planning.plan import Plan, limit
from core.pushing import targets
from core.pushing.delivery import Delivery, SyncRun, summary
from core.pushing.prepare import drafts_of
from core.pushing.push import PushReport, finish, push
from core.pushing.send import AudienceGone
from core.pushing.sending import Sending
from core.store import leases, pauses, runs
from core.store.dead_letters import count_buried
from core.store.leases import Lease
from core.store.runs import Status

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
            begun = [plan for plan in plans if narrow is None or not plan.limited or plan.size]
            error = _send(delivery, begun, _sending(delivery, sync, held, run_id), reports)
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


def _send(delivery: Delivery, plans: Sequence[Plan], sending: Sending, reports: dict[str, PushReport]) -> Exception | None:
    """Push one plan after the other, into *reports* by label, until one breaks off; return what broke it off."""
    for plan in plans:
        report = reports[plan.label] = push(plan, sending)
        with delivery.store.atomic() as conn:
            finish(conn, plan, report)
        if report.created:
            delivery.asked.clear()  # they are known there now
        if isinstance(report.error, AudienceGone):
            with delivery.store.atomic() as conn:
                holding.note_gone(conn, plan)
        if report.error is not None:
            return report.error
    return None


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
    several = targets.targets_of(sync, delivery.definitions.config, connector)
    before = delivery.session.count()
    drafts = drafts_of(delivery, several, lease=lease, run_id=run_id)
    asked = delivery.session.count() - before
    plans = limit(hold(drafts, attended=delivery.attended, size_guards=delivery.size_guards), delivery.limit)
    if remember:
        with store.atomic() as conn:
            for plan in plans:
                holding.remember(conn, plan, definition=plan.draft.definition, syncing=lease is not None)
    plans[:1] = [replace(plan, asked=asked) for plan in plans[:1]]
    return [priced(plan, connector.manifest) for plan in plans]

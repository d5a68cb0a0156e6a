"""
What a sync's drafts are made from: its audiences bound, followed and read, and why they are held before anybody is counted.

Who stays in one group of a partition for now is known before another group's draft is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Api
from core.planning import delay, guards
from core.planning.case import Case
from core.planning.draft import draft
from core.planning.guards import Held, HeldKind
from core.planning.plan import Draft
from core.pulling import freshness
from core.pushing import bind, foreign, targets, trait_values
from core.pushing.bind import Bound
from core.pushing.delivery import Delivery
from core.pushing.follow import changed_between, changed_since, follow, follow_records
from core.pushing.record import Recorder
from core.pushing.recover import recover
from core.pushing.targets import Target
from core.store import Store, audiences, holds, intents, runs
from core.store.audiences import COMPANY, AudienceRow
from core.store.leases import Lease
from core.store.letters import forget_dropped
from core.upkeep import restored


def drafts_of(delivery: Delivery, several: Sequence[Target], *, lease: Lease | None, run_id: int | None) -> list[Draft]:
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
    held = _held(delivery, target, sending=lease is not None)
    bound = _bind(delivery, target, api, quietly=bool(held))
    first_run = not runs.has_completed(store.conn, target.sync.name) and (bound.row is None or bound.row.planned_at is None)
    wanted = delivery.evaluation.sets.get(target.set_name, BitMap())
    changed = BitMap()
    if bound.row is not None:
        changed = _followed(store, bound.row, target, wanted)
        if not held and bound.held is None:
            if lease is not None and run_id is not None:
                left = intents.any_open(store.conn, bound.row.id)
                recover(_recorder(delivery, target, bound, lease, run_id, first_run), target.audience, api=api)
                if left:  # who was on the way may be somebody else by now, too
                    changed = changed | _followed(store, bound.row, target, wanted)
                with store.atomic() as conn:
                    forget_dropped(conn, bound.row.id, wanted)
            bound = foreign.read_foreign(store, target, bound, api=api, at=delivery.as_of, leased=lease is not None)
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


def _followed(store: Store, row: AudienceRow, target: Target, wanted: BitMap) -> BitMap:
    """Have the ledger go with the people and their records; return of whom anything may have changed."""
    changed = changed_since(store.conn, row)
    changed = changed | follow(store, row, target.audience, changed=changed)
    follow_records(store, row, target.audience, wanted=wanted)
    return changed


def _asking(target: Target) -> tuple[str, str, str]:
    return target.connection, target.sync.audience_kind, target.audience.params.model_dump_json()


def _held(delivery: Delivery, target: Target, *, sending: bool) -> list[Held]:
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
    if sending:
        delivery.refuse_half_read(states, now)
    found += guards.sources_held(states, now, guards=delivery.source_guards)
    if sending and not found:
        delivery.refuse_outdated(names)
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

"""
Carries out a plan that somebody looked at: exactly its members, if each of them would still be sent the same; else nobody.

The world is planned anew at the present clock and with today's guards, and nothing is pulled. Who has come to be wanted since
the document was made is left to the next sync.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Final

from pyroaring import BitMap

from core.config.model import SyncConfig
from core.errors import HubError
from core.evaluated import Evaluations
from core.hub import Hub
from core.planning.cost import priced
from core.planning.document import Document, Planned, settings_of
from core.planning.effects import Effects, Way, before_us, differing, effects_of, members_of, only, with_before_us
from core.planning.guards import SOURCE_GUARDS, SourceGuard
from core.planning.plan import Plan
from core.planning.sizes import SIZE_GUARDS, SizeGuard
from core.pulling.fill import OnEvent, tell
from core.pushing.deliver import deliver, lease_of, plans_of
from core.pushing.delivery import Delivery
from core.pushing.targets import sets_of
from core.run import SyncReport, chosen_syncs, record
from core.store import Store, leases, pauses
from core.store.seal import seal_of

WORDS: Final = {
    Way.ADD: ("add", "adds"), Way.CREATE: ("creation", "creations"), Way.UPDATE: ("update", "updates"),
    Way.REMOVE: ("removal", "removals"), Way.MOVE: ("move", "moves"),
}  # fmt: skip
ENTERING: Final = (Way.ADD, Way.CREATE)


@dataclass(frozen=True, slots=True)
class Moved:
    """One way in which the world is no longer what a document says."""

    label: str
    reason: str
    """What became of them: `are no longer wanted`; or of the sync, where there is no *way*."""
    _: KW_ONLY
    way: Way | None = None
    members: int = 0
    of: int = 0
    """How many the document sends so."""

    def __str__(self) -> str:
        if self.way is None:
            return f"{self.label} {self.reason}"
        return f"{self.members:,} of {self.of:,} {WORDS[self.way][self.of != 1]} of {self.label} {self.reason}"


class WorldMoved(HubError):  # noqa: N818 - a state of the world
    """A plan can no longer be carried out as it stands."""

    def __init__(self, moved: Sequence[Moved]) -> None:
        self.moved = tuple(moved)
        super().__init__("; ".join(map(str, moved)))


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a document."""

    report: SyncReport | None
    """None: it was refused, and nothing was sent."""
    moved: tuple[Moved, ...] = ()


def apply(
    hub: Hub,
    document: Document,
    *,
    on_event: OnEvent | None = None,
    source_guards: tuple[SourceGuard, ...] = SOURCE_GUARDS,
    size_guards: tuple[SizeGuard, ...] = SIZE_GUARDS,
) -> Applied:
    """
    Send what *document* says, to the last member, or nothing of it.

    All its syncs are planned and compared before the first is sent, and no other process can send for them meanwhile.
    """
    with hub.session() as session, hub.store() as store, ExitStack() as held:
        hub.register(store)
        gone = [Moved(name, "is no sync of the config any more") for name in document.syncs if name not in hub.config.syncs]
        if gone:
            return Applied(None, tuple(gone))
        chosen = chosen_syncs(hub, document.syncs) if document.syncs else []
        paused = _paused(store, chosen, document)
        if paused:
            return Applied(None, tuple(paused))
        leased = {one.name: held.enter_context(leases.hold(hub.path, lease_of(one), hub.clock)) for one in chosen}
        evaluated = Evaluations().get(hub, store, partial(record, trigger="plan"))
        delivery = Delivery(
            session, store, evaluated.definitions, evaluated.evaluation, attended=True, trigger="plan",
            source_guards=source_guards, size_guards=size_guards, sources=evaluated.sources,
            on_batch=lambda label, n: tell(on_event, "batch_pushed", label, members=n),
        )  # fmt: skip
        planned = {one.label: one for one in document.planned}
        present = [plan for one in chosen for plan in plans_of(delivery, one, remember=False)]
        moved = compare(store, present, planned)
        if moved:
            return Applied(None, tuple(moved))
        for one in chosen:  # before the first is sent: all of a document, or nothing
            for name in sets_of(one, hub.config):
                delivery.refuse_moving(evaluated.definitions.sets[name].rests_on)
        results = []
        for one in chosen:
            tell(on_event, "sync_started", one.name)
            results.append(deliver(delivery, one, lease=leased[one.name], narrow=partial(_exactly, hub, store, planned)))
            tell(on_event, "sync_ended", one.name, status=results[-1].status)
            if hub.stop.is_set() or isinstance(results[-1].error, WorldMoved):
                break
        evaluation = evaluated.evaluation
        return Applied(SyncReport(evaluation.as_of, [], results, sets=evaluated.changed, evaluation=evaluation))


def _paused(store: Store, chosen: Sequence[SyncConfig], document: Document) -> list[Moved]:
    """Return which syncs that the document sends something for stand still: the others are not sent without them."""
    sent = {one.sync for one in document.planned if one.size or one.before_us is not None}
    found = []
    for one in chosen:
        standing = pauses.paused(store.conn, f"sync.{one.name}", f"connection.{one.to}")
        if standing is not None and one.name in sent:
            found.append(Moved(one.name, f"is not sent: {standing} is paused; `tagalong resume` lets it go on"))
    return found


def compare(store: Store, present: Sequence[Plan], planned: Mapping[str, Planned]) -> list[Moved]:
    """Return everything in which *present* no longer is what was *planned*, by label."""
    there = {plan.label: plan for plan in present}
    with store.atomic() as conn:
        key = seal_of(conn).key
    found = []
    for label, one in planned.items():
        if label not in there:
            found.append(Moved(label, "is no audience of the config any more"))
        elif one.size or one.before_us is not None:
            found += _moved_sync(there[label], one) or _moved_members(store, there[label], one, key)
    return found


def _moved_sync(plan: Plan, planned: Planned) -> list[Moved]:
    bound = plan.draft.bound
    remote_id = bound.row.remote_id if bound.row else None
    facts = (
        (plan.draft.definition == planned.definition, "is of a segment whose text is another now"),
        (settings_of(plan.target.sync) == planned.settings, "is another sync in the config by now"),
        (plan.whole_held or bound.account == planned.account, "would go to another account"),
        (plan.whole_held or remote_id == planned.remote_id, "would fill another audience"),
    )
    return [Moved(plan.label, reason) for same, reason in facts if not same]


def _moved_members(store: Store, plan: Plan, planned: Planned, key: bytes) -> list[Moved]:
    present = members_of(plan)
    found = []
    for way, effects in planned.sends.items():
        missing = effects.ids - present[way]
        for reason, who in _why(plan, way, missing):
            found.append(Moved(plan.label, reason, way=way, members=len(who), of=len(effects.ids)))
    if found:
        return found
    wanted = {way: effects.ids for way, effects in planned.sends.items()}
    now = effects_of(store, only(plan, wanted), key)
    for way, effects in planned.sends.items():
        other = differing(effects, now.get(way, Effects(BitMap(), b"")))
        if other:
            reason = "would be sent otherwise: under another address or id, or with other values"
            found.append(Moved(plan.label, reason, way=way, members=len(other), of=len(effects.ids)))
    values = present[Way.UPDATE] - wanted.get(Way.UPDATE, BitMap())
    if planned.before_us not in (None, before_us(store, plan, key)):
        found.append(Moved(plan.label, "would do otherwise with who was there before us"))
    if plan.target.audience.whole and values:
        found.append(Moved(plan.label, f"is written whole, and {len(values):,} of its members have other values by now"))
    return found


def _why(plan: Plan, way: Way, missing: BitMap) -> Iterator[tuple[str, BitMap]]:
    """Yield why some are no longer in the plan, each once, by the first reason that applies."""
    draft = plan.draft
    owned, entering = draft.standing.owned, way in ENTERING
    held = plan.held_adds if entering else plan.held_removes
    reasons: list[tuple[str, BitMap]] = [("are held now", held)]
    if plan.whole_held:
        reasons = [("are held now", missing)]
    elif entering:
        reasons += [("are no longer wanted", missing - draft.wanted), ("are there already", owned)]
    elif way is Way.REMOVE:
        reasons += [("are wanted again", draft.wanted), ("are gone already", missing - owned)]
    else:
        reasons += [("are no longer wanted", missing - draft.wanted)]
    reasons += [(f"are skipped now ({str(skip).replace('_', ' ')})", who) for skip, who in plan.skips.items()]
    reasons.append(("are to be sent in another way now", BitMap().union(*members_of(plan).values())))
    reasons.append(("need no such change any more", missing))
    for reason, who in reasons:
        these = missing & who
        missing = missing - these
        if these:
            yield reason, these


def _exactly(hub: Hub, store: Store, planned: Mapping[str, Planned], plans: list[Plan]) -> list[Plan]:
    """Return *plans* for the members of the document alone; WorldMoved where they are not as they were a moment ago."""
    labels = {plan.label for plan in plans}
    moved = compare(store, plans, {label: one for label, one in planned.items() if label in labels})
    if moved:
        raise WorldMoved(moved)
    return [_exactly_one(hub, plan, planned.get(plan.label)) for plan in plans]


def _exactly_one(hub: Hub, plan: Plan, planned: Planned | None) -> Plan:
    wanted = {} if planned is None else {way: effects.ids for way, effects in planned.sends.items()}
    kept = only(plan, wanted)
    if planned is not None and planned.before_us is not None:
        kept = with_before_us(kept, plan)
    later = plan.size - kept.size
    if later:
        have, are = ("has", "is") if later == 1 else ("have", "are")
        note = f"{later:,} more {have} come to be sent since the plan was made, and {are} left to the next sync"
        kept = replace(kept, draft=replace(kept.draft, notes=(*kept.draft.notes, note)))
    return priced(kept, hub.connector(plan.target.connection).manifest)

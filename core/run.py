"""
The line: pull -> store -> resolve -> evaluate -> plan -> push -> record.

`sync` is that line from left to right. Pulls and syncs each have a lease and a run of their own; one that fails is a status in
the report, never the end of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from functools import partial

from core.clock import to_us
from core.config.model import SyncConfig
from core.errors import ConfigError, LeaseLost, Problem, told
from core.evaluated import Evaluations
from core.hub import Hub
from core.planning.guards import SOURCE_GUARDS, SourceGuard
from core.planning.only import Answers, alone, refuse_companies, whom
from core.planning.plan import Plan
from core.planning.sizes import SIZE_GUARDS, SizeGuard
from core.pulling.fill import OnEvent, PullRun, pull_stale, refuse_disabled, resolve_now, tell
from core.pushing.deliver import deliver, plans_of
from core.pushing.delivery import Delivery, SyncRun
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation, evaluate
from core.segments.indexes import ensure_indexes
from core.segments.traits_syncs import fields_named
from core.store import Store, memberships, runs
from core.store.runs import Status


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one `tagalong sync` did."""

    as_of: datetime
    pulls: list[PullRun]
    syncs: list[SyncRun]
    _: KW_ONLY
    sets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Set name to how many entered and left it since the last recorded run."""
    evaluation: Evaluation
    only: int | None = None
    """The one profile that was to be sent."""

    @property
    def status(self) -> Status:
        """The first that applies of failed, held, waiting, stopped, done."""
        ended = {one.status for one in self.pulls} | {one.status for one in self.syncs}
        order = (Status.FAILED, Status.HELD, Status.WAITING, Status.STOPPED)
        return next((status for status in order if status in ended), Status.DONE)

    @property
    def new_dead_letters(self) -> int:
        return sum(one.refused for one in self.syncs)


def sync(
    hub: Hub,
    *,
    names: Iterable[str] = (),
    limit: int | None = None,
    fresh: timedelta | None = None,
    pull: bool = True,
    full: bool = False,
    attended: bool = True,
    trigger: str = "command",
    on_event: OnEvent | None = None,
    source_guards: tuple[SourceGuard, ...] = SOURCE_GUARDS,
    size_guards: tuple[SizeGuard, ...] = SIZE_GUARDS,
    evaluations: Evaluations | None = None,
    only: str | None = None,
    answers: Answers | None = None,
) -> SyncReport:
    """
    Pull what is stale, find out who is in which segment, and bring every audience of the chosen syncs there.

    *names* are syncs, all enabled ones if empty. *attended*: a person looks on. The guards are parameters for the tests that
    show what happens without them. *evaluations* are shared by the syncs of one process that come due together. *only* names
    the one person to be sent, by an identifier; *answers* is shown what the vendor says to that.
    """
    with hub.session(None if answers is None else answers.observe) as session, hub.store() as store:
        hub.register(store)
        chosen = chosen_syncs(hub, names)
        if only is not None:
            refuse_companies(chosen, hub.config)
        definitions = hub.definitions(store)
        needed = connections_under(definitions, chosen) if names else None
        pulls = pull_stale(
            hub, store, fresh=fresh, no_pull=not pull, names=needed, full=full, session=session, on_event=on_event
        )
        recorded = partial(record, trigger=trigger)
        evaluated = (evaluations or Evaluations()).get(hub, store, recorded)
        delivery = Delivery(
            session, store, evaluated.definitions, evaluated.evaluation,
            after_run=evaluated.after_run, sources=evaluated.sources, anew=lambda: Evaluations().get(hub, store, recorded),
            attended=attended, trigger=trigger, limit=limit, source_guards=source_guards, size_guards=size_guards,
            pulled_elsewhere={one.connection: told(one.error) for one in pulls if isinstance(one.error, LeaseLost)},
            on_batch=lambda label, n: tell(on_event, "batch_pushed", label, members=n),
        )  # fmt: skip
        person = None if only is None else whom(store, only)
        narrow = None if person is None else partial(_alone, person, answers)
        results = []
        for one in chosen:
            tell(on_event, "sync_started", one.name)
            results.append(deliver(delivery, one, narrow=narrow))
            tell(on_event, "sync_ended", one.name, status=results[-1].status)
            if hub.stop.is_set():
                break
        evaluation = evaluated.evaluation
        return SyncReport(evaluation.as_of, pulls, results, sets=evaluated.changed, evaluation=evaluation, only=person)


def _alone(person: int, answers: Answers | None, plans: list[Plan]) -> list[Plan]:
    if answers is not None:
        answers.begin()
    return alone(plans, person)


def plan(
    hub: Hub,
    *,
    names: Iterable[str] = (),
    as_of: datetime | None = None,
    fresh: timedelta | None = None,
    pull: bool = False,
    full: bool = False,
    on_event: OnEvent | None = None,
) -> list[Plan]:
    """Return exactly what `sync` would send. It may read at the destinations; it makes and sends nothing."""
    with hub.session() as session, hub.store() as store:
        hub.register(store)
        chosen = chosen_syncs(hub, names)
        pull_stale(hub, store, fresh=fresh, no_pull=not pull, names=None, full=full, session=session, on_event=on_event)
        now = resolve_now(hub, store)
        definitions = hub.definitions(store)
        ensure_indexes(store, definitions)
        evaluation = evaluate(store, definitions, as_of=as_of or now)
        delivery = Delivery(session, store, definitions, evaluation, attended=True)
        return [one for chosen_one in chosen for one in plans_of(delivery, chosen_one, remember=as_of is None)]


def record(
    hub: Hub, store: Store, definitions: Definitions, evaluation: Evaluation, *, trigger: str = "command"
) -> dict[str, tuple[int, int]]:
    """Write who is in which set now, and who entered and left."""
    run_id = runs.start_run(store, "evaluate", "all", at=evaluation.as_of, trigger=trigger)
    hashes = {name: definition.definition for name, definition in definitions.sets.items()}
    changes = memberships.record(store, evaluation.sets, definitions=hashes, run_id=run_id, as_of=to_us(evaluation.as_of))
    sizes = {name: len(members) for name, members in evaluation.sets.items()}
    runs.finish_run(store, run_id, Status.DONE, at=hub.clock(), summary={"sizes": sizes, "failed": evaluation.failed})
    return changes


def chosen_syncs(hub: Hub, names: Iterable[str]) -> list[SyncConfig]:
    """
    Return the syncs called *names*, or all that are enabled.

    A sync that is not enabled may be asked for by its name; one to a connection that is not enabled may not.

    Raises:
        ConfigError: there is no such sync, or its destination is not enabled.
    """
    wanted = list(names)
    unknown = [name for name in wanted if name not in hub.config.syncs]
    if unknown:
        raise ConfigError(
            *(Problem(f"there is no sync {name!r}", remedy=f"there are {', '.join(hub.config.syncs)}") for name in unknown)
        )
    if wanted:
        chosen = [hub.config.syncs[name] for name in dict.fromkeys(wanted)]
        refuse_disabled(hub, [one.to for one in chosen])
        return chosen
    return [one for one in hub.config.syncs.values() if one.enabled and hub.config.connections[one.to].enabled]


def connections_under(definitions: Definitions, syncs: Iterable[SyncConfig]) -> frozenset[str]:
    """Return the connections that the streams under *syncs* belong to."""
    found = set()
    for one in syncs:
        prefix = f"segment.{one.segment}" if one.segment is not None else f"partition.{one.partition}."
        for name, definition in definitions.sets.items():
            if name == prefix or (one.partition is not None and name.startswith(prefix)):
                found |= {stream.partition(".")[0] for stream in definition.rests_on}
                found |= {one.to} if definition.of == "company" else set()
        found |= {
            stream.partition(".")[0]
            for name in fields_named(one)
            if name in definitions.traits
            for stream in definitions.traits[name].rests_on
        }
    return frozenset(found)

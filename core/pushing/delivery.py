"""What the syncs of one run share, and what a run of one of them comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime

from core.clock import iso
from core.errors import LeaseLost, QuotaExhausted
from core.evaluated import Evaluated
from core.hub import Session
from core.log import log
from core.planning import delay
from core.planning.guards import SOURCE_GUARDS, SourceGuard, SourceState, waits_until
from core.planning.plan import Plan, Skip
from core.planning.sizes import SIZE_GUARDS, SizeGuard
from core.pulling.soundness import Sources, sound_by_now
from core.pushing import reach
from core.pushing.push import PushReport
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation
from core.store import Store, runs
from core.store.runs import Status


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
    sources: Sources | None = None
    """What *evaluation* was made from; None where nothing is sent."""
    anew: Callable[[], Evaluated] | None = None
    """Evaluates once more. None: whoever evaluated held the leases already, so nobody can have come between."""
    pulled_elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Connections that this run was to pull and somebody else was at, and what was said of that."""
    asked: dict[tuple[str, str, str], reach.Memory] = field(default_factory=dict)
    """What each destination was asked for, by connection, kind of audience and its params."""

    @property
    def as_of(self) -> datetime:
        return self.evaluation.as_of

    def refuse_half_read(self, sources: Iterable[SourceState], now: datetime) -> None:
        """
        Raise where one of *sources* is read half and its pull goes on by itself: LeaseLost, QuotaExhausted.

        One tool may have told of somebody's new address by then and another not yet: what one person did is two persons' for as
        long.
        """
        for source in sources:
            connection = source.name.partition(".")[0]
            if connection in self.pulled_elsewhere:
                raise LeaseLost(f"{source.name} is read half: {self.pulled_elsewhere[connection]}")
            resume_at = waits_until(source, now)
            if resume_at is not None:
                raise QuotaExhausted(f"{source.name} is read half; it waits for its quota", resume_at=resume_at)

    def refuse_moving(self, sources: Iterable[str]) -> None:
        """
        Raise LeaseLost where somebody was just reading one of *sources* while it was found out who is wanted.

        Half of what they read is in the plan, and nobody can tell which half.
        """
        moving = frozenset() if self.sources is None or not self.source_guards else self.sources.moving
        for name in sorted(moving.intersection(sources)):
            raise LeaseLost(f"{name} was being read while it was found out who is wanted; wait for that to end")

    def refuse_outdated(self, sources: Iterable[str]) -> None:
        """Raise LeaseLost as well where one of *sources*, sound by now, was not when it was found out who is wanted."""
        self.refuse_moving(sources)
        unsound = frozenset() if self.sources is None else self.sources.unsound(self.source_guards)
        for name in sorted(unsound.intersection(sources)):
            raise LeaseLost(f"{name} is whole only since it was found out who is wanted; another run goes by what it has now")

    def caught_up(self, sync: str, *, run_id: int) -> Delivery:
        """
        Return this, evaluated anew where that tells more by now; to be called under the lease of *sync*.

        Another run of *sync* that came between had looked later: whom it put in, this one would take out again. And a source
        that was not sound may be so by now.
        """
        if self.anew is None or not (self._other_run(sync, run_id) or self._is_outdated()):
            return self
        found = self.anew()
        log.info("sync_evaluated_anew", sync=sync)
        return replace(
            self, definitions=found.definitions, evaluation=found.evaluation, after_run=found.after_run, sources=found.sources
        )

    def _other_run(self, sync: str, run_id: int) -> bool:
        return runs.began_after(self.store.conn, "sync", sync, after=self.after_run, but=run_id)

    def _is_outdated(self) -> bool:
        config = self.definitions.config
        return self.sources is not None and sound_by_now(self.store.conn, self.sources, self.source_guards, config=config)


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

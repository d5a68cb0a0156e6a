"""
The line: pull -> store -> resolve -> evaluate -> plan -> push -> record.

`sync` is that line from left to right. Pulls and syncs each have a lease and a run of their own; one that fails is a status in
the report, never the end of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from core import freshness
from core.clock import MICROSECOND, from_us, to_us
from core.config.model import SyncConfig
from core.deliver import Delivery, SyncRun, deliver, plans_of
from core.errors import ConfigError, HubError, LeaseLost, Problem, QuotaExhausted, Stopped, StoreError, told
from core.guards import SIZE_GUARDS, SOURCE_GUARDS, SizeGuard, SourceGuard
from core.hub import Hub, Session
from core.log import log
from core.plan import Plan
from core.pull import PageStored, PullReport, pull_connection
from core.resolve import resolve
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation, evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store, leases, memberships, pauses, runs
from core.store.runs import Status

RESOLVE_WAIT_S: Final = 120.0
RESOLVE: Final = "resolve"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a progress bar may show."""

    what: str
    """pull_started, page_stored, pull_ended, sync_started, batch_pushed, sync_ended."""
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class PullRun:
    """One pull of one connection."""

    connection: str
    status: Status
    _: KW_ONLY
    run_id: int
    report: PullReport | None = None
    error: Exception | None = None
    resume_at: datetime | None = None
    requests: int = 0


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
) -> SyncReport:
    """
    Pull what is stale, find out who is in which segment, and bring every audience of the chosen syncs there.

    *names* are syncs, all enabled ones if empty. *attended*: a person looks on. The guards are parameters for the tests that
    show what happens without them.
    """
    with hub.session() as session, hub.store() as store:
        hub.register(store)
        chosen = chosen_syncs(hub, names)
        definitions = hub.definitions(store)
        needed = connections_under(hub, definitions, chosen) if names else None
        pulls = pull_stale(
            hub, store, fresh=fresh, no_pull=not pull, names=needed, full=full, session=session, on_event=on_event
        )
        as_of = resolve_now(hub, store)
        definitions = hub.definitions(store)
        ensure_indexes(store, definitions)
        evaluation = evaluate(store, definitions, as_of=as_of)
        sets = record(hub, store, definitions, evaluation, trigger=trigger)
        delivery = Delivery(
            session, store, definitions, evaluation,
            attended=attended, trigger=trigger, limit=limit, source_guards=source_guards, size_guards=size_guards,
            on_batch=lambda label, n: _tell(on_event, "batch_pushed", label, members=n),
        )  # fmt: skip
        results = []
        for one in chosen:
            _tell(on_event, "sync_started", one.name)
            results.append(deliver(delivery, one))
            _tell(on_event, "sync_ended", one.name, status=results[-1].status)
            if hub.stop.is_set():
                break
        return SyncReport(as_of, pulls, results, sets=sets, evaluation=evaluation)


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


def pull(
    hub: Hub, *, names: Iterable[str] = (), full: bool = False, trigger: str = "command", on_event: OnEvent | None = None
) -> list[PullRun]:
    """Pull the connections *names*, all enabled ones if empty, and find out who is who."""
    with hub.session() as session, hub.store() as store:
        hub.register(store)
        every = (c.name for c in hub.config.connections.values() if c.enabled and has_streams(store, c.name))
        chosen = list(names) or list(every)
        results = [pull_one(session, store, name, full=full, trigger=trigger, on_event=on_event) for name in chosen]
        resolve_now(hub, store)
        return results


def pull_stale(
    hub: Hub,
    store: Store,
    *,
    fresh: timedelta | None = None,
    no_pull: bool = False,
    names: Iterable[str] | None = None,
    full: bool = False,
    session: Session,
    on_event: OnEvent | None = None,
) -> list[PullRun]:
    """Pull the connections whose last complete pull is older than their schedule, or than *fresh*; all with *full*."""
    if no_pull:
        return []
    results = []
    for connection in hub.config.connections.values():
        if (
            not connection.enabled
            or (names is not None and connection.name not in set(names))
            or not has_streams(store, connection.name)
        ):
            continue
        done = freshness.last_complete(store.conn, connection.name)
        if full or freshness.is_due(connection, done, hub.clock(), hub.config.workspace.timezone, fresh):
            results.append(pull_one(session, store, connection.name, full=full, on_event=on_event))
        if hub.stop.is_set():
            break
    return results


def has_streams(store: Store, connection: str) -> bool:
    """Return whether there is anything to pull from a connection."""
    row = store.conn.execute(
        "SELECT 1 FROM streams s JOIN connections c ON c.id = s.connection_id"
        " WHERE c.name = ? AND s.removed_at IS NULL LIMIT 1",
        (connection,),
    ).fetchone()
    return row is not None


def pull_one(
    session: Session,
    store: Store,
    connection: str,
    *,
    full: bool = False,
    trigger: str = "command",
    on_event: OnEvent | None = None,
) -> PullRun:
    """Pull one connection under its lease; what goes wrong is in the run."""
    hub = session.hub
    run_id = runs.start_run(store, "pull", connection, at=hub.clock(), trigger=trigger)
    report: PullReport | None = None
    error: Exception | None = None
    resume_at: datetime | None = None
    status = Status.DONE
    _tell(on_event, "pull_started", connection)
    try:
        pauses.refuse_paused(store.conn, f"connection.{connection}")
        with leases.hold(hub.path, f"connection.{connection}", hub.clock) as lease:
            report = pull_connection(
                store,
                session.api(connection),
                connection=hub.config.connections[connection],
                connector=hub.connector(connection),
                run_id=run_id,
                clock=hub.clock,
                full=full,
                on_page=lambda page: _tell_page(on_event, page),
                check=lease.check,
            )
        if not report.complete:
            status, error = Status.FAILED, next((s.error for s in report.streams if s.error is not None), None)
    except StoreError:
        raise
    except QuotaExhausted as caught:
        status, error, resume_at = Status.WAITING, caught, caught.resume_at
    except (Stopped, LeaseLost) as caught:
        status, error = Status.STOPPED, caught
    except Exception as caught:
        status, error = Status.FAILED, caught
        _mark_failed(store, connection, caught, at=hub.clock())
        if not isinstance(caught, HubError):
            log.exception("pull_broke", connection=connection)
    requests = session.taken()
    summary = {} if report is None else {s.stream: {"records": s.records, "changed": s.changed} for s in report.streams}
    runs.finish_run(
        store, run_id, status, at=hub.clock(), summary=summary, error=None if error is None else told(error), requests=requests
    )
    log.info("pull_ended", connection=connection, status=str(status), requests=total(requests))
    _tell(on_event, "pull_ended", connection, status=status, report=report)
    return PullRun(connection, status, run_id=run_id, report=report, error=error, resume_at=resume_at, requests=total(requests))


def _mark_failed(store: Store, connection: str, error: Exception, *, at: datetime) -> None:
    """A pull that failed outside of any stream (it could not even be opened) failed in all: what rests on them is held."""
    with store.atomic() as conn:
        conn.execute(
            "UPDATE streams SET error = ?, finished_at = ? WHERE removed_at IS NULL AND connection_id ="
            " (SELECT id FROM connections WHERE name = ?)",
            (told(error), to_us(at), connection),
        )


def resolve_now(hub: Hub, store: Store) -> datetime:
    """
    Find out who is who, and return the time as of which that holds.

    One process at a time does this, at a time later than that of any plan carried out: so whatever changes from then on is
    later than the plans made now, and found by the next.
    """
    waited = 0.0
    while True:
        try:
            with leases.hold(hub.path, RESOLVE, hub.clock):
                planned = store.conn.execute("SELECT max(planned_at) FROM audiences").fetchone()[0]
                at = hub.clock() if planned is None else max(hub.clock(), from_us(planned) + MICROSECOND)
                resolve(store, hub.config, at=at)
                return at
        except LeaseLost:
            if waited >= RESOLVE_WAIT_S:
                raise
            hub.sleep(0.5)
            waited += 0.5


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
    """Return the syncs called *names*, or all that are enabled; ConfigError for a name that is none."""
    wanted = list(names)
    unknown = [name for name in wanted if name not in hub.config.syncs]
    if unknown:
        raise ConfigError(
            *(Problem(f"there is no sync {name!r}", remedy=f"there are {', '.join(hub.config.syncs)}") for name in unknown)
        )
    if wanted:
        return [hub.config.syncs[name] for name in dict.fromkeys(wanted)]
    return [one for one in hub.config.syncs.values() if one.enabled and hub.config.connections[one.to].enabled]


def connections_under(hub: Hub, definitions: Definitions, syncs: Iterable[SyncConfig]) -> frozenset[str]:
    """Return the connections that the streams under *syncs* belong to."""
    found = set()
    for one in syncs:
        prefix = f"segment.{one.segment}" if one.segment is not None else f"partition.{one.partition}."
        for name, definition in definitions.sets.items():
            if name == prefix or (one.partition is not None and name.startswith(prefix)):
                found |= {stream.partition(".")[0] for stream in definition.rests_on}
    return frozenset(found)


def total(requests: Mapping[str, Mapping[str, int]]) -> int:
    """Return how many requests there were in all."""
    return sum(sum(counts.values()) for counts in requests.values())


def _tell(on_event: OnEvent | None, what: str, name: str, **facts: Any) -> None:
    if on_event is not None:
        on_event(Event(what, name, facts))


def _tell_page(on_event: OnEvent | None, page: PageStored) -> None:
    _tell(on_event, "page_stored", f"{page.connection}.{page.stream}", page=page)

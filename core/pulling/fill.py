"""
The left end of the line: pull -> store -> resolve, so that what segments speak of is there and of today.

Each connection is pulled under a lease and in a run of its own; one that fails is a status in its run, never the end of the
others. What a pull does with a stream is `core.pulling.pull`'s business, who is who `core.resolve`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from core.clock import MICROSECOND, from_us, to_us
from core.errors import ConfigError, HubError, LeaseLost, PersonKeyError, Problem, QuotaExhausted, Stopped, StoreError, told
from core.hub import Hub, Session
from core.log import log
from core.pulling import freshness
from core.pulling.pull import pull_connection
from core.pulling.pull_report import PageStored, PullReport
from core.resolve import resolve
from core.store import Store, leases, pauses, runs
from core.store.runs import Status

RESOLVE_WAIT_S: Final = 120.0
PULL_WAIT_S: Final = 120.0
"""How long a sync waits for somebody else who pulls what it needs."""
RESOLVE: Final = "resolve"
_PLANNED: Final = "SELECT max(planned_at) FROM audiences"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a progress bar may show."""

    what: str
    """pull_waits, pull_started, page_stored, pull_ended, sync_started, batch_pushed, sync_ended."""
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


def pull(
    hub: Hub, *, names: Iterable[str] = (), full: bool = False, trigger: str = "command", on_event: OnEvent | None = None
) -> list[PullRun]:
    """
    Pull the connections *names*, all enabled ones if empty, and find out who is who.

    Raises:
        ConfigError: one of *names* is not enabled.
    """
    names = list(names)
    refuse_disabled(hub, names)
    with hub.session() as session, hub.store() as store:
        hub.register(store)
        every = (c.name for c in hub.config.connections.values() if c.enabled and has_streams(store, c.name))
        chosen = names or list(every)
        results = [pull_one(session, store, name, full=full, trigger=trigger, on_event=on_event) for name in chosen]
        resolve_now(hub, store)
        return results


def refuse_disabled(hub: Hub, connections: Iterable[str]) -> None:
    """Raise ConfigError for those of *connections* that are not enabled: they are neither pulled nor pushed to."""
    off = [hub.config.connections[name] for name in dict.fromkeys(connections) if not hub.config.connections[name].enabled]
    if off:
        raise ConfigError(
            *(
                Problem(
                    f"the connection {one.name} is not enabled: it is neither pulled nor pushed to",
                    file=one.place.file, line=one.place.line, key=f"connections.{one.name}.enabled",
                    remedy=f"take out `enabled = false` of the connection {one.name}",
                )
                for one in off
            )
        )  # fmt: skip


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
            _wait_for_others(hub, store, connection.name, on_event)
            results.append(pull_one(session, store, connection.name, full=full, on_event=on_event))
        if hub.stop.is_set():
            break
    return results


def _wait_for_others(hub: Hub, store: Store, connection: str, on_event: OnEvent | None) -> None:
    """Let somebody else who pulls *connection* come to an end; who takes too long shows in the pull of our own."""
    name, waited = f"connection.{connection}", 0.0
    while waited < PULL_WAIT_S and not hub.stop.is_set() and leases.is_held(store.conn, name, hub.clock):
        if not waited:
            log.info("pull_waits", connection=connection)
            tell(on_event, "pull_waits", connection)
        hub.sleep(0.5)
        waited += 0.5


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
    tell(on_event, "pull_started", connection)
    try:
        report = _pulled(session, store, connection, run_id, full=full, on_event=on_event)
        if not report.complete:
            status, error = Status.FAILED, next((s.error for s in report.streams if s.error is not None), None)
    except PersonKeyError as caught:  # nothing is pulled by anybody; that has to be seen by who looks at runs
        _mark_failed(store, connection, caught, at=hub.clock())
        runs.finish_run(store, run_id, Status.FAILED, at=hub.clock(), error=told(caught), requests=session.taken())
        raise
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
    session.heed_clock(connection)
    requests = session.taken()
    summary = {} if report is None else {s.stream: {"records": s.records, "changed": s.changed} for s in report.streams}
    runs.finish_run(
        store, run_id, status, at=hub.clock(), summary=summary, error=None if error is None else told(error), requests=requests
    )
    log.info("pull_ended", connection=connection, status=str(status), requests=total(requests))
    tell(on_event, "pull_ended", connection, status=status, report=report)
    return PullRun(connection, status, run_id=run_id, report=report, error=error, resume_at=resume_at, requests=total(requests))


def _pulled(
    session: Session, store: Store, connection: str, run_id: int, *, full: bool, on_event: OnEvent | None
) -> PullReport:
    hub = session.hub
    pauses.refuse_paused(store.conn, f"connection.{connection}")
    with leases.hold(hub.path, f"connection.{connection}", hub.clock) as lease:
        return pull_connection(
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


def _mark_failed(store: Store, connection: str, error: Exception, *, at: datetime) -> None:
    """A pull that failed outside of any stream (it could not even be opened) failed in all: what rests on them is held."""
    with store.atomic() as conn:
        conn.execute(
            "UPDATE streams SET error = ?, finished_at = ?, reading = NULL WHERE removed_at IS NULL AND connection_id ="
            " (SELECT id FROM connections WHERE name = ?)",
            (told(error), to_us(at), connection),
        )


def resolve_now(hub: Hub, store: Store) -> datetime:
    """
    Find out who is who, and return the time as of which that holds.

    One process at a time does this, at a time later than that of any plan carried out, or made and still on its way: so
    whatever changes from then on is later than the plans made now, and found by the next, also when a clock is set back.
    """
    waited = 0.0
    while True:
        try:
            with leases.hold(hub.path, RESOLVE, hub.clock):
                looked = max(runs.last_evaluated(store.conn), store.conn.execute(_PLANNED).fetchone()[0] or 0)
                at = max(hub.clock(), from_us(looked) + MICROSECOND)
                resolve(store, hub.config, at=at)
                return at
        except LeaseLost:
            if waited >= RESOLVE_WAIT_S:
                raise
            hub.sleep(0.5)
            waited += 0.5


def total(requests: Mapping[str, Mapping[str, int]]) -> int:
    """Return how many requests there were in all."""
    return sum(sum(counts.values()) for counts in requests.values())


def tell(on_event: OnEvent | None, what: str, name: str, **facts: Any) -> None:
    if on_event is not None:
        on_event(Event(what, name, facts))


def _tell_page(on_event: OnEvent | None, page: PageStored) -> None:
    tell(on_event, "page_stored", f"{page.connection}.{page.stream}", page=page)

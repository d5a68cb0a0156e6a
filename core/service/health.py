"""
`status --check`: what somebody should be told of now, each with the exit code that it stands for.

It is asked every minute by whatever watches the machine, so it is one look at a store that is only read: no segment is
compiled, no migration made, no lease taken. What is wrong with runs and sources is judged as alerts judge it
(`core.alerts.conditions`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from core.alerts.conditions import look_around
from core.clock import Clock, from_us, to_us
from core.config.model import AlertState, Config
from core.errors import StoreError
from core.pushing.targets import sync_of
from core.service.daemon_state import Running, running_config
from core.store import Store, leases, outages
from core.store.holds import holds
from core.store.pauses import ALL, pauses
from core.store.runs import Status, last_finished
from core.store.sources import began_after

DAEMON: Final = "daemon"
EXPECTED_FOR: Final = timedelta(days=7)
"""How long after it was last there a daemon is missed; whoever has gone over to cron is not told for ever."""
NEW_FOR: Final = timedelta(hours=24)
"""How long a dead letter is news."""


BEGIN: Final = "start the daemon, or `tagalong sync`"


class Weight(IntEnum):
    """Exit codes, by what is wrong."""

    FAILED = 1
    NEWS = 3
    HELD = 4


ORDER: Final = (Weight.FAILED, Weight.HELD, Weight.NEWS)
_WEIGHTS: Final = {AlertState.FAILED: Weight.FAILED, AlertState.OVERDUE: Weight.FAILED, AlertState.STALE: Weight.HELD}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that somebody should be told of."""

    what: str
    """failed, overdue, away, daemon, never run, database, stale, held, dead letters, waiting."""
    subject: str
    _: KW_ONLY
    reason: str
    weight: Weight
    since: datetime | None = None
    remedy: str = ""


def troubles(config: Config, clock: Clock) -> list[Trouble]:
    """Return what is wrong now, the worst first; nothing where all is well."""
    database = config.workspace.database
    if not database.exists():
        return [_of_database(f"{database} is not there: nothing was ever pulled", BEGIN)]
    try:
        with closing(Store(database, read_only=True)) as store:
            if store.is_outdated():
                return [_of_database("the file is of an older version, and is upgraded by the next run", "restart the daemon")]
            found = list(_look(store.conn, config, clock))
    except (sqlite3.DatabaseError, StoreError) as error:
        return [_of_database(f"cannot be read: {error}", "`tagalong doctor`")]
    return sorted(found, key=lambda one: ORDER.index(one.weight))


def exit_code(found: list[Trouble]) -> int:
    """Return the first exit code that applies; 0 where all is well."""
    weights = {one.weight for one in found}
    return next((int(weight) for weight in ORDER if weight in weights), 0)


def _of_database(reason: str, remedy: str) -> Trouble:
    return Trouble("database", "", reason=reason, weight=Weight.FAILED, remedy=remedy)


def _look(conn: sqlite3.Connection, config: Config, clock: Clock) -> Iterator[Trouble]:
    now = clock()
    state = running_config(conn)
    alive = leases.is_renewed(conn, DAEMON, clock)
    yield from _daemon(conn, config, state, alive, clock)
    yield from _never(conn, config, alive)
    for one in look_around(conn, config, now, began_at=state.started_at if state is not None and alive else None).conditions:
        of_stream = one.state is AlertState.HELD and one.subject.startswith("stream.")
        weight = Weight.HELD if of_stream else _WEIGHTS.get(one.state)
        if weight is not None:
            what, subject = str(one.state), one.subject.partition(".")[2]
            yield Trouble(what, subject, reason=one.reason, weight=weight, since=one.since, remedy=one.remedy)
    for hold in holds(conn):
        if sync_of(hold.target, config) is not None:
            approve = [name for name in hold.facts.get("approve", ()) if name]
            remedy = "; ".join(f"tagalong approve {name}" for name in approve) or "tagalong status"
            yield Trouble(
                "held", hold.target, reason=hold.reason, weight=Weight.HELD, since=from_us(hold.since), remedy=remedy
            )  # fmt: skip
    for name, configured in config.connections.items():
        away = outages.away(conn, name) if configured.enabled else None
        if away is not None and away.probe_at is not None:
            reason = f"no answer since {away.since:%Y-%m-%d %H:%M}Z, left alone until {away.probe_at:%H:%M}Z ({away.reason})"
            yield Trouble(
                "away", name, reason=reason, weight=Weight.FAILED, since=away.since, remedy=f"tagalong check {name}"
            )  # fmt: skip
    yield from _news(conn, config, now)


def _daemon(conn: sqlite3.Connection, config: Config, state: Running | None, alive: bool, clock: Clock) -> Iterator[Trouble]:
    """A daemon that was here lately, is not here now, and has something to do."""
    pulls = any(one.enabled and one.schedule is not None for one in config.connections.values())
    if alive or state is None or not (pulls or any(one.enabled and one.schedule is not None for one in config.syncs.values())):
        return
    row = conn.execute("SELECT renewed_at FROM leases WHERE name = ?", (DAEMON,)).fetchone()
    ends = [state.started_at, *([state.stopped_at] if state.stopped_at else []), *([from_us(row[0])] if row else [])]
    last = max(ends)
    if clock() - last > EXPECTED_FOR:
        return
    how = "hangs, or is stopped" if leases.is_held(conn, DAEMON, clock) else "is not running"
    reason = f"the daemon {how}; it was last there at {last:%Y-%m-%d %H:%M}Z"
    yield Trouble(DAEMON, "", reason=reason, weight=Weight.FAILED, since=last, remedy="restart it")


def _never(conn: sqlite3.Connection, config: Config, alive: bool) -> Iterator[Trouble]:
    """A store in which nothing was ever done: nobody has begun, so nothing is late by any schedule."""
    stopped = pauses(conn)
    idle = ALL in stopped or not any(
        one.enabled and f"connection.{name}" not in stopped for name, one in config.connections.items()
    )
    if alive or idle or conn.execute("SELECT 1 FROM runs WHERE kind IN ('pull', 'sync') LIMIT 1").fetchone() is not None:
        return
    yield Trouble("never run", "", reason="nothing was ever pulled", weight=Weight.FAILED, remedy=BEGIN)


def _news(conn: sqlite3.Connection, config: Config, now: datetime) -> Iterator[Trouble]:
    since = to_us(now - NEW_FOR)
    (new,) = conn.execute("SELECT count(*) FROM dead_letters WHERE first_at > ? AND dropped_at IS NULL", (since,)).fetchone()
    if new:
        reason = f"{new} new within 24 hours"
        yield Trouble("dead letters", "", reason=reason, weight=Weight.NEWS, remedy="tagalong dead-letters")
    jobs = [("pull", name, began_after(conn, name)) for name, one in config.connections.items() if one.enabled]
    jobs += [("sync", name, 0) for name, one in config.syncs.items() if one.enabled]
    for kind, name, after in jobs:
        run = last_finished(conn, kind, name, after=after)
        if run is not None and run.status is Status.WAITING:
            yield Trouble(
                "waiting", name, reason=run.error or "waits for a quota", weight=Weight.NEWS, since=run.finished_at,
                remedy="nothing: it goes on by itself",
            )  # fmt: skip

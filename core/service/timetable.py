"""
What is due when, read from the store: the config's schedules, the runs so far, what is paused, whose quota is used up.

Nothing here runs anything. Because every due time comes from the last finished run, a restart neither skips nor repeats
one, many missed ones become one, and a run that a person started by hand counts like any other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from core.clock import from_us, to_us
from core.config.model import Config, Schedule
from core.service.schedule import due_after
from core.store import leases
from core.store.outages import LONGEST_REST, left_alone
from core.store.pauses import ALL, pauses

UNSCHEDULED_SYNC_EVERY: Final = timedelta(hours=1)


class What(StrEnum):
    """What a job does."""

    PULL = "pull"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that comes due: a pull of a connection, or a sync."""

    what: What
    name: str
    worker: str
    """The connection whose worker carries it out: the one pulled from, or pushed to."""
    schedule: Schedule | None = None

    @property
    def key(self) -> str:
        return f"{self.what}.{self.name}"


@dataclass(frozen=True, slots=True)
class _Last:
    """The last finished run of a job; runs that were told to stop do not count."""

    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class _State:
    """What one look at the store shows."""

    last: Mapping[str, _Last]
    complete: Mapping[str, datetime]
    """By connection: when the last clean pull ended."""
    half_read: frozenset[str]
    """Connections whose last pull was broken off on its way, and nobody is at it: the next is due at once."""
    paused: frozenset[str]
    quota: Mapping[str, datetime]
    """By connection: until when it waits, for a quota or for a vendor that does not answer."""


@dataclass(slots=True)
class Timetable:
    """The jobs of a config and when each is due."""

    config: Config
    rests_on: Mapping[str, frozenset[str]]
    """By sync: the connections that it rests on."""
    began_at: datetime
    """When the daemon started: what has never run is due from then on."""
    jobs: Mapping[str, Job] = field(init=False)

    def __post_init__(self) -> None:
        connections = self.config.connections
        pulled = [c for c in connections.values() if c.enabled and c.streams != ()]
        jobs = [Job(What.PULL, c.name, c.name, c.schedule) for c in pulled]
        jobs += [
            Job(What.SYNC, s.name, s.to, s.schedule)
            for s in self.config.syncs.values()
            if s.enabled and connections[s.to].enabled
        ]
        self.jobs = {job.key: job for job in jobs}

    def due(self, conn: sqlite3.Connection, now: datetime) -> dict[str, datetime]:
        """Return when each job is due, by key; one that waits for something, or is paused, is left out."""
        state = _look(conn, self.jobs.values(), now)
        standing = {key: job for key, job in self.jobs.items() if not self._paused(job, state)}
        due = {key: self._own_due(job, state) for key, job in standing.items() if job.what is What.SYNC or job.schedule}
        for key, job in standing.items():
            if key not in due:
                waited_for = [due[sync] for sync in due if job.name in self._lacking(sync, due[sync], now, state)]
                if waited_for:
                    due[key] = min(waited_for)
        ready = {key: at for key, at in due.items() if not self._lacking(key, at, now, state)}
        return {key: max(at, state.quota.get(self.jobs[key].worker, at)) for key, at in ready.items()}

    def _paused(self, job: Job, state: _State) -> bool:
        return not state.paused.isdisjoint({ALL, f"connection.{job.worker}", job.key if job.what is What.SYNC else ALL})

    def _own_due(self, job: Job, state: _State) -> datetime:
        last = state.last.get(job.key)
        if last is None:
            return self.began_at
        if job.what is What.PULL and job.name in state.half_read:
            return last.finished_at
        if job.schedule is not None:
            return due_after(job.schedule, last.started_at, self.config.workspace.timezone)
        pulls = [state.complete[name] for name in self._scheduled(job.name) if name in state.complete]
        since = [at for at in pulls if at > last.started_at]
        return min([*since, last.started_at + UNSCHEDULED_SYNC_EVERY])

    def _scheduled(self, sync: str) -> list[str]:
        """Return the connections that the sync rests on and that are pulled by themselves."""
        return [name for name in self.rests_on.get(sync, ()) if self.config.connections[name].schedule is not None]

    def _lacking(self, key: str, due_at: datetime, now: datetime, state: _State) -> list[str]:
        """
        Return the connections that are yet to be pulled before the sync *key*, due at *due_at*, may run.

        Those without a schedule, and those whose own pull is due by now: else a sync that comes first after a night off would
        be held for sources that are about to be fresh. One pull since *due_at* is enough, however it ended.
        """
        job = self.jobs[key]
        if job.what is What.PULL or due_at > now:
            return []
        return [name for name in self.rests_on.get(job.name, ()) if self._awaited(name, max(due_at, self.began_at), now, state)]

    def _awaited(self, connection: str, since: datetime, now: datetime, state: _State) -> bool:
        pull = self.jobs.get(f"{What.PULL}.{connection}")
        if pull is None or self._paused(pull, state) or state.quota.get(connection, now) > now:
            return False  # not for us to pull now: whether the sync may rest on what is stored is the guards' question
        last = state.last.get(pull.key)
        if last is not None and last.started_at >= since:
            return False
        return pull.schedule is None or self._own_due(pull, state) <= now


def _look(conn: sqlite3.Connection, jobs: Iterable[Job], now: datetime) -> _State:
    last, complete = {}, {}
    for job in jobs:  # one probe of the index each: the table of runs grows for years
        of = "FROM runs WHERE kind = ? AND name = ? AND finished_at IS NOT NULL"
        key = (job.what.value, job.name)
        ended = conn.execute(
            f"SELECT started_at, finished_at {of} AND status <> 'stopped' ORDER BY id DESC LIMIT 1", key
        ).fetchone()
        if ended is not None and ended[0] <= to_us(now):  # one that began later than now: the clock was set back, and it is due
            last[job.key] = _Last(from_us(ended[0]), from_us(ended[1]))
        if job.what is What.PULL:
            clean = conn.execute(f"SELECT finished_at {of} AND status = 'done' ORDER BY id DESC LIMIT 1", key).fetchone()
            if clean is not None:
                complete[job.name] = from_us(clean[0])
    return _State(last, complete, _half_read(conn, now), frozenset(pauses(conn)), _waits(conn, now))


def _half_read(conn: sqlite3.Connection, now: datetime) -> frozenset[str]:
    begun = conn.execute(
        "SELECT DISTINCT c.name FROM streams s JOIN connections c ON c.id = s.connection_id WHERE s.reading IS NOT NULL"
    ).fetchall()
    return frozenset(name for (name,) in begun if not leases.is_held(conn, f"connection.{name}", lambda: now))


def _waits(conn: sqlite3.Connection, now: datetime) -> dict[str, datetime]:
    """Return until when connections wait: for a quota, for more of it than is kept for people, for a vendor to answer again."""
    latest = "max(coalesce(resume_at, 0), coalesce(kept_until, 0))"
    waits = {name: from_us(at) for name, at in conn.execute(f"SELECT name, {latest} FROM connections WHERE {latest} > 0")}
    for name, away in left_alone(conn).items():
        # further off than any probe is: the clock was set back, and the probe is due now
        if away.probe_at is not None and away.probe_at - now <= LONGEST_REST:
            waits[name] = max(waits.get(name, away.probe_at), away.probe_at)
    return waits

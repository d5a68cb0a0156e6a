"""
The daemon: every schedule in the config, until it is told to stop.

APScheduler keeps the clock and one worker thread for each connection, so a slow vendor delays only itself. What is due when is
asked of `timetable` after each run and each second, so a pause, a resume or a run from another process is seen at once. A
job that fails is logged and comes due again; it never ends the daemon. What does is a store that a newer version upgraded.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from core.clock import Clock, utc_now
from core.errors import HubError, NewerStoreError, told
from core.log import log
from core.service.notify import Told
from core.service.timetable import Job, Timetable, What
from core.store.db import refuse_newer

TICK_S: Final = 1.0
GRACE_S: Final = 10.0
AGAIN_AFTER: Final = timedelta(seconds=30)
"""How long a job rests that failed, or could not run at all because somebody else held its lease."""


class Ended(NamedTuple):
    """How a run ended."""

    status: str
    """done, failed, held, waiting, stopped."""
    error: Exception | None = None


class Work(Protocol):
    """What the daemon has done."""

    def pull(self, connection: str) -> Ended: ...
    def sync(self, name: str) -> Ended: ...


class Worker(ThreadPoolExecutor):  # type: ignore[misc]  # APScheduler has no types
    """One thread. What it was handed counts as busy from that moment on, not from when the thread gets to it."""

    def __init__(self, busy: set[str]) -> None:
        super().__init__(max_workers=1)
        self.busy = busy

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self.busy.add(job.id)
        try:
            super()._do_submit_job(job, run_times)
        except BaseException:  # no thread can be had, or none is wanted any more: it comes due again
            self.busy.discard(job.id)
            raise


class Scheduler(BackgroundScheduler):  # type: ignore[misc]  # APScheduler has no types
    """What is to begin when."""

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """Remove a job; one that is not there is no error: it may have begun in this instant, or all ends just now."""
        with suppress(JobLookupError):
            super().remove_job(job_id, jobstore)


class Daemon:
    """Runs the jobs of a timetable as they come due. `run` returns when *stop* is set."""

    def __init__(
        self,
        timetable: Timetable,
        work: Work,
        connect: Callable[[], sqlite3.Connection],
        *,
        stop: threading.Event,
        clock: Clock = utc_now,
        tick_s: float = TICK_S,
        grace_s: float = GRACE_S,
        renew: Callable[[], Timetable | None] | None = None,
        tell: Callable[[Told], None] = lambda told: None,
    ) -> None:
        self.timetable = timetable
        self.work = work
        self.connect = connect
        self.stop = stop
        self.clock = clock
        self.tick_s = tick_s
        self.grace_s = grace_s
        self.renew = renew
        """Asked at each tick for a timetable that takes the place of this one."""
        self.tell = tell
        self.busy: set[str] = set()
        self.away: dict[str, datetime] = {}
        """Jobs that failed the last time, and since when: told once when it begins and once when it ends."""
        self.resting: dict[str, datetime] = {}
        self.blind = False
        self.error: NewerStoreError | None = None
        """What ended it by itself: another version of this program has made the store its own."""
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it tells of every change of plan
        self.workers = {job.worker: Worker(self.busy) for job in timetable.jobs.values()}
        # lateness is never a reason not to run: many late times are one, and one is enough
        defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        self.scheduler = Scheduler(timezone=UTC, executors=dict(self.workers), job_defaults=defaults)

    def run(self) -> bool:
        """Run until told to stop; then give what is under way its grace. Returns whether everything had ended by then."""
        log.info("daemon_started", jobs=len(self.timetable.jobs))
        conn = self.connect()
        self.scheduler.start()
        self.tell(Told.READY)
        try:
            while True:
                self._renew()
                self._look(conn)
                self.tell(Told.TURNS)
                if self.stop.wait(self.tick_s):
                    break
        except NewerStoreError as error:
            self.error = error
            log.error("daemon_outdated", reason=told(error))
            self.stop.set()
        finally:
            self.tell(Told.ENDS)
            conn.close()
            self.scheduler.shutdown(wait=False)
            ended = self._wind_down()
            log.info("daemon_stopped", clean=ended)
        return ended

    def _renew(self) -> None:
        """Take over another timetable, if there is one: what is under way ends as it began, what waits is looked at anew."""
        timetable = self.renew() if self.renew is not None else None
        if timetable is None:
            return
        gone = self.timetable.jobs.keys() - timetable.jobs.keys()
        self.timetable = timetable
        for key in gone:
            self.scheduler.remove_job(key)
            self.resting.pop(key, None)
            self.away.pop(key, None)
        needed = {job.worker for job in timetable.jobs.values()}
        for name in self.workers.keys() - needed:
            self.scheduler.remove_executor(name, shutdown=False)
            self.workers.pop(name).shutdown(wait=False)  # its thread ends with what it is at
        for name in needed - self.workers.keys():
            self.workers[name] = Worker(self.busy)
            self.scheduler.add_executor(self.workers[name], name)

    def _look(self, conn: sqlite3.Connection) -> None:
        """Ask what is due when, and tell the scheduler where that changed."""
        try:
            refuse_newer(conn)
            due = self.timetable.due(conn, self.clock())
        except NewerStoreError:
            raise
        except (sqlite3.Error, HubError) as error:
            if not self.blind:  # the disk may be full for hours: said once
                log.error("timetable_not_read", reason=type(error).__name__)
            self.blind = True
            return
        self.blind = False
        for key, job in self.timetable.jobs.items():
            if key in self.busy:
                continue
            at = due.get(key)
            planned = self.scheduler.get_job(key)
            if at is None:
                if planned is not None:
                    self.scheduler.remove_job(key)
                continue
            at = max(at, self.resting.get(key, at))
            if planned is None or planned.next_run_time != at or planned.args != (job,):
                self.scheduler.add_job(
                    self._carry_out, DateTrigger(at, UTC), args=(job,), id=key, executor=job.worker, replace_existing=True
                )

    def _carry_out(self, job: Job) -> None:
        """On the worker's thread: look once more whether it is still due, run it, and note how it ended."""
        try:
            if self.stop.is_set() or not self._still_due(job):
                return
            self._note(job, self.work.pull(job.name) if job.what is What.PULL else self.work.sync(job.name))
        except Exception as error:  # whatever it is, the daemon goes on
            self._note(job, Ended("failed", error))
        finally:
            self.busy.discard(job.key)

    def _still_due(self, job: Job) -> bool:
        """A run by hand, a pause or a quota may have come between, while this waited for its worker."""
        conn = self.connect()
        try:
            at = self.timetable.due(conn, self.clock()).get(job.key)
        finally:
            conn.close()
        return at is not None and at <= self.clock()

    def _note(self, job: Job, ended: Ended) -> None:
        now, status = self.clock(), ended.status
        self.resting.pop(job.key, None)
        if job.key not in self.timetable.jobs:
            return  # taken out of the config meanwhile: its run says how it ended, and it comes due no more
        if status in ("failed", "stopped"):
            self.resting[job.key] = now + AGAIN_AFTER
        facts: dict[str, object] = {job.what.value: job.name}
        if status == "failed":
            reason = _reason(ended.error)
            if job.key not in self.away:
                self.away[job.key] = now
                log.error("job_failed", **facts, **reason)
            else:
                log.debug("job_failed_again", **facts, **reason)
        elif status in ("done", "held") and (since := self.away.pop(job.key, None)) is not None:
            log.info("job_recovered", **facts, failed_for_s=round((now - since).total_seconds()))

    def _wind_down(self) -> bool:
        """Wait for the batches in hand, no longer than the grace; what is open then is settled at the next start."""
        until = time.monotonic() + self.grace_s
        while self.busy and time.monotonic() < until:
            time.sleep(0.05)
        return not self.busy


def _reason(error: Exception | None) -> dict[str, str]:
    return {} if error is None else {"reason": told(error)}

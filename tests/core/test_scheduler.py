"""The daemon, with work that is made up: it runs what is due, one at a time a connection, and nothing ends it but a stop."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import structlog
from apscheduler.schedulers.base import STATE_STOPPED
from support.eventually import PATIENCE_S, eventually
from test_timetable import connection, sync, timetable

from core.clock import utc_now
from core.config.model import Every
from core.errors import ConfigError
from core.log import configure
from core.service.scheduler import Daemon, Ended, Worker
from core.store import Store
from core.store.pauses import pause, resume
from core.store.runs import finish_run, start_run

OFTEN = Every(timedelta(milliseconds=150))
SELDOM = Every(timedelta(hours=1))


class FakeWork:
    """Writes the run as the real work does; `fate` says how it ends, and takes its time."""

    def __init__(self, store: Store) -> None:
        self.path = store.path
        self.fate: dict[str, Callable[[], str]] = {}
        self.spans: list[tuple[str, datetime, datetime]] = []

    def pull(self, connection: str) -> Ended:
        return self._run("pull", connection)

    def sync(self, name: str) -> Ended:
        return self._run("sync", name)

    def _run(self, kind: str, name: str) -> Ended:
        key, began = f"{kind}.{name}", utc_now()
        with Store(self.path) as store:
            run_id = start_run(store, kind, name, at=began, trigger="schedule")
            status = "failed"
            try:
                status = self.fate.get(key, lambda: "done")()
            finally:
                finish_run(store, run_id, status, at=utc_now())
                self.spans.append((key, began, utc_now()))
        return Ended(status)

    def count(self, key: str) -> int:
        return sum(span[0] == key for span in self.spans)


def boom() -> str:
    raise RuntimeError("ann@example.com")


@contextmanager
def running(daemon: Daemon) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        yield thread
    finally:
        daemon.stop.set()
        thread.join(timeout=PATIENCE_S)
        assert not thread.is_alive()


def looks_of(daemon: Daemon) -> Callable[[int], None]:
    """`looks_of(daemon)(n)`: wait until it has looked *n* times more for what is due; the first may have begun before."""
    look, seen = daemon._look, 0

    def counted(conn: sqlite3.Connection) -> None:
        nonlocal seen
        look(conn)
        seen += 1

    daemon._look = counted

    def wait(times: int) -> None:
        until = seen + times
        eventually(lambda: seen >= until)

    return wait


def connect(store: Store) -> Callable[[], sqlite3.Connection]:
    return lambda: Store(store.path).conn


@pytest.fixture(autouse=True)
def everything_is_logged() -> Iterator[None]:
    """Whatever level another test has left behind."""
    before = structlog.get_config()
    configure("debug", json=True)
    yield
    structlog.configure(**before)


@pytest.fixture
def work(store: Store) -> FakeWork:
    return FakeWork(store)


def daemon_of(
    store: Store, work: FakeWork, connections: list, syncs: list, *, grace_s: float = PATIENCE_S, **rests_on: set[str]
) -> Daemon:
    table = timetable(connections, syncs, **rests_on)
    table.began_at = utc_now()
    return Daemon(table, work, connect(store), stop=threading.Event(), tick_s=0.05, grace_s=grace_s)


def test_it_runs_what_is_due_again_and_again(store: Store, work: FakeWork) -> None:
    """A pull by its schedule; the sync without one after it."""
    daemon = daemon_of(store, work, [connection("crm", OFTEN), connection("mail", SELDOM)], [sync("s", None)], s={"crm"})
    with running(daemon):
        eventually(lambda: work.count("pull.crm") >= 3 and work.count("sync.s") >= 2 and work.count("pull.mail") >= 1)

    assert 1 == work.count("pull.mail")


def test_one_worker_a_connection(store: Store, work: FakeWork) -> None:
    """What goes to one connection takes turns; a slow vendor delays nobody else."""

    def slow() -> str:  # it ends when the other has gone on without it
        so_far = work.count("pull.quick")
        eventually(lambda: work.count("pull.quick") >= so_far + 2 or daemon.stop.is_set())
        return "done"

    work.fate = {"pull.slow": slow}
    daemon = daemon_of(
        store, work, [connection("slow", OFTEN), connection("quick", OFTEN)], [sync("s", OFTEN, to="slow")], s=set()
    )
    with running(daemon):
        eventually(lambda: work.count("pull.slow") >= 2 and work.count("sync.s") >= 1)

    turns = sorted((began, ended) for key, began, ended in work.spans if key in ("pull.slow", "sync.s"))
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(turns))


def test_a_pause_from_elsewhere_is_seen_at_once_and_so_is_the_resume(store: Store, work: FakeWork) -> None:
    """Other processes write the pause; the daemon looks each tick."""
    daemon = daemon_of(store, work, [connection("crm", OFTEN)], [])
    looks = looks_of(daemon)
    with running(daemon):
        eventually(lambda: work.count("pull.crm") >= 1)
        pause(store, "connection.crm", at=utc_now())
        looks(2)
        eventually(lambda: not daemon.busy)
        before = work.count("pull.crm")
        looks(8)  # some of its schedule's turns
        assert before == work.count("pull.crm")
        resume(store, "connection.crm")
        eventually(lambda: work.count("pull.crm") > before)


def test_a_failing_job_ends_nothing_and_is_told_once(store: Store, work: FakeWork, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once when it begins to fail, once when it is well again; and never what an unforeseen error says."""
    monkeypatch.setattr("core.service.scheduler.AGAIN_AFTER", timedelta(milliseconds=100))
    work.fate["pull.crm"] = boom
    daemon = daemon_of(store, work, [connection("crm", OFTEN), connection("bill", OFTEN)], [])
    with structlog.testing.capture_logs() as logs, running(daemon):
        eventually(lambda: work.count("pull.crm") >= 3)
        work.fate["pull.crm"] = lambda: "done"
        eventually(lambda: any(line["event"] == "job_recovered" for line in logs) and work.count("pull.bill") >= 2)

    told = [line for line in logs if line["log_level"] in ("error", "warning", "info") and line.get("pull") == "crm"]
    assert ["job_failed", "job_recovered"] == [line["event"] for line in told]
    assert "unexpected RuntimeError" == told[0]["reason"]
    assert "ann@example.com" not in str(logs)


def test_a_job_that_was_taken_out_as_it_began_is_no_failure(store: Store, work: FakeWork) -> None:
    """The config that it is looked up in knows it no more; told of as failed, it would not recover for ever."""
    daemon = daemon_of(store, work, [connection("crm", OFTEN), connection("bill", OFTEN)], [])

    def taken_out() -> str:
        daemon.timetable = timetable([connection("bill", OFTEN)], [])
        raise ConfigError("no connection is called crm")

    work.fate["pull.crm"] = taken_out
    with structlog.testing.capture_logs() as logs, running(daemon):
        eventually(lambda: work.count("pull.crm") == 1 and "pull.crm" not in daemon.busy)
    assert "job_failed" not in [line["event"] for line in logs]
    assert {} == daemon.away == daemon.resting


def test_what_could_not_run_rests_before_it_is_tried_again(
    store: Store, work: FakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds the lease: no run is left behind to count from, and asking ten times a second helps nobody."""
    monkeypatch.setattr("core.service.scheduler.AGAIN_AFTER", timedelta(hours=1))
    work.fate["pull.crm"] = lambda: "stopped"
    daemon = daemon_of(store, work, [connection("crm", OFTEN)], [])
    looks = looks_of(daemon)
    with running(daemon):
        eventually(lambda: work.count("pull.crm") == 1)
        looks(10)

    assert 1 == work.count("pull.crm")


def test_a_job_that_no_thread_could_be_had_for_comes_due_again(
    store: Store, work: FakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would count as under way for ever, and the daemon would never run it again."""
    start, refused = threading.Thread.start, []

    def scarce(thread: threading.Thread) -> None:
        if thread.name.startswith("ThreadPoolExecutor") and len(refused) < 2:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    with running(daemon_of(store, work, [connection("crm", OFTEN)], [])):
        eventually(lambda: work.count("pull.crm") >= 2)
    assert 2 == len(refused)


def has_begun(store: Store) -> bool:
    return bool(store.conn.execute("SELECT 1 FROM runs").fetchone())


def test_a_stop_waits_for_the_batch_in_hand(store: Store, work: FakeWork) -> None:
    """What is under way is given its grace; what was waiting behind it does not begin."""
    daemon = daemon_of(store, work, [connection("crm", SELDOM)], [sync("s", SELDOM, to="crm")], s=set())

    def in_hand() -> str:
        daemon.stop.wait(PATIENCE_S)
        time.sleep(0.3)
        return "done"

    work.fate = {"pull.crm": in_hand}
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(daemon.run()))
    thread.start()
    eventually(lambda: daemon.busy == {"pull.crm", "sync.s"} and has_begun(store))
    daemon.stop.set()
    thread.join(timeout=PATIENCE_S)

    assert [True] == ended
    assert 1 == len(work.spans)


def test_a_stop_waits_no_longer_than_the_grace(store: Store, work: FakeWork) -> None:
    """A vendor that hangs does not keep the process."""
    hangs = threading.Event()
    work.fate = {"pull.crm": lambda: "done" if hangs.wait(PATIENCE_S) else "failed"}
    daemon = daemon_of(store, work, [connection("crm", SELDOM)], [], grace_s=0.2)
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(daemon.run()))
    thread.start()
    eventually(lambda: has_begun(store))
    daemon.stop.set()
    thread.join(timeout=PATIENCE_S)

    assert [False] == ended
    hangs.set()
    eventually(lambda: not daemon.busy)


def test_a_store_that_cannot_be_read_is_waited_out(store: Store, work: FakeWork) -> None:
    """Told once; the daemon goes on when it can be read again."""
    daemon = daemon_of(store, work, [connection("crm", OFTEN)], [])
    real, broken, looks = daemon.timetable.due, threading.Event(), looks_of(daemon)
    broken.set()

    def due(conn: sqlite3.Connection, now: datetime) -> dict[str, datetime]:
        if broken.is_set():
            raise sqlite3.OperationalError("disk I/O error")
        return real(conn, now)

    daemon.timetable = type("Broken", (), {"due": staticmethod(due), "jobs": daemon.timetable.jobs})()
    with structlog.testing.capture_logs() as logs, running(daemon):
        looks(3)
        assert [] == work.spans
        broken.clear()
        eventually(lambda: work.count("pull.crm") >= 1)

    assert 1 == sum(line["event"] == "timetable_not_read" for line in logs)


def test_a_stop_in_the_instant_in_which_a_job_begins_is_no_accident(
    store: Store, work: FakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """APScheduler's thread takes what has begun out of its plan, which was put away meanwhile; it would end in a traceback."""
    accidents: list[object] = []
    monkeypatch.setattr(threading, "excepthook", accidents.append)
    daemon = daemon_of(store, work, [connection("crm", OFTEN)], [])
    daemon.tick_s = PATIENCE_S  # a second look would ask for the plan, and that is what APScheduler's thread has in its hands

    class Slow(Worker):
        def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
            super()._do_submit_job(job, run_times)
            daemon.stop.set()
            eventually(lambda: daemon.scheduler.state == STATE_STOPPED)

    daemon.workers["crm"] = daemon.scheduler._executors["crm"] = Slow(daemon.busy)
    with running(daemon) as thread:
        thread.join(PATIENCE_S)

    assert [] == accidents

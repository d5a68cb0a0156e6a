"""What counts as an edit, what is taken over and what is refused, and what goes on meanwhile."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from support.eventually import PATIENCE_S, eventually
from test_scheduler import FakeWork, running
from test_timetable import connection, sync, timetable

from core.alerts.watch import Watch
from core.clock import utc_now
from core.config.load import load_config
from core.config.model import Every
from core.config.watch import ConfigWatch
from core.hub import Hub
from core.log import configure
from core.service import daemon as daemon_module
from core.service.daemon import HubWork, rests_on
from core.service.daemon_state import running_config
from core.service.reload import Reload
from core.service.scheduler import Daemon
from core.service.timetable import Timetable
from core.store import Store

CONFIG = """
include = ["more/*.toml"]
[connections.exports]
connector = "files"
folder = "out"
[connections.exports.streams.accounts]
path = "accounts.csv"
kind = "profile"
key = "id"
identifiers = { user_id = "id" }
fields = { country = "country" }
"""
NORDIC = '[segments.nordic]\nwhere = \'country == "SE"\'\n[[syncs]]\nsegment = "nordic"\nto = "exports"\n'
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def everything_is_logged() -> Iterator[None]:
    """Whatever level another test has left behind."""
    before = structlog.get_config()
    configure("debug", json=True)
    yield
    structlog.configure(**before)


class Beats:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class House:
    """A daemon's half that reads the config, without one that works."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.beats = folder, folder / "tagalong.toml", Beats()
        (folder / "more").mkdir()
        (folder / "more/nordic.toml").write_text(NORDIC)
        self.path.write_text(CONFIG)
        self.now = NOON
        watch = ConfigWatch(self.path, monotonic=self.beats)
        self.hub = Hub(load_config(self.path, {}), clock=lambda: self.now, environ={})
        with self.hub.store() as store:
            self.hub.register(store)
            self.work = HubWork(self.hub, Timetable(self.hub.config, rests_on(self.hub, store), self.now), Watch(self.hub))
            self.hangup = threading.Event()
            self.reload = Reload(self.work, rests_on, watch, hangup=self.hangup)
            self.reload.begin(store)

    def later(self) -> Timetable | None:
        """Let the files stand still for long enough, and look."""
        at_once = self.reload.look()
        self.beats.now += 5
        self.now += timedelta(minutes=1)
        return at_once or self.reload.look()

    def state(self) -> Any:
        with self.hub.store() as store:
            return running_config(store.conn)


@pytest.fixture
def home(tmp_path: Path) -> House:
    return House(tmp_path)


def test_files_count_once_they_stand_still(home: House) -> None:
    """Half a file may be valid: an empty one is, and retires every sync."""
    watch = ConfigWatch(home.path, monotonic=home.beats, still_s=2.0)
    whole = home.path.read_text()
    for text in (whole[:40], "", whole + "# mended\n"):
        home.path.write_text(text)
        assert not watch.changed()
        home.beats.now += 1.9
        assert not watch.changed()
    home.beats.now += 0.2
    assert watch.changed()
    assert not watch.changed(), "it says so once"
    watch.again()
    assert watch.changed()


def test_a_file_that_comes_goes_or_is_renamed_is_an_edit_and_touching_one_is_none(home: House) -> None:
    watch = ConfigWatch(home.path, monotonic=home.beats, still_s=0.0)
    seen = {watch.digest()}
    more = home.folder / "more"
    (more / "second.toml").write_text("# nothing\n")
    assert watch.changed()
    seen.add(watch.digest())
    (more / "second.toml").rename(more / "third.toml")
    assert watch.changed()
    seen.add(watch.digest())
    home.path.write_text("include = [")  # broken: what it included stays watched
    assert watch.changed()
    seen.add(watch.digest())
    (more / "nordic.toml").write_text(NORDIC.replace("SE", "NO"))
    assert watch.changed()
    seen.add(watch.digest())
    (more / "third.toml").unlink()
    assert watch.changed()
    seen.add(watch.digest())
    assert 6 == len(seen)
    os.utime(home.path, (1, 1))  # two touches within a tick of the file system's clock would be one
    assert watch.changed(), "it is looked at"
    assert watch.digest() in seen, "and found to be the same"


def test_an_edit_is_taken_over_whole(home: House) -> None:
    (home.folder / "more/nordic.toml").write_text(NORDIC.replace("nordic", "danes") + 'schedule = "1h"\n')
    with capture_logs() as logs:
        new = home.later()
    assert new is not None
    assert {"pull.exports", "sync.danes_to_exports"} == new.jobs.keys()
    assert ["danes_to_exports"] == list(home.work.hub.config.syncs)
    assert home.work.timetable is new
    assert home.work.hub.stop is home.hub.stop
    assert home.work.hub is home.work.watch.hub, "alerts are those of the new config"
    (told,) = [line for line in logs if line["event"] == "config_reloaded"]
    assert (["danes_to_exports"], ["nordic_to_exports"]) == (told["added"], told["removed"])
    assert (home.reload.watch.digest(), NOON + timedelta(minutes=1)) == (home.state().digest, home.state().loaded_at)
    assert home.later() is None


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        (NORDIC.replace("country", "county"), "segments.nordic.where", 2),
        (NORDIC.replace("where =", "titel = 'Nordic'\nwhere ="), "segments.nordic.titel", 2),
        ("[[syncs]", None, 1),
        ("[segments.x]\nwhere = 'in_list(\"none.csv\")'\n", "segments.x.where", 2),
    ],
    ids=["word", "key", "syntax", "list"],
)
def test_a_broken_edit_is_refused_and_the_old_config_goes_on(home: House, text: str, key: str | None, line: int) -> None:
    """Told once, with file, line and key; told again when somebody asks; and over when the file is as it was."""
    file, before, timetable = home.folder / "more/nordic.toml", home.state(), home.work.timetable
    file.write_text(text)
    with capture_logs() as logs:
        assert home.later() is None
        file.touch()
        assert home.later() is None
    (told,) = [line for line in logs if line["event"] == "config_refused"]
    assert (str(file), line, key) == (told["file"], told["line"], told["key"])
    assert (home.hub, timetable) == (home.work.hub, home.work.timetable)
    state = home.state()
    assert (before.digest, before.loaded_at, NOON + timedelta(minutes=1)) == (state.digest, state.loaded_at, state.refused_at)
    assert state.refusal.startswith(f"{file}:{line}")

    home.hangup.set()
    with capture_logs() as logs:
        assert home.reload.look() is None
    assert ["config_refused"] == [line["event"] for line in logs]
    assert state.refused_at == home.state().refused_at, "since when it has been so"

    file.write_text(NORDIC)
    with capture_logs() as logs:
        assert home.later() is None
    assert ["config_as_before"] == [line["event"] for line in logs]
    assert home.state().refused_at is None


def test_whoever_reads_of_a_refusal_in_the_log_finds_it_in_the_store(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` is asked at once then, and would call the broken config one that is yet to be taken over."""
    noted: list[datetime | None] = []
    told = SimpleNamespace(error=lambda *_, **__: noted.append(home.state().refused_at))
    monkeypatch.setattr("core.service.reload.log", told)
    (home.folder / "more/nordic.toml").write_text(NORDIC.replace("country", "county"))
    home.later()
    assert [NOON + timedelta(minutes=1)] == noted


def test_a_broken_edit_changes_nothing_in_the_store(home: House) -> None:
    """A connection that it would take out is not marked so."""
    home.path.write_text(CONFIG.replace("connections.exports", "connections.other"))
    home.later()
    with home.hub.store() as store:
        assert [("exports", None)] == store.conn.execute("SELECT name, removed_at FROM connections").fetchall()


def test_another_database_needs_a_restart(home: House) -> None:
    home.path.write_text(CONFIG + '[workspace]\ndatabase = "other.db"\n')
    with capture_logs() as logs:
        assert home.later() is None
    assert [("config_refused", "workspace.database")] == [(line["event"], line["key"]) for line in logs]
    assert not (home.folder / "other.db").exists()


def test_a_full_disk_is_tried_again(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.folder / "more/nordic.toml").write_text(NORDIC.replace("SE", "NO"))
    with monkeypatch.context() as patch:
        patch.setattr(
            "core.service.reload.note_running", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk is full"))
        )
        with capture_logs() as logs:
            assert [None] * 3 == [home.later() for _ in range(3)]
        assert ["config_not_taken_over"] == [line["event"] for line in logs]
        assert home.work.hub is home.hub
    assert home.later() is not None


def test_whatever_goes_wrong_the_daemon_goes_on(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.folder / "more/nordic.toml").write_text(NORDIC.replace("SE", "NO"))
    monkeypatch.setattr("core.service.reload.load_config", lambda *_: 1 / 0)
    with capture_logs() as logs:
        assert home.later() is None
    assert [("config_refused", "unexpected ZeroDivisionError")] == [(line["event"], line["problem"]) for line in logs]


def test_an_edit_before_the_daemon_began_to_look_is_not_missed(tmp_path: Path) -> None:
    """An upgrade may take minutes between the reading of the config and the first look."""
    home = House(tmp_path)
    watch = ConfigWatch(home.path, monotonic=home.beats)
    (home.folder / "more/nordic.toml").write_text(NORDIC.replace("SE", "NO"))
    home.reload = Reload(home.work, rests_on, watch, hangup=home.hangup)
    assert home.later() is not None


def test_a_job_keeps_the_config_that_it_began_with(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Hub] = []

    def slow(hub: Hub, **_: Any) -> Any:
        (home.folder / "more/nordic.toml").write_text(NORDIC.replace("SE", "NO"))
        assert home.later() is not None
        used.append(hub)
        return (type("Run", (), {"status": "done", "error": None})(),)

    old, timetable = home.hub, home.work.timetable
    monkeypatch.setattr(daemon_module, "pull", slow)
    monkeypatch.setattr(daemon_module, "rests_on", lambda hub, _: used.append(hub) or {})
    home.work.pull("exports")
    assert [old, old] == used
    assert {} == timetable.rests_on
    assert {} != home.work.timetable.rests_on


def test_the_daemon_swaps_its_jobs_and_workers(tmp_path: Path) -> None:
    """What was taken out is begun no more, what is under way ends, what came is run, what moved has another worker."""
    often = Every(timedelta(milliseconds=100))
    with Store(tmp_path / "a.db") as store:
        work, hold, in_hand, let_go = FakeWork(store), threading.Event(), threading.Event(), threading.Event()

        def slow() -> str:
            if hold.is_set():
                in_hand.set()
                let_go.wait(PATIENCE_S)
            return "done"

        work.fate["pull.slow"] = slow
        before = timetable([connection("slow", often), connection("stays", often)], [sync("moves", often, to="slow")])
        after = timetable([connection("stays", often), connection("new", often)], [sync("moves", often, to="new")])
        after = replace(after, began_at=utc_now())
        queue: list[Timetable] = []
        daemon = Daemon(
            before, work, lambda: Store(store.path).conn, stop=threading.Event(), tick_s=0.05, grace_s=PATIENCE_S,
            renew=lambda: queue.pop() if queue else None,
        )  # fmt: skip
        with running(daemon):
            eventually(lambda: work.count("sync.moves") > 0)
            hold.set()
            eventually(in_hand.is_set)
            begun = work.count("pull.slow")
            queue.append(after)
            eventually(lambda: work.count("pull.new") > 1)
            let_go.set()
            eventually(lambda: "pull.slow" not in daemon.busy)
            assert {"stays", "new"} == daemon.workers.keys()
            ended, moved, stayed = work.count("pull.slow"), work.count("sync.moves"), work.count("pull.stays")
            eventually(lambda: work.count("sync.moves") > moved + 1 and work.count("pull.stays") > stayed + 1)
        assert begun + 1 == ended == work.count("pull.slow"), "the one under way ended, and no other began"

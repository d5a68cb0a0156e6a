"""`tagalong run` in a process of its own: on schedule, through an outage, to the end and on again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from house import VIP, VIPS_TO_MAIL, House, address

from core.contract import Fault
from core.sandbox import Delayed

ROOT = Path(__file__).parents[2]
IMPATIENT = """
import core.config.watch, core.http.outage, core.http.retrying, core.pushing.push, core.service.scheduler
from datetime import timedelta
core.http.retrying.FIRST_WAIT_S = 0.02
core.http.outage.FIRST_REST = timedelta(seconds=0.5)
core.service.scheduler.AGAIN_AFTER = timedelta(seconds=0.5)
core.service.scheduler.Daemon.__init__.__kwdefaults__["tick_s"] = 0.1
core.config.watch.ConfigWatch.__init__.__kwdefaults__["still_s"] = 0.3
core.service.scheduler.Daemon.__init__.__kwdefaults__["grace_s"] = core.pushing.push.GRACE_S = {grace_s}
from core.cli import main
main()
"""
"""The command line as it is, but for how long it waits: to look, to try again, for files to stand still, for a slow vendor."""
SOURCE = """
[connections.exports]
connector = "files"
schedule = "1s"
[connections.exports.streams.accounts]
path = "accounts.csv"
kind = "profile"
key = "id"
identifiers = { email = "email" }
fields = { lifecycle_stage = "stage" }
"""
DOWN = Fault(503, {"content-type": "application/json"}, b"{}")
PATIENCE_S = 120.0


class Daemon:
    """A running `tagalong run`, and the lines that it logged so far."""

    def __init__(self, h: House, grace_s: float) -> None:
        command = [sys.executable, "-c", IMPATIENT.format(grace_s=grace_s), "--config", str(h.path), "run"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **h.environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[dict[str, Any]] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(json.loads(line) if line.startswith("{") else {"event": line})

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == name]

    def wait(self, until: Callable[[], object], what: str) -> None:
        """Wait for something to become true while the daemon lives."""
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert self.process.poll() is None, f"it ended: {self.lines}"
            assert time.monotonic() < deadline, f"waited in vain until {what}: {self.lines}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        assert 0 == self.process.wait(timeout=PATIENCE_S), self.lines
        self.reader.join(timeout=PATIENCE_S)


@contextmanager
def running(h: House, grace_s: float = PATIENCE_S) -> Iterator[Daemon]:
    daemon = Daemon(h, grace_s)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.communicate()


def accounts(h: House, *numbers: int) -> None:
    lines = [f"{number},{address(number)},customer" for number in numbers]
    h.write("accounts.new", "\n".join(["id,email,stage", *lines]) + "\n")
    (h.folder / "accounts.new").replace(h.folder / "accounts.csv")


def addresses(*numbers: int) -> set[str]:
    return {address(number) for number in numbers}


class Sluggish:
    """Lets each change of a tag take its time; `begun` tells that one was asked for."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s, self.begun = wait_s, False

    def __call__(self, method: str, path: str, _number: int) -> Delayed | None:
        if method != "POST" or "segments/" not in path:
            return None
        self.begun = True
        return Delayed(self.wait_s)


def runs(h: House, kind: str, name: str) -> int:
    return int(h.ask("SELECT count(*) FROM runs WHERE kind = ? AND name = ? AND finished_at IS NOT NULL", kind, name)[0][0])


def test_it_keeps_its_schedules_through_an_outage_and_ends_when_told(house: Callable[..., House]):
    h = house("mail")
    h.boxes["mail"].load("members", [h.member(n) for n in range(30)])
    accounts(h, *range(20))
    h.write_config(SOURCE, VIP, VIPS_TO_MAIL + 'schedule = "1s"\n', schedule="1s")

    with running(h) as daemon:
        daemon.wait(lambda: addresses(*range(20)) == h.tagged(), "the first twenty are there")
        accounts(h, *range(2, 22))
        daemon.wait(lambda: addresses(*range(2, 22)) == h.tagged(), "two came and two went")

        h.served["mail"].faults = lambda *_: DOWN
        accounts(h, *range(2, 24))
        pulls, others = runs(h, "pull", "mail"), runs(h, "pull", "exports")
        daemon.wait(lambda: runs(h, "pull", "mail") >= pulls + 2, "it has tried some times in vain")
        daemon.wait(lambda: runs(h, "pull", "exports") >= others + 2, "others go on meanwhile")
        assert addresses(*range(2, 22)) == h.tagged()
        h.served["mail"].faults = None
        daemon.wait(lambda: addresses(*range(2, 24)) == h.tagged(), "what waited was sent")
        daemon.wait(lambda: any("pull" in line for line in daemon.events("job_recovered")), "it said that all is well")

        h.served["mail"].faults = sluggish = Sluggish(0.7)
        accounts(h, *range(2, 25))
        daemon.wait(lambda: sluggish.begun, "a batch is on its way")
        daemon.stop()
    assert addresses(*range(2, 25)) == h.tagged(), "the batch in hand was given its time"
    assert [(0,)] == h.ask("SELECT count(*) FROM intents WHERE settled_at IS NULL")
    assert [1, 1] == [len(daemon.events(name)) for name in ("vendor_went_away", "vendor_came_back")], daemon.lines
    failed = [line["pull"] for line in daemon.events("job_failed") if "pull" in line]
    assert ["mail"] == failed, "one line when it went"
    assert ["mail"] == [line["pull"] for line in daemon.events("job_recovered") if "pull" in line], "and one when it returned"
    assert daemon.events("daemon_stopped")[0]["clean"]
    log = h.boxes["mail"].change_log
    assert 25 + 2 == len(log), "nobody was added or removed needlessly"
    assert [(0,)] == h.ask("SELECT count(*) FROM leases")
    text = json.dumps(daemon.lines)
    assert "@example.com" not in text
    assert not any(secret in text for secret in h.environ.values())


def test_a_restart_neither_skips_nor_repeats(house: Callable[..., House]):
    h = house("mail")
    h.boxes["mail"].load("members", [h.member(n) for n in range(30)])
    accounts(h, *range(20))
    h.write_config(SOURCE.replace("1s", "1h"), VIP, VIPS_TO_MAIL + 'schedule = "1h"\n', schedule="1h")
    h.served["mail"].faults = sluggish = Sluggish(600)

    with running(h, grace_s=0.5) as daemon:
        daemon.wait(lambda: daemon.events("daemon_started"), "it started")
        daemon.wait(lambda: sluggish.begun, "a batch is on its way")
        daemon.stop()  # a vendor that hangs cannot keep it
    assert not daemon.events("daemon_stopped")[0]["clean"]
    assert set() == h.tagged()
    h.served["mail"].faults = None

    with running(h) as daemon:  # an hour has not passed: only what was interrupted is due
        daemon.wait(lambda: "done" in statuses(h, "sync", "vips"), "it was seen through")
        time.sleep(0.5)
        daemon.stop()
    assert addresses(*range(20)) == h.tagged()
    assert [(0,)] == h.ask("SELECT count(*) FROM intents WHERE settled_at IS NULL")
    assert [["done"], ["done"]] == [statuses(h, "pull", name) for name in ("mail", "exports")]
    before = statuses(h, "sync", "vips")
    assert ["done"] == before[-1:]

    accounts(h, *range(1, 21))
    hours_ago(h, 5)
    with running(h) as daemon:  # five of each were missed, and one makes up for them
        daemon.wait(lambda: addresses(*range(1, 21)) == h.tagged(), "what was missed is made up for")
        time.sleep(0.5)
        daemon.stop()
    assert [["done"] * 2, ["done"] * 2] == [statuses(h, "pull", name) for name in ("mail", "exports")]
    assert [*before, "done"] == statuses(h, "sync", "vips")
    assert 22 == len(h.boxes["mail"].change_log), "everybody was sent once"


def statuses(h: House, kind: str, name: str) -> list[str]:
    rows = h.ask("SELECT status FROM runs WHERE kind = ? AND name = ? AND finished_at IS NOT NULL ORDER BY id", kind, name)
    return [status for (status,) in rows]


def hours_ago(h: House, hours: int) -> None:
    """Let everything so far have happened some hours earlier."""
    by = hours * 3_600_000_000
    conn = sqlite3.connect(h.database)
    with conn:
        conn.execute("UPDATE runs SET started_at = started_at - ?1, finished_at = finished_at - ?1", (by,))
        conn.execute("UPDATE streams SET completed_at = completed_at - ?1, finished_at = finished_at - ?1", (by,))
    conn.close()


def test_two_daemons_on_one_store_are_one_too_many(house: Callable[..., House]):
    h = house("mail")
    accounts(h, 1)
    h.write_config(SOURCE, VIP, VIPS_TO_MAIL)

    with running(h) as daemon:
        daemon.wait(lambda: daemon.events("daemon_started"), "it started")
        assert "daemon" in h.run("run", code=1).err
        assert h.run("status", "--json").json["daemon"]
        daemon.stop()
    assert not h.run("status", "--json").json["daemon"]


@pytest.mark.parametrize("wrong", ['where = "nonsense ="', 'were = "paying"'])
def test_it_does_not_start_with_a_config_that_is_wrong(house: Callable[..., House], wrong: str):
    h = house()
    h.write_config(SOURCE, f"\n[segments.vip]\n{wrong}\n")

    assert "tagalong.toml" in h.run("run", code=2).err

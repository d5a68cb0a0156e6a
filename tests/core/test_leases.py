"""One owner at a time, and an owner who is gone is replaced at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import to_us
from core.errors import LeaseLost, StoreError
from core.store import Store, leases
from core.store.leases import EXPIRES_S, UNSEEN_S, hold, is_held, process_started


def _owner(store: Store, host: str, pid: int, started: str, at: int) -> None:
    with store.atomic() as conn:
        conn.execute(
            "INSERT OR REPLACE INTO leases VALUES ('sync.a', 'other', ?, ?, ?, ?, ?, NULL)", (host, pid, started, at, at)
        )


def test_a_second_owner_is_refused_until_the_first_lets_go(store: Store, store_path: Path, clock: Any) -> None:
    """Also inside one process: the daemon's threads are owners like any other."""
    with hold(store_path, "sync.a", clock):
        assert is_held(store.conn, "sync.a", clock)
        with pytest.raises(LeaseLost, match="is at it"), hold(store_path, "sync.a", clock):
            pytest.fail("two owners")
        with hold(store_path, "sync.b", clock) as other:
            assert "sync.b" == other.name
    assert not is_held(store.conn, "sync.a", clock)
    with hold(store_path, "sync.a", clock):
        pass


def test_an_owner_who_is_gone_is_replaced_at_once(store: Store, store_path: Path, clock: Any) -> None:
    """A process that was killed left its lease; another process of the same number is not it."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid, started in ((gone.pid, "1"), (os.getpid(), "an earlier process of this number")):
        _owner(store, socket.gethostname(), pid, started, to_us(clock()))
        with hold(store_path, "sync.a", clock):
            pass


def test_a_living_process_of_this_host_keeps_it_however_silent(store: Store, store_path: Path, clock: Any) -> None:
    """It may be busy for long; it is there."""
    long_ago = to_us(clock() - timedelta(days=1))
    _owner(store, socket.gethostname(), os.getppid(), process_started(os.getppid()) or "", long_ago)

    with pytest.raises(LeaseLost), hold(store_path, "sync.a", clock):
        pytest.fail("two owners")


def test_a_copy_of_the_file_does_not_wait_for_whoever_uses_the_other(store: Store, store_path: Path, clock: Any) -> None:
    """A copy made beside a daemon has its lease, of a process that lives on and never renews it here."""
    _owner(store, socket.gethostname(), os.getppid(), process_started(os.getppid()) or "", to_us(clock()))
    here = store_path.stat()
    for file, free in ((None, False), (f"{here.st_dev}:{here.st_ino}", False), (f"{here.st_dev}:{here.st_ino + 1}", True)):
        with store.atomic() as conn:
            conn.execute("UPDATE leases SET file = ?", (file,))
        with pytest.raises(LeaseLost, match="a copy of" if free else "wait for it"), hold(store_path, "sync.a", clock):
            pytest.fail("it may be alive")
        clock.advance(timedelta(seconds=EXPIRES_S + 1))
        assert free is not is_held(store.conn, "sync.a", clock)
        if not free:
            with pytest.raises(LeaseLost, match="hangs or is stopped; end it"), hold(store_path, "sync.a", clock):
                pytest.fail("two owners")
            clock.advance(timedelta(seconds=-EXPIRES_S - 1))
    with hold(store_path, "sync.a", clock), Store(store_path) as other:
        assert [(f"{here.st_dev}:{here.st_ino}",)] == other.conn.execute("SELECT file FROM leases").fetchall()


def test_a_lease_that_could_not_be_let_go_is_free(
    store: Store, store_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was full when it was to be let go. A daemon lives on, and would wait for itself until it is started anew."""

    def full(path: Path) -> None:
        raise StoreError("the disk is full")

    with hold(store_path, "sync.a", clock):
        monkeypatch.setattr("core.store.leases.Store", full)
    monkeypatch.undo()
    assert [("sync.a",)] == store.conn.execute("SELECT name FROM leases").fetchall()

    assert not is_held(store.conn, "sync.a", clock)
    with hold(store_path, "sync.a", clock):
        pass


def test_an_owner_on_another_host_is_replaced_when_it_has_been_silent(store: Store, store_path: Path, clock: Any) -> None:
    """Nobody can look at its processes."""
    _owner(store, "elsewhere", 1, "1", to_us(clock() - timedelta(seconds=EXPIRES_S)))
    with pytest.raises(LeaseLost), hold(store_path, "sync.a", clock):
        pytest.fail("two owners")
    clock.advance(timedelta(seconds=1))
    with hold(store_path, "sync.a", clock):
        pass


def test_an_owner_in_another_container_of_the_same_name_is_not_taken_for_gone(
    store_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the network of the host, or in one pod, containers share its name; none sees the processes of the others."""
    with hold(store_path, "sync.a", clock):
        monkeypatch.setattr(leases, "_processes", lambda: "pid:[another]")
        monkeypatch.setattr(leases, "process_started", lambda _pid: "some other process 1")
        with pytest.raises(LeaseLost), hold(store_path, "sync.a", clock):
            pytest.fail("two owners")
        clock.advance(timedelta(seconds=UNSEEN_S + 1))
        with hold(store_path, "sync.a", clock):
            pass


def test_a_lease_that_was_taken_over_stops_the_next_write(store: Store, store_path: Path, clock: Any) -> None:
    """A process that slept through it changes nothing more."""
    with hold(store_path, "sync.a", clock) as lease:
        with store.atomic() as conn:
            lease.check(conn)
        _owner(store, "elsewhere", 1, "1", to_us(clock()))
        with pytest.raises(LeaseLost), store.atomic() as conn:
            conn.execute("INSERT INTO settings VALUES ('x', 'y')")
            lease.check(conn)
    assert [] == store.conn.execute("SELECT * FROM settings WHERE key = 'x'").fetchall()
    assert is_held(store.conn, "sync.a", clock)

"""What systemd is told of the daemon, over a socket of the test's own."""

from __future__ import annotations

import configparser
import socket
import threading
from pathlib import Path

import pytest
from support.story import Story
from test_timetable import timetable

from core.log import configure
from core.service.daemon import run_daemon
from core.service.notify import Told, notifier
from core.service.scheduler import Daemon
from core.store import Store

UNIT = Path(__file__).parents[2] / "docs" / "deploy" / "tagalong.service"


def listening(address: str) -> socket.socket:
    """Return whoever hears what is sent to *address*."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    opened.bind(address)
    opened.settimeout(60)
    return opened


def test_the_daemon_says_that_it_is_ready_that_it_turns_and_that_it_ends(tmp_path: Path) -> None:
    """Ready once, with its lease in hand; then that its loop turns, which the lease, renewed by a thread, does not tell."""
    hub = Story(tmp_path).hub()
    hub.environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    configure("critical")
    daemon = threading.Thread(target=run_daemon, args=(hub,))
    with listening(str(tmp_path / "notify")) as manager:
        daemon.start()
        heard = [manager.recv(100).decode() for _ in range(2)]
        hub.stop.set()
        daemon.join(60)
        while heard[-1] != Told.ENDS:
            heard.append(manager.recv(100).decode())

    assert [Told.READY, Told.TURNS] == heard[:2]
    assert {Told.TURNS} >= set(heard[2:-1])


def test_a_loop_that_hangs_says_nothing_more(tmp_path: Path) -> None:
    """So it is found out: its process lives, and its lease is renewed."""
    hung, told, stop = threading.Event(), [], threading.Event()

    def hang() -> None:
        hung.set()
        stop.wait(60)

    table = timetable([], [])
    path = tmp_path / "tagalong.db"
    daemon = Daemon(table, None, lambda: Store(path).conn, stop=stop, tick_s=0.01, renew=hang, tell=told.append)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    assert hung.wait(60)
    before = list(told)
    stop.set()
    thread.join(60)

    assert [Told.READY] == before


def test_a_name_with_an_at_is_no_file(tmp_path: Path) -> None:
    """As systemd writes the address of an abstract socket."""
    with listening(f"\0tagalong-{tmp_path}") as manager:
        notifier({"NOTIFY_SOCKET": f"@tagalong-{tmp_path}"})(Told.READY)
        assert Told.READY == manager.recv(100).decode()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_nobody_who_listens_is_no_reason_to_stop(environ: dict[str, str]) -> None:
    notifier(environ)(Told.READY)


def test_the_unit_waits_for_what_the_daemon_says() -> None:
    """An upgrade of a big database takes long: with systemd's own 90 s it would be killed, and begun anew for ever."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]

    assert ("notify", "infinity", "5min") == (service["Type"], service["TimeoutStartSec"], service["WatchdogSec"])
    assert ("on-failure", "2") == (service["Restart"], service["RestartPreventExitStatus"])  # 2: a wrong config, and that alone
    assert "SIGKILL" == service["WatchdogSignal"]  # SIGABRT would leave a core, with people and secrets in it

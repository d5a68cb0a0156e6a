"""
`tagalong sync` as a process of its own, in a storm: it keeps the vendors' limits in shared time, and dies as ordered.

The points at which it may die, and the forking, are `tests/kills/victim.py`'s.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sharedtime import SharedTime
from victim import GIVE_UP_S, Fate, main, place

import core.store.db
from core.cli import main as tagalong
from core.cli.app import App
from core.http import open_api
from core.hub import Hub

CAPABILITIES_V3, OVERRIDE_PERMISSIONS = 0x20080522, 1  # linux/capability.h


@dataclass(slots=True)
class Stormy(App):
    """The command line's App, its waits passing in the storm's time."""

    shared: SharedTime | None = None
    timeout_s: float = 1.0

    def hub(self, *, level: str = "critical", **options: Any) -> Hub:
        assert self.shared is not None
        opener = functools.partial(open_api, seconds=self.shared.now, timeout=self.timeout_s)
        return App.hub(self, level="critical", opener=opener, sleep=self.shared.sleep, **options)


def become_mortal() -> None:
    """Root may write everywhere: let this process respect permissions like others do."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(header, data):
        os._exit(77)
    data[0] &= ~(1 << OVERRIDE_PERMISSIONS)
    data[1] &= ~(1 << OVERRIDE_PERMISSIONS)
    if libc.capset(header, data):
        os._exit(77)


def run(order: Mapping[str, Any], told: int) -> int:
    """Carry out one order; returns only where nothing was to kill it."""
    signal.alarm(GIVE_UP_S)
    with Path(order["output"]).open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    if order["mortal"]:
        become_mortal()
    core.store.db.BUSY_TIMEOUT_S = order["busy_s"]
    fate = Fate(told, order["point"], order["nth"], order["after_s"], order["linger_s"], by=order["by"])
    place(fate)
    shared = SharedTime(Path(order["shared"]))
    offset = timedelta(seconds=order["offset_s"])
    app = Stormy(
        Path(order["config"]),
        clock=lambda: datetime.fromtimestamp(shared.look(), UTC) + offset,
        shared=shared,
        timeout_s=order["timeout_s"],
    )
    with shared.stamping():
        code = tagalong.main(["sync"], standalone_mode=False, obj=app)
    with suppress(OSError):
        sys.stdout.flush()
    fate.tell()
    return int(code)


if __name__ == "__main__":
    main(run)

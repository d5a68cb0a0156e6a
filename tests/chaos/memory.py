"""
Whether one process stays as large as it is over many runs: the hub here, its vendors and the weather in another process.

The world lives on every tenth run, requests are spoiled in every one.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any, Final

from hubs import BATCH, STORMY_TIMEOUT_S, hub_of, small_batches
from killing import Victims
from scene import Scene
from sharedtime import SharedTime
from weather import ANSWERS, Weather

from core.demo.cast import cast
from core.errors import HubError
from core.run import sync

WARM: Final = 100
"""Runs before memory is looked at: caches fill."""
WINDOW: Final = 100
FLAT: Final = 1.1
"""The last runs may take so many times what the first took: allocators are no clockwork."""


def own_mb() -> float:
    """Return what this process holds of memory of its own: the mapped pages of the database are the system's to take back."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1000


def runs_in_one_process(folder: Path, *, runs: int, seed: int) -> dict[str, Any]:
    """Run `sync` so often in this process and return how its memory went."""
    here, there = multiprocessing.Pipe()
    vendors = multiprocessing.get_context("spawn").Process(target=_vendors, args=(there, folder, seed), daemon=True)
    vendors.start()
    config, path, offset_s = here.recv()
    shared, memory, ended, began = SharedTime(Path(path)), [], Counter[str](), time.monotonic()
    with shared.stamping(), small_batches(cast({}), BATCH):
        for number in range(runs):
            here.send("live" if number % 10 == 0 else "wait")
            offset_s = here.recv()
            try:
                with hub_of(Path(config), shared, timedelta(seconds=offset_s), timeout_s=STORMY_TIMEOUT_S) as hub:
                    ended[str(sync(hub).status)] += 1
            except HubError as error:
                ended[type(error).__name__] += 1
            memory.append(own_mb())
    size_mb = (Path(config).parent / "tagalong.db").stat().st_size / 1e6
    here.send("end")
    spoiled = here.recv()
    vendors.join()
    window = min(WINDOW, max(1, runs // 4))
    first, last = mean(memory[min(WARM, runs // 4) :][:window]), mean(memory[-window:])
    return {
        "ok": last <= first * FLAT,
        "runs": runs,
        "runs_by_outcome": dict(ended.most_common()),
        "faults": spoiled,
        "own_mb_first_runs": round(first, 1),
        "own_mb_last_runs": round(last, 1),
        "ratio": round(last / first, 3),
        "own_mb_every_100_runs": [round(one, 1) for one in memory[::100]],
        "database_mb": round(size_mb, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def _vendors(pipe: Connection, folder: Path, seed: int) -> None:
    """Serve the vendors of one world until told that it is enough."""
    random = Random(seed)
    with ExitStack() as stack:
        victims = stack.enter_context(Victims())
        scene = Scene(folder / "memory", victims, seed=seed)
        scene.open(stack)
        weather = Weather(f"memory {seed}", share=0.03, kinds=ANSWERS)
        scene.proxy.weather = weather
        pipe.send((str(scene.config), str(scene.folder / "shared-time"), scene.offset.total_seconds()))
        while (told := pipe.recv()) != "end":
            if told == "live":
                scene.live(random)
            scene.offset += timedelta(minutes=20)
            for front in scene.proxy.fronts.values():
                front.seen.clear()
            scene.proxy.forget_answers()
            pipe.send(scene.offset.total_seconds())
        pipe.send(weather.spoiled.total())

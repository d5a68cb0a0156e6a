"""
Whether one process stays as large as it is over many runs: the hub here, its vendors and the weather in another process.

Requests are spoiled in every run, the world lives on at every tenth and stays about as large as it was, and somebody looks
after the hub: lets through what is held, tries dead letters again, repairs drift, prunes history. So runs go on moving members.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any, Final

from hubs import BATCH, STORMY_TIMEOUT_S, hub_of, small_batches
from killing import Victims
from mending import retry_dead_letters
from scene import Scene
from sharedtime import SharedTime
from weather import ANSWERS, Weather

from core.contract import Op, Verdict
from core.demo.cast import cast
from core.demo.people.model import World
from core.errors import HubError
from core.hub import Hub
from core.live.repair import drift
from core.planning.approve import approve
from core.run import SyncReport, sync
from core.upkeep.prune import prune_now

WARM: Final = 100
"""Runs before memory is looked at: caches fill."""
WINDOW: Final = 100
FLAT: Final = 1.1
"""The last runs may take so many times what the first took: allocators are no clockwork."""
STEP: Final = timedelta(minutes=70)
"""From one run to the next: 1,000 runs are longer than history is kept, and tokens end in between."""
RETENTION: Final = 'retention = { runs = "35d", memberships = "35d", field_history = "35d", dead_letters = "35d" }'
LIVES: Final = 10
"""Runs from one change of the world to the next."""
LOOKED_AFTER: Final = 25
"""Runs from one look at dead letters, drift and history to the next."""


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
    database = Path(config).parent / "tagalong.db"
    shared, memory, sizes, cpu, did = SharedTime(Path(path)), [], [], [], Counter[str]()
    began = time.monotonic()
    with shared.stamping(), small_batches(cast({}), BATCH):
        for number in range(runs):
            here.send("live" if number % LIVES == 0 else "wait")
            offset_s = here.recv()
            cpu.append(-time.process_time())
            with hub_of(Path(config), shared, timedelta(seconds=offset_s), timeout_s=STORMY_TIMEOUT_S) as hub:
                _run(hub, number, did)
            cpu[-1] += time.process_time()
            memory.append(own_mb())
            sizes.append(database.stat().st_size / 1e6)
    here.send("end")
    spoiled, people = here.recv()
    vendors.join()
    first, last = _first_and_last(memory)
    return {
        "ok": last <= first * FLAT,
        "runs": runs,
        "done": dict(did.most_common()),
        "faults": spoiled,
        "people": people,
        "own_mb_first_runs": round(first, 1),
        "own_mb_last_runs": round(last, 1),
        "ratio": round(last / first, 3),
        "own_mb_most_between_runs": round(max(memory), 1),
        "own_mb_every_100_runs": [round(one, 1) for one in memory[::100]],
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "database_mb_every_100_runs": [round(one, 1) for one in (*sizes[::100], sizes[-1])],
        "cpu_s_a_run_first_and_last": [round(one, 3) for one in _first_and_last(cpu)],
        "seconds": round(time.monotonic() - began, 1),
    }


def _first_and_last(values: Sequence[float]) -> tuple[float, float]:
    """Return the means of the first runs, after those that warm up, and of the last."""
    window, warm = min(WINDOW, max(1, len(values) // 4)), min(WARM, len(values) // 4)
    return mean(values[warm:][:window]), mean(values[-window:])


def _run(hub: Hub, number: int, did: Counter[str]) -> None:
    """Sync once, and do what an operator would then; *did* counts how the runs ended and what was done."""
    try:
        report = sync(hub)
        did[f"run {report.status}"] += 1
        did["members moved"] += sum(
            one.count(op, Verdict.DONE) for run in report.syncs for one in run.reports.values() for op in Op
        )
        _let_through(hub, report, did)
        if number % LOOKED_AFTER == LOOKED_AFTER - 1:
            _look_after(hub, did)
    except HubError as error:
        did[type(error).__name__] += 1


def _let_through(hub: Hub, report: SyncReport, did: Counter[str]) -> None:
    """Approve what is held, for the next run to send it; streams first."""
    asked = {held.approve or made.target.sync.name for one in report.syncs for made in one.plans for held in made.held}
    for name in sorted(asked, key=lambda name: ("." not in name, name)):
        try:
            approve(hub, name, send=False)
        except HubError:  # held for a source, which no approval of a sync lets through
            did["approval refused"] += 1
        else:
            did["approval"] += 1


def _look_after(hub: Hub, did: Counter[str]) -> None:
    retry_dead_letters(hub)
    with hub.store() as store:
        did["drift repaired"] += sum(one.error is None for one in drift(hub, store, repair=True))
    did["rows pruned"] += sum(one.rows for one in prune_now(hub))


def _vendors(pipe: Connection, folder: Path, seed: int) -> None:
    """Serve the vendors of one world until told that it is enough."""
    random = Random(seed)
    with ExitStack() as stack:
        victims = stack.enter_context(Victims())
        scene = Scene(folder / "memory", victims, seed=seed)
        scene.open(stack)
        scene.config.write_text(scene.config.read_text().replace("[workspace]\n", f"[workspace]\n{RETENTION}\n", 1))
        weather = Weather(f"memory {seed}", share=0.03, kinds=ANSWERS)
        scene.proxy.weather = weather
        people = len(scene.world.people)
        pipe.send((str(scene.config), str(scene.folder / "shared-time"), scene.offset.total_seconds()))
        while (told := pipe.recv()) != "end":
            if told == "live":
                _leave(scene.world, random, people, scene.pinned)
                scene.live(random)
            scene.offset += STEP
            for front in scene.proxy.fronts.values():
                front.seen.clear()
            scene.proxy.forget_answers()
            pipe.send(scene.offset.total_seconds())
        pipe.send((weather.spoiled.total(), (people, len(scene.world.people))))


def _leave(world: World, random: Random, people: int, pinned: set[int]) -> None:
    """Let shops go with all their people while there are more than *people*: the world lives on without growing."""
    while len(world.people) > people:
        kept = {person.shop.id for person in world.people if person.shop and person.number in pinned}
        shop = random.choice([shop for shop in world.shops if shop.id not in kept])
        world.shops.remove(shop)
        world.people[:] = [person for person in world.people if person.shop is not shop]

"""
Let everything go wrong that can, N times, and look whether any list was hurt.

Worlds of some 250 made-up people are synced through a proxy that spoils requests, by processes that are killed, on a disk that
fills up, with a clock that is set, while the people live on. After every storm the weather clears and one run, with the
approvals that the guards ask for, must make each list what the generator of the people says. Prints one JSON object; exit 1 for
a violation, or where the time ran out before the faults and kills were reached.

    python bench/chaos.py --faults 20000 --kills 500 --seed 1 --minutes 35 --workers 2
    python bench/chaos.py --memory-runs 1000            only the memory of one process over so many runs
    python bench/chaos.py --replay 1000017 --storm 3    one world again, up to one of its storms
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "kills"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "chaos"))

from killing import Victims
from memory import own_mb, runs_in_one_process
from scene import Scene
from storms import Tally, storm

from core.log import configure

VICTIM = Path(__file__).parent.parent / "tests" / "chaos" / "chaos_victim.py"
STORMS = 6
"""In the life of one world."""
CASTS: tuple[dict[str, str], ...] = (
    {},
    {"survey": "zigpoll", "analytics": "mixpanel"},
    {},
    {"crm": "salesforce", "email": "activecampaign", "survey": "typeform"},
    {"crm": "zoho_crm", "email": "encharge", "analytics": "amplitude"},
)
"""Who plays in one world and the next."""
AHEAD = 1_000_000
"""Seeds of one worker and the next are so far apart."""


def main() -> int:
    """Storm, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=35.0, help="end by then, whatever is done")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory-runs", type=int, default=0, help="measure only the memory of one process over so many runs")
    parser.add_argument("--replay", type=int, help="the seed of a world, as a violation names it")
    parser.add_argument("--storm", type=int, default=STORMS - 1, help="with --replay: the last of its storms")
    options = parser.parse_args()
    configure("critical")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the worlds are swept away whoever ends it
    if options.memory_runs:
        return _memory(options)
    if options.replay is not None:
        return _replay(options)
    return _storms(options)


def _memory(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        found = runs_in_one_process(Path(folder), runs=options.memory_runs, seed=options.seed)
    print(json.dumps(found, indent=2))
    return 0 if found["ok"] else 1


def _replay(options: argparse.Namespace) -> int:
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Victims(VICTIM) as victims:
        _world(Path(folder), victims, options.replay, tally, storms=options.storm + 1)
    print(json.dumps(_described(tally), indent=2))
    return 1 if tally.violations else 0


def _storms(options: argparse.Namespace) -> int:
    began = time.monotonic()
    with multiprocessing.Pool(options.workers) as pool:
        orders = [
            (options.seed + number * AHEAD, options.faults / options.workers, options.kills / options.workers, options.minutes)
            for number in range(options.workers)
        ]
        done = pool.starmap(_worker, orders, chunksize=1)
    tally = Tally()
    for one, _ in done:
        tally += one
    fine = not tally.violations and tally.faults.total() >= options.faults and tally.killed_at.total() >= options.kills
    answer = {
        "ok": fine,
        "seed": options.seed,
        **_described(tally),
        "peak_rss_mb": max(each["peak_rss_mb"] for _, each in done),
        "own_mb_by_worker": [each["own_mb"] for _, each in done],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(answer, indent=2))
    return 0 if fine else 1


def _worker(seed: int, faults: float, kills: float, minutes: float) -> tuple[Tally, dict[str, Any]]:
    """Storm over world after world until enough has gone wrong."""
    tally, memory, until, worlds = Tally(), [], time.monotonic() + minutes * 60, 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Victims(VICTIM) as victims:
        while (tally.faults.total() < faults or tally.killed_at.total() < kills) and time.monotonic() < until:
            _world(Path(folder), victims, seed + worlds, tally, until=until)
            worlds += 1
            memory.append(own_mb())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    quarter = max(1, len(memory) // 4)
    trend = {"first_worlds": round(mean(memory[:quarter]), 1), "last_worlds": round(mean(memory[-quarter:]), 1)}
    return tally, {"peak_rss_mb": round(peak, 1), "own_mb": {**trend, "worlds": worlds}}


def _world(
    folder: Path, victims: Victims, seed: int, tally: Tally, *, storms: int = STORMS, until: float = float("inf")
) -> None:
    """One world from its first day, and its storms."""
    with ExitStack() as stack:
        scene = Scene(folder / f"world-{seed}", victims, seed=seed, chosen=CASTS[seed % len(CASTS)])
        scene.open(stack)
        for number in range(storms):
            if time.monotonic() > until:
                return
            storm(scene, number, tally)
            if tally.violations and tally.violations[-1].startswith(f"seed {seed}, storm {number}:"):
                return  # what is wrong once is wrong from then on: one violation is not to be counted over and over


def _described(tally: Tally) -> dict[str, Any]:
    return {
        "faults": tally.faults.total(),
        "faults_by_kind": {str(kind): tally.faults[kind] for kind in sorted(tally.faults)},
        "kills": tally.killed_at.total(),
        "kills_by_stage": dict(sorted(tally.killed_at.items())),
        "storms": tally.storms,
        "runs": tally.runs,
        "runs_by_outcome": dict(Counter(tally.statuses).most_common()),
        "requests": tally.requests,
        "members_moved": tally.moved,
        "violations": len(tally.violations),
        "violated": [each[:1500] for each in tally.violations[:200]],
    }


if __name__ == "__main__":
    sys.exit(main())

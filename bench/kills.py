"""
Kill `tagalong sync` N times, at a random instant or at a random point, and run it once to the end each time.

Each story is a small world: a first sync, and a sync a week later, each killed (now and then twice; now and then the week
passes before anybody starts it again). Prints one JSON object; exit 1 if a list was wrong, somebody was moved needlessly, or
the time ran out.

    python bench/kills.py --n 200 --seed 1
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "kills"))

from killing import FINE, Ended, Order, Play, Verdict, Victims

AT_ANY_TIME = "any time"
HELD = 4
KNOWN = (7, 389, 868)
"""Seeds of worlds in whose week no guard has anything to hold; others are looked for where that is no longer so."""
CANDIDATES = 30


@dataclass(frozen=True, slots=True)
class World:
    """A world that a sync without a kill serves without holding anything, and what that sync looked like, phase by phase."""

    seed: int
    phases: Sequence[Ended]


@dataclass(slots=True)
class Tally:
    """What came of it all."""

    kills: Counter[str] = field(default_factory=Counter)
    """By point."""
    during: Counter[str] = field(default_factory=Counter)
    """Of those at any time, by what was under way."""
    outlived: int = 0
    """Runs that were done before their time came."""
    runs: int = 0
    late: int = 0
    """Weeks that passed between a kill and the next start."""
    moved: int = 0
    needless: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def judge(self, verdict: Verdict, what: str) -> None:
        self.moved += verdict.moved
        self.needless += [f"{what}: {each}" for each in verdict.needless]
        self.wrong += [f"{what}: {each}" for each in verdict.wrong]


def main() -> int:
    """Kill, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="how many kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0, help="end by then, whatever is done")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the worlds are swept away whoever ends it
    began, random, tally = time.monotonic(), Random(options.seed), Tally()
    with Victims() as victims, tempfile.TemporaryDirectory(prefix="kills-") as folder:
        worlds = list(_worlds(victims, Path(folder), random, tally))
        stories = 0
        while tally.kills.total() < options.n and time.monotonic() - began < options.minutes * 60 and worlds:
            _story(victims, Path(folder) / str(stories), worlds[stories % len(worlds)], random, tally, options.n)
            shutil.rmtree(Path(folder) / str(stories))
            stories += 1
    fine = tally.kills.total() >= options.n and not tally.wrong and not tally.needless
    print(json.dumps(_described(tally, fine, stories, time.monotonic() - began, options), indent=2))
    return 0 if fine else 1


def _worlds(victims: Victims, folder: Path, random: Random, tally: Tally) -> list[World]:
    """Find worlds of whose week the guards hold nothing; what an undisturbed sync does wrong is a violation too."""
    found: list[World] = []
    for seed in (*KNOWN, *random.sample(range(1000, 2000), CANDIDATES)):
        with ExitStack() as stack:
            play = Play(folder / f"undisturbed-{seed}", victims, seed=seed)
            play.open(stack)
            phases: list[Ended] = []
            for week in range(2):
                if week:
                    play.live_a_week()
                ended = play.run()
                phases.append(ended)
                tally.runs += 1
                if ended.code == HELD:
                    break
                tally.judge(play.judge(ended), f"world {seed}, undisturbed, week {week}")
        if phases[-1].code in FINE:
            found.append(World(seed, phases))
        if len(found) == len(KNOWN) or phases[-1].code not in (*FINE, HELD):
            break  # what fails undisturbed would only fail again
    return found


def _story(victims: Victims, folder: Path, world: World, random: Random, tally: Tally, n: int) -> None:
    with ExitStack() as stack:
        play = Play(folder, victims, seed=world.seed)
        play.open(stack)
        killed: list[str] = []
        for week, whole in enumerate(world.phases):
            if week:
                play.live_a_week()
            for _ in range(min(random.choice((1, 1, 1, 2)), n - tally.kills.total())):
                killed.append(_kill(play, _order(random, whole), tally))  # noqa: PERF401 - each kill moves the dice and the tally
            if week == 0 and random.random() < 0.2:
                tally.late += 1
                continue
            ended = play.run()
            tally.runs += 1
            tally.judge(play.judge(ended), f"world {world.seed}, week {week}, killed at {', '.join(killed)}")
            killed.clear()


def _order(random: Random, whole: Ended) -> Order:
    """Half of the kills come at any time of the run, half at a point, at any of its passes."""
    if random.random() < 0.5:
        return Order(after_s=random.uniform(0, whole.took_s))
    point = random.choice(sorted(whole.passed))
    return Order(point, random.randint(1, whole.passed[point]), linger_s=random.choice((0.0, 0.05)))


def _kill(play: Play, order: Order, tally: Tally) -> str:
    ended = play.run(order)
    tally.runs += 1
    if ended.killed:
        tally.kills[order.point or AT_ANY_TIME] += 1
        if order.after_s is not None:
            tally.during[ended.stage] += 1
        where = f"{order.point} {order.nth}" if order.point else f"{order.after_s:.3f} s"
        return f"{where} ({ended.stage}, after {ended.last})"
    tally.outlived += 1
    if ended.code not in FINE:
        tally.wrong.append(f"{order} was not killed, and ended with {ended.code}: {play.output.read_text()[-2000:]}")
    return "no point"


def _described(tally: Tally, fine: bool, stories: int, took_s: float, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "ok": fine,
        "seed": options.seed,
        "kills": tally.kills.total(),
        "kills_by_point": dict(sorted(tally.kills.items())),
        "kills_at_any_time_during": dict(sorted(tally.during.items())),
        "outlived": tally.outlived,
        "stories": stories,
        "weeks_before_the_next_start": tally.late,
        "runs": tally.runs,
        "members_moved": tally.moved,
        "needless_moves": len(tally.needless),
        "wrong_lists": len(tally.wrong),
        "seconds": round(took_s, 1),
        "violations": [each[:500] for each in (*tally.wrong, *tally.needless)][:20],
    }


if __name__ == "__main__":
    sys.exit(main())

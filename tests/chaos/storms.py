"""
Storms: several runs of a hub with everything going wrong that can, the world living on meanwhile, and then the proof.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from random import Random
from typing import Any, Final

from calming import calm
from disk import no_room
from scene import Ran, Scene
from weather import Kind, Weather

POINTS: Final = {
    "pull.page_stored": 8, "resolved": 1, "memberships_recorded": 1, "pull.request_sent": 25, "pull.answer_read": 25,
    "bind.request_sent": 12, "bind.answer_read": 12, "make.request_sent": 8, "make.answer_read": 8, "push.intent_written": 14,
    "push.request_sent": 20, "push.answer_read": 14, "push.outcome_settled": 14, "push.finished": 10,
}  # fmt: skip
"""Where a process may die, and about how often a run passes there."""

JUMPS: Final = (*(timedelta(minutes=n) for n in (3, 20, 100, 400)), timedelta(days=1), timedelta(days=5))
"""How far a clock is set."""


@dataclass(slots=True)
class Happening:
    """What happens to the process in one run, and how the run is made."""

    kind: Kind | None
    run: Callable[[Scene, Random], Ran]
    weight: float


def _plainly(scene: Scene, random: Random) -> Ran:
    return scene.run(full=random.random() < 0.05)


def _halved(scene: Scene, random: Random) -> Ran:
    return scene.run(full=True)


def _killed(scene: Scene, random: Random) -> Ran:
    return _struck(scene, random, signal.SIGKILL, Kind.SIGKILL)


def _terminated(scene: Scene, random: Random) -> Ran:
    return _struck(scene, random, signal.SIGTERM, Kind.SIGTERM)


def _struck(scene: Scene, random: Random, by: int, kind: Kind) -> Ran:
    """A process dies at a point, or at any time."""
    if random.random() < 0.3:
        order: dict[str, Any] = {"after_s": random.uniform(0, 1.5)}
    else:
        point = random.choice(list(POINTS))
        order = {"point": point, "nth": random.randint(1, POINTS[point]), "linger_s": random.choice((0.0, 0.02))}
    ran = scene.run_apart({**order, "by": int(by)})
    assert ran.ended is not None
    if by == signal.SIGKILL and ran.ended.killed:
        scene.faults[kind] += 1
        scene.killed_at[ran.ended.stage] += 1
    elif by == signal.SIGTERM and (
        ran.ended.passed.get(order.get("point", ""), 0) >= order.get("nth", 1) or "after_s" in order
    ):
        scene.faults[kind] += 1
    return ran


def _full_disk(scene: Scene, random: Random) -> Ran:
    scene.faults[Kind.FULL_DISK] += 1
    if scene.disk is None:
        with no_room(scene.folder / "tagalong.db", random.choice((0, 5, 20, 60))):
            return scene.run()
    scene.disk.fill(random.choice((0, 20_000, 100_000, 300_000, 800_000)))
    try:
        ran = scene.run() if random.random() < 0.5 else scene.run_apart({})
    finally:
        scene.disk.empty()
    return ran


def _read_only(scene: Scene, random: Random) -> Ran:
    database = scene.folder / "tagalong.db"
    if not database.exists():
        return scene.run()
    modes = {path: path.stat().st_mode for path in scene.folder.glob("tagalong.db*")}
    for path in modes:
        path.chmod(0o400)
    try:
        ran = scene.run_apart({"mortal": True})
    finally:
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)
    scene.faults[Kind.READ_ONLY] += 1
    return ran


def _second(scene: Scene, random: Random) -> Ran:
    """Another process does the same at the same time; now and then one of the two is killed."""
    found: list[Ran] = []
    order = {"after_s": random.uniform(0.1, 1.0)} if random.random() < 0.3 else {}
    other = threading.Thread(target=lambda: found.append(scene.run_apart(order)))
    other.start()
    ran = scene.run()
    other.join()
    scene.faults[Kind.SECOND] += 1
    for one in found:
        ran.unexpected += one.unexpected
        if one.ended is not None and one.ended.killed:
            scene.faults[Kind.SIGKILL] += 1
            scene.killed_at[one.ended.stage] += 1
    return ran


def _clock(scene: Scene, random: Random) -> Ran:
    """The clock is set, before the run or in the middle of it; afterwards it is right again."""
    by = random.choice(JUMPS)
    kinds = (Kind.CLOCK_FORWARD, Kind.CLOCK_BACK)
    first = random.random() < 0.5
    scene.wind.set(random.choice((0, 5, 15, 40)), by if first else -by)
    scene.wind.at_request()
    ran = scene.run()
    for kind in kinds:  # there, and back to what is right
        scene.faults[kind] += 1
    scene.wind.set(None, timedelta(0))
    return ran


HAPPENINGS: Final = (
    Happening(None, _plainly, 10),
    Happening(Kind.SIGKILL, _killed, 9),
    Happening(Kind.SIGTERM, _terminated, 1.5),
    Happening(Kind.FULL_DISK, _full_disk, 1),
    Happening(Kind.READ_ONLY, _read_only, 0.7),
    Happening(Kind.SECOND, _second, 1.5),
    Happening(Kind.CLOCK_FORWARD, _clock, 1.2),
    Happening(Kind.HALF, _halved, 1.5),
)
HALVED: Final = ("crm", "mail", "billing")


@dataclass(slots=True)
class Tally:
    """What came of all storms so far."""

    faults: Counter[Kind] = field(default_factory=Counter)
    killed_at: Counter[str] = field(default_factory=Counter)
    storms: int = 0
    runs: int = 0
    moved: int = 0
    requests: int = 0
    violations: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    """How runs ended."""

    def __iadd__(self, other: Tally) -> Tally:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        return self


def storm(
    scene: Scene,
    number: int,
    tally: Tally,
    *,
    happenings: Sequence[Happening] | None = None,
    kinds: Sequence[Kind] | None = None,
) -> None:
    """
    Let one storm rage over *scene* and judge what it left.

    *happenings* are what happens to the process, run by run, where it is not left to chance; *kinds* are what happens to
    requests.
    """
    seed = f"{scene.seed}:{number}"
    random = Random(f"storm {seed}")
    weather = Weather.of(seed)
    if kinds is not None:
        weather.kinds, weather.share = kinds, 0.2
    scene.faults.clear()
    scene.killed_at.clear()
    before = scene.runs, scene.watch.moved, scene.proxy.requests
    wrong: list[str] = []
    halved = False
    for n in range(random.randint(2, 5) if happenings is None else len(happenings)):
        if n or number:
            scene.live(random)
        one = happenings[n] if happenings is not None else _by_chance(random, first=not number)
        weather.fair = random.choice((0, 0, 12, 20, 30, 60))
        weather.away = frozenset({random.choice(list(scene.connectors))} if random.random() < 0.05 else ())
        weather.half = frozenset({random.choice(HALVED)} if one.kind is Kind.HALF else ())
        halved |= one.kind is Kind.HALF
        scene.proxy.weather = weather
        ran = one.run(scene, random)
        tally.statuses[ran.status] += 1
        wrong += [f"unexpected: {each}" for each in ran.unexpected]
        wrong += scene.judge()
    if random.random() < 0.5:
        scene.live(random)
    wrong += calm(scene, full=halved, look=bool(weather.spoiled[Kind.LOST]))
    tally.faults += weather.spoiled + scene.faults
    tally.killed_at += scene.killed_at
    tally.storms += 1
    tally.runs += scene.runs - before[0]
    tally.moved += scene.watch.moved - before[1]
    tally.requests += scene.proxy.requests - before[2]
    tally.violations += [f"seed {scene.seed}, storm {number}: {each}" for each in wrong]


def _by_chance(random: Random, *, first: bool) -> Happening:
    """Draw what happens to a process; of a source that was never there nobody can tell that half of it is missing."""
    able = [one for one in HAPPENINGS if not (first and one.kind is Kind.HALF)]
    return random.choices(able, [one.weight for one in able])[0]

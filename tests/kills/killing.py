"""
A small world on a stage, a hub that is killed, and what must be true when it has run once more.

`Play` serves the sandboxes of the demo in this process and lets `victim` run `tagalong sync` against them in another. What is
right is said by the generator of the people and by the sandboxes' own change logs.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from core.config.load import load_config
from core.demo.cast import cast
from core.demo.compare import compare
from core.demo.config import Role, demo_config
from core.demo.people.make import make_world, subscribe
from core.demo.people.model import World
from core.demo.people.week import WEEK, live_a_week
from core.demo.product import write_exports
from core.demo.said import REPORTED, evaluated_at
from core.demo.stage import DemoClock, Stage
from core.http import open_api
from core.hub import Hub
from core.pushing.targets import Target
from core.run import plan
from core.sandbox import as_settings, serve
from core.store import Store, leases

ROOT: Final = Path(__file__).parents[2]
VICTIM: Final = Path(__file__).with_name("victim.py")
HOUR: Final = timedelta(hours=1)
PEOPLE: Final = 250
TRIALS: Final = 22
"""Of which the week converts ten: with fewer, the guard against a list that loses half of its members would rightly hold."""
FREE: Final = 6
"""So many shops of those that pay nothing begin a trial within the week."""
BATCH: Final = 7
FINE: Final = (0, 3)
"""Exit codes of a run that sent all that there was to send."""

Lists = Mapping[str, Mapping[str, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    code: int
    """Negative: the signal that killed it."""
    passed: Mapping[str, int]
    last: str
    """The last point passed."""
    stage: str
    """What it was at."""
    took_s: float

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Victims:
    """The process that forks a victim for each order; a context manager that leaves nobody behind."""

    def __init__(self, script: Path = VICTIM, *, batch: int = BATCH) -> None:
        command = [sys.executable, str(script), str(batch)]
        environ = {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "PATH": "/usr/bin:/bin"}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()  # no more orders: it ends by itself

    def order(self, order: Mapping[str, Any]) -> Ended:
        """Run `tagalong sync` and return how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the victims' process ended with {self._process.wait()}")
        return Ended(**json.loads(line))


@dataclass(frozen=True, slots=True)
class Order:
    """Where or when a run dies; neither: it goes to its end."""

    point: str | None = None
    nth: int = 1
    after_s: float | None = None
    linger_s: float = 0.0


@dataclass(slots=True)
class Verdict:
    """What was found after a phase."""

    wrong: list[str] = field(default_factory=list)
    """Lists, skips and leftovers that are not as they must be."""
    needless: list[str] = field(default_factory=list)
    """Members who were moved more than was called for."""
    moved: int = 0


@dataclass(slots=True)
class Play:
    """One world, its sandboxes and its hub."""

    folder: Path
    victims: Victims
    seed: int = 7
    people: int = PEOPLE
    clock: DemoClock = field(default_factory=lambda: DemoClock(-(WEEK + 2 * HOUR)))
    world: World = field(init=False)
    stage: Stage = field(init=False)
    before: Lists = field(default_factory=dict)
    _logged: dict[str, int] = field(default_factory=dict)

    def open(self, stack: ExitStack) -> None:
        """Make the world and serve its tools for as long as *stack* lasts."""
        self.world = make_world(self.clock(), people=self.people, seed=self.seed)
        self._more_trials()
        connectors = cast({})
        boxes = {name: made.sandbox(now=self.clock, rate_factor=math.inf) for name, made in connectors.items()}
        self.stage = Stage(boxes)
        self.stage.tell(self.world)
        self.clock.advance(HOUR)
        served = stack.enter_context(serve(boxes))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_exports(self.folder, self.world, week=1)
        roles = {}
        for name, made in connectors.items():
            settings = {key: value for key, value in as_settings(served[name]).items() if key != "base_url"}
            roles[name] = Role(made.name, served[name].base_url, settings, next(iter(made.audiences), ""))
        self.config.write_text(demo_config(roles), encoding="utf-8")
        self._begin()

    @property
    def config(self) -> Path:
        return self.folder / "tagalong.toml"

    @property
    def output(self) -> Path:
        """What the runs of this phase printed."""
        return self.folder / "output.txt"

    def _more_trials(self) -> None:
        random = Random(self.seed)
        paying = {p.shop.id for p in self.world.people if p.shop and p.subscription}
        free = {p.shop.id: p for p in self.world.people if p.shop and p.contact_id and p.shop.id not in paying}
        for person in list(free.values())[FREE:][:TRIALS]:
            subscribe(self.world, random, person, status="trialing")

    def live_a_week(self) -> None:
        """Let everybody live a week, and begin the next phase."""
        week = live_a_week(self.world, seed=self.seed + 1)
        self.clock.advance(WEEK - HOUR)
        self.stage.tell(self.world, {loser: str(winner.contact_id) for winner, loser in week.merged})
        write_exports(self.folder, self.world, week=2)
        self.clock.advance(HOUR)
        self._begin()

    def _begin(self) -> None:
        self.output.write_text("", encoding="utf-8")
        self.before = self.lists()
        self._logged = {name: len(box.change_log) for name, box in self.stage.sandboxes.items()}

    def lists(self) -> Lists:
        """Return what the sandboxes' lists hold."""
        return {name: box.audiences() for name, box in self.stage.sandboxes.items()}

    def run(self, order: Order | None = None) -> Ended:
        """Run `tagalong sync` in a process of its own."""
        return self.victims.order(
            {
                **asdict(order or Order()),
                "config": str(self.config),
                "output": str(self.output),
                "offset_s": self.clock.offset.total_seconds(),
            }
        )

    def judge(self, ended: Ended) -> Verdict:
        """Say what is wrong after the run of a phase that went to its end."""
        found = Verdict()
        if ended.code not in FINE:
            found.wrong.append(f"the run to the end ended with {ended.code}: {self.output.read_text()[:2000]}")
            return found
        found.wrong += self._differences()
        found.wrong += self._left_over()
        found.moved = self._count_moves(found.needless)
        return found

    def _differences(self) -> list[str]:
        """Hold lists and skips against the generator; a plan made now has nothing to send."""
        wrong = []
        with Hub(load_config(self.config, {}), clock=self.clock, opener=_hurried) as hub, hub.store() as store:
            plans = plan(hub)
            skips = {
                made.label: {
                    str(why): _addresses(store, who) - self._arrived(store, made.target)
                    for why, who in made.skips.items()
                    if str(why) in REPORTED
                }
                for made in plans
            }
            wrong += [f"{made.label} would still move {made.size}" for made in plans if made.size]
            wrong += [f"{made.label} is held: {held.reason}" for made in plans for held in made.held]
        return wrong + compare(self.world, evaluated_at(self.folder), self.lists(), self.before, skips).wrong

    def _arrived(self, store: Store, target: Target) -> set[str]:
        """Return who was sent, never confirmed, and is there: who of them said no since is told of as skipped, and stays."""
        rows = store.conn.execute("SELECT profile_id FROM ledger WHERE state = 'unsure' AND sync = ?", (target.label,))
        return _addresses(store, [row[0] for row in rows]) & _lowered(self.before[target.connection], target.name)

    def _left_over(self) -> list[str]:
        """Look for what a dead process may have left in the store."""
        with Store(self.folder / "tagalong.db", read_only=True) as store:
            intents = store.conn.execute("SELECT count(*) FROM intents WHERE settled_at IS NULL").fetchone()[0]
            # a dead owner's row may stay until somebody wants the lease; what matters is that it holds nobody off
            held = [n for (n,) in store.conn.execute("SELECT name FROM leases") if leases.is_held(store.conn, n, self.clock)]
            unsound = [row[0] for row in store.conn.execute("PRAGMA integrity_check") if row[0] != "ok"]
        left = [f"{intents} intents were never settled"] if intents else []
        return [*left, *(f"the lease {name} is still held" for name in held), *unsound]

    def _count_moves(self, needless: list[str]) -> int:
        """Hold each member's lines in the change logs against where they were before and are now."""
        now, moved = self.lists(), 0
        for name, box in self.stage.sandboxes.items():
            lines: dict[tuple[str, str], list[str]] = {}
            for line in box.change_log[self._logged[name] :]:
                lines.setdefault((line.audience, line.member), []).append(str(line.op))
                moved += 1
            for (audience, member), did in lines.items():
                was = member in _lowered(self.before[name], audience)
                there = member in _lowered(now[name], audience)
                if did != _needed(was, there):
                    needless.append(f"{name} {audience!r}: a member was in it: {was}, is: {there}, and in between {did}")
        return moved


def _addresses(store: Store, profiles: Iterable[int]) -> set[str]:
    rows = store.conn.execute(
        "SELECT lower(email) FROM profiles WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(profiles)),)
    )
    return {row[0] for row in rows}


def _lowered(lists: Mapping[str, frozenset[str]], audience: str) -> set[str]:
    return {member.lower() for member in lists.get(audience, frozenset())}


def _needed(was: bool, there: bool) -> list[str]:
    if was == there:
        return []
    return ["add"] if there else ["remove"]


def _hurried(*args: Any, **options: Any) -> Any:
    return open_api(*args, limits=(), **options)

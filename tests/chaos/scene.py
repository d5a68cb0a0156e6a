"""
One world, its vendors behind the proxy, and its hub: runs in all kinds of weather, and what must never happen in any.
"""

from __future__ import annotations

import signal
import sqlite3
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from disk import SmallDisk, small_disk
from hubs import BATCH, CALM_TIMEOUT_S, STORMY_TIMEOUT_S, hub_of, small_batches
from killing import Ended, Victims
from living import live_a_while
from proxy import Proxy
from setting import more_trials, people_by_hand, put_by_hand, roles_of
from sharedtime import SharedTime
from watch import Watch, above_the_rate, subscribing
from weather import Kind

from core.clock import from_us
from core.demo.cast import cast
from core.demo.config import demo_config
from core.demo.people.make import make_world
from core.demo.people.model import World
from core.demo.product import write_exports
from core.demo.stage import Stage
from core.errors import HubError
from core.hub import Hub
from core.pulling.fill import PullRun
from core.pushing.delivery import SyncRun
from core.registry import Connector
from core.run import SyncReport, sync
from core.store import Store

HOUR: Final = timedelta(hours=1)
PEOPLE: Final = 250
UNHURRIED: Final = 1_000_000.0
"""Times its vendor's rate that a sandbox allows: the proxy looks at the rate, by a clock that the hub goes by too."""
BUSY_S: Final = 2.0
"""How long a store that is locked is waited for: the wall's seconds, so few."""


@dataclass(slots=True)
class Ran:
    """How a run ended."""

    status: str
    unexpected: list[str] = field(default_factory=list)
    """Errors that nobody foresaw: each is a fault in the hub."""
    report: SyncReport | None = None
    ended: Ended | None = None


class Wind:
    """Moves the hub's clock while it runs, at a request of the storm's choice."""

    def __init__(self) -> None:
        self.jump = timedelta(0)
        self._at: int | None = None
        self._by = timedelta(0)

    def set(self, at: int | None, by: timedelta) -> None:
        """Let the clock jump *by* at the *at*th request from now."""
        self.jump, self._at, self._by = timedelta(0), at, by

    def at_request(self) -> None:
        """Count a request."""
        if self._at is not None:
            self._at -= 1
            if self._at <= 0:
                self.jump, self._at = self._by, None


@dataclass(slots=True)
class Scene:
    """Everything that storms rage over. A context: `open` it on a stack."""

    folder: Path
    victims: Victims
    seed: int = 1
    chosen: Mapping[str, str] = field(default_factory=dict)
    """Who plays which part, as `core.demo.cast` takes it; the usual ones where nothing is said."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `core.run.sync` is called with besides: guards that are switched off, to see what happens then."""
    unlimited: bool = False
    """Whether the hub keeps no limits, to see that it is noticed."""
    offset: timedelta = timedelta(0)
    faults: Counter[Kind] = field(default_factory=Counter)
    killed_at: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    connectors: Mapping[str, Connector] = field(init=False)
    world: World = field(init=False)
    stage: Stage = field(init=False)
    proxy: Proxy = field(init=False)
    shared: SharedTime = field(init=False)
    watch: Watch = field(init=False)
    disk: SmallDisk | None = None
    random: Random = field(init=False)
    wind: Wind = field(default_factory=Wind)
    pinned: set[int] = field(default_factory=set)
    """Persons, by number, who stay who and where they are."""
    _week: int = 1

    # --- making it ---------------------------------------------------------------------------------------------------

    def open(self, stack: ExitStack) -> None:
        """Make the world and serve its tools for as long as *stack* lasts."""
        self.random = Random(f"scene {self.seed}")
        self.disk = stack.enter_context(small_disk(self.folder))
        self.shared = SharedTime(self.folder / "shared-time")
        stack.callback(self.shared.close)
        self.offset = -2 * HOUR
        self.connectors = cast(self.chosen)
        boxes = {name: made.sandbox(now=self.clock, rate_factor=UNHURRIED) for name, made in self.connectors.items()}
        crm = boxes["crm"]
        self.world = make_world(self.clock(), people=PEOPLE, seed=self.seed, several_addresses=crm.additional_emails)
        more_trials(self.world, self.random)
        if hasattr(boxes["mail"], "list"):
            boxes["mail"].list.tags_unsubscribed = True  # else it would not let the hub do what it must not do
        self.stage = Stage(boxes)
        self.stage.tell(self.world)
        self.offset += HOUR
        self.proxy = Proxy(boxes)
        self.proxy.at_request = self.wind.at_request
        stack.enter_context(self.proxy.serve())
        stack.enter_context(self.shared.stamping())
        stack.enter_context(small_batches(self.connectors, BATCH))
        write_exports(self.folder, self.world, week=self._week)
        self._sign_in()
        people = people_by_hand(self.world, self.random)
        self.pinned |= {person.number for person in people}
        with self.hub(timeout_s=CALM_TIMEOUT_S) as hub:
            self.watch = Watch(self.world, boxes, put_by_hand(hub, boxes, people))
        for front in self.proxy.fronts.values():
            front.seen.clear()

    def _sign_in(self) -> None:
        self.config.write_text(demo_config(roles_of(self.connectors, self.proxy)), encoding="utf-8")
        self.config.chmod(0o600)

    def sign_in_again(self) -> None:
        """Let somebody sign in where a refresh token is good once: the answer with the next one may have been lost."""
        desks = [getattr(box, "desk", None) for box in self.stage.sandboxes.values()]
        if any(desk is not None and desk.rotates for desk in desks):
            self._sign_in()

    @property
    def config(self) -> Path:
        return self.folder / "tagalong.toml"

    def clock(self) -> datetime:
        """The time at the vendors."""
        return datetime.fromtimestamp(self.shared.look(), UTC) + self.offset

    # --- time --------------------------------------------------------------------------------------------------------

    def pass_by(self, span: timedelta) -> None:
        """Let *span* pass for everybody: a vendor's quota of the hour is there again, and a pause is over."""
        self.shared.sleep(span.total_seconds())

    def live(self, random: Random) -> None:
        """Let the world live on for an hour or three, tell the tools, and half an hour pass."""
        span = timedelta(minutes=random.randint(40, 180))
        self.world.now = self.clock()
        merges = self.stage.sandboxes["crm"].merges
        merged = live_a_while(self.world, random, span, pinned=self.pinned, merges=merges)
        self.pass_by(span)
        self.stage.tell(self.world, merged)
        self._week += 1
        write_exports(self.folder, self.world, week=self._week)
        self.pass_by(HOUR / 2)
        self.watch.lived(self.clock())

    # --- runs --------------------------------------------------------------------------------------------------------

    def hub(self, *, timeout_s: float) -> Hub:
        """Return a hub that syncs this scene."""
        limits: dict[str, Any] = {"limits": ()} if self.unlimited else {}
        return hub_of(self.config, self.shared, lambda: self.offset + self.wind.jump, timeout_s=timeout_s, **limits)

    def run(self, *, timeout_s: float = STORMY_TIMEOUT_S, **options: Any) -> Ran:
        """Run `core.run.sync` in this process."""
        self.runs += 1
        ran = Ran("refused")
        try:
            with self.hub(timeout_s=timeout_s) as hub:
                ran.report = sync(hub, **{**self.options, **options})
        except HubError as error:
            ran.status = type(error).__name__
        except OSError as error:
            ran.status = f"OSError {error.errno}"
            if error.errno != 28:
                ran.unexpected.append("".join(traceback.format_exception(error)))
        except Exception as error:
            ran.unexpected.append("".join(traceback.format_exception(error)))
        if ran.report is not None:
            ran.status = str(ran.report.status)
            ended: tuple[PullRun | SyncRun, ...] = (*ran.report.pulls, *ran.report.syncs)
            for one in ended:
                if one.error is not None and not isinstance(one.error, HubError):
                    ran.unexpected.append("".join(traceback.format_exception(one.error)))
        self._after()
        return ran

    def run_apart(self, order: Mapping[str, Any], *, timeout_s: float = STORMY_TIMEOUT_S) -> Ran:
        """Run `tagalong sync` in a process of its own, which may be ordered to die."""
        self.runs += 1
        output = self.folder.parent / f"{self.folder.name}.output"
        output.write_text("", encoding="utf-8")
        blank = {"point": None, "nth": 1, "after_s": None, "linger_s": 0.0, "by": int(signal.SIGKILL), "mortal": False}
        ended = self.victims.order(
            {
                **blank,
                **order,
                "config": str(self.config),
                "output": str(output),
                "offset_s": (self.offset + self.wind.jump).total_seconds(),
                "shared": str(self.folder / "shared-time"),
                "timeout_s": timeout_s,
                "busy_s": BUSY_S,
            }
        )
        said = output.read_text(encoding="utf-8", errors="replace")
        ran = Ran(f"code {ended.code}", ended=ended)
        if "unexpected" in said or "Traceback" in said or ended.code in (70, 77):
            ran.unexpected.append(said[-3000:])
        self._after()
        return ran

    def _after(self) -> None:
        self.proxy.forget_answers()
        moments = {self.clock(), self.clock() + self.wind.jump}
        self.watch.lived(*moments, *self._evaluated_at())

    def _evaluated_at(self) -> list[datetime]:
        """Return as of when recorded runs looked at the people: the last one, and earlier ones by a clock that was ahead."""
        try:
            with Store(self.folder / "tagalong.db", read_only=True) as store:
                found = store.conn.execute("SELECT DISTINCT as_of FROM member_sets").fetchall()
        except (HubError, sqlite3.Error):
            return []
        return [from_us(at) for (at,) in found]

    # --- the proof ---------------------------------------------------------------------------------------------------

    def judge(self) -> list[str]:
        """Return what has gone wrong so far that must never happen."""
        seen = [one for front in self.proxy.fronts.values() for one in front.seen]
        limits = {name: made.manifest.limits for name, made in self.connectors.items()}
        wrong = [*self.watch.judge(), *subscribing(seen), *above_the_rate(seen, limits)]
        wrong += [f"a sandbox broke: {each[-1500:]}" for each in self.proxy.broken]
        self.proxy.broken.clear()
        horizon = self.shared.look() - 120
        for front in self.proxy.fronts.values():
            front.seen = [one for one in front.seen if (one.sent_at or 0) > horizon]
        return wrong

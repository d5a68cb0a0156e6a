"""
Runs `tagalong sync` as a process of its own that kills itself with SIGKILL at a chosen instant.

Started once, it imports everything and then forks a child for each order that it reads: a line of JSON in, a line of JSON out
once the child is gone. The points at which a child may die are put around the code from the outside, here; nothing in `core`
knows of them. The orders are `killing.Order`; without `point` and `after_s` a run goes to its end and tells how often it passed
each point.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

import core.cli
import core.pulling.fill
import core.pulling.keep
import core.pushing.beginning
import core.pushing.deliver
import core.pushing.push
import core.pushing.record
import core.pushing.send
import core.run
from core.cli import main as tagalong
from core.cli.app import App
from core.clock import utc_now
from core.http import open_api
from core.http.wire import Wire
from core.hub import Hub
from core.normalise import country, language
from core.registry import connector_names, load_connector

GIVE_UP_S = 240
"""A child that lives longer is ended by its own alarm."""
NOTHING_TOLD = b'{"passed": {}, "last": "", "stage": "", "took_s": 0}'


@dataclass(slots=True)
class Fate:
    """How this process ends."""

    told: int
    """The pipe to tell where it happened."""
    point: str | None
    """Where to die, at the *nth* pass."""
    nth: int
    after_s: float | None
    """Or when, from where the run begins."""
    linger_s: float
    """How long to stand at the point before dying, with everything under way going on."""
    by: int = signal.SIGKILL
    """The signal that it dies of."""
    passed: Counter[str] = field(default_factory=Counter)
    last: str = "start"
    stage: str = "start"
    """What the main thread is at: pull, resolve, evaluate, record, bind (and plan), make (an audience), push."""
    began_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    telling: threading.Lock = field(default_factory=threading.Lock)
    """Taken once: whoever is killed just as the run ends tells of one of the two."""

    def begin(self) -> None:
        """Start the clock, and whoever waits for it."""
        self.began_s = time.monotonic()
        if self.after_s is not None:
            timer = threading.Timer(self.after_s, self.die)
            timer.daemon = True
            timer.start()

    def meet(self, point: str) -> None:
        """Pass a point, or die at it."""
        with self.lock:  # one dies, and the others go no further meanwhile
            self.passed[point] += 1
            self.last = point
            if point == self.point and self.passed[point] == self.nth:
                time.sleep(self.linger_s)
                self.die()

    def die(self) -> None:
        """End as a power cut would, no handler, no clean-up; or as *by* has it."""
        if self.by == signal.SIGKILL:
            self.tell()
        os.kill(os.getpid(), self.by)

    def tell(self) -> None:
        """Say what was passed."""
        if not self.telling.acquire(blocking=False):
            return
        took_s = time.monotonic() - self.began_s
        told = {"passed": self.passed, "last": self.last, "stage": self.stage, "took_s": took_s}
        os.write(self.told, json.dumps(told).encode())


def after(of: Any, name: str, then: Callable[[], None]) -> None:
    """Let *then* happen whenever the function *name* of a class or module has returned."""
    original = getattr(of, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        then()
        return result

    setattr(of, name, wrapped)


def before(of: Any, name: str, first: Callable[[], None]) -> None:
    """Let *first* happen whenever the function *name* is called."""
    original = getattr(of, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **options: Any) -> Any:
        first()
        return original(*args, **options)

    setattr(of, name, wrapped)


def within(of: Any, name: str, fate: Fate, stage: str) -> None:
    """Say that *stage* is under way while the function *name* runs."""
    original = getattr(of, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **options: Any) -> Any:
        outer, fate.stage = fate.stage, stage
        try:
            return original(*args, **options)
        finally:
            fate.stage = outer

    setattr(of, name, wrapped)


def place(fate: Fate) -> None:
    """Put every point into place; a function that is no longer there ends the victim, and so the test."""
    before(core.run, "sync", fate.begin)
    within(core.pulling.fill, "pull_one", fate, "pull")
    within(core.run, "resolve_now", fate, "resolve")
    within(core.run, "evaluate", fate, "evaluate")
    within(core.run, "record", fate, "record")
    within(core.run, "deliver", fate, "bind")
    within(core.pushing.beginning.Beginning, "make", fate, "make")
    within(core.pushing.push._Push, "_send_all", fate, "push")
    after(core.pulling.keep.Keeper, "_count", lambda: fate.meet("pull.page_stored"))
    after(core.run, "resolve_now", lambda: fate.meet("resolved"))
    after(core.run, "record", lambda: fate.meet("memberships_recorded"))
    after(core.pushing.record.Recorder, "intend", lambda: fate.meet("push.intent_written"))
    after(core.pushing.send.Sender, "send", lambda: fate.meet("push.answer_read"))
    after(core.pushing.record.Recorder, "settle", lambda: fate.meet("push.outcome_settled"))
    after(core.pushing.deliver, "finish", lambda: fate.meet("push.finished"))
    after(Wire, "once", lambda: fate.meet(f"{fate.stage}.answer_read") if fate.stage != "push" else None)
    _watch_requests(fate)


def _watch_requests(fate: Fate) -> None:
    """Meet `STAGE.request_sent` when a request's last byte is with the system and nothing of its answer was read."""
    build = httpx.Client.build_request

    def trace(event: str, _info: Mapping[str, Any]) -> None:
        if event == "http11.send_request_body.complete":
            fate.meet(f"{fate.stage}.request_sent")

    @functools.wraps(build)
    def built(*args: Any, **options: Any) -> httpx.Request:
        request = build(*args, **options)
        request.extensions["trace"] = trace
        return request

    httpx.Client.build_request = built  # type: ignore[method-assign]  # this process ends with it


def small_batches(size: int) -> None:
    """Let every audience take no more than *size* members at once, so that a small world makes many batches."""
    for name in connector_names():
        for audience in set(load_connector(name).audiences.values()):
            if not audience.whole:
                _limit_batch(audience, size)


def _limit_batch(audience: Any, size: int) -> None:
    initialise = audience.__init__

    def initialised(self: Any, *args: Any, **options: Any) -> None:
        initialise(self, *args, **options)
        self.max_batch = min(size, self.max_batch)

    audience.__init__ = initialised


@dataclass(slots=True)
class Hurried(App):
    """The command line's App, with no pause for a vendor's rate: the sandboxes keep none."""

    def hub(self, *, level: str = "warning", **options: Any) -> Hub:
        return App.hub(self, level=level, opener=functools.partial(open_api, limits=()), **options)


def run(order: Mapping[str, Any], told: int) -> int:
    """Carry out one order; returns only where nothing was to kill it."""
    signal.alarm(GIVE_UP_S)
    with Path(order["output"]).open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    fate = Fate(told, order["point"], order["nth"], order["after_s"], order["linger_s"])
    place(fate)
    offset = timedelta(seconds=order["offset_s"])
    app = Hurried(Path(order["config"]), clock=lambda: utc_now() + offset)
    code = tagalong.main(["sync"], standalone_mode=False, obj=app)
    sys.stdout.flush()
    fate.tell()
    return int(code)


def forked(order: Mapping[str, Any], carry_out: Callable[[Mapping[str, Any], int], int]) -> dict[str, Any]:
    """Carry *order* out in a child and return how it ended."""
    reads, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        code = 70
        try:
            code = carry_out(order, told)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    os.close(told)
    with os.fdopen(reads, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), **json.loads(text or NOTHING_TOLD)}


def load() -> None:
    """Load here, once, what each child would load for itself: commands, connectors, the names of countries, authorities."""
    for module in pkgutil.iter_modules(core.cli.__path__):
        if module.name != "__main__":
            importlib.import_module(f"core.cli.{module.name}")
    for name in connector_names():
        load_connector(name)
    country("?")
    language("?")


def main(carry_out: Callable[[Mapping[str, Any], int], int] = run) -> None:
    """Read orders until there are none."""
    load()
    small_batches(int(sys.argv[1]))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line), carry_out)), file=answers, flush=True)


if __name__ == "__main__":
    main()

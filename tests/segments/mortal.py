"""
A living world whose process dies: its vendors are read page by page, and at any commit it may be gone, before it or after.

After each step what an evaluation brought up to date is held against a full one. No reference here: this is about what the log
of changes misses, and there is much to try.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from livingworld import LivingWorld, living_definitions
from support.killed import KilledProcess

from core.config.model import Place, Segment
from core.segments.definitions import Definitions
from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store
from core.store.sources import rebind
from core.store.vanish import approve_stream

PLACE: Final = Place("tagalong.toml", 7, "segments")
STEPS: Final = (timedelta(0), timedelta(microseconds=1), timedelta(minutes=15), timedelta(hours=7), timedelta(days=8))
TEXTS: Final = (
    'country == "SE"', "exists(user_id)", "exists(email)", 'lifecycle_stage == "lead"', "exists(created_at)",
    "company.employees > 4", 'company.country == "SE"', "crm.score > 5", 'crm.tags == "pro"', "crm.vip",
    "paying", 'subscription_status == "canceled"', 'plan == "pro"', "mrr > 5", "ltv > 5", "past_due", "seats > 3",
    'did("Order")', 'did("Order", last="7d")', 'count("Page Viewed", path="/pricing") >= 2', 'sum("Order", "ms") > 3',
    'days_active("Page Viewed", last="30d") > 1', 'last_event("Order", ms=5)', 'first_time("Signed Up") < created_at',
    'sequence("Page Viewed", did("Order"), within="7d")', 'did("Signed Up", source="app")', "nps >= 5",
    'answered("Onboarding", last="30d")', 'answer("Onboarding", "role") == "pro"', 'bucket("x") < 0.5',
    'within_last(crm.seen_at, "7d")', 'count("Order") > crm.score', "crm.score > company.employees", 'any_user(did("Order"))',
    "fit > 3", "fit > crm.score", "days_since(crm.seen_at) >= 7", 'days_since(last_time("Order")) in [3, 10, 30]',
    "days_since(last_paid_at) < 20", "changed(country)", 'changed(lifecycle_stage, last="8d")',
    'changed(country, to="SE", last="1d")',
    'did("Order", during=this("day"))', 'during(crm.seen_at, previous("week"))', 'crm.seen_at > date("2026-03-28")',
    'days_active("Order", last="8d") > 1', 'count("Page Viewed", since="2026-03-20") >= 2',
    'changed(company.employees, last="8d")', 'changed(subscription_status, last="8d")', 'changed(plan, last="1d")',
)  # fmt: skip


TRAITS: Final = {"fit": '2 * count("Order", last="7d") + 3 * (company.employees > 4 and not past_due) + coalesce(crm.score, 1)'}


@dataclass
class Tale:
    """What happened in a world, and where the two answers differed."""

    steps: list[str] = field(default_factory=list)
    brought_up: int = 0
    wrong: list[str] = field(default_factory=list)


class Mortal:
    """A living world with a process that dies."""

    def __init__(self, path: Path, seed: int, template: Path) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.world = LivingWorld(path, seed, template)
        self.world.page = 3
        self.tale = Tale()
        self.defined = define(billing_of=self.chance.choice(("company", "person")))
        self.all = dict(self.world.hub.connections)

    def live(self, steps: int) -> Tale:
        """Let *steps* things happen; look after each."""
        self.world.grow(self.chance.randrange(5, 60))
        for _ in range(steps):
            what = self._next()
            self.tale.steps.append(what.__name__)
            doomed = self.chance.random() < 0.3
            with self._doom(self.chance.randrange(1, 25) if doomed else None):
                what()
            self._compare()
            if self.tale.wrong:
                break
        self.world.close()
        return self.tale

    def _next(self) -> Callable[[], object]:
        kinds = (
            (40, self._day), (6, self._edit), (6, self._pull), (8, self._pull_one), (8, self._resolve), (8, self._evaluate),
            (2, self._register), (1, self._rebind), (1, self._prefer), (2, self._approve), (1, self._index),
        )  # fmt: skip
        return self.chance.choices([what for _, what in kinds], [weight for weight, _ in kinds])[0]

    @contextmanager
    def _doom(self, commits: int | None) -> Iterator[None]:
        """Have the process die at the so manyth commit, before it or after; whoever comes next opens the store anew."""
        store, before = self.world.store, self.chance.random() < 0.5
        atomic, left = store.atomic, commits

        @contextmanager
        def mortal() -> Iterator[Any]:
            nonlocal left
            last = False
            with atomic() as conn:
                yield conn
                if left is not None:
                    left -= 1
                    last = left <= 0
                    if last and before:
                        raise KilledProcess
            if last:
                raise KilledProcess

        store.atomic = mortal  # type: ignore[method-assign]
        try:
            yield
        except KilledProcess:
            self.tale.steps.append("killed")
            self._open_anew()
        finally:
            self.world.store.__dict__.pop("atomic", None)

    def _open_anew(self) -> None:
        self.world.store.close()
        self.world.store = self.world.hub.store = Store(self.path)
        self.world.store.conn.execute("PRAGMA synchronous = OFF")

    # --- what happens --------------------------------------------------------------------------------------------------

    def _day(self) -> None:
        """One thing alone happens, so that nothing else has the same people looked at again."""
        self.world.edit()
        self._pull()
        if self.chance.random() < 0.3:  # a process that resolved before this one stored its pages
            evaluate(self.world.store, self.defined, as_of=self.world.hub.at, keep=True)
        self._resolve()

    def _edit(self) -> None:
        for _ in range(self.chance.choice((1, 2, 5))):
            self.world.edit()
        self.world.hub.at += self.chance.choice(STEPS)

    def _pull(self) -> None:
        self.world.hub.at += timedelta(seconds=1)
        for name in list(self.world.hub.connections):
            self._pull_of(name)

    def _pull_one(self) -> None:
        self.world.hub.at += timedelta(seconds=1)
        self._pull_of(self.chance.choice(list(self.world.hub.connections)))

    def _pull_of(self, name: str) -> None:
        for stream in self.world.hub.pull(name, full=self.chance.random() < 0.7).streams:
            assert stream.error is None, stream.error

    def _resolve(self) -> None:
        self.world.hub.at += timedelta(microseconds=1)
        self.world.hub.resolve()

    def _evaluate(self) -> None:
        """As a sync does: resolve, evaluate, keep."""
        self._resolve()
        evaluate(self.world.store, self.defined, as_of=self.world.hub.at, keep=True)

    def _register(self) -> None:
        """A connection is taken out of the config, or put back."""
        hub = self.world.hub
        gone = [name for name in self.all if name not in hub.connections]
        name = self.chance.choice(gone or list(self.all))
        if gone:
            hub.connections[name] = self.all[name]
        elif name != "crm":
            del hub.connections[name]
        hub.register()

    def _rebind(self) -> None:
        rebind(self.world.store, self.chance.choice(("billing", "app", "mail", "survey")))
        self.world.hub.register()

    def _prefer(self) -> None:
        self.world.hub.prefer(*self.chance.sample(list(self.all), 2))

    def _approve(self) -> None:
        for connection, stream in self.world.store.conn.execute(
            "SELECT c.name, s.name FROM streams s JOIN connections c ON c.id = s.connection_id WHERE held_since IS NOT NULL"
        ).fetchall():
            approve_stream(self.world.store, connection, stream, self.world.hub.at)

    def _index(self) -> None:
        ensure_indexes(self.world.store, self.defined)

    # --- what must be true ---------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Hold an evaluation that rests on what was kept against a whole one; now and then the first is kept in turn."""
        store, at = self.world.store, self.world.hub.at
        whole = evaluate(store, self.defined, as_of=at, reuse=False)
        found = evaluate(store, self.defined, as_of=at, keep=self.chance.random() < 0.5)
        self.tale.brought_up += found.brought_up
        for name, members in whole.sets.items():
            if members != found.sets[name]:
                more, less = list(found.sets[name] - members), list(members - found.sets[name])
                self.tale.wrong.append(f"{name}: {self.defined.sets[name].condition}: {more} too many, {less} missing")
        if whole.universe != found.universe:
            self.tale.wrong.append(f"universe: {whole.universe ^ found.universe}")


def define(**options: Any) -> Definitions:
    """Return a segment for each kind of leaf; in half of them people without a name count, for they come and go most."""
    zones = {text: "person" for text in TEXTS if any(word in text for word in ("during", "date(", "since=", "days_active"))}
    return living_definitions(
        {
            f"s{n}": Segment(f"s{n}", text, place=PLACE, anonymous=n % 2 == 0, timezone=zones.get(text))
            for n, text in enumerate(TEXTS)
        },
        traits=TRAITS,
        **options,
    )

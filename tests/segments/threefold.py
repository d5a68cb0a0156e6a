"""
One random case: a living world, a few segments, a clock that moves; evaluated anew, from what was kept, and by the reference.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from livingworld import LivingWorld, living_definitions
from random_sets import FILES
from reference import Reference
from spoken import words_of

from core.config.model import Partition, Place, Segment, Trait
from core.segments.definitions import Definitions
from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.segments.tree import InList, walk
from core.store.changes import forget

PLACE: Final = Place("tagalong.toml", 7, "segments")
STEPS: Final = (
    timedelta(0), timedelta(microseconds=1), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=7), timedelta(days=1),
    timedelta(days=8), timedelta(days=31),
)  # fmt: skip


@dataclass
class Told:
    """What a case showed."""

    cases: int = 0
    """Segments that three evaluators gave the same people for."""
    brought_up: int = 0
    """Leaves that were brought up to date."""
    processor_s: float = 0
    true: Counter[str] = field(default_factory=Counter)
    """By word, for how many people what it stands in was true."""
    false: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)
    """By the text of a segment, how many people were in it, over all times that it was evaluated."""
    outside: Counter[str] = field(default_factory=Counter)

    def add(self, other: Told) -> None:
        """Take in what another case showed."""
        self.cases += other.cases
        self.brought_up += other.brought_up
        self.processor_s += other.processor_s
        self.true += other.true
        self.false += other.false
        self.inside += other.inside
        self.outside += other.outside


class Slow(Reference):
    """The reference over a store that resolve has written: people have several addresses, and ids that they once had."""

    def __init__(self, living: LivingWorld, defined: Definitions, at: datetime, *, past: bool = False) -> None:
        super().__init__(living.read_back(), defined, at, past=past)
        self.names = living.names()

    def holds(self, node: Any, person: dict[str, Any]) -> bool:
        if isinstance(node, InList):
            return any(value in values for kind, values in node.keys for value in self.names[person["id"]].get(kind, ()))
        return super().holds(node, person)

    def of_people(self) -> Reference:
        return self


def segments_of(texts: Iterable[str], chance: random.Random) -> dict[str, str | Segment]:
    """Return the segments of a case, and those that the texts may name."""
    zones = (None, None, ZoneInfo("America/New_York"), "person")
    found: dict[str, str | Segment] = {
        f"s{n}": Segment(f"s{n}", text, place=PLACE, timezone=chance.choice(zones)) for n, text in enumerate(texts)
    }
    return found | {
        "base": 'exists(country) or did("Order")',
        "hidden": Segment("hidden", 'not did("Order", last="7d")', place=PLACE, anonymous=True),
        "staff": 'email.startswith("p0@")',
        "accounts": Segment("accounts", "paying or company.employees > 4", place=PLACE, of="company"),
        "big": Segment("big", "company.employees >= 5", place=PLACE, of="company"),
    }


def define(
    texts: Iterable[str], chance: random.Random, folder: Path, traits: Mapping[str, str | Trait] = MappingProxyType({})
) -> Definitions:
    """Return the definitions of a case."""
    for name, text in FILES.items():
        if not (folder / name).exists():
            (folder / name).write_text(text)
    groups = {"high": "crm.score > 5", "some": 'did("Signed Up") or crm.score >= 0'}
    return living_definitions(
        segments_of(texts, chance),
        folder=folder,
        traits=traits,
        partitions={"p": Partition("p", groups, place=PLACE, otherwise="rest")},
        exclude=chance.choice((None, None, "staff")),
        billing_of=chance.choice(("company", "person")),
    )


def agree(
    path: Path,
    template: Path,
    seed: int,
    texts: list[str],
    traits: Mapping[str, str | Trait] = MappingProxyType({}),
    *,
    rounds: int = 3,
    count: bool = False,
) -> Told:
    """Run one case; AssertionError where two of the three differ. *count* also counts how often each word was true."""
    chance = random.Random(seed)
    told = Told()
    world = LivingWorld(path, seed, template)
    try:
        world.grow(chance.randrange(5, 110))
        world.pull()
        asked = texts
        defined = define(asked, chance, path.parent, traits)
        for at in _moments(world, chance, rounds):
            if chance.random() < 0.2:
                ensure_indexes(world.store, defined)
            if chance.random() < 0.1:  # somebody edits a segment
                asked = [*texts[1:], 'did("Order")']
                defined = define(asked, random.Random(seed), path.parent, traits)
            check(world, defined, asked, at, told, keep=chance.random() < 0.8, seed=seed)
        if count:
            _count(world, defined, at, told)
    finally:
        world.close()
        for name in ("", "-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
    return told


def _moments(world: LivingWorld, chance: random.Random, rounds: int) -> Iterator[datetime]:
    """Yield the times to evaluate at, and between them let things happen."""
    yield world.hub.at
    for _ in range(rounds):
        world.hub.at += chance.choice(STEPS)
        for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
            world.edit()
        match chance.random():
            case x if x < 0.7:
                world.pull()
            case x if x < 0.8:  # pages are there, and nobody has asked yet whose they are
                world.pull(resolve=False)
            case x if x < 0.85:
                world.hub.resolve()
            case x if x < 0.88:
                with world.store.atomic() as conn:
                    forget(conn)
        if chance.random() < 0.1:
            yield world.hub.at - chance.choice(STEPS)  # an older clock
        yield world.hub.at


def check(
    world: LivingWorld, defined: Definitions, texts: Sequence[str], at: datetime, told: Told, *, keep: bool, seed: int
) -> None:
    """Evaluate three ways; *texts* are those that the definitions were made of."""
    text_of = {f"segment.s{n}": text for n, text in enumerate(texts)}
    kept = evaluate(world.store, defined, as_of=at, keep=keep)
    whole = evaluate(world.store, defined, as_of=at, reuse=False)
    assert {} == whole.failed == kept.failed, (seed, whole.failed)
    past = at < world.hub.at
    reference = Slow(world, defined, at, past=past)
    told.brought_up += kept.brought_up
    for name, definition in defined.sets.items():
        assert whole.sets[name] == kept.sets[name], (seed, name, definition.condition)
        if not past:  # who was merged since, and what else the past lacks, is `test_agree`'s business
            slow = reference.members(name)
            assert sorted(slow) == list(whole.sets[name]), (seed, name, definition.condition)
            told.cases += name in text_of  # those that every case has are held to it as well, and not counted
            told.inside[text_of.get(name, name)] += len(slow)
            told.outside[text_of.get(name, name)] += len(whole.universe - whole.sets[name])
    assert whole.universe == kept.universe
    assert whole.excluded == kept.excluded
    assert whole.warnings == kept.warnings


def _count(world: LivingWorld, defined: Definitions, at: datetime, told: Told) -> None:
    """Count for how many people each node is true, by the reference."""
    reference = Slow(world, defined, at)
    for definition in defined.sets.values():
        for node in walk(definition.condition) if definition.of != "company" else ():
            there = [person for person in reference.world.profiles if person["live"]]
            true = sum(reference.holds(node, person) for person in there)
            for word in words_of(node):
                told.true[word] += true
                told.false[word] += len(there) - true

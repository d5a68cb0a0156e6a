"""
A set taken apart: how many each of its conditions has alone, and how many are left after each, in the order written.

The parts are evaluated as sets of their own, beside the sets that are asked for, in one run: each leaf is asked once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.segments.definitions import Definitions, SetDefinition
from core.segments.evaluate import Evaluation
from core.segments.explain_texts import Texts, texts_of
from core.segments.explain_tree import earlier_groups, leaves_of, sets_in
from core.segments.tree import And, Condition, InGroup, InSegment, Not, Or


@dataclass(frozen=True, slots=True)
class Step:
    """One condition."""

    text: str
    alone: int
    so_far: int
    """With all before it: those who have them all, or (of `or`) any."""


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf somewhere in the set, and how many it is true of."""

    text: str
    size: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """One set taken apart."""

    kind: str
    """all, any."""
    steps: tuple[Step, ...] = ()
    leaves: tuple[Part, ...] = ()


class Funnels:
    """What must be evaluated to take *names* apart, and what came of it."""

    def __init__(self, definitions: Definitions, names: Sequence[str]) -> None:
        self._parts = {name: _parts(definitions, name) for name in names}
        self._leaves = {name: _leaves(definitions, name) for name in names}
        made: dict[str, SetDefinition] = {}
        for name in names:
            of = definitions.sets[name]
            kind, parts = self._parts[name]
            for at, (_, condition) in enumerate(parts):
                upto = tuple(one for _, one in parts[: at + 1])
                whole: Condition = And(upto) if kind == "all" else Or(upto)
                for key, asked in ((f"alone.{name}.{at}", condition), (f"so_far.{name}.{at}", whole)):
                    made[key] = _asked(key, asked, of)
            for at, (_, condition) in enumerate(self._leaves[name]):
                made[f"leaf.{name}.{at}"] = _asked(f"leaf.{name}.{at}", condition, of)
        self.names = list(made)
        """The sets to evaluate beside the others."""
        self.definitions = replace(
            definitions, sets={**definitions.sets, **made}, order=(*definitions.order, *made)
        )  # fmt: skip

    def of(self, name: str, evaluation: Evaluation) -> Funnel | None:
        """Return *name* taken apart, None where it could not be told."""
        sets = evaluation.sets
        if any(key not in sets for key in self.names if f".{name}." in key):
            return None
        kind, parts = self._parts[name]
        steps = [
            Step(text, len(sets[f"alone.{name}.{at}"]), len(sets[f"so_far.{name}.{at}"])) for at, (text, _) in enumerate(parts)
        ]
        leaves = [Part(text, len(sets[f"leaf.{name}.{at}"])) for at, (text, _) in enumerate(self._leaves[name])]
        return Funnel(kind, tuple(steps), tuple(leaves))


def _asked(name: str, condition: Condition, of: SetDefinition) -> SetDefinition:
    refers = frozenset(sets_in(condition))
    return replace(of, name=name, condition=condition, refers=refers, definition=f"{of.definition} {name}")


def _parts(definitions: Definitions, name: str) -> tuple[str, list[tuple[str, Condition]]]:
    """Return how the conditions of a set are joined (all, any), and each with its text; a group's also those before it."""
    own, texts = texts_of(definitions, name)
    if not name.startswith("partition."):
        return _split(definitions.sets[name].condition, texts)
    _, partition, group = name.split(".", 2)
    if own is not None and definitions.config.partitions[partition].otherwise == group:
        return "all", [(f"{group}, or no group", definitions.sets[name].condition)]
    kind, parts = ("all", []) if own is None else _split(own, texts)
    if kind == "any":
        kind, parts = "all", [(texts.of(own), own)] if own is not None else []
    for other in earlier_groups(definitions, partition, group):
        found, _ = texts_of(definitions, f"partition.{partition}.{other}")
        if found is not None:
            parts.append((f"not in {other}", Not(found)))
    return kind, parts


def _split(condition: Condition, texts: Texts) -> tuple[str, list[tuple[str, Condition]]]:
    if isinstance(condition, Or) and any(item in texts.conditions for item in condition.items):
        return "any", [(texts.of(item), item) for item in condition.items]
    return "all", [(texts.of(item), item) for item in _flat(condition, texts)]


def _flat(condition: Any, texts: Texts) -> list[Condition]:
    if isinstance(condition, And) and any(item in texts.conditions for item in condition.items):
        return [one for item in condition.items for one in _flat(item, texts)]
    return [condition]


def _leaves(definitions: Definitions, name: str) -> list[tuple[str, Condition]]:
    """Return the leaves that the set itself has, with their texts; what it names has its own page."""
    own, texts = texts_of(definitions, name)
    if own is None:
        return []
    return [(texts.of(leaf), leaf) for leaf in dict.fromkeys(leaves_of(own)) if not isinstance(leaf, InSegment | InGroup)]

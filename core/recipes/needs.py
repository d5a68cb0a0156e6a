"""What a recipe takes: the words that it uses and the kinds of streams that feed them, read out of its own expressions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.config.load import load_config
from core.config.model import Config
from core.contract import Category, Kind
from core.recipes.fill import Tables, fill
from core.recipes.model import Recipe
from core.recipes.write import block_of
from core.segments.definitions import define
from core.segments.language import parse
from core.segments.vocabulary import StreamWords, Vocabulary
from core.segments.words import CALLS, NAMES

PLURALS: Final = {
    Kind.PROFILE: "people", Kind.COMPANY: "companies", Kind.SUBSCRIPTION: "subscriptions", Kind.PAYMENT: "payments",
    Kind.ANSWER: "survey answers", Kind.EVENT: "events",
}  # fmt: skip
EVERYTHING: Final = Vocabulary(
    tuple(StreamWords(kind.value, "all", kinds=frozenset({kind}), category=Category.CRM) for kind in PLURALS)
)
"""A world with one stream of each kind, to ask what feeds a word."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a recipe takes."""

    words: tuple[str, ...]
    streams: tuple[str, ...]
    """What its streams must bring, as one would say it."""


def needs_of(recipe: Recipe) -> Needs:
    """Return the words and streams of *recipe*."""
    tables = fill(recipe, {})
    definitions = define(config_of(tables), EVERYTHING)
    words = {node.id for text in expressions(tables) for node in ast.walk(parse(text).root) if isinstance(node, ast.Name)}
    fed = {name.partition(".")[0] for one in definitions.sets.values() for name in one.rests_on}
    known = dict.fromkeys((*NAMES, *CALLS))
    return Needs(
        tuple(word for word in known if word in words),
        tuple(plural for kind, plural in PLURALS.items() if kind.value in fed),
    )


def config_of(tables: Tables) -> Config:
    """Return a config with nothing in it but *tables*."""
    return load_config(Path("recipe.toml"), {}, text="\n".join(block_of(kind, named, []) for kind, named in tables.items()))


def expressions(tables: Tables) -> Iterator[str]:
    """Yield every expression of *tables*."""
    for table in tables.get("segments", {}).values():
        yield table["where"]
    for table in tables.get("partitions", {}).values():
        yield from table["groups"].values()
    for table in tables.get("traits", {}).values():
        yield table["value"]

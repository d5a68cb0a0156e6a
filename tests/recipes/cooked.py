"""A recipe with values in it, evaluated over made-up people by the real evaluator."""

from __future__ import annotations

from typing import Any

from smallworld import AS_OF, World, make_config, vocabulary

from core.config.model import Config
from core.recipes.fill import fill
from core.recipes.model import load_recipe
from core.recipes.needs import config_of
from core.segments.definitions import define
from core.segments.evaluate import evaluate
from core.store import Store


def cooked(store: Store, world: World, name: str, **values: Any) -> dict[str, list[int]]:
    """Return who is where, by the name of a segment or of a partition's group."""
    tables = fill(load_recipe(name), {key: value if isinstance(value, tuple) else (value,) for key, value in values.items()})
    read, around = config_of(tables), make_config({})
    config = Config(
        around.path, around.workspace, segments=read.segments, partitions=read.partitions, traits=read.traits,
    )  # fmt: skip
    world.write(store)
    evaluation = evaluate(store, define(config, vocabulary()), as_of=AS_OF)
    assert not evaluation.failed
    return {key.rpartition(".")[2]: list(members) for key, members in evaluation.sets.items()}

"""The config's segments and partitions, read and checked against what the store has seen so far."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.config.model import Config
    from core.segments.definitions import Definitions
    from core.segments.vocabulary import Vocabulary
    from core.store import Store


def definitions_of(config: Config, store: Store | None = None) -> Definitions:
    """Return the checked definitions; ConfigError with a caret for each expression that is wrong."""
    from core.segments.definitions import define
    from core.store import Store

    if store is not None:
        return define(config, vocabulary_of(config, store))
    database = config.workspace.database
    with Store(database) if database.exists() else nullcontext() as found:
        return define(config, vocabulary_of(config, found))


def vocabulary_of(config: Config, store: Store | None) -> Vocabulary:
    """Return what segments can speak of."""
    from core.registry import load_connector
    from core.segments.vocabulary import read_vocabulary

    connectors = {name: load_connector(name) for name in {c.connector for c in config.connections.values()}}
    return read_vocabulary(config, connectors, store)

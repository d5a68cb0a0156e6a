"""Traits on the command line: those of one person, and as words that segments can use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from core.errors import ConfigError

if TYPE_CHECKING:
    from core.config.model import Config
    from core.segments.definitions import Definitions
    from core.segments.describe import Word
    from core.segments.tree_traits import Trait
    from core.store import Store

SAMPLES: Final = 3


def put_traits(config: Config, store: Store, people: Iterable[dict[str, Any]], at: datetime) -> None:
    """Give each of *people* their traits at *at* by name; none where the config has mistakes, which `check` tells."""
    definitions = _definitions(config, store)
    for person in people:
        person["traits"] = {}
        if definitions is not None and definitions.traits:
            from core.pushing.trait_values import of_person

            person["traits"] = of_person(store, definitions, person["profile_id"], at)


def show_traits(traits: Mapping[str, object]) -> None:
    """Print the traits of a person that are not missing."""
    from core.cli.output import table

    if there := [(name, value) for name, value in traits.items() if value is not None]:
        click.echo()
        table(("trait", "value"), there)


def trait_words(config: Config, store: Store, text: str, at: datetime) -> list[Word]:
    """Return the traits whose name or title holds *text*, with how many people have each."""
    definitions = _definitions(config, store)
    if definitions is None or not definitions.traits:
        return []
    from core.pushing.trait_values import of_everybody
    from core.segments.describe import Word

    wanted = text.casefold()
    known = of_everybody(store, definitions, at, SAMPLES)
    found = []
    for name, trait in definitions.traits.items():
        if wanted in name or wanted in trait.title.casefold() or wanted in "trait":
            coverage, values = known.get(name, (None, []))
            type_, sources = str(trait.value.type), tuple(sorted(trait.rests_on))
            samples = () if _says_who(trait.value) else tuple(str(value) for value in values)
            found.append(Word(name, "trait", type=type_, sources=sources, coverage=coverage, samples=samples))
    return found


def _says_who(value: Trait) -> bool:
    """Return whether a text is made of what says who somebody is."""
    from core.segments.describe import personal
    from core.segments.tree_traits import parts_of

    names = [getattr(part, "field", None) or getattr(part, "name", "") for part in parts_of(value)]
    return value.type == "text" and any(isinstance(name, str) and personal(name) for name in names)


def _definitions(config: Config, store: Store) -> Definitions | None:
    from core.cli.definitions import definitions_of

    if not config.traits:
        return None
    try:
        return definitions_of(config, store)
    except ConfigError:
        return None

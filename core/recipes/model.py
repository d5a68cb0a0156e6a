"""One recipe as it is written in its file: what it defines, why, and what can be put in."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).with_name("shipped")
TABLES: Final = ("segments", "partitions", "traits")
"""What a recipe can define, in the order in which it is written."""


class ParameterKind(StrEnum):
    """What a parameter is, and so how it is written in an expression."""

    EVENT = "event"
    PLAN = "plan"
    SURVEY = "survey"
    COUNTRY = "country"
    TEXT = "text"
    SPAN = "span"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something of one's own that a recipe can be given."""

    name: str
    kind: ParameterKind
    _: KW_ONLY
    means: str
    default: tuple[str | float, ...]
    many: bool = False
    """Whether it takes several values."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A text made of each value of a parameter: `did("A") and did("B")`."""

    of: str
    each: str
    between: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One file of `shipped/`."""

    name: str
    title: str
    _: KW_ONLY
    why: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    lists: Mapping[str, Listing] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """What it defines, with `${parameters}` in its expressions: `segments`, `partitions` or `traits` to name to table."""


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """Return the recipe *name*, which must be one of `recipe_names()`."""
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    tables: dict[str, Any] = {kind: data.pop(kind) for kind in TABLES if kind in data}
    parameters = {key: _parameter(key, **table) for key, table in data.pop("parameters", {}).items()}
    lists = {key: Listing(**table) for key, table in data.pop("lists", {}).items()}
    return Recipe(name, parameters=parameters, lists=lists, tables=tables, **data)


def _parameter(name: str, *, kind: str, means: str, default: Any, many: bool = False) -> Parameter:
    values = tuple(default) if isinstance(default, list) else (default,)
    return Parameter(name, ParameterKind(kind), means=means, default=values, many=many)

"""A recipe with one's own events, plans and numbers in it: its tables as they will stand in the config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any, Final

from core.config.names import suggest
from core.durations import parse_duration
from core.errors import HubError
from core.recipes.model import Parameter, ParameterKind, Recipe

MAX_VALUES: Final = 50
MAX_TEXT: Final = 200
Values = Mapping[str, tuple[str | float, ...]]
Tables = dict[str, dict[str, dict[str, Any]]]


class RecipeError(HubError):
    """What cannot be put into a recipe, or a recipe into a config, and why."""


def fill(recipe: Recipe, given: Values) -> Tables:
    """Return what *recipe* defines with the values *given* and defaults for the rest."""
    said = _said(recipe, {**{name: p.default for name, p in recipe.parameters.items()}, **given})
    return {
        kind: {name: {key: _filled(value, said) for key, value in table.items()} for name, table in tables.items()}
        for kind, tables in recipe.tables.items()
    }


def values_of(
    recipe: Recipe, *, events: Sequence[str] = (), plans: Sequence[str] = (), named: Sequence[tuple[str, str]] = ()
) -> Values:
    """
    Return the values that a person gave: *events* and *plans* in the order of the recipe's parameters, others by name.

    One that takes several gets all that are left.
    """
    found: dict[str, tuple[str | float, ...]] = {}
    for kind, texts in ((ParameterKind.EVENT, events), (ParameterKind.PLAN, plans)):
        found |= _in_order(recipe, kind, list(texts))
    by_name: dict[str, list[str | float]] = {}
    for name, text in named:
        if name not in recipe.parameters:
            raise RecipeError(f"{recipe.name} takes no {name}; {suggest(name, recipe.parameters)}")
        by_name.setdefault(name, []).append(_value(recipe.parameters[name], text))
    for name, values in by_name.items():
        if name in found:
            raise RecipeError(f"{name} is given twice")
        if len(values) > 1 and not recipe.parameters[name].many:
            raise RecipeError(f"{name} takes one value")
        found[name] = _capped(name, values)
    return found


def _in_order(recipe: Recipe, kind: ParameterKind, texts: list[str]) -> dict[str, tuple[str | float, ...]]:
    found: dict[str, tuple[str | float, ...]] = {}
    taking = [parameter for parameter in recipe.parameters.values() if parameter.kind is kind]
    for parameter in taking:
        taken = texts if parameter.many else texts[:1]
        texts = [] if parameter.many else texts[1:]
        if taken:
            found[parameter.name] = _capped(parameter.name, [_value(parameter, text) for text in taken])
    if texts:
        several = f"{len(taking)} {kind}{'s' if len(taking) != 1 else ''}" if taking else f"no {kind}"
        raise RecipeError(f"{recipe.name} takes {several}: {texts[0]!r} is one too many")
    return found


def _capped(name: str, values: list[str | float]) -> tuple[str | float, ...]:
    if len(values) > MAX_VALUES:
        raise RecipeError(f"{name} takes {MAX_VALUES} values at most")
    return tuple(values)


def _value(parameter: Parameter, text: str) -> str | float:
    text = text.strip()
    if not text or len(text) > MAX_TEXT or not text.isprintable():
        raise RecipeError(f"{parameter.name} is 1 to {MAX_TEXT} printable characters")
    match parameter.kind:
        case ParameterKind.NUMBER:
            return _number(parameter.name, text)
        case ParameterKind.SPAN:
            try:
                parse_duration(text)
            except ValueError as error:
                raise RecipeError(f"{parameter.name}: {error}") from error
    return text


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise RecipeError(f"{name} is a number, not {text!r}") from error
    if not 0 <= number <= 2**53:
        raise RecipeError(f"{name} is a number from 0 up")
    return int(number) if number.is_integer() else number


def _said(recipe: Recipe, values: Values) -> dict[str, str]:
    """Return what each `${name}` is in an expression."""
    said: dict[str, str] = {}
    for name, parameter in recipe.parameters.items():
        texts = [_spelled(value) for value in values[name]]
        said[name] = f"[{', '.join(texts)}]" if parameter.many else texts[0]
        said[f"{name}_count"] = str(len(texts))
    for name, listing in recipe.lists.items():
        each = Template(listing.each)
        said[name] = listing.between.join(each.substitute(said, it=_spelled(value)) for value in values[listing.of])
    return said


def _spelled(value: str | float) -> str:
    """Return *value* as the segment language writes it: JSON's texts and numbers are Python's."""
    return json.dumps(value, ensure_ascii=False)


def _filled(value: Any, said: Mapping[str, str]) -> Any:
    match value:
        case str():
            return Template(value).substitute(said)
        case dict():
            return {key: _filled(inner, said) for key, inner in value.items()}
        case _:
            return value

"""Collects everything that is wrong with a config, each with its place, so that one reading shows all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from core.config.document import Places
from core.config.locate import Path
from core.config.names import suggest
from core.errors import ConfigError, Problem

M = TypeVar("M", bound=BaseModel)

_PLAIN = {
    "missing": "is required",
    "string_type": "must be text, in quotes",
    "bool_type": "must be true or false, without quotes",
    "bool_parsing": "must be true or false, without quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be a list, in square brackets",
    "tuple_type": "must be a list, in square brackets",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "model_type": "must be a table",
    "date_type": "must be a date, as 2026-01-31",
    "date_parsing": "must be a date, as 2026-01-31",
    "date_from_datetime_parsing": "must be a date, as 2026-01-31",
    "date_from_datetime_inexact": "must be a date, as 2026-01-31",
}
_BRANCHES = ("str", "int", "bool", "float")
_CHOICES = ("literal_error", "enum")


class Problems(list[Problem]):
    """The problems found so far."""

    def __init__(self, places: Places, found: Iterable[Problem] = ()) -> None:
        super().__init__(found)
        self.places = places

    def say(self, path: Path, message: str, remedy: str | None = None) -> None:
        """Add a problem with the key at *path*."""
        place = self.places.find(path)
        self.append(Problem(message, file=place.file, line=place.line, key=place.key, remedy=remedy))

    def validate(
        self, model: type[M], data: object, at: Path, *, also: Sequence[str] = (), ignore: Iterable[Path] = ()
    ) -> M | None:
        """
        Return *data* as *model*, or None with everything wrong added.

        *also* are keys that are valid there though the model lacks them; *ignore* are paths whose values are stand-ins: what
        is wrong there, or with the whole because of them, is found when the connection is opened.
        """
        if not isinstance(data, Mapping):
            self.say(at, "must be a table")
            return None
        stand_ins = [tuple(path) for path in ignore]
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for fact in error.errors(include_url=False, include_input=False):
                loc: Path = tuple(fact["loc"])
                if any(path[: len(loc)] == loc or loc[: len(path)] == path for path in stand_ins):
                    continue
                self._add(model, fact, loc, at, also)
            return None

    def _add(self, model: type[BaseModel], fact: Any, loc: Path, at: Path, also: Sequence[str]) -> None:
        context = fact.get("ctx", {})
        match fact["type"]:
            case "extra_forbidden":
                valid = [*_keys(model, loc[:-1]), *(also if len(loc) == 1 else ())]
                self.say((*at, *loc), "unknown key", suggest(str(loc[-1]), valid))
            case kind if kind in _CHOICES:
                self.say((*at, *loc), f"must be {context['expected']}")
            case "config":
                self.say((*at, *loc), context["message"], context["remedy"])
            case "string_pattern_mismatch":
                self.say((*at, *_spoken(loc)), f"is not of the form {context['pattern']}")
            case kind:
                said = fact["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
                self.say((*at, *_spoken(loc)), _PLAIN.get(kind, said[:1].lower() + said[1:]))

    def done(self) -> None:
        """Raise ConfigError if there is any problem; in the order of the files."""
        if self:
            files = list(dict.fromkeys([self.places.main, *(str(p.file) for p in self)]))
            unique = list(dict.fromkeys(self))
            raise ConfigError(*sorted(unique, key=lambda p: (files.index(str(p.file)), p.line or 0)))


def _keys(model: type[BaseModel], loc: Path) -> list[str]:
    """Return the keys of the model at *loc* inside *model*; none where that cannot be told."""
    annotation: Any = model
    for step in loc:
        annotation = _inside(annotation, step)
    found = _models(annotation)
    return sorted({field.alias or name for m in found for name, field in m.model_fields.items()})


def _inside(annotation: Any, step: str | int) -> Any:
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            if step in (name, field.alias):
                return field.annotation
    args = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType, Annotated):
        inner = [_inside(arg, step) for arg in args]
        return next((found for found in inner if found is not None), None)
    return args[-1] if args and get_origin(annotation) is not None else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [model for arg in get_args(annotation) for model in _models(arg)]
    return []


def _spoken(loc: Path) -> Path:
    """Leave out what pydantic puts into a location to tell the branches of a union apart."""
    spoken: list[str | int] = []
    for index, step in enumerate(loc):
        branch = (index > 0 and step in _BRANCHES) or (isinstance(step, str) and "[" in step)
        if not branch:
            spoken.append(step)
    return tuple(spoken)

"""
Types of columns: inferred over all of a file, narrowest first (integer, number, boolean, ISO date or time), else text.

Pure functions of values. Codes that look like numbers but are none (a leading zero or plus, more digits than a number
holds) are text, and so is a column that mixes types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from connectors.files.config import Type

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")  # 18 digits fit into 64 bits
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_CLOCK: Final = r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
_TIME: Final = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:{_CLOCK}(?:\s?(?:Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?))?)?")
_MAX_INTEGER: Final = 2**63


class Inference:
    """What the values of each column have in common so far. *native*: numbers and booleans come as such, as in JSON."""

    def __init__(self, *, native: bool) -> None:
        self._types: dict[str, Type] = {}
        self._type_of = _native_type if native else _cell_type

    def see(self, row: Mapping[str, Any]) -> None:
        """Take one row into account; empty cells say nothing."""
        types = self._types
        for name, value in row.items():
            known = types.get(name)
            if value is None or known == "text" or isinstance(value, list | dict):
                continue
            found = self._type_of(value)
            if known != found:
                types[name] = found if known is None else _join(known, found)

    def types(self, overrides: Mapping[str, Type], texts: Iterable[str]) -> dict[str, Type]:
        """Return the type of each column; *texts* (keys and identifiers) are text whatever they look like."""
        return {**self._types, **dict.fromkeys(texts, "text"), **overrides}


def _join(one: Type, other: Type) -> Type:
    return "number" if {one, other} == {"integer", "number"} else "text"


def _native_type(value: object) -> Type:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer" if -_MAX_INTEGER <= value < _MAX_INTEGER else "text"
        case float():
            return "number"
        case _:
            return "time" if _is_time(str(value)) else "text"


def _cell_type(text: str) -> Type:
    first = text[0]
    if first in "-0123456789":
        if _INTEGER.fullmatch(text):
            return "integer"
        if _NUMBER.fullmatch(text):
            return "number"
        return "time" if _is_time(text) else "text"
    return "boolean" if first in "tTfF" and text.lower() in ("true", "false") else "text"


def _is_time(text: str) -> bool:
    return _TIME.fullmatch(text) is not None and read_time(text) is not None


def read_time(text: str) -> datetime | None:
    """Return an ISO date or time as aware UTC; without a zone it is UTC. None for what is neither."""
    try:
        at = datetime.fromisoformat(text.replace(" +", "+").replace(" Z", "Z"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


Convert = Callable[[Any], Any]


def converter(type_: Type) -> Convert:
    """
    Return the function that makes a value of that type; it raises ValueError for what is none.

    None, a list or an object is not to be given to it.
    """
    return _CONVERTERS[type_]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _integer(value: Any) -> int:
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        raise ValueError("no integer") from None
    if isinstance(value, float) and whole != value:
        raise ValueError("no integer")
    if not -_MAX_INTEGER <= whole < _MAX_INTEGER:
        raise ValueError("an integer too large")
    return whole


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError("no number") from None
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _boolean(value: Any) -> bool:
    word = str(value).lower()
    if word in ("true", "yes", "y", "t", "1"):
        return True
    if word in ("false", "no", "n", "f", "0"):
        return False
    raise ValueError("neither true nor false")


def _time(value: Any) -> datetime:
    if isinstance(value, bool):
        raise ValueError("no time")  # noqa: TRY004 - a value of the file, not a mistake of the caller
    if isinstance(value, int | float) or (len(value) > 8 and _NUMBER.fullmatch(value)):
        return _epoch(float(value))
    at = read_time(value)
    if at is None:
        raise ValueError("no ISO date or time")
    return at


def _epoch(value: float) -> datetime:
    """Seconds, milliseconds or microseconds since 1970, by the size."""
    size = abs(value)
    seconds = value if size < 1e11 else value / 1e3 if size < 1e14 else value / 1e6
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError("no time") from None


_CONVERTERS: Final[Mapping[Type, Convert]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "time": _time,
}

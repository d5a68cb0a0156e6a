"""
Types of columns: inferred over all of a file, narrowest first (integer, number, boolean, ISO date or time), else text.

Pure functions of values. Codes that look like numbers but are none (a leading zero or plus, more digits than a number
holds) are text, and so is a column that mixes types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from connectors.files.config import Type

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")  # 18 digits fit into 64 bits
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?\s?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_MAX_INTEGER: Final = 2**63


class Inference:
    """What the values of each column have in common so far."""

    def __init__(self) -> None:
        self._types: dict[str, Type] = {}

    def see(self, row: Mapping[str, Any]) -> None:
        """Take one row into account; empty cells say nothing."""
        types = self._types
        for name, value in row.items():
            if value is None or isinstance(value, list | dict):
                continue
            known = types.get(name)
            if known == "text" or (known is not None and known == (found := _type_of(value, known))):
                continue
            types[name] = _type_of(value, None) if known is None else _join(known, found)

    def types(self, overrides: Mapping[str, Type], texts: Iterable[str]) -> dict[str, Type]:
        """Return the type of each column; *texts* (keys and identifiers) are text whatever they look like."""
        return {**self._types, **dict.fromkeys(texts, "text"), **overrides}


def _join(one: Type, other: Type) -> Type:
    return "number" if {one, other} == {"integer", "number"} else "text"


def _type_of(value: object, hint: Type | None) -> Type:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_MAX_INTEGER <= value < _MAX_INTEGER else "text"
    if isinstance(value, float):
        return "number"
    text = str(value)
    if hint != "time" and _INTEGER.fullmatch(text):
        return "integer"
    if hint != "time" and _NUMBER.fullmatch(text):
        return "number"
    if text.lower() in ("true", "false"):
        return "boolean"
    return "time" if _TIME.fullmatch(text) and read_time(text) else "text"


def read_time(text: str) -> datetime | None:
    """Return an ISO date or time as aware UTC; without a zone it is UTC. None for what is neither."""
    try:
        at = datetime.fromisoformat(text.replace(" +", "+").replace(" Z", "Z"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def typed(value: Any, type_: Type) -> Any:
    """
    Return *value* as *type_*; a list or an object stays what it is.

    Raises:
        ValueError: it is none.
    """
    if value is None or isinstance(value, list | dict):
        return value
    match type_:
        case "text":
            return (
                value if isinstance(value, str) else ("true" if value else "false") if isinstance(value, bool) else str(value)
            )
        case "integer":
            if isinstance(value, float) and not value.is_integer():
                raise ValueError("no integer")
            whole = int(value)
            if not -_MAX_INTEGER <= whole < _MAX_INTEGER:
                raise ValueError("an integer too large")
            return whole
        case "number":
            number = float(value)
            if number - number != 0:  # infinite, or not a number
                raise ValueError("no finite number")
            return number
        case "boolean":
            return _truth(value)
        case "time":
            return _time(value)


def _truth(value: Any) -> bool:
    word = str(value).lower()
    if word in ("true", "yes", "y", "t", "1"):
        return True
    if word in ("false", "no", "n", "f", "0"):
        return False
    raise ValueError("neither true nor false")


def _time(value: Any) -> datetime:
    if isinstance(value, bool):
        raise ValueError("no time")  # noqa: TRY004 - a value of the file, not a mistake of the caller
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value) and len(value) > 8):
        return _epoch(float(value))
    at = read_time(str(value))
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

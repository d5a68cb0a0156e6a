"""
A column of texts normalised at once: what `core.normalise` gives for each of them, in a fraction of the time.

Only for what is ordinary in all of them; None says that each has to be looked at, and that takes what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from operator import attrgetter, sub
from types import MappingProxyType
from typing import Any, Final

from core import normalise
from core.clock import EPOCH

_PART = r"[^\x00-\x20@<>\"(),:;\x7f]"
_ADDRESS = rf"{_PART}++@{_PART}+\.[^\x00-\x20@<>\"(),:;.\x7f]{{2,}}"
_ADDRESSES = re.compile(rf"{_ADDRESS}(?:\n{_ADDRESS})*")
"""As `normalise.email` has it, of ASCII alone: its spaces are all below this set's."""
_zone = attrgetter("tzinfo")


def emails(values: Sequence[str]) -> list[str | None] | None:
    """Return what `normalise.email` makes of each of *values*, or None where one is no plain address."""
    text = "\n".join(values)
    if not text.isascii():
        return None
    text = text.lower()
    if ".." in text or text.count("\n") != len(values) - 1 or _ADDRESSES.fullmatch(text) is None:
        return None
    found: list[str | None] = [*text.split("\n")]
    return found if max(map(len, values)) <= normalise.MAX_EMAIL else None


def identifiers(values: Sequence[str]) -> list[str | None] | None:
    """Return what `normalise.identifier` makes of each of *values*, or None where one of them is missing."""
    found: list[str | None] = list(map(str.strip, values))
    return found if normalise.EMPTY.isdisjoint(map(str.lower, found)) else None  # type: ignore[arg-type]  # all are texts


def texts(values: Sequence[str]) -> list[str | None]:
    """Return what `normalise.text` makes of each of *values*."""
    found: list[str | None] = list(map(str.strip, values))
    return [text or None for text in found] if "" in found else found


def times_us(values: Sequence[str]) -> list[int] | None:
    """Return what `normalise.time_us` makes of each of *values*, or None where one is no ISO 8601 time with a Z."""
    try:
        times = list(map(datetime.fromisoformat, values))
    except ValueError:
        return None
    if {*map(_zone, times)} != {UTC}:
        return None
    return [(t.days * 86_400 + t.seconds) * 1_000_000 + t.microseconds for t in map(sub, times, repeat(EPOCH))]


AT_ONCE: Final[Mapping[Callable[[Any], object], Callable[[Sequence[str]], Sequence[Any] | None]]] = MappingProxyType(
    {
        normalise.email: emails,
        normalise.identifier: identifiers,
        normalise.text: texts,
        normalise.time_us: times_us,
    }
)
"""By what reads one value."""

"""Durations as people write them: `15m`, `24h`, `30d`, `2w`. One parser for the config and the segment language."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6})\s*([smhdw])")


def parse_duration(text: str) -> timedelta:
    """Return the duration that *text* says; ValueError with the forms that are understood."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write a whole number and one of s, m, h, d, w, as in '30d'")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def spell_duration(duration: timedelta) -> str:
    """Return the shortest spelling that `parse_duration` takes back, rounded to whole seconds."""
    seconds = round(duration.total_seconds())
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

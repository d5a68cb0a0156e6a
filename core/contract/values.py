"""Plain values as vendors spell them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any


def parse_time(text: object, *, zone: tzinfo | None = None) -> datetime | None:
    """
    Return the aware time that ISO 8601 *text* names, or None for nothing, for "", for what is no time or has no zone.

    With *zone* what has none is in that one, and all are told in it.
    """
    if not isinstance(text, str) or not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if zone is not None:
            return at.astimezone(zone) if at.tzinfo else at.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else None


def parse_epoch(value: object, *, per_s: int = 1) -> datetime | None:
    """Return the aware time of a number of seconds since 1970 (*per_s* 1000 for milliseconds), or None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return datetime.fromtimestamp(float(value) / per_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def midnight(day: date | None) -> datetime | None:
    """Return the beginning of *day* in UTC: what `Settings.start` means."""
    return datetime.combine(day, time.min, UTC) if day else None


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Return *items* in order, cut into pieces of *size* and a last one of what is left."""
    return [items[at : at + size] for at in range(0, len(items), size)]

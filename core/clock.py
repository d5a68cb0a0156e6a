"""The clock that everything is handed, and the store's way to write a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the current time, aware UTC. Passed in, never patched."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """Return the wall clock's time, aware UTC."""
    return datetime.now(UTC)


def to_us(at: datetime) -> int:
    """Return microseconds since 1970 UTC, exactly."""
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_us(us: int) -> datetime:
    """Return the aware UTC time of *us* microseconds since 1970."""
    return EPOCH + us * MICROSECOND


def iso(us: int) -> str:
    """Return the time of *us* microseconds since 1970 as ISO 8601 text, with a Z."""
    return from_us(us).isoformat().replace("+00:00", "Z")

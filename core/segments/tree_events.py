"""
Tree nodes of the calendar and of events in order; plain frozen values as those in `tree`, which exports them all.

A calendar time is a constant for a segment with a zone of its own, and differs from person to person with `tz = "person"`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from core.segments.tree import Condition, EventSet, Type

PERSON: Final = "person"
"""In place of a zone: that of each person."""


class Unit(StrEnum):
    """The calendar's periods."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Edge:
    """The first moment of a period: of the one that the run's clock is in (0), the one before (-1), the one after (1)."""

    unit: Unit
    step: int
    zone: str
    """A zone's name, or PERSON."""
    first_day: int = 0
    """The weekday that weeks begin with, Monday 0; it is 0 for all other periods."""

    @property
    def type(self) -> Type:
        return _time()


@dataclass(frozen=True, slots=True)
class OwnMoment:
    """What a person's own clock and calendar show at some moment: `date("2026-01-31")` with `tz = "person"`."""

    local: str
    """ISO 8601 without a zone."""

    @property
    def type(self) -> Type:
        return _time()


def _time() -> Type:
    from core.segments.tree import Type  # it exports this module

    return Type.TIME


def personal(part: object) -> bool:
    """Return whether a calendar time, or whose days are counted, differs from person to person."""
    return isinstance(part, OwnMoment) or getattr(part, "zone", None) == PERSON


@dataclass(frozen=True, slots=True)
class LastEvent:
    """The latest of the events passes the test; of two at one moment the later stored is the latest."""

    events: EventSet
    test: Condition


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence: such an event, or none of them."""

    events: EventSet
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """
    Some event of the first step with one of each later step after it in order, each strictly later than the one before.

    An absent step between two events forbids what lies strictly between them; one at the end forbids what comes after the last
    event, up to the end of the span. The first step's window says when the sequence began.
    """

    steps: tuple[Step, ...]
    _: KW_ONLY
    within_us: int | None = None
    """From the first event to the last; where an absent step ends the sequence, all of it must have passed."""
    start_last: bool = False
    """Whether only the latest event of the first step is looked at."""
    same: str | None = None
    """A property that all events of the sequence have in common."""

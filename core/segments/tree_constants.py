"""
Tree nodes that stand for themselves: texts, numbers, points in time and edges of the calendar; and the types of all values.

A calendar time is a constant for a segment with a zone of its own, and differs from person to person with `tz = "person"`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PERSON: Final = "person"
"""In place of a zone: that of each person."""


class Type(StrEnum):
    """What a value is; ANY is settled by what it is compared with."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    COUNTRY = "country"
    LANGUAGE = "language"
    ANY = "any"


TEXT_LIKE: Final = frozenset({Type.TEXT, Type.COUNTRY, Type.LANGUAGE, Type.ANY})


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, number or boolean as written (countries, languages and addresses normalised)."""

    value: str | float
    type: Type


@dataclass(frozen=True, slots=True)
class Moment:
    """A fixed point in time: `date("2026-01-01")` in the segment's zone."""

    at_us: int

    @property
    def type(self) -> Type:
        return Type.TIME


@dataclass(frozen=True, slots=True)
class Ago:
    """A point in time relative to the run's clock; negative is ahead."""

    us: int

    @property
    def type(self) -> Type:
        return Type.TIME


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
        return Type.TIME


@dataclass(frozen=True, slots=True)
class OwnMoment:
    """What a person's own clock and calendar show at some moment: `date("2026-01-31")` with `tz = "person"`."""

    local: str
    """ISO 8601 without a zone."""

    @property
    def type(self) -> Type:
        return Type.TIME


Constant = Literal | Moment | Ago | Edge | OwnMoment
CONSTANTS: Final = (Literal, Moment, Ago, Edge, OwnMoment)


def personal(part: object) -> bool:
    """Return whether a calendar time, or whose days are counted, differs from person to person."""
    return isinstance(part, OwnMoment) or getattr(part, "zone", None) == PERSON

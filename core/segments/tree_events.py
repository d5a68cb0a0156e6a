"""Tree nodes of events: which are meant, what is made of them, and their order; plain frozen values as those in `tree`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from core.segments.tree_constants import Ago, Edge, Moment, OwnMoment, Type

if TYPE_CHECKING:
    from core.segments.tree import Condition


@dataclass(frozen=True, slots=True)
class Window:
    """
    The span that events are counted in; nothing after the run's clock is ever seen.

    Rolling bounds are (after, upto]; calendar ones are [since, until), `during` being two edges.
    """

    after: Ago | None = None
    upto: Ago | None = None
    since: Moment | Edge | OwnMoment | None = None
    until: Moment | Edge | OwnMoment | None = None


ANY_TIME: Final = Window()


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the event at hand, inside `where=`."""

    name: str
    type: Type = Type.ANY


@dataclass(frozen=True, slots=True)
class EventSet:
    """Events of one name, in a window, that pass a filter, from one connection or any."""

    name: str
    _: KW_ONLY
    window: Window = ANY_TIME
    filter: Condition | None = None
    source: str | None = None


class Function(StrEnum):
    """What is made of a set of events."""

    COUNT = "count"
    DAYS_ACTIVE = "days_active"
    DISTINCT = "distinct"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"
    FIRST_TIME = "first_time"
    LAST_TIME = "last_time"
    PERIODS = "periods"
    """In how many of the last periods of one length there is such an event: what `regularly` compares."""


ZERO_WHEN_NONE: Final = frozenset({Function.COUNT, Function.DAYS_ACTIVE, Function.DISTINCT, Function.SUM, Function.PERIODS})
"""Of people without such events these are 0; the others are missing."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A number (or the first time) made of a person's events."""

    function: Function
    events: EventSet
    _: KW_ONLY
    of: str | None = None
    """The property that is looked at."""
    zone: str | None = None
    """For days_active: whose calendar."""
    every_us: int | None = None
    """For periods: how long each is, the first ending now. The window is all of them."""

    @property
    def type(self) -> Type:
        return Type.TIME if self.function in (Function.FIRST_TIME, Function.LAST_TIME) else Type.NUMBER


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

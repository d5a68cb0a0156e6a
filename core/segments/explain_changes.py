"""
When an answer can change by itself: a window that an event leaves or enters, a date that is reached, a rate that begins.

The moments that matter are those of the person's rows, moved by each span that the leaf names; at each of them the leaf is
asked anew, by the same query, with a later clock. So a new word needs nothing here unless its answer hangs on more than spans.
Where it is known that time moves the answer one way only (`explain_trend`) the moment is found by halving, however many there
are; else so many are asked, and beyond them the next one is named as one at which it may change.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final

from core.segments.calendar import edge_us, known_zone
from core.segments.dialect import DAY_US, property_of
from core.segments.explain_sources import SOURCES, Asked, event_rows, raw_values
from core.segments.explain_texts import parts
from core.segments.explain_trend import daily, pieces
from core.segments.facts import Facts
from core.segments.tree import Answer, Answered, Billing, Did, Score
from core.segments.tree_constants import PERSON, Ago, Edge, Type
from core.segments.tree_events import Aggregate, EventSet, LastEvent, Property
from core.segments.tree_events import Sequence as Steps
from core.segments.tree_sets import Bucket, Changed
from core.segments.tree_traits import DaysSince

MAX_ASKED: Final = 50
"""Moments at which a leaf that may go to and fro is asked; beyond them the next one is named."""
MAX_FLIPS: Final = 50
PERIODS: Final = 13
"""Periods of the calendar that are looked ahead."""
FARTHEST_DAYS: Final = 18_250
"""Days that are counted ahead."""
_OWN: Final = (*(kind for kind in SOURCES if kind not in (Billing, Score, Answer)), Bucket)
"""Values that have no time of their own."""

Holds = Callable[[Any, int], bool]
"""What a leaf says at a time (µs)."""


@dataclass(frozen=True, slots=True)
class Change:
    """The next moment at which an answer changes, if nothing new comes in."""

    at_us: int
    holds: bool | None
    """What it is from then on; None where it may change then, and may not."""


def later(facts: Facts, at_us: int) -> Facts:
    """Return *facts* with another clock."""
    found = copy(facts)
    found.as_of_us = at_us
    return found


def moments(leaf: Any, times: set[int], asked: Asked) -> list[int]:
    """Return the moments after the clock at which *leaf*, which looks at rows of *times*, may change, in order."""
    now = asked.facts.as_of_us
    spans = set(_spans(leaf))
    found: set[int] = set(_boundaries(leaf, asked))
    for at in times:
        for span in spans:
            if at + span >= now:
                found |= {at + span, at + span + 1}  # `<=` changes at the moment itself, `<` right after
    return sorted(at for at in found if at > now)


def _spans(leaf: Any) -> Iterator[int]:
    """Yield how far from a row's time something may happen."""
    yield 0
    for part in parts(leaf):
        match part:
            case Ago():
                yield part.us
            case Steps() if part.within_us is not None:
                yield part.within_us
            case Aggregate() if part.every_us and isinstance(part.events.window.after, Ago):
                yield from range(part.every_us, part.events.window.after.us + 1, part.every_us)


def _midnights(leaf: Any, asked: Asked) -> list[range]:
    """Return the moments at which one more day is counted since a time, a range for each hour of the day that one begins at."""
    now, counted = asked.facts.as_of_us, {part.item for part in parts(leaf) if isinstance(part, DaysSince)}
    times = {at for item in counted for at in raw_values(item, asked) if isinstance(at, int)}
    times |= {at for item in counted for at in _times(item, asked)}  # what it may be counted from later
    phases = sorted({(now - at) % DAY_US for at in times})
    return [range(now + DAY_US - phase, now + FARTHEST_DAYS * DAY_US, DAY_US) for phase in phases]


def _boundaries(leaf: Any, asked: Asked) -> Iterator[int]:
    """Yield the moments that hang on no row: a rate begins, a period of the calendar does."""
    now = asked.facts.as_of_us
    if any(isinstance(part, Billing) for part in parts(leaf)):
        yield from (start for _, start, _ in asked.facts.money.factors())
    for edge in {part for part in parts(leaf) if isinstance(part, Edge)}:
        zone = _own_zone(asked) if edge.zone == PERSON else edge.zone
        yield from (edge_us(replace(edge, step=step), zone, now) for step in range(1, PERIODS + 1))


def _own_zone(asked: Asked) -> str:
    row = asked.rows("SELECT timezone FROM profiles")
    return known_zone(row[0][0] if row else None) or str(asked.facts.money.zone)


def _times(leaf: Any, asked: Asked) -> Iterator[int]:
    """Yield the moments of the person's rows that *leaf* may look at, whatever its windows say."""
    still = _still(leaf)
    for part in parts(leaf):
        match part:
            case EventSet():
                found, params = event_rows(part, asked, ever=True)
                if part in still:
                    found, params = f"{found} AND time > ?", (*params, asked.facts.as_of_us)
                yield from (at for (at,) in asked.rows(f"SELECT time {found}", *params))
                yield from _of_properties(part, part.filter, asked)
            case LastEvent():
                yield from _of_properties(part.events, part.test, asked)
            case Answered() | Answer() | Score():
                yield from (at for (at,) in asked.rows("SELECT answered_at FROM answers WHERE answered_at IS NOT NULL"))
            case Billing():
                yield from (at for (at,) in asked.rows("SELECT started_at FROM subscriptions WHERE started_at IS NOT NULL"))
                yield from (at for (at,) in asked.rows("SELECT paid_at FROM payments WHERE paid_at IS NOT NULL"))
            case Changed():
                yield from (at for (at,) in asked.rows("SELECT from_at FROM field_history"))
        if (type(part) in SOURCES or isinstance(part, Aggregate)) and part.type is Type.TIME:
            yield from (value for value in raw_values(part, asked) if isinstance(value, int))


def _of_properties(events: EventSet, filter_: Any, asked: Asked) -> Iterator[int]:
    """Yield the times that events say in properties, where a filter compares one."""
    for name in {part.name for part in parts(filter_) if isinstance(part, Property) and part.type is Type.TIME}:
        found, params = event_rows(events, asked, ever=True)
        of = property_of(name, Type.TIME)
        yield from (at for (at,) in asked.rows(f"SELECT {of.text} {found}", *of.params, *params) if at is not None)


def _still(leaf: Any) -> set[EventSet]:
    """Return the sets of events that nothing leaves: only what is yet to come changes what is made of them."""
    of = [part.events for part in parts(leaf) if isinstance(part, Did | Aggregate)]
    plain, every = Counter(of), Counter(part for part in parts(leaf) if isinstance(part, EventSet))
    return {
        events for events in plain
        if plain[events] == every[events] and not any(isinstance(part, Ago) for part in parts(events.window))
    }  # fmt: skip


class Timeline:
    """What one leaf says from a time on, found out as far as it is asked for."""

    def __init__(self, leaf: Any, asked: Asked, holds: Holds) -> None:
        self._leaf = leaf
        self._holds = holds
        self._pieces = pieces(leaf, lambda value: _stays(value, asked))
        self._daily = self._pieces is None and daily(leaf, lambda value: _stays(value, asked))
        times = set(_times(leaf, asked))
        self._moments: list[Sequence[int]] = [moments(leaf, times, asked), *_midnights(leaf, asked)]

    def next(self, after_us: int) -> Change | None:
        """Return the first moment after *after_us* at which the leaf is not what it is then."""
        before = self._holds(self._leaf, after_us)
        if self._pieces is None:
            return self._asked_one_by_one(after_us, before)
        at = after_us
        for _ in self._pieces:
            turns = [turn for piece in self._pieces if (turn := self._turn(piece, at)) is not None]
            if not turns:
                return None
            at = min(turns)
            if self._holds(self._leaf, at) != before:
                return Change(at, not before)
        return None

    def _asked_one_by_one(self, after_us: int, before: bool) -> Change | None:
        left: list[int] = []
        for every in self._moments:
            first = bisect_right(every, after_us)
            left += every[first : first + (1 if self._daily else MAX_ASKED + 1)]
        left = sorted(set(left))
        for at in left[:MAX_ASKED]:
            if self._holds(self._leaf, at) != before:
                return Change(at, not before)
        return Change(left[MAX_ASKED], None) if len(left) > MAX_ASKED else None

    def _turn(self, piece: Any, after_us: int) -> int | None:
        """Return the first moment at which a condition that changes once at most is not what it is at a time."""
        before, first = self._holds(piece, after_us), None
        for every in self._moments:
            low, high = bisect_right(every, after_us) - 1, len(every) if first is None else bisect_right(every, first)
            high -= 1
            if high <= low or self._holds(piece, every[high]) == before:
                continue
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self._holds(piece, every[middle]) != before else (middle, high)
            first = every[high]
        return first


def _stays(value: Any, asked: Asked) -> bool:
    """Return whether a value, or the events of a set, have nothing that is dated ahead, no rate that is yet to begin either."""
    now = asked.facts.as_of_us
    match value:
        case EventSet():
            found, params = event_rows(value, asked, ever=True)
            return not asked.rows(f"SELECT 1 {found} AND time > ? LIMIT 1", *params, now)
        case Score() | Answer():
            return not asked.rows("SELECT 1 FROM answers WHERE answered_at > ? LIMIT 1", now)
        case Billing():
            ahead = any(start > now for _, start, _ in asked.facts.money.factors())
            begun = (
                "SELECT 1 FROM subscriptions WHERE started_at > ? UNION ALL SELECT 1 FROM payments WHERE paid_at > ? LIMIT 1"
            )
            return not ahead and not asked.rows(begun, now, now)
        case _:
            return isinstance(value, _OWN)


def first_change(holds: Callable[[int], bool], timelines: list[Timeline], now_us: int) -> Change | None:
    """Return when the whole, which *holds* tells at a time, is first another than now; its leaves change one by one."""
    before = holds(now_us)
    at = now_us
    for _ in range(MAX_FLIPS):
        found = [change for timeline in timelines if (change := timeline.next(at)) is not None]
        if not found:
            return None
        nearest = min(found, key=lambda change: (change.at_us, change.holds is not None))
        if nearest.holds is None:
            return Change(nearest.at_us, None)
        at = nearest.at_us
        if holds(at) != before:
            return Change(at, not before)
    return Change(at, None)

"""
When an answer can change by itself: a window that an event leaves or enters, a date that is reached, a rate that begins.

Nothing is guessed from the kind of leaf. The moments that matter are those of the person's rows, moved by each span that the
leaf names; at each of them the leaf is asked anew, by the same query, with a later clock. So a new word needs nothing here
unless its answer hangs on more than spans.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final

from core.segments.calendar import edge_us, known_zone
from core.segments.dialect import DAY_US
from core.segments.explain_texts import parts
from core.segments.explain_values import SOURCES, Asked, event_rows, raw_values
from core.segments.facts import Facts
from core.segments.tree import (
    Aggregate,
    Ago,
    Answer,
    Answered,
    Billing,
    Compare,
    Did,
    EventSet,
    Function,
    Literal,
    Score,
    Type,
    values_of,
)  # fmt: skip
from core.segments.tree_events import PERSON, Edge, Sequence
from core.segments.tree_sets import Changed
from core.segments.tree_traits import DaysSince

MAX_ASKED: Final = 50
"""Moments at which a leaf that may go to and fro is asked; beyond them the next one is named."""
MAX_FLIPS: Final = 50
PERIODS: Final = 13
"""Periods of the calendar that are looked ahead."""
_FALLING: Final = frozenset({Function.COUNT, Function.DAYS_ACTIVE, Function.DISTINCT})

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
    spans, days = set(_spans(leaf)), _days(leaf)
    found: set[int] = set(_boundaries(leaf, asked))
    for at in times:
        if days:
            gone = (now - at) // DAY_US
            found |= {at + day * DAY_US for day in (*range(gone, gone + MAX_ASKED), *days)}
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
            case Sequence() if part.within_us is not None:
                yield part.within_us
            case Aggregate() if part.every_us and isinstance(part.events.window.after, Ago):
                yield from range(part.every_us, part.events.window.after.us + 1, part.every_us)


def _days(leaf: Any) -> set[int]:
    """Return the numbers of whole days at which `days_since` may matter, as far as they are written; none without it."""
    numbers = [part.value for part in parts(leaf) if isinstance(part, Literal) and not isinstance(part.value, str | bool)]
    if not any(isinstance(part, DaysSince) for part in parts(leaf)):
        return set()
    return {0} | {day for number in numbers for day in (math.floor(number), math.floor(number) + 1) if abs(day) < 100_000}


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
            case Answered() | Answer() | Score():
                yield from (at for (at,) in asked.rows("SELECT answered_at FROM answers WHERE answered_at IS NOT NULL"))
            case Billing():
                yield from (at for (at,) in asked.rows("SELECT started_at FROM subscriptions WHERE started_at IS NOT NULL"))
                yield from (at for (at,) in asked.rows("SELECT paid_at FROM payments WHERE paid_at IS NOT NULL"))
            case Changed():
                yield from (at for (at,) in asked.rows("SELECT from_at FROM field_history"))
        if (type(part) in SOURCES or isinstance(part, Aggregate)) and part.type is Type.TIME:
            yield from (value for value in raw_values(part, asked) if isinstance(value, int))


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
        times = set(_times(leaf, asked))
        self._leaf = leaf
        self._holds = holds
        self._moments = moments(leaf, times, asked)
        self._one_way = _one_way(leaf) and max(times, default=0) <= asked.facts.as_of_us

    def next(self, after_us: int) -> Change | None:
        """Return the first moment after *after_us* at which the leaf is not what it is then."""
        left = self._moments[bisect_right(self._moments, after_us) :]
        before = self._holds(self._leaf, after_us)
        if self._one_way:
            at = self._halved(left, before)
            return None if at is None else Change(at, not before)
        for at in left[:MAX_ASKED]:
            if self._holds(self._leaf, at) != before:
                return Change(at, not before)
        return Change(left[MAX_ASKED], None) if len(left) > MAX_ASKED else None

    def _halved(self, left: list[int], before: bool) -> int | None:
        if not left or self._holds(self._leaf, left[-1]) == before:
            return None
        low, high = -1, len(left) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._holds(self._leaf, left[middle]) != before else (middle, high)
        return left[high]


def _one_way(leaf: Any) -> bool:
    """Return whether time alone changes *leaf* once at most: events only leave its window, and it counts them."""
    sets = [part for part in parts(leaf) if isinstance(part, EventSet)]
    if any(events.window.upto is not None for events in sets):
        return False
    match leaf:
        case Did():
            return True
        case Compare() if len(leaf.terms) == 2:
            (value, *others) = values_of(leaf)
            return not others and isinstance(value, Aggregate) and value.function in _FALLING and leaf.ops[0] != "=="
        case _:
            return False


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

"""What is seen at a leaf: each value that it looks at, with what the person has of it and the records behind it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Final

from core.segments.compile_calendar import inside, own_times
from core.segments.explain_sources import MAX_SOURCES, SOURCES, Asked, Source, event_rows, moment, raw_values
from core.segments.explain_spoken import spoken
from core.segments.facts import LeafFailed
from core.segments.tree import Answered, Condition, Did, values_of, walk
from core.segments.tree_constants import CONSTANTS, Type
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Sequence
from core.segments.tree_traits import COMPUTED, Chosen, Truth, terms_in

MAX_VALUES: Final = 10
MAX_PARTS: Final = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """One value that a leaf looks at."""

    text: str
    """As it was written."""
    values: tuple[Any, ...]
    """What the person has: several where a field has several, none where it is missing."""
    _: KW_ONLY
    sources: tuple[Source, ...] = ()
    count: int | None = None
    """Of how many rows it is made, where it is made of many."""
    part_of: str | None = None
    """The computed value that it is a part of."""


def seen_at(leaf: Any, asked: Asked) -> tuple[Seen, ...]:
    """Return what *leaf* looks at; LeafFailed where that cannot be told."""
    match leaf:
        case Did() | LastEvent():
            return (_events(asked.texts.of(leaf), leaf.events, asked),)
        case Sequence():
            steps = dict.fromkeys(step.events for step in leaf.steps)
            return tuple(_events(f'"{events.name}"', events, asked) for events in steps)
        case Answered():
            where = inside(leaf.window, "coalesce(answered_at, 0)", asked.facts.as_of_us, own_times("profile_id", asked.facts))
            found = "FROM answers WHERE profile_id = ? AND deleted_at IS NULL AND survey = ? AND " + where.text
            params = (asked.profile_id, leaf.survey, *where.params)
            times = asked.rows(f"SELECT max(answered_at) {found}", *params)
            sources = asked.sources(f"SELECT stream_id, record_key, answered_at {found} ORDER BY answered_at DESC", *params)
            return (Seen(asked.texts.of(leaf), tuple(moment(at) for (at,) in times if at is not None), sources=sources),)
        case _:
            return tuple(seen for value in values_of(leaf) for seen in (_seen(value, asked), *_made_of(value, asked)))


def _seen(value: Any, asked: Asked) -> Seen:
    values = tuple(_plain(v, value.type) for v in raw_values(value, asked)[:MAX_VALUES])
    if isinstance(value, Aggregate):
        oldest = value.function in (Function.FIRST_TIME, Function.MIN)
        return _events(asked.texts.of(value), value.events, asked, values=values, oldest=oldest)
    found = SOURCES.get(type(value))
    there = found is not None and any(v is not None for v in values)
    return Seen(asked.texts.of(value), values, sources=found(value, asked) if found is not None and there else ())


def _made_of(value: Any, asked: Asked) -> list[Seen]:
    """Return what a computed value is made of: each value and condition in it, once."""
    found: dict[Seen, None] = {}
    stack, text = list(terms_in(value)), asked.texts.of(value)
    while stack and len(found) < MAX_PARTS and value not in asked.known:
        one = stack.pop(0)
        if isinstance(one, Truth | Chosen):
            holds, sources = asked.holds(one.condition), _under(one.condition, asked)
            found[Seen(spoken(one.condition), (holds,), sources=sources, part_of=text)] = None
        if isinstance(one, COMPUTED):
            stack = [*terms_in(one), *stack]
        elif not isinstance(one, CONSTANTS):
            found[replace(_seen(one, asked), part_of=text)] = None
    return list(found)


def _under(condition: Condition, asked: Asked) -> tuple[Source, ...]:
    """Return the records that a condition within a computed value looks at; those of further computed values are told there."""
    found: dict[Source, None] = {}
    for node in walk(condition):
        if not any(isinstance(value, COMPUTED) for value in values_of(node)):
            with suppress(LeafFailed):
                found |= dict.fromkeys(source for seen in seen_at(node, asked) for source in seen.sources)
    return tuple(found)[:MAX_SOURCES]


def _plain(value: Any, type_: Type) -> Any:
    match type_:
        case Type.TIME if isinstance(value, int):
            return moment(value)
        case Type.BOOLEAN:
            return bool(value)
        case _:
            return value


def _events(text: str, events: EventSet, asked: Asked, *, values: tuple[Any, ...] = (), oldest: bool = False) -> Seen:
    """Return a set of events with the latest of them, or the *oldest*; without *values* their number is what is seen."""
    found, params = event_rows(events, asked)
    ((count, first, last),) = asked.rows(f"SELECT count(*), min(time), max(time) {found}", *params)
    sources: tuple[Source, ...] = ()
    if count:  # of an event that is asked for its time alone the copy has no more
        edge = f"SELECT max(id) {found} AND time = ?"
        row = f"SELECT stream_id, key, time FROM main.events WHERE id = ({edge})"
        sources = asked.sources(row, *params, first if oldest else last)
    return Seen(text, values or (count,), sources=sources, count=count)

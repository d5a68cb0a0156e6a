"""
Which of a person's events are copied for an explanation, and how much of each.

To fetch a thousand rows strewn over a large file is what takes time, so an index alone is read wherever it holds what is asked
for: the times of events, and properties that have a side column. Events older than all windows stay out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from core.segments import dialect
from core.segments.dialect import Param
from core.segments.explain_texts import parts
from core.segments.facts import Facts
from core.segments.tree import Did
from core.segments.tree_constants import Ago, Moment, Type
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Property
from core.segments.tree_events import Sequence as Chain

_ALWAYS: Final = -(2**62)
_AS_THEY_ARE: Final = frozenset({Function.SUM, Function.MIN, Function.MAX})


@dataclass(frozen=True, slots=True)
class Some:
    """Some rows of a table."""

    where: str
    """All that follows the table's name, the index to be used as well."""
    params: tuple[Param, ...]
    _: KW_ONLY
    columns: str = ""
    """Those that are copied; empty for all."""
    values: str = ""
    """What is put into them; empty for the same."""


@dataclass(frozen=True, slots=True)
class Events:
    """What to copy of a person's events."""

    rows: tuple[Some, ...]
    side: tuple[str, ...]
    """The side columns that the copy has, of all its rows that they are asked of."""
    indexed: tuple[str, ...]
    """The indexes on these that it has."""
    indexes: tuple[str, ...]
    """How those are made."""


def events_of(profile_id: int, asked: Sequence[Any], facts: Facts) -> Events:
    """Return what to copy of a person's events for the parts of conditions that are *asked*."""
    by_name: dict[int, list[EventSet]] = {}
    for events in dict.fromkeys(part for part in asked if isinstance(part, EventSet)):
        if (name_id := facts.event_id(events.name)) is not None:
            by_name.setdefault(name_id, []).append(events)
    read = _read(asked, facts)
    there = facts.side_columns - _shown(asked)
    known, every = Counter(_looked_at(asked)), Counter(part for part in asked if isinstance(part, EventSet))
    covered = {
        name_id for name_id, several in by_name.items()
        if not facts.hidden and all(events.source is None and known[events] == every[events] for events in several)
        and (name_id not in read or (read[name_id] <= there and dialect.cover_index(name_id) in facts.side_indexes))
    }  # fmt: skip
    side = sorted({str(column) for name_id in covered for column in read.get(name_id, ())})
    rows = []
    for name_id, several in by_name.items():
        params = (profile_id, _since(several, asked, facts))
        where = f"WHERE name_id = {name_id} AND profile_id = ? AND time > ?"
        if name_id not in covered:
            rows.append(Some(where, params))
            continue
        index = dialect.cover_index(name_id) if name_id in read else "events_person"
        own = ", ".join(("", *side)) if name_id in read else ""
        columns, values = (
            f"id, profile_id, name_id, time{own}",
            f"id, profile_id, {name_id}, time{own}",
        )  # no index has the name
        rows.append(Some(f"INDEXED BY {index} {where}", params, columns=columns, values=values))
    indexes = dict(_same(asked, side, facts))
    return Events(tuple(rows), tuple(side), tuple(indexes), tuple(indexes.values()))


def _looked_at(asked: Sequence[Any]) -> Iterator[EventSet]:
    """Yield the sets of events, as often as they stand where it is known what is read of them."""
    for part in asked:
        match part:
            case Did() | Aggregate() | LastEvent():
                yield part.events
            case Chain():
                yield from (step.events for step in part.steps)


def _read(asked: Sequence[Any], facts: Facts) -> dict[int, set[str | None]]:
    """Return, by the id of an event's name, the side columns of the properties that are read; None for one without."""
    found: dict[int, set[str | None]] = {}
    for name, of in _properties(asked):
        if (name_id := facts.event_id(name)) is not None:
            found.setdefault(name_id, set()).add(dialect.side_column(of.name, of.type))
    return found


def _properties(asked: Sequence[Any]) -> Iterator[tuple[str, Property]]:
    for part in asked:
        match part:
            case EventSet():
                yield from ((part.name, of) for of in parts(part.filter) if isinstance(of, Property))
            case LastEvent():
                yield from ((part.events.name, of) for of in parts(part.test) if isinstance(of, Property))
            case Aggregate() if part.of is not None:
                type_ = Type.ANY if part.function is Function.DISTINCT else Type.NUMBER
                yield part.events.name, Property(part.of, type_)
            case Chain() if part.same is not None:
                yield from ((step.events.name, Property(part.same, Type.ANY)) for step in part.steps)


def _shown(asked: Sequence[Any]) -> set[str | None]:
    """Return the side columns of numbers that are shown as they are: there, whole ones are like others."""
    of = [part.of for part in asked if isinstance(part, Aggregate) and part.function in _AS_THEY_ARE]
    return {dialect.side_column(name, Type.NUMBER) for name in of if name is not None}


def _same(asked: Sequence[Any], side: Sequence[str], facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the indexes that events of the same property are found by, and how each is made."""
    for chain in (part for part in asked if isinstance(part, Chain)):
        column = dialect.side_column(chain.same, Type.ANY) if chain.same is not None else None
        for name_id in (facts.event_id(step.events.name) for step in chain.steps):
            if column in side and column is not None and name_id is not None:
                name = dialect.side_index(name_id, column)
                on = f"events ({column}, profile_id, time) WHERE name_id = {name_id}"
                yield name, f"CREATE INDEX temp.{name} ON {on}"


def _since(several: Sequence[EventSet], asked: Sequence[Any], facts: Facts) -> int:
    """Return a moment before which no event of a name counts, now or later, where each set of them has a window."""
    within = Counter(part.events for part in asked if isinstance(part, Did | Aggregate))
    every = Counter(part for part in asked if isinstance(part, EventSet))
    if any(within[events] != every[events] for events in several):
        return _ALWAYS
    return min(_start(events, facts) for events in several)


def _start(events: EventSet, facts: Facts) -> int:
    """Return a moment before which no event of the set counts, now or later."""
    window = events.window
    starts = [facts.as_of_us - part.us for part in (window.after,) if isinstance(part, Ago)]
    starts += [part.at_us - 1 for part in (window.since,) if isinstance(part, Moment)]
    return max(starts, default=_ALWAYS)

"""
A leaf as a test of a value that is made in a reading of rows, where other leaves make theirs in the same reading.

What is read of events is all of a name that pass the filter; each leaf's window says of which of them its value is made. A
reading has people for whom a leaf's own query has no row: their count is 0 there, and everything else is missing, which is
what the leaf says of them as well. How several are asked in one statement is `together`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from core.segments.compile import passes, relation
from core.segments.compile_calendar import inside
from core.segments.compile_events import covered, event_property, happened, is_small, made_of, rows, value_in_event
from core.segments.compile_sequence import shortest
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.predicate import holds, predicate
from core.segments.tree import Compare, Did, Exists, In, Leaf, Matches, ProfileField, Test, Value, values_of, walk
from core.segments.tree_constants import personal
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Property, Sequence, Window
from core.segments.tree_traits import parts_of

_ALONE: Final = (Function.SUM, Function.AVG)
"""Of these more than one number is made of the events, and the value of those."""
_INDEXED: Final = ("email", "user_id")
"""Fields that an index leads to: whoever has a certain one is found without reading of all others."""
_ENDLESS: Final = 2**62
"""Microseconds that no sequence takes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What follows FROM: rows of people, or (*grouped*) of their events, of which a value is made of each person's together."""

    source: Sql
    person: str
    """The column that says whose a row is."""
    grouped: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf in a reading: *passes* gives the test of a column, in which *value* stands, beside the person in `p`."""

    reading: Reading
    value: Sql
    passes: Callable[[str], Sql]


def part_of(leaf: Leaf, facts: Facts) -> Part | None:
    """Return how a leaf is told by a reading; None where its own query is the only way, or the shorter one in any case."""
    match leaf:
        case Did():
            return _counted(leaf, facts)
        case LastEvent():
            return _latest(leaf, facts)
        case Sequence():
            return _shortest(leaf, facts)
        case Compare() | In() | Exists() | Matches() if len(values := values_of(leaf)) == 1:
            return _tested(leaf, values[0], facts)
        case _:
            return None


def _tested(test: Test, value: Value, facts: Facts) -> Part | None:
    if isinstance(value, ProfileField) and value.name in _INDEXED and isinstance(test, Compare | In):
        return None
    found = relation(value, facts)
    complement = found.zero and holds(test, value)
    reading, made = Reading(Sql(f"({found.sql.text})", found.sql.params), "p"), Sql("v")
    if isinstance(value, Aggregate):
        reading, made = _made(value, facts) or (reading, made)
    return Part(reading, made, lambda column: passes(test, column, facts, complement=complement))


def _made(value: Aggregate, facts: Facts) -> tuple[Reading, Sql] | None:
    if value.function in _ALONE:
        return None
    if value.function is Function.DISTINCT and not covered(value.events, facts):
        return None  # without it the index by these values is far shorter
    reading = _all_of(value.events, facts, reads=value.of is not None)
    if reading is None:
        return None
    if value.function is Function.DISTINCT:
        told_apart = event_property(value.of or "", facts)
        made = Sql(f"count(DISTINCT {told_apart.text})", told_apart.params)
    else:
        made = made_of(value, facts)
    return reading, _in_window(made, value.events.window, facts)


def _counted(leaf: Did, facts: Facts) -> Part | None:
    reading = _all_of(leaf.events, facts)
    if reading is None:
        return None
    return Part(reading, _in_window(Sql("count(*)"), leaf.events.window, facts), lambda column: Sql(f"{column} > 0"))


def _all_of(events: EventSet, facts: Facts, *, reads: bool = False) -> Reading | None:
    """Return the reading of a set's events in any window; None where they are found by their times, or each has its own."""
    if is_small(events, facts) or personal(events.window.since) or personal(events.window.until):
        return None
    return Reading(rows(replace(events, window=Window()), facts, reads=reads), "profile_id", grouped=True)


def _in_window(made: Sql, window: Window, facts: Facts) -> Sql:
    """Return what is made of the events in a window alone; nothing after the run's clock is read in any case."""
    if window == Window():
        return made
    when = inside(window, "time", facts.as_of_us)
    return Sql(f"{made.text} FILTER (WHERE {when.text})", (*made.params, *when.params))


def _latest(leaf: LastEvent, facts: Facts) -> Part | None:
    """Return the one property that is tested of everybody's latest event."""
    read = {value for node in walk(leaf.test) for value in values_of(node)}
    if len(read) != 1 or any(personal(part) for part in parts_of(leaf.test)):
        return None
    (one,) = read
    assert isinstance(one, Property)  # a filter speaks of properties only
    people, own = happened(leaf.events, facts), rows(leaf.events, facts, of="w.profile_id", reads=True)
    value = value_in_event(one, facts)
    latest = Sql(f"(SELECT {value.text} FROM {own.text} ORDER BY time DESC, id DESC LIMIT 1)", (*value.params, *own.params))
    reading = Reading(Sql(f"({people.text}) w", people.params), "w.profile_id")
    return Part(reading, latest, lambda column: predicate(leaf.test, lambda _: Sql(column), facts.as_of_us))


def _shortest(leaf: Sequence, facts: Facts) -> Part | None:
    found = shortest(leaf, facts)
    if found is None:
        return None
    begins, takes = found
    reading = Reading(begins, "profile_id", grouped=True)
    within = _ENDLESS if leaf.within_us is None else leaf.within_us
    return Part(reading, Sql(f"min({takes.text})", takes.params), lambda column: Sql(f"{column} <= ?", (within,)))

"""Events to SQL: a window, a filter, and what is made of the events that pass."""

from __future__ import annotations

from typing import Final

from core.segments import dialect
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.predicate import predicate
from core.segments.relation import Relation
from core.segments.tree import (
    ZERO_WHEN_NONE,
    Aggregate,
    And,
    Compare,
    Condition,
    EventSet,
    Function,
    In,
    Op,
    Property,
    Type,
    Value,
    Window,
    values_of,
)

SMALL_PART: Final = 0.05
"""Below this share of an event's whole span its index by time is the shorter way."""


def happened(events: EventSet, facts: Facts) -> Sql:
    """Return who has such an event."""
    rows = _rows(events, facts)
    return Sql(f"SELECT DISTINCT profile_id FROM {rows.text}", rows.params)


def aggregate(value: Aggregate, facts: Facts) -> Relation:
    """Return who has such events and what is made of them."""
    rows = _rows(value.events, facts)
    made = _made(value, facts)
    sql = f"SELECT profile_id AS p, {made.text} AS v FROM {rows.text} GROUP BY profile_id"
    return Relation(Sql(sql, (*made.params, *rows.params)), zero=value.function in ZERO_WHEN_NONE)


def _made(value: Aggregate, facts: Facts) -> Sql:
    match value.function:
        case Function.COUNT:
            return Sql("count(*)")
        case Function.FIRST_TIME:
            return Sql("min(time)")
        case Function.DAYS_ACTIVE:
            start, end = bounds(value.events.window, facts.as_of_us)
            day = dialect.local_day("time", value.zone or "UTC", -(2**62) if start is None else start, end)
            return Sql(f"count(DISTINCT {day})")
        case Function.DISTINCT:
            of = dialect.property_of(value.of or "", Type.ANY)
            return Sql(f"count(DISTINCT {of.text})", of.params)
        case Function.SUM:
            of = number(value, facts)
            return Sql(f"coalesce(sum({of.text}), 0)", of.params)
        case Function.AVG | Function.MIN | Function.MAX:
            of = number(value, facts)
            return Sql(f"{value.function.value}({of.text})", of.params)


def number(value: Aggregate, facts: Facts) -> Sql:
    """Return the property that is added up."""
    return _property(Property(value.of or "", Type.NUMBER), facts)


def _property(value: Value, facts: Facts) -> Sql:
    assert isinstance(value, Property)  # a filter speaks of properties only
    column = dialect.side_column(value.name, value.type)
    if column is not None and column in facts.side_columns:
        return Sql(column)
    return dialect.property_of(value.name, value.type)


def bounds(window: Window, as_of_us: int) -> tuple[int | None, int]:
    """Return (start, end) of a window in microseconds, for choosing a plan: exact to the microsecond at most."""
    starts = [as_of_us - window.after.us] if window.after else []
    starts += [window.since.at_us] if window.since else []
    ends = [as_of_us - window.upto.us] if window.upto else [as_of_us]
    ends += [window.until.at_us] if window.until else []
    return max(starts, default=None), min(ends)


def inside(window: Window, column: str, as_of_us: int) -> Sql:
    """Return the condition that a time lies in the window; nothing after the run's clock does."""
    upto = as_of_us - window.upto.us if window.upto else as_of_us
    parts, params = [f"{column} <= ?"], [upto]
    if window.after:
        parts.append(f"{column} > ?")
        params.append(as_of_us - window.after.us)
    if window.since:
        parts.append(f"{column} >= ?")
        params.append(window.since.at_us)
    if window.until:
        parts.append(f"{column} < ?")
        params.append(window.until.at_us)
    return Sql(" AND ".join(parts), tuple(params))


def _rows(events: EventSet, facts: Facts) -> Sql:
    """Return `events WHERE ...`: those of the set that belong to somebody."""
    name_id = facts.event_id(events.name)
    streams = _streams(events.source, facts)
    if name_id is None or streams is None:
        return Sql("events WHERE 0")  # alone: beside an index that must be used SQLite finds no plan for it
    small = _small(events.window, name_id, facts)
    window = inside(events.window, "time" if small else dialect.not_led_by("time"), facts.as_of_us)
    where = [f"name_id = {name_id}", f"{dialect.not_led_by('profile_id')} IS NOT NULL", window.text]
    params = list(window.params)
    if events.filter is not None:
        filter_ = predicate(events.filter, lambda value: _property(value, facts), facts.as_of_us)
        where.append(filter_.text)
        params += filter_.params
    index = "events_window" if small else _side_index(events.filter, name_id, facts)
    table = dialect.led_by("events", index) if index is not None else "events"
    where.append(streams)
    return Sql(f"{table} WHERE {' AND '.join(part for part in where if part)}", tuple(params))


def _side_index(filter_: Condition | None, name_id: int, facts: Facts) -> str | None:
    """Return the index by which the events that pass can be found: that of a property that must equal something."""
    for node in filter_.items if isinstance(filter_, And) else (filter_,):
        if isinstance(node, In) or (isinstance(node, Compare) and node.ops == (Op.EQ,)):
            for value in values_of(node):
                column = dialect.side_column(value.name, value.type) if isinstance(value, Property) else None
                if column is not None and (index := dialect.side_index(name_id, column)) in facts.side_indexes:
                    return index
    return None


def _small(window: Window, name_id: int, facts: Facts) -> bool:
    start, end = bounds(window, facts.as_of_us)
    first, last = facts.span(name_id)
    if last <= first:
        return False
    return (min(end, last) - max(first if start is None else start, first)) / (last - first) < SMALL_PART


def _streams(source: str | None, facts: Facts) -> str | None:
    """Return the condition that an event's stream counts: empty where every one that brought events does, None where none."""
    bringing = facts.event_streams
    counted = bringing - facts.hidden
    if source is not None:
        counted &= {s.id for name, s in facts.streams.items() if name.partition(".")[0] == source}
    if counted == bringing:
        return ""
    return f"stream_id IN ({', '.join(map(str, sorted(counted)))})" if counted else None

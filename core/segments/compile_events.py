"""Events to SQL: a window, a filter, and what is made of the events that pass."""

from __future__ import annotations

from typing import Final

from core.segments import dialect, exact
from core.segments.compile_calendar import Own, bounds, inside, own_times
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.predicate import predicate
from core.segments.relation import Relation, historic
from core.segments.tree import And, Compare, Condition, In, Op, Value, values_of
from core.segments.tree_constants import PERSON, Edge, OwnMoment, Type
from core.segments.tree_events import ZERO_WHEN_NONE, Aggregate, EventSet, Function, LastEvent, Property

SMALL_PART: Final = 0.05
"""Below this share of an event's whole span its index by time is the shorter way."""
_EXACT: Final = {Function.SUM: (exact.PARTS, exact.SUM), Function.AVG: (exact.AMONG + exact.PARTS, exact.MEAN)}


def happened(events: EventSet, facts: Facts) -> Sql:
    """Return who has such an event."""
    return people_of(rows(events, facts, each=True), facts)


def people_of(found: Sql, facts: Facts) -> Sql:
    """Return whose events *found* (`rows` with *each*) are: of a few people each is looked at until one event is found."""
    if facts.among:
        return Sql(
            f"SELECT {dialect.PERSON} AS profile_id FROM {dialect.AMONG} WHERE EXISTS (SELECT 1 FROM {found.text})",
            found.params,
        )
    return Sql(f"SELECT DISTINCT profile_id FROM {found.text}", found.params)


def last_passes(leaf: LastEvent, facts: Facts) -> Sql:
    """Return whose latest event passes the test: one look into the index of each person who has any."""
    people, own = happened(leaf.events, facts), rows(leaf.events, facts, of="w.profile_id", reads=True)
    test = passing(leaf.test, facts)
    latest = f"SELECT {test.text} FROM {own.text} ORDER BY time DESC, id DESC LIMIT 1"
    return Sql(f"SELECT profile_id FROM ({people.text}) w WHERE ({latest})", (*people.params, *test.params, *own.params))


def latest_of(events: EventSet, facts: Facts) -> Sql:
    """Return the id of each person's latest event of a set: one look into the index of each person who has any."""
    people, own = happened(events, facts), rows(events, facts, of="w.profile_id")
    latest = f"SELECT id FROM {own.text} ORDER BY time DESC, id DESC LIMIT 1"
    return Sql(f"SELECT ({latest}) FROM ({people.text}) w", (*own.params, *people.params))


def aggregate(value: Aggregate, facts: Facts) -> Relation:
    """Return who has such events and what is made of them."""
    found = rows(value.events, facts, reads=value.of is not None)
    person = dialect.PERSON if facts.among else "profile_id"  # of the few, each one's events come together
    if value.function is Function.DISTINCT:
        return Relation(_distinct(value, facts), zero=True)
    if value.function in _EXACT:
        (parts, whole), of = _EXACT[value.function], number(value, facts)
        groups = f"SELECT {person} AS p, {parts.replace('{n}', of.text)} FROM {found.text} GROUP BY {person}"
        params = (*(of.params * parts.count("{n}")), *found.params)
        return Relation(Sql(f"SELECT p, {whole} AS v FROM ({groups})", params), zero=value.function in ZERO_WHEN_NONE)
    made = made_of(value, facts)
    sql = f"SELECT {person} AS p, {made.text} AS v FROM {found.text} GROUP BY {person}"
    return Relation(Sql(sql, (*made.params, *found.params)), zero=value.function in ZERO_WHEN_NONE)


def _distinct(value: Aggregate, facts: Facts) -> Sql:
    """Return how many values of a property each person has: by an index of these, those of one person stand together."""
    found, of = rows(value.events, facts, same=value.of), event_property(value.of or "", facts)
    values = f"SELECT DISTINCT {of.text} AS v, profile_id AS p FROM {found.text}"
    text = f"SELECT p, count(*) AS v FROM ({values}) WHERE v IS NOT NULL GROUP BY p"
    return Sql(text, (*of.params, *found.params))


def made_of(value: Aggregate, facts: Facts) -> Sql:
    """Return what is made of each person's events, where that is one number, or a time, of SQL's own or ours."""
    match value.function:
        case Function.COUNT:
            return Sql("count(*)")
        case Function.FIRST_TIME:
            return Sql("min(time)")
        case Function.LAST_TIME:
            return Sql("max(time)")
        case Function.PERIODS:
            return Sql(f"count(DISTINCT {dialect.whole_parts('time')})", (facts.as_of_us, value.every_us))
        case Function.DAYS_ACTIVE if value.zone == PERSON:
            zone = historic("z", "profile", "timezone", facts)
            said = Sql(f"(SELECT {zone.text} FROM profiles z WHERE z.id = profile_id)", zone.params)
            day = dialect.own_day("time", said, facts.zone)
            return Sql(f"count(DISTINCT {day.text})", day.params)
        case Function.DAYS_ACTIVE:
            start, end = bounds(value.events.window, facts.as_of_us)
            days = dialect.local_day("time", value.zone or "UTC", -(2**62) if start is None else start, end)
            return Sql(f"count(DISTINCT {days})")
        case Function.MIN | Function.MAX:
            of = number(value, facts)
            return Sql(f"{value.function.value}({of.text})", of.params)
        case Function.MEDIAN:
            of = number(value, facts)
            return Sql(dialect.median(of.text), of.params)
        case Function.DISTINCT | Function.SUM | Function.AVG:
            raise AssertionError("made otherwise")


def number(value: Aggregate, facts: Facts) -> Sql:
    """Return the property that is added up."""
    return value_in_event(Property(value.of or "", Type.NUMBER), facts)


def passing(filter_: Condition, facts: Facts) -> Sql:
    """Return the condition that the event at hand passes a filter."""
    own = own_times("profile_id", facts)
    return predicate(filter_, lambda value: _in_event(value, own, facts), facts.as_of_us)


def _in_event(value: Value | Edge | OwnMoment, own: Own, facts: Facts) -> Sql:
    return own(value) if isinstance(value, Edge | OwnMoment) else value_in_event(value, facts)


def value_in_event(value: Value, facts: Facts) -> Sql:
    """Return a property of the event at hand."""
    assert isinstance(value, Property)  # a filter speaks of properties only
    column = dialect.side_column(value.name, value.type)
    if column is not None and column in facts.side_columns:
        return Sql(column)
    return dialect.property_of(value.name, value.type)


def event_property(name: str, facts: Facts, alias: str = "") -> Sql:
    """Return a property of the event at hand, or of the one that an outer query calls *alias*, whatever type it has."""
    column, of = dialect.side_column(name, Type.ANY), f"{alias}." if alias else ""
    if column is not None and column in facts.side_columns:
        return Sql(f"{of}{column}")
    return dialect.property_of(name, Type.ANY, f"{of}properties")


def rows(
    events: EventSet,
    facts: Facts,
    alias: str = "",
    *,
    of: str | None = None,
    bounded: bool = False,
    reads: bool = False,
    same: str | None = None,
    each: bool = False,
) -> Sql:
    """
    Return `events WHERE ...`: those of the set that belong to somebody, or (*of*) to the one whose id an outer query has.

    Names of columns stand alone: in a subquery they mean its own events. An outer query is seen through its *alias*.
    *bounded*: whoever asks bounds the time as well, and more closely than the run's clock does. *reads*: and reads a property.
    *same*: a property whose values are told apart, so that an index by them serves best. *each*: where only a few people are
    asked for, an outer query goes through them (`people_of`).
    """
    name_id = facts.event_id(events.name)
    streams = _streams(events.source, facts)
    few = facts.among and of is None
    if name_id is None or streams is None:
        led_by_few = f"{dialect.AMONG} CROSS JOIN " if few and not each else ""
        return Sql(f"{led_by_few}events {alias} WHERE 0")  # beside an index that must be used SQLite finds no plan for it
    small = of is None and is_small(events, facts)
    led = small or few or (of is not None and not bounded)
    column = "time" if led else dialect.not_led_by("time")
    window = inside(events.window, column, facts.as_of_us, own_times("profile_id", facts))
    of = dialect.PERSON if few else of
    whose = f"{dialect.not_led_by('profile_id')} IS NOT NULL" if of is None else f"profile_id = {of}"
    where = [f"name_id = {name_id}", whose, window.text]
    params = list(window.params)
    if events.filter is not None:
        filter_ = passing(events.filter, facts)
        where.append(filter_.text)
        params += filter_.params
    index, of_same = _side_index(events.filter, name_id, facts), _index_of(same, name_id, facts)
    wide = index is None and of_same is None and (reads or events.filter is not None)
    if wide and dialect.cover_index(name_id) in facts.side_indexes:
        index = dialect.cover_index(name_id)
    by = "events_person" if index is None or (small and index != dialect.cover_index(name_id)) else index
    if same is not None and index is None and dialect.cover_index(name_id) in facts.side_indexes:
        by = dialect.cover_index(name_id)
    index = "events_window" if small else of_same if of_same is not None and (of is not None or index is None) else index
    named = f"events {alias}".strip()
    table = dialect.led_by(named, index) if index is not None else named
    if few:  # what each of them did is looked up, in the order in which it would be read of all
        table = dialect.led_by(named, by) if each else f"{dialect.AMONG} CROSS JOIN {dialect.led_by(named, by)}"
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


def _index_of(name: str | None, name_id: int, facts: Facts) -> str | None:
    """Return the index of an event's rows by a property of any type, if there is one."""
    column = dialect.side_column(name, Type.ANY) if name is not None else None
    index = dialect.side_index(name_id, column) if column is not None else None
    return index if index in facts.side_indexes else None


def covered(events: EventSet, facts: Facts) -> bool:
    """Return whether an index by person has all properties that are read of events of this name."""
    name_id = facts.event_id(events.name)
    return name_id is not None and dialect.cover_index(name_id) in facts.side_indexes


def is_small(events: EventSet, facts: Facts) -> bool:
    """Return whether the window of a set holds so few events of the name that their times lead to them."""
    name_id = facts.event_id(events.name)
    start, end = bounds(events.window, facts.as_of_us)
    first, last = (0, 0) if name_id is None else facts.span(name_id)
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

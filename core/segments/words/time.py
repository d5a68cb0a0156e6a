"""
Words of time: rolling spans are hours, start exclusive and end inclusive; a date is midnight in the segment's zone, and a
calendar period begins and ends at one, start inclusive and end exclusive.
"""

from __future__ import annotations

import ast
from datetime import datetime
from typing import TYPE_CHECKING, Final

from core.clock import to_us
from core.config.names import suggest
from core.segments import types
from core.segments.calendar import instant_us
from core.segments.tree import Compare, Op, SourceField, Term, Value
from core.segments.tree_constants import PERSON, Ago, Edge, Moment, OwnMoment, Type, Unit
from core.segments.words.entry import Entry

if TYPE_CHECKING:
    from core.segments.words.call import Call

NOW = Ago(0)
_STEPS: Final = {"this": 0, "previous": -1}


def date_(call: Call) -> Moment | OwnMoment:
    """`date("2026-01-31")`, or with a time; in the zone of the segment unless it says its own."""
    found = moment_of(call, call.argument(0, 'a date such as "2026-01-31"'))
    call.end(1)
    return found


def moment_of(call: Call, node: ast.expr) -> Moment | OwnMoment:
    """Return the point in time that the text *node* says."""
    text = call.text_of(node, 'a date such as "2026-01-31"')
    try:
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is not None:
            return Moment(to_us(at))
        found = Moment(instant_us(at, call.reader.scope.zone))
        return OwnMoment(at.isoformat()) if call.reader.scope.personal else found
    except (ValueError, OverflowError) as error:
        remedy = 'write it as "2026-01-31" or "2026-01-31T12:00"'
        raise call.error(node, f"{text[:40]!r} is no date", remedy) from error


def within_last(call: Call) -> Compare:
    """`within_last(x, "30d")`: in the last 720 hours, now included, nothing ahead of now."""
    value = _time(call)
    found = _compare((Ago(call.duration(1)), value, NOW), (Op.LT, Op.LE))
    call.end(2)
    return found


def more_than_ago(call: Call) -> Compare:
    """`more_than_ago(x, "30d")`: 720 hours ago or earlier."""
    value = _time(call)
    found = _compare((value, Ago(call.duration(1))), (Op.LE,))
    call.end(2)
    return found


def within_next(call: Call) -> Compare:
    """`within_next(x, "7d")`: ahead of now, 168 hours at most."""
    value = _time(call)
    found = _compare((NOW, value, Ago(-call.duration(1))), (Op.LT, Op.LE))
    call.end(2)
    return found


def between_ago(call: Call) -> Compare:
    """`between_ago(x, "60d", "30d")`: after 60 days ago, 30 days ago or earlier."""
    value = _time(call)
    start, end = call.span_of(call.argument(1, "two durations"), call.argument(2, "a second duration"))
    call.end(3)
    return _compare((start, value, end), (Op.LT, Op.LE))


def during(call: Call) -> Compare:
    """`during(x, this("month"))`, `during(x, previous("quarter"))`: from its first moment to before the next one's."""
    value = _time(call)
    start, end = period_of(call, call.argument(1, 'a period such as this("month")'))
    call.end(2)
    return _compare((start, value, end), (Op.LE, Op.LT))


def period(call: Call) -> Edge:
    """`this("month")`, `previous("quarter")`: a period of the calendar, inside during only."""
    raise call.error(call.node, f"{call.word}(...) stands inside during only", f'write during(x, {call.word}("month"))')


def period_of(call: Call, node: ast.expr) -> tuple[Edge, Edge]:
    """Return where the period that *node* names begins, and where the next one does."""
    match node:
        case ast.Call(func=ast.Name(id=("this" | "previous") as word), args=[argument], keywords=[]):
            name = call.text_of(argument, "day, week, month, quarter or year")
        case _:
            raise call.error(node, "a period is needed here", 'write this("month") or previous("quarter")')
    if name not in list(Unit):
        raise call.error(argument, f"{name[:40]!r} is no period of the calendar", suggest(name, list(Unit)))
    scope, unit = call.reader.scope, Unit(name)
    zone = PERSON if scope.personal else str(scope.zone)
    first_day = scope.first_day if unit is Unit.WEEK else 0
    step = _STEPS[word]
    return Edge(unit, step, zone, first_day), Edge(unit, step + 1, zone, first_day)


def _compare(terms: tuple[Term, ...], ops: tuple[Op, ...]) -> Compare:
    return Compare(terms, ops)


def _time(call: Call) -> Value:
    """Return the first argument, which must be a time."""
    node = call.argument(0, "a time, as created_at")
    value = call.reader.value(node)
    if value.type not in (Type.TIME, Type.ANY) and not isinstance(value, SourceField):
        raise call.error(node, f"is a {value.type}, not a time")
    terms, _ = types.agree(call, [node, node], [value, NOW], ordered=True)
    return types.as_value(terms[0])


ENTRIES: Final = (
    Entry(
        "date",
        "date(TEXT)",
        "A day's first moment, or a time, in the segment's zone unless it says its own.",
        'created_at >= date("2026-01-01")',
    ),
    Entry(
        "within_last",
        "within_last(x, DURATION)",
        "In the last so many hours, now included and nothing ahead of it.",
        'within_last(created_at, "30d")',
    ),
    Entry("more_than_ago", "more_than_ago(x, DURATION)", "So long ago or longer.", 'more_than_ago(created_at, "1w")'),
    Entry("within_next", "within_next(x, DURATION)", "Ahead of now, by so much at most.", 'within_next(trial_ends_at, "7d")'),
    Entry(
        "between_ago",
        "between_ago(x, DURATION, DURATION)",
        "After the longer time ago, and the shorter time ago or earlier.",
        'between_ago(created_at, "60d", "30d")',
    ),
    Entry(
        "during",
        "during(x, PERIOD)",
        "In a period of the calendar, from its first moment to before the next one's.",
        'during(created_at, previous("quarter"))',
    ),
    Entry(
        "this",
        "this(UNIT)",
        "The day, week, month, quarter or year that it is now, inside `during` only.",
        'did("Order", during=this("month"))',
    ),
    Entry("previous", "previous(UNIT)", "The one before it, inside `during` only.", 'during(created_at, previous("week"))'),
)

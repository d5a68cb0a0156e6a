"""Words of time: rolling spans are hours, start exclusive and end inclusive; a date is midnight in the segment's zone."""

from __future__ import annotations

import ast
from datetime import datetime
from typing import TYPE_CHECKING

from core.clock import to_us
from core.segments import types
from core.segments.tree import Ago, Compare, Moment, Op, SourceField, Term, Type, Value

if TYPE_CHECKING:
    from core.segments.words.call import Call

NOW = Ago(0)


def date_(call: Call) -> Moment:
    """`date("2026-01-31")`, or with a time; in the zone of the segment unless it says its own."""
    found = moment_of(call, call.argument(0, 'a date such as "2026-01-31"'))
    call.end(1)
    return found


def moment_of(call: Call, node: ast.expr) -> Moment:
    """Return the point in time that the text *node* says."""
    text = call.text_of(node, 'a date such as "2026-01-31"')
    try:
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is None:
            at = at.replace(tzinfo=call.reader.scope.zone)
        return Moment(to_us(at))
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

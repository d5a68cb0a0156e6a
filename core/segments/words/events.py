"""Words of events: whether, how often, on how many days, how regularly, which was the last, and what properties add up to."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.config.names import suggest
from core.contract import Kind
from core.segments import types
from core.segments.tree import And, Compare, Condition, Did, In, Not, Op
from core.segments.tree_constants import PERSON, Ago, Literal, Type
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Property, Window
from core.segments.words.entry import Entry

if TYPE_CHECKING:
    from core.segments.words.call import Call

ABOUT: Final = ("last", "between_ago", "since", "until", "during", "where", "source")
"""Names that an event word keeps for itself; a property of such a name is asked by `where=prop("...")`."""
MAX_PERIODS: Final = 1_000


def did(call: Call) -> Did:
    """`did("Signed Up", last="7d", plan="pro")`."""
    return Did(event_set(call, 1))


def last_event(call: Call) -> Condition:
    """`last_event("Payment", status="failed")`: the latest one, in the window if there is one, passes the filter."""
    events = event_set(call, 1)
    return Did(events) if events.filter is None else LastEvent(replace(events, filter=None), events.filter)


def regularly(call: Call) -> Compare:
    """`regularly(E, 3, of=4, every="7d")`: in at least 3 of the last 4 periods of 7 days."""
    at_least = _count(call, call.argument(1, "a number of periods"))
    of_node, every_node = call.named.pop("of", None), call.named.pop("every", None)
    if of_node is None or every_node is None:
        raise call.error(call.node, "regularly needs of= and every=", 'write regularly("Event", 3, of=4, every="7d")')
    of, every = _count(call, of_node), call.duration_of(every_node)
    if at_least > of:
        raise call.error(call.argument(1, "a number of periods"), f"{at_least} of {of} periods cannot be")
    events = event_set(call, 2)
    whole = replace(events, window=within(events.window, after_us=of * every))
    periods = Aggregate(Function.PERIODS, whole, every_us=every)
    return Compare((periods, Literal(at_least, Type.NUMBER)), (Op.GE,))


def stopped(call: Call) -> Condition:
    """`stopped(E, "30d")`: in the 30 days before the last 30, and not in the last 30."""
    us, events = call.duration(1), event_set(call, 2)
    return And((Did(spanned(events, after_us=2 * us, upto_us=us)), Not(Did(spanned(events, after_us=us)))))


def restarted(call: Call) -> Condition:
    """`restarted(E, "30d")`: in the last 30 days, not in the 30 before, and ever before that."""
    us, events = call.duration(1), event_set(call, 2)
    before, ever = spanned(events, after_us=2 * us, upto_us=us), spanned(events, upto_us=2 * us)
    return And((Did(spanned(events, after_us=us)), Not(Did(before)), Did(ever)))


def spanned(events: EventSet, *, after_us: int | None = None, upto_us: int = 0) -> EventSet:
    """Return those of *events* that also lie after one time ago and up to another."""
    return replace(events, window=within(events.window, after_us=after_us, upto_us=upto_us))


def within(window: Window, *, after_us: int | None = None, upto_us: int = 0) -> Window:
    """Return what *window* and a rolling span have in common."""
    after = [us for us in (after_us, window.after.us if window.after else None) if us is not None]
    upto = max(upto_us, window.upto.us if window.upto else 0)
    return replace(window, after=Ago(min(after)) if after else None, upto=Ago(upto) if upto else None)


def _count(call: Call, node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool) and 1 <= number <= MAX_PERIODS:
            return number
    raise call.error(node, f"a whole number from 1 to {MAX_PERIODS} is needed here")


def aggregate(call: Call) -> Aggregate:
    """`count(E)`, `days_active(E)`, `first_time(E)`, `last_time(E)`."""
    function = Function(call.word)
    scope = call.reader.scope
    zone = (PERSON if scope.personal else str(scope.zone)) if function is Function.DAYS_ACTIVE else None
    return Aggregate(function, event_set(call, 1), zone=zone)


def of_property(call: Call) -> Aggregate:
    """`sum(E, "amount")`, and likewise distinct, avg, min, max, median."""
    property_ = property_name(call, call.argument(1, 'a property such as "amount"'))
    return Aggregate(Function(call.word), event_set(call, 2), of=property_)


def property_name(call: Call, node: ast.expr) -> str:
    """Return the property that *node* names: in quotes, bare or by `prop`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=str() as name):
            return name
        case ast.Call(func=ast.Name(id="prop"), args=[ast.Constant(value=str() as name)], keywords=[]):
            return name
    raise call.error(node, "the name of a property is needed here", "write it in quotes")


def event_set(call: Call, positional: int) -> EventSet:
    """Take the event's name, its window and its filter; *positional* arguments were taken in all."""
    if call.reader.scope.event is not None:
        raise call.error(call.node, "inside where= only properties of the event can be asked")
    name = call.text(0, "the name of an event")
    window = call.window()
    source = source_of(call)
    filter_ = filter_of(call, name)
    call.end(positional)
    needs_events(call, source)
    return EventSet(name, window=window, filter=filter_, source=source)


def filter_of(call: Call, name: str) -> Condition | None:
    """Take `where=` and whatever else is named, each a property that must equal something."""
    from core.segments.reader import inside

    where = call.named.pop("where", None)
    conditions = [_equal(call, key, call.named.pop(key)) for key in list(call.named)]
    if where is not None:
        conditions.append(inside(call.reader, name).condition(where))
    return None if not conditions else conditions[0] if len(conditions) == 1 else And(tuple(conditions))


def needs_events(call: Call, source: str | None) -> None:
    """Fail if no stream of the config brings events."""
    if not call.reader.scope.vocabulary.feeding(Kind.EVENT, source=source):
        of = f" of {source}" if source else ""
        raise call.error(call.node, f"no configured stream{of} brings events", "add a connection that does")


def source_of(call: Call) -> str | None:
    """Take `source=`, the connection whose events alone count."""
    node = call.named.pop("source", None)
    if node is None:
        return None
    source = call.text_of(node, "the name of a connection")
    if source not in call.reader.scope.vocabulary.connections:
        raise call.error(node, f"{source} is not a connection", suggest(source, call.reader.scope.vocabulary.connections))
    return source


def _equal(call: Call, key: str, node: ast.expr) -> Condition:
    """`plan="pro"`, or `plan=["pro", "team"]` for any of them."""
    if isinstance(node, ast.List | ast.Tuple):
        constants = call.reader.literals(node)
        terms, _ = types.agree(call, [node] * (len(constants) + 1), [Property(key), *constants], ordered=False)
        return In(types.as_value(terms[0]), tuple(types.as_constant(t) for t in terms[1:]))
    constant = call.reader.term(node)
    if not isinstance(constant, Literal):
        raise call.error(node, f"{key}= needs a text, a number, True or False", f"for more write where={key} ...")
    return Compare((types.settled(Property(key), Type(constant.type)), constant), (Op.EQ,))


ENTRIES: Final = (
    Entry(
        "did", "did(EVENT, ...)", "There is such an event.", 'did("Signed Up", last="7d", plan="pro")', window=True, filter=True
    ),
    Entry(
        "count",
        "count(EVENT, ...)",
        "How many such events there are; 0 for none.",
        'count("Page Viewed", path="/pricing", last="30d") >= 3',
        window=True,
        filter=True,
    ),
    Entry(
        "days_active",
        "days_active(EVENT, ...)",
        "On how many days of the calendar there is one.",
        'days_active("Page Viewed", last="28d") >= 12',
        window=True,
        filter=True,
    ),
    Entry(
        "distinct",
        "distinct(EVENT, PROPERTY, ...)",
        "How many different values the property has.",
        'distinct("Page Viewed", "path") >= 5',
        window=True,
        filter=True,
    ),
    Entry(
        "sum",
        "sum(EVENT, PROPERTY, ...)",
        "The property added up; 0 for no event.",
        'sum("Order", "amount", last="365d") > 1000',
        window=True,
        filter=True,
    ),
    Entry(
        "avg",
        "avg(EVENT, PROPERTY, ...)",
        "The mean of the property; missing for no event.",
        'avg("Order", "amount") > 50',
        window=True,
        filter=True,
    ),
    Entry(
        "median",
        "median(EVENT, PROPERTY, ...)",
        "The middle value, of two the mean; missing for no event.",
        'median("Order", "amount") > 50',
        window=True,
        filter=True,
    ),
    Entry(
        "first_time",
        "first_time(EVENT, ...)",
        "When the first was; missing for no event.",
        'more_than_ago(first_time("Signed Up"), "30d")',
        window=True,
        filter=True,
    ),
    Entry(
        "last_time",
        "last_time(EVENT, ...)",
        "When the last was; missing for no event.",
        'more_than_ago(last_time("Page Viewed"), "30d")',
        window=True,
        filter=True,
    ),
    Entry(
        "last_event",
        "last_event(EVENT, ...)",
        "The latest one, in the window if there is one, passes the filter.",
        'last_event("Order", status="failed")',
        window=True,
        filter=True,
    ),
    Entry(
        "regularly",
        "regularly(EVENT, N, of=M, every=DURATION, ...)",
        "In at least N of the last M periods of that length.",
        'regularly("Page Viewed", 3, of=4, every="7d")',
        window=True,
        filter=True,
    ),
    Entry(
        "stopped",
        "stopped(EVENT, DURATION, ...)",
        "In the span before the last one, and not in the last.",
        'stopped("Page Viewed", "30d")',
        window=True,
        filter=True,
    ),
    Entry(
        "restarted",
        "restarted(EVENT, DURATION, ...)",
        "In the last span, not in the one before, and ever before that.",
        'restarted("Page Viewed", "30d")',
        window=True,
        filter=True,
    ),
)

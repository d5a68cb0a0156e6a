"""Words of events in order: one after the other, or one and then not the other."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.segments.tree import And, Condition
from core.segments.tree_events import EventSet, Sequence, Step, Window
from core.segments.words.entry import Entry
from core.segments.words.events import event_set, filter_of, needs_events, property_name, source_of

if TYPE_CHECKING:
    from core.segments.words.call import Call

MAX_STEPS: Final = 5


def sequence(call: Call) -> Sequence:
    """
    `sequence("A", "B", within="7d")`, `sequence("Cart", without("Order"), within="3d")`: up to five steps in order.

    A step is an event's name, `did("A", plan="pro")` or `without("B")`. The window is the first step's; filters hold for all.
    """
    if call.reader.scope.event is not None:
        raise call.error(call.node, "inside where= only properties of the event can be asked")
    steps = [_step(call, node) for node in call.node.args]
    if len(steps) < 2:
        raise call.error(call.node, "sequence needs two steps or more", 'write sequence("A", "B", within="7d")')
    if len(steps) > MAX_STEPS:
        raise call.error(call.node.args[MAX_STEPS], f"sequence takes up to {MAX_STEPS} steps")
    if steps[0].absent:
        raise call.error(call.node.args[0], "a sequence begins with an event", 'write not did("B") for never at all')
    within = call.named.pop("within", None)
    within_us = call.duration_of(within) if within is not None else None
    start_last = _start(call)
    same = call.named.pop("same", None)
    property_ = property_name(call, same) if same is not None else None
    window, source = call.window(), source_of(call)
    filter_ = filter_of(call, "sequence")
    call.end(len(steps))
    needs_events(call, source)
    steps = [_shared(step, filter_, source) for step in steps]
    steps[0] = replace(steps[0], events=replace(steps[0].events, window=window))
    return Sequence(tuple(steps), within_us=within_us, start_last=start_last, same=property_)


def without(call: Call) -> Sequence:
    """`without("B")`: a step of a sequence, that there is no such event."""
    raise call.error(call.node, "without(...) is a step of a sequence", 'write sequence("A", without("B"), within="7d")')


def _step(call: Call, node: ast.expr) -> Step:
    from core.segments.words.call import Call as Inner

    match node:
        case ast.Constant(value=str() as name):
            return Step(EventSet(name))
        case ast.Call(func=ast.Name(id=("did" | "without") as word)):
            events = event_set(Inner(call.reader, node, word), 1)
            if events.window != Window():
                raise call.error(node, "a step has no window of its own", 'write sequence("A", "B", last="30d")')
            return Step(events, word == "without")
    raise call.error(node, "a step is an event's name, did(...) or without(...)", 'write sequence("A", "B", within="7d")')


def _start(call: Call) -> bool:
    node = call.named.pop("start", None)
    if node is None:
        return False
    match call.text_of(node, '"any" or "last"'):
        case "last":
            return True
        case "any":
            return False
    raise call.error(node, 'start is "any" or "last"')


def _shared(step: Step, filter_: Condition | None, source: str | None) -> Step:
    """Return *step* with what the whole sequence asks of all its events."""
    events = step.events
    both = [condition for condition in (events.filter, filter_) if condition is not None]
    filter_ = And(tuple(both)) if len(both) == 2 else both[0] if both else None
    return replace(step, events=replace(events, filter=filter_, source=events.source or source))


ENTRIES: Final = (
    Entry(
        "sequence",
        'sequence(STEP, STEP, ..., within=DURATION, start="last", same=PROPERTY, ...)',
        "Two to five steps one after another, each strictly later, within a time after the first.",
        'sequence("Page Viewed", "Signed Up", within="7d")',
        window=True,
        filter=True,
    ),
    Entry(
        "without",
        "without(EVENT, ...)",
        "A step of a sequence: no such event until then, and time enough has passed to tell.",
        'sequence("Page Viewed", without("Order"), within="3d", same="product_id")',
        filter=True,
    ),
)

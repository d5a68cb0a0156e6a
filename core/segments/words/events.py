"""Words of events: whether, how often, on how many days, and what their properties add up to."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from core.config.names import suggest
from core.contract import Kind
from core.segments import types
from core.segments.tree import Aggregate, And, Compare, Condition, Did, EventSet, Function, In, Literal, Op, Property, Type

if TYPE_CHECKING:
    from core.segments.words.call import Call

ABOUT: Final = ("last", "between_ago", "since", "until", "during", "where", "source")
"""Names that an event word keeps for itself; a property of such a name is asked by `where=prop("...")`."""


def did(call: Call) -> Did:
    """`did("Signed Up", last="7d", plan="pro")`."""
    return Did(_events(call, 1))


def aggregate(call: Call) -> Aggregate:
    """`count(E)`, `days_active(E)`, `first_time(E)`."""
    function = Function(call.word)
    zone = str(call.reader.scope.zone) if function is Function.DAYS_ACTIVE else None
    return Aggregate(function, _events(call, 1), zone=zone)


def of_property(call: Call) -> Aggregate:
    """`sum(E, "amount")`, and likewise distinct, avg, min, max."""
    node = call.argument(1, 'a property such as "amount"')
    match node:
        case ast.Name(id=name):
            property_ = name
        case ast.Constant(value=str() as name):
            property_ = name
        case ast.Call(func=ast.Name(id="prop"), args=[ast.Constant(value=str() as name)], keywords=[]):
            property_ = name
        case _:
            raise call.error(node, "the name of a property is needed here", f'write {call.word}("Event", "property")')
    return Aggregate(Function(call.word), _events(call, 2), of=property_)


def _events(call: Call, positional: int) -> EventSet:
    from core.segments.reader import inside

    if call.reader.scope.event is not None:
        raise call.error(call.node, "inside where= only properties of the event can be asked")
    name = call.text(0, "the name of an event")
    window = call.window()
    source = _source(call)
    where = call.named.pop("where", None)
    conditions = [_equal(call, key, call.named.pop(key)) for key in list(call.named)]
    if where is not None:
        conditions.append(inside(call.reader, name).condition(where))
    call.end(positional)
    filter_ = None if not conditions else conditions[0] if len(conditions) == 1 else And(tuple(conditions))
    if not call.reader.scope.vocabulary.feeding(Kind.EVENT, source=source):
        of = f" of {source}" if source else ""
        raise call.error(call.node, f"no configured stream{of} brings events", "add a connection that does")
    return EventSet(name, window=window, filter=filter_, source=source)


def _source(call: Call) -> str | None:
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

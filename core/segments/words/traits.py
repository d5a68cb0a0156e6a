"""Words of computed values: arithmetic, `a if c else b`, the smallest, the largest, the first that is there, rounding, days."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from core.segments import exact, types
from core.segments.tree import Compare, Condition, Op, SourceField, Term, Value
from core.segments.tree_constants import CONSTANTS, TEXT_LIKE, Constant, Literal, Type, personal
from core.segments.tree_traits import Arithmetic, Chosen, DaysSince, Pick, Picked, Rounded, Sign, Truth
from core.segments.types import Groups
from core.segments.words import events
from core.segments.words.entry import Entry
from core.segments.words.ranks import of_people

if TYPE_CHECKING:
    from core.segments.reader import Reader
    from core.segments.words.call import Call

MAX_DIGITS: Final = 10
BY_NOTHING: Final = "nothing is divided by zero"
_SIGNS: Final[dict[type[ast.operator], Sign]] = {
    ast.Add: Sign.PLUS, ast.Sub: Sign.MINUS, ast.Mult: Sign.TIMES, ast.Div: Sign.OVER,
}  # fmt: skip


def computed(reader: Reader, node: ast.BinOp | ast.IfExp | ast.UnaryOp) -> Value | Constant:
    """`10 * did("A") + count("B")`, `"big" if mrr > 1000 else "small"`, `-mrr`."""
    if reader.scope.event is not None:
        raise reader.error(node, "nothing is computed inside where=")
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(reader, _SIGNS[type(op)], (left, right))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition = closed(reader, test, reader.condition(test))
            (then, otherwise), type_ = _alike(reader, (body, orelse))
            return Chosen(condition, then, otherwise, type_)
        case ast.UnaryOp(operand=operand):
            found = _number(reader, operand)
            if isinstance(found, Literal):
                return Literal(-float(found.value), Type.NUMBER)
            return Arithmetic(Sign.MINUS, Literal(0, Type.NUMBER), found, Type.NUMBER)


def least_or_most(call: Call) -> Value:
    """`min(count("A"), 5)`, `max(a, b)` of values; of an event's property `min("Order", "amount")`."""
    first = call.node.args[0] if call.node.args else None
    if first is None or (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        return events.of_property(call)
    return _picked(call, Pick(call.word))


def coalesce(call: Call) -> Value:
    """`coalesce(mrr, 0)`: the first of them that is there."""
    return _picked(call, Pick.COALESCE)


def rounded(call: Call) -> Rounded | Literal:
    """`round(x)`, `round(x, 2)`: halves go away from zero."""
    of_people(call)
    item = _number(call.reader, call.argument(0, "a number"))
    digits = 0
    if len(call.node.args) > 1:
        match call.node.args[1]:
            case ast.Constant(value=int() as digits) if not isinstance(digits, bool) and 0 <= digits <= MAX_DIGITS:
                pass
            case other:
                raise call.error(other, f"how many digits is a whole number from 0 to {MAX_DIGITS}")
    call.end(2)
    if isinstance(item, Literal):
        return Literal(exact.rounded(float(item.value), digits) or 0.0, Type.NUMBER)
    return Rounded(item, digits, Type.NUMBER)


def days_since(call: Call) -> DaysSince:
    """`days_since(created_at)`: whole days of 24 hours, rounded down; negative for what is ahead."""
    of_people(call)
    node = call.argument(0, "a time, as created_at")
    item = operand(call.reader, node)
    if item.type is Type.ANY or (isinstance(item, SourceField) and item.type is Type.TEXT):
        item = types.settled(types.as_value(item), Type.TIME) if item.type is Type.ANY else _as_time(item)
    if item.type is not Type.TIME:
        raise call.error(node, f"is a {item.type}, not a time")
    call.end(1)
    _of_somebody(call.reader, call.node, (item,))
    return DaysSince(item, Type.NUMBER)


def _as_time(item: Term) -> Term:
    assert isinstance(item, SourceField)
    return SourceField(item.connection, item.stream, item.field, Type.TIME)


def closed(reader: Reader, node: ast.expr, condition: Condition) -> Condition:
    """Return *condition* with what the sets that it names ask, so that a computed value hangs on nothing else."""
    from core.segments.traits import closed as close  # which reads through this module

    return close(reader, node, condition)


def _arithmetic(reader: Reader, sign: Sign, nodes: tuple[ast.expr, ast.expr]) -> Value | Constant:
    terms = [operand(reader, node) for node in nodes]
    if sign is Sign.PLUS and all(term.type in TEXT_LIKE for term in terms) and any(t.type is not Type.ANY for t in terms):
        texts = [_settled(term, Type.TEXT) for term in terms]
        if all(isinstance(text, Literal) for text in texts):
            raise reader.error(nodes[0], "says nothing about anybody", "write the text as one")
        return Arithmetic(sign, texts[0], texts[1], Type.TEXT)
    left, right = (as_number(reader, node, term) for node, term in zip(nodes, terms, strict=True))
    if isinstance(left, Literal) and isinstance(right, Literal):
        return _of_literals(reader, nodes[1], sign, float(left.value), float(right.value))
    if sign is Sign.OVER and isinstance(right, Literal) and right.value == 0:
        raise reader.error(nodes[1], BY_NOTHING)
    return Arithmetic(sign, left, right, Type.NUMBER)


def _of_literals(reader: Reader, node: ast.expr, sign: Sign, left: float, right: float) -> Literal:
    if sign is Sign.OVER and right == 0:
        raise reader.error(node, BY_NOTHING)
    found = {
        Sign.PLUS: lambda: left + right, Sign.MINUS: lambda: left - right,
        Sign.TIMES: lambda: left * right, Sign.OVER: lambda: left / right,
    }[sign]()  # fmt: skip
    if not -(2**53) <= found <= 2**53:
        raise reader.error(node, "a number too large to be exact")
    return Literal(found, Type.NUMBER)


def _picked(call: Call, pick: Pick) -> Picked:
    of_people(call)
    if len(call.node.args) < 2:
        raise call.error(call.node, f"{call.word} needs two values or more")
    terms, type_ = _alike(call.reader, call.node.args)
    call.end(len(terms))
    if pick is not Pick.COALESCE and type_ not in (Type.NUMBER, Type.TIME):
        raise call.error(call.node.args[0], f"a {type_} has no order", "numbers and times have one")
    _of_somebody(call.reader, call.node, terms)
    return Picked(pick, terms, type_)


def _alike(reader: Reader, nodes: Sequence[ast.expr]) -> tuple[tuple[Term, ...], Type]:
    """Return what *nodes* say as values of one type."""
    terms = [operand(reader, node) for node in nodes]
    known = [Type.TEXT if term.type in TEXT_LIKE else term.type for term in terms if term.type is not Type.ANY]
    goal = known[0] if known else Type.NUMBER
    found = []
    for node, term in zip(nodes, terms, strict=True):
        settled = _settled(term, goal)
        if (Type.TEXT if settled.type in TEXT_LIKE else settled.type) is not goal:
            raise reader.error(node, f"is a {term.type} where a {goal} stands beside it")
        found.append(settled)
    return tuple(found), goal


def operand(reader: Reader, node: ast.expr) -> Term:
    """Read *node* as a value or a constant; something true or false counts as 1 or 0."""
    found = reader.read(node)
    if isinstance(found, Groups):
        raise reader.error(node, "a partition is compared with a group", f'write partition("{found.partition}") == "..."')
    if isinstance(found, CONSTANTS):
        if found.type is Type.BOOLEAN:
            raise reader.error(node, "true or false is no value of a trait", "write 1 or 0")
        if personal(found):
            raise reader.error(node, "a date on each person's own clock is compared, not computed with")
        return found
    if isinstance(found, types.VALUES):
        if found.type is not Type.BOOLEAN:
            return found
        return Truth(Compare((found, Literal(True, Type.BOOLEAN)), (Op.EQ,)), Type.NUMBER)
    return Truth(closed(reader, node, found), Type.NUMBER)


def _number(reader: Reader, node: ast.expr) -> Term:
    return as_number(reader, node, operand(reader, node))


def as_number(reader: Reader, node: ast.expr, term: Term) -> Term:
    settled = _settled(term, Type.NUMBER)
    if settled.type is not Type.NUMBER:
        remedy = "write days_since(x)" if settled.type is Type.TIME else "write the number without quotes"
        raise reader.error(node, f"is a {term.type}, not a number to reckon with", remedy)
    return settled


def _settled(term: Term, type_: Type) -> Term:
    return term if isinstance(term, CONSTANTS) else types.settled(term, type_)


def _of_somebody(reader: Reader, node: ast.expr, terms: Sequence[Term]) -> None:
    if all(isinstance(term, CONSTANTS) for term in terms):
        raise reader.error(node, "says nothing about anybody", "name a field or an event")


ENTRIES: Final = (
    Entry(
        "min",
        "min(a, b, ...), min(EVENT, PROPERTY, ...)",
        "The smallest of several values, or of a property of events.",
        'min(count("Order"), 5) == 5 and min("Order", "amount") > 10',
        window=True,
        filter=True,
    ),
    Entry(
        "max",
        "max(a, b, ...), max(EVENT, PROPERTY, ...)",
        "The largest of several values, or of a property of events.",
        'max("Order", "amount", last="90d") >= 100',
        window=True,
        filter=True,
    ),
    Entry("coalesce", "coalesce(a, b, ...)", "The first of the values that is there.", "coalesce(mrr, 0) < 10"),
    Entry(
        "round",
        "round(x, DIGITS)",
        "Rounded to so many digits, none if left out; halves go away from zero.",
        "round(mrr / seats, 2) > 9.5",
    ),
    Entry(
        "days_since",
        "days_since(x)",
        "Whole days of 24 hours from a time to now, rounded down.",
        "days_since(created_at) >= 100",
    ),
)

"""A test as an SQL condition over columns; and what it says of a person whose count is zero."""

from __future__ import annotations

from collections.abc import Callable
from operator import eq, ge, gt, le, lt
from typing import Any, Final

from core.segments import dialect
from core.segments.calendar import edge_us
from core.segments.dialect import Sql
from core.segments.tree import And, Compare, Condition, Exists, In, Matches, Not, Op, Or, Term, Test, Value
from core.segments.tree_constants import CONSTANTS, Ago, Constant, Edge, Literal, Moment, OwnMoment, personal

_SQL_OPS: Final = {Op.EQ: "=", Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">="}
_PYTHON_OPS: Final = {Op.EQ: eq, Op.LT: lt, Op.LE: le, Op.GT: gt, Op.GE: ge}

Columns = Callable[[Value | Edge | OwnMoment], Sql]
"""Where the value of a row is; also asked for a calendar time that hangs on whose row it is."""


def predicate(node: Condition, columns: Columns, now_us: int) -> Sql:
    """Return *node* as a condition that is true where it holds, and false or NULL where it does not."""
    match node:
        case And() | Or():
            parts = [predicate(item, columns, now_us) for item in node.items]
            glue = " AND " if isinstance(node, And) else " OR "
            return Sql("(" + glue.join(p.text for p in parts) + ")", tuple(x for p in parts for x in p.params))
        case Not():
            inner = predicate(node.item, columns, now_us)
            return Sql(f"(({inner.text}) IS NOT TRUE)", inner.params)  # the complement: also rows without the value
        case Compare():
            terms = [term(t, columns, now_us) for t in node.terms]
            pairs = list(zip(terms, node.ops, terms[1:], strict=False))
            text = " AND ".join(f"{a.text} {_SQL_OPS[op]} {b.text}" for a, op, b in pairs)
            return Sql(f"({text})", tuple(x for a, _, b in pairs for x in (*a.params, *b.params)))
        case In():
            value = columns(node.value)
            options = [term(option, columns, now_us) for option in node.options]
            text = ", ".join(option.text for option in options)
            return Sql(f"({value.text} IN ({text}))", (*value.params, *(x for option in options for x in option.params)))
        case Exists():
            value = columns(node.value)
            return Sql(f"({value.text} IS NOT NULL)", value.params)
        case Matches():
            found = dialect.look_into(columns(node.value), node.how, node.text, node.case)
            return Sql(f"({found.text})", found.params)
        case _:
            raise AssertionError("a condition on people inside a condition on a row")


def term(node: Term, columns: Columns, now_us: int) -> Sql:
    """Return a term as SQL."""
    if isinstance(node, CONSTANTS) and not (isinstance(node, Edge | OwnMoment) and personal(node)):
        return Sql("?", (bound(node, now_us),))
    return columns(node)


def bound(constant: Constant, now_us: int) -> str | int | float:
    """Return what is bound for a constant."""
    match constant:
        case Literal():
            return int(constant.value) if isinstance(constant.value, bool) else constant.value
        case Moment():
            return constant.at_us
        case Ago():
            return now_us - constant.us
        case Edge():
            return edge_us(constant, constant.zone, now_us)
        case OwnMoment():
            raise AssertionError("a moment of everybody's own clock is bound person by person")


def holds(test: Test, value: Value) -> bool:
    """Return whether *test*, on this one value, holds where the value is 0."""

    def zero(item: Term) -> object:
        return 0 if item == value else item.value if isinstance(item, Literal) else None

    match test:
        case Compare():
            terms: list[Any] = [zero(item) for item in test.terms]
            return all(_PYTHON_OPS[op](a, b) for a, op, b in zip(terms, test.ops, terms[1:], strict=False))
        case In():
            return any(zero(option) == 0 for option in test.options)
        case Exists():
            return True
        case Matches():
            return False

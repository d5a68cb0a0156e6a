"""Computed values to expressions: arithmetic, choices, rounding. A missing operand makes it all missing; `coalesce` mends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.segments import dialect, exact
from core.segments.dialect import Param, Sql
from core.segments.tree import Condition, Term
from core.segments.tree_constants import Literal, Type
from core.segments.tree_traits import Arithmetic, Chosen, DaysSince, Pick, Picked, Rounded, Sign, Truth

Terms = Callable[[Any], Sql]
Conditions = Callable[[Condition], Sql]


def computed(value: Any, terms: Terms, conditions: Conditions, now_us: int) -> Sql:
    """Return a computed value as an expression over what *terms* and *conditions* make of its parts."""
    match value:
        case Arithmetic() if value.type is Type.NUMBER:
            return _numbers(value, terms)
        case Arithmetic():
            return _joined("({} || {})", [terms(value.left), terms(value.right)])
        case Picked():
            return _picked(value, terms)
        case Rounded():
            return _joined(exact.ROUNDED.replace("{digits}", str(value.digits)), [_number(value.item, terms)])
        case Chosen():
            parts = [conditions(value.condition), *(_typed(t, value.type, terms) for t in (value.then, value.otherwise))]
            return _joined("(CASE WHEN {} THEN {} ELSE {} END)", parts)
        case Truth():
            return _joined("(CASE WHEN {} THEN 1.0 ELSE 0.0 END)", [conditions(value.condition)])
        case DaysSince():
            since = terms(value.item)
            return dialect.whole_days(Sql(f"? - {since.text}", (now_us, *since.params)))
        case _:
            raise AssertionError("not a computed value")


def _numbers(value: Arithmetic, terms: Terms) -> Sql:
    left, right = _number(value.left, terms), _number(value.right, terms)
    if value.sign is Sign.OVER:  # nothing is divided by zero: there is no value then
        return _joined("({} / nullif({}, 0.0))", [left, right])
    return _joined(f"({{}} {value.sign.value} {{}})", [left, right])


def _picked(value: Picked, terms: Terms) -> Sql:
    parts = [_typed(item, value.type, terms) for item in value.items]
    name = dialect.LARGEST if value.pick is Pick.MAX else dialect.SMALLEST if value.pick is Pick.MIN else "coalesce"
    return _joined(f"{name}({', '.join('{}' for _ in parts)})", parts)


def _typed(term: Term, type_: Type, terms: Terms) -> Sql:
    return _number(term, terms) if type_ is Type.NUMBER else terms(term)


def _number(term: Term, terms: Terms) -> Sql:
    """Return a term as a number that divides as numbers do."""
    if isinstance(term, Literal):
        return Sql("?", (float(term.value),))
    found = terms(term)
    return Sql(dialect.as_number(found.text), found.params)


def _joined(text: str, parts: Sequence[Sql]) -> Sql:
    params: list[Param] = []
    for part in parts:
        params += part.params
    return Sql(text.format(*(part.text for part in parts)), tuple(params))

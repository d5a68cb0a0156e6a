"""What computed values mean, said slowly: one person at a time, plain Python numbers; None is a missing value."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from core.segments import tree_traits as c
from core.segments.tree_constants import CONSTANTS, Type

if TYPE_CHECKING:
    from reference import Reference

VALUES = c.COMPUTED
CONDITIONS = (c.Member,)
DAY_US = 24 * 3600 * 1_000_000


def holds(reference: Reference, node: c.Member, person: dict[str, Any]) -> bool:
    """Return whether somebody is in a set that stands in a computed value."""
    known = reference.companies or node.anonymous or person.get("email") or person.get("user_id")
    return bool(person.get("live", 1) and known) and reference.holds(node.condition, person)


def value(reference: Reference, node: Any, person: dict[str, Any]) -> Any:
    """Return a computed value."""
    if isinstance(node, c.Trait):
        return one(reference, node.value, person)
    if isinstance(node, c.Truth):
        return 1.0 if reference.holds(node.condition, person) else 0.0
    if isinstance(node, c.Chosen):
        chosen = node.then if reference.holds(node.condition, person) else node.otherwise
        return as_(node.type, one(reference, chosen, person))
    items = [as_(node.type, one(reference, item, person)) for item in c.terms_in(node)]
    if isinstance(node, c.Picked) and node.pick is c.Pick.COALESCE:
        return next((item for item in items if item is not None), None)
    if None in items:
        return None
    match node:
        case c.Arithmetic(sign=c.Sign.PLUS):
            return items[0] + items[1]
        case c.Arithmetic(sign=c.Sign.MINUS):
            return items[0] - items[1]
        case c.Arithmetic(sign=c.Sign.TIMES):
            return items[0] * items[1]
        case c.Arithmetic():
            return items[0] / items[1] if items[1] != 0 else None
        case c.Picked():
            return min(items) if node.pick is c.Pick.MIN else max(items)
        case c.Rounded():
            return float(Decimal(repr(items[0])).quantize(Decimal(1).scaleb(-node.digits), ROUND_HALF_UP))
        case c.DaysSince():
            return (reference.now - int(items[0])) // DAY_US
    raise AssertionError(node)


def one(reference: Reference, term: Any, person: dict[str, Any]) -> Any:
    """Return the one value of a person that is reckoned with: of several the largest."""
    if isinstance(term, CONSTANTS):
        return reference.constant(term, person)
    there = [v for v in reference.values(term, person) if v is not None]
    return max(there) if there else None


def as_(type_: Type, found: Any) -> Any:
    return float(found) if type_ is Type.NUMBER and found is not None else found

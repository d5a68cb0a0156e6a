"""
Tree nodes of computed values: arithmetic, choices and traits; plain frozen values as those in `tree`.

A missing operand makes a computed value missing, and so does a division by zero; `coalesce` mends. Who has several values of a
field counts with the largest. A trait is known by the hash of all that it names, so that equal ones are computed once.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.segments.tree import Condition, Term, Value
    from core.segments.tree_constants import Type


class Sign(StrEnum):
    """What is done with two numbers; of two texts `+` makes one."""

    PLUS = "+"
    MINUS = "-"
    TIMES = "*"
    OVER = "/"


class Pick(StrEnum):
    """Which of several values is taken."""

    MIN = "min"
    MAX = "max"
    COALESCE = "coalesce"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left sign right`; a number, or a text where both sides are texts."""

    sign: Sign
    left: Term
    right: Term
    type: Type


@dataclass(frozen=True, slots=True)
class Picked:
    """The smallest or largest of values, all of which must be there; with COALESCE the first that is there."""

    pick: Pick
    items: tuple[Term, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Rounded:
    """A number with so many digits after the point; halves go away from zero."""

    item: Term
    digits: int
    type: Type


@dataclass(frozen=True, slots=True)
class Chosen:
    """`then if condition else otherwise`."""

    condition: Condition
    then: Term
    otherwise: Term
    type: Type


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition as a number: 1 where it holds, else 0; never missing."""

    condition: Condition
    type: Type


@dataclass(frozen=True, slots=True)
class DaysSince:
    """Whole days of 24 hours from a time to the run's clock, rounded down; negative for times ahead."""

    item: Term
    type: Type


@dataclass(frozen=True, slots=True)
class Trait:
    """A trait of the config, by name; *value* is what it is made of."""

    name: str
    digest: str
    """Of all that it names: another text is another value."""
    type: Type
    _: KW_ONLY
    value: Value = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Member:
    """Member of a segment, or of a partition's group, inside a computed value: what that asks stands in it."""

    name: str
    digest: str
    anonymous: bool
    condition: Condition = field(compare=False, repr=False)


Computed = Arithmetic | Picked | Rounded | Chosen | Truth | DaysSince | Trait
COMPUTED: Final = (Arithmetic, Picked, Rounded, Chosen, Truth, DaysSince, Trait)


def parts_of(node: Any, *, but: type | tuple[type, ...] = ()) -> Iterator[Any]:
    """Yield *node* and all nodes in it, each once (what several traits share costs nothing twice), but what is in a *but*."""
    stack, seen = [node], set()
    while stack:
        one = stack.pop()
        if isinstance(one, tuple):
            stack.extend(reversed(one))
        elif is_dataclass(type(one)) and one not in seen:  # of the type: an enum is asked slowly for what it has not
            seen.add(one)
            yield one
            if not isinstance(one, but):
                stack.extend(getattr(one, f.name) for f in reversed(fields(one)))


def conditions_in(value: Any) -> Iterator[Condition]:
    """Yield the conditions that stand in a value and all under them, each once; not those on events."""
    from core.segments.tree import And, Answered, Compare, Did, Exists, In, Matches, Not, Or
    from core.segments.tree_events import EventSet, LastEvent, Sequence
    from core.segments.tree_sets import Changed, InList, Top

    kinds = (And, Or, Not, Did, Answered, Compare, In, Exists, Matches, LastEvent, Sequence, Changed, InList, Top, Member)
    for part in parts_of(value, but=EventSet):
        if isinstance(part, kinds):
            yield part


def terms_in(value: Any) -> tuple[Term, ...]:
    """Return the terms directly in a computed value; those of a trait's own are its value."""
    match value:
        case Arithmetic():
            return (value.left, value.right)
        case Picked():
            return value.items
        case Rounded() | DaysSince():
            return (value.item,)
        case Chosen():
            return (value.then, value.otherwise)
        case Trait():
            return (value.value,)
        case _:
            return ()

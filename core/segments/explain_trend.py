"""
Which way time alone moves an answer: conditions that change once at most are halved, others asked moment by moment.

While nothing new comes in, days since a time only grow, what is counted in a rolling window only shrinks, and a date stays
where it is. Sums and differences of those go one way too, or it is not known which. Nothing here says when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.segments.explain_texts import parts
from core.segments.tree import And, Answer, Compare, Did, Exists, In, Matches, Not, Op, Or, SourceField, values_of
from core.segments.tree_constants import CONSTANTS, Ago, Edge, Literal
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Sequence
from core.segments.tree_traits import Arithmetic, Chosen, DaysSince, Member, Picked, Rounded, Sign, Trait, Truth

Way = int | None
"""1: it can only grow, or become true; -1: only shrink, or become false; 0: it stays; None: not known."""
Still = Callable[[Any], bool]
"""Whether a value of records, which has no window, stays as it is: nothing of it is dated ahead."""
_FALLING: Final = frozenset({Function.COUNT, Function.DAYS_ACTIVE, Function.DISTINCT})
_UPWARD: Final = frozenset({Op.GT, Op.GE})
_DOWNWARD: Final = frozenset({Op.LT, Op.LE})


def pieces(leaf: Any, still: Still) -> list[Any] | None:
    """
    Return conditions that change once at most, so that *leaf* changes only where one of them does; none where it stays.

    Where that is not known, None.
    """
    if not isinstance(leaf, Compare):
        goes = way(leaf, still)
        return None if goes is None else [leaf] if goes else []
    ways = [_pair(a, op, b, still) for a, op, b in zip(leaf.terms, leaf.ops, leaf.terms[1:], strict=False)]
    if all(one == 0 for one in ways):
        return []
    if len(ways) == 1 and ways[0] is not None:
        return [leaf]
    if any(_several(value) for value in values_of(leaf)):
        return None  # each of several values would have to be followed
    found: list[Any] = []
    for a, op, b in zip(leaf.terms, leaf.ops, leaf.terms[1:], strict=False):
        moves = _minus(trend(a, still), trend(b, still))
        if moves is None:
            return None
        if moves:
            found += [Compare((a, b), (one,)) for one in ((op,) if op in _UPWARD | _DOWNWARD else (Op.GE, Op.LE))]
    return found


def way(node: Any, still: Still) -> Way:
    """Return which way a condition goes."""
    match node:
        case And() | Or():
            return _same(*(way(item, still) for item in node.items))
        case Not():
            return _turned(way(node.item, still))
        case Member():
            return way(node.condition, still)
        case Did():
            return _of_set(node.events, still)
        case LastEvent():
            moves = any(isinstance(part, Ago | Edge) for part in parts(node.test))
            return 0 if _of_set(node.events, still) == 0 and not moves else None
        case Sequence():
            return _of_sequence(node, still)
        case Compare():
            pairs = zip(node.terms, node.ops, node.terms[1:], strict=False)
            return _same(*(_pair(a, op, b, still) for a, op, b in pairs))
        case In():
            return 0 if all(trend(term, still) == 0 for term in (node.value, *node.options)) else None
        case Exists() | Matches():
            return 0 if trend(node.value, still) == 0 else None
        case _:
            return None


def trend(term: Any, still: Still) -> Way:
    """Return which way a value goes; one that may come to be missing, or to be there, goes no known way."""
    match term:
        case Ago() | Edge():
            return 1
        case _ if isinstance(term, CONSTANTS):
            return 0
        case Aggregate():
            found = _of_set(term.events, still)
            if term.function is Function.PERIODS:
                return None
            return found if found == 0 or term.function in _FALLING else None
        case DaysSince():
            return 1 if trend(term.item, still) == 0 else None
        case Arithmetic():
            return _arithmetic(term, still)
        case Picked():
            return _same(*(trend(item, still) for item in term.items))
        case Rounded():
            return trend(term.item, still)
        case Chosen():
            fixed = way(term.condition, still) == 0
            return _same(trend(term.then, still), trend(term.otherwise, still)) if fixed else None
        case Truth():
            return way(term.condition, still)
        case Trait():
            return trend(term.value, still)
        case _:
            return 0 if still(term) else None


def daily(leaf: Any, still: Still) -> bool:
    """Return whether what *leaf* compares is the same again a day later: counts of days of which as many are taken away."""
    return isinstance(leaf, Compare) and {pace(term, still) for term in leaf.terms} == {0}


def pace(term: Any, still: Still) -> float | None:
    """Return how much more a value is a day later; None where that is not always the same."""
    match term:
        case DaysSince():
            return 1 if trend(term.item, still) == 0 else None
        case Arithmetic(sign=Sign.PLUS | Sign.MINUS):
            left, right = pace(term.left, still), pace(term.right, still)
            if left is None or right is None:
                return None
            return left + right if term.sign is Sign.PLUS else left - right
        case Trait():
            return pace(term.value, still)
        case _:
            return 0 if trend(term, still) == 0 else None


def _arithmetic(term: Arithmetic, still: Still) -> Way:
    left, right = trend(term.left, still), trend(term.right, still)
    if left == 0 == right:
        return 0
    match term.sign:
        case Sign.PLUS:
            return _same(left, right)
        case Sign.MINUS:
            return _minus(left, right)
        case Sign.TIMES if isinstance(term.left, Literal):
            return _times(term.left, right)
        case Sign.TIMES | Sign.OVER if isinstance(term.right, Literal):
            return _times(term.right, left)
        case _:
            return None


def _times(by: Literal, moves: Way) -> Way:
    if isinstance(by.value, str) or moves is None:
        return None
    return moves if by.value > 0 else -moves if by.value < 0 else None


def _pair(left: Any, op: str, right: Any, still: Still) -> Way:
    moves = _minus(trend(left, still), trend(right, still))
    if moves == 0 or op in _UPWARD:
        return moves
    return _turned(moves) if op in _DOWNWARD else None


def _of_set(events: EventSet, still: Still) -> Way:
    """Return 0 where the events of a set stay the same, -1 where they only leave it."""
    window = events.window
    enters = window.upto is not None or (isinstance(window.until, Edge) and window.until.step < 1)
    filtered = events.filter is not None and any(isinstance(part, Ago | Edge) for part in parts(events.filter))
    if enters or filtered or not still(events):
        return None
    leaves = window.after is not None or isinstance(window.since, Edge)
    return -1 if leaves else 0


def _of_sequence(leaf: Sequence, still: Still) -> Way:
    """What followed, followed; a first event grows old enough to tell that something did not."""
    ways = [_of_set(step.events, still) for step in leaf.steps]
    tells_later = leaf.steps[-1].absent and leaf.within_us is not None
    return _same(*ways, 1 if tells_later else 0)


def _several(value: Any) -> bool:
    """Return whether somebody may have several values, each of which is compared; a computed value is the largest."""
    return isinstance(value, SourceField | Answer)


def _same(*ways: Way) -> Way:
    found = {one for one in ways if one != 0}
    return found.pop() if len(found) == 1 else None if found else 0


def _minus(left: Way, right: Way) -> Way:
    return _same(left, _turned(right))


def _turned(one: Way) -> Way:
    return None if one is None else -one

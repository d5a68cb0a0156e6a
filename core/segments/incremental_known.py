"""
What `incremental_reach` can read: the nodes of a tree and their fields, and which constants move with the clock.

A node, or a field of one, that is not listed makes its leaf evaluated whole, so that a new word is slow before it is wrong.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from core.segments.tree import (
    And,
    Answer,
    Answered,
    Billing,
    CompanyField,
    Compare,
    Condition,
    Did,
    Exists,
    In,
    Matches,
    Not,
    Or,
    ProfileField,
    Score,
    SourceField,
    Test,
    values_of,
    walk,
)
from core.segments.tree_constants import CONSTANTS, Ago, Edge, Literal, Moment, OwnMoment, personal
from core.segments.tree_events import Aggregate, EventSet, LastEvent, Property, Sequence, Step, Window
from core.segments.tree_sets import Bucket, Changed
from core.segments.tree_traits import Arithmetic, Chosen, DaysSince, Member, Picked, Rounded, Trait, Truth

KNOWN: Final[dict[type, frozenset[str]]] = {
    Did: frozenset({"events"}),
    Answered: frozenset({"survey", "window"}),
    Compare: frozenset({"terms", "ops"}),
    In: frozenset({"value", "options"}),
    Exists: frozenset({"value"}),
    Matches: frozenset({"value", "how", "text", "case"}),
    EventSet: frozenset({"name", "window", "filter", "source"}),
    Window: frozenset({"after", "upto", "since", "until"}),
    Property: frozenset({"name", "type"}),
    Aggregate: frozenset({"function", "events", "of", "zone", "every_us"}),
    ProfileField: frozenset({"name", "type"}),
    CompanyField: frozenset({"name", "type"}),
    SourceField: frozenset({"connection", "stream", "field", "type"}),
    Billing: frozenset({"word", "type"}),
    Score: frozenset({"word"}),
    Answer: frozenset({"survey", "question", "every", "type"}),
    Changed: frozenset({"value", "to", "before", "window"}),
    Bucket: frozenset({"salt", "type"}),
    And: frozenset({"items"}),
    Or: frozenset({"items"}),
    Not: frozenset({"item"}),
    LastEvent: frozenset({"events", "test"}),
    Sequence: frozenset({"steps", "within_us", "start_last", "same"}),
    Step: frozenset({"events", "absent"}),
    Arithmetic: frozenset({"sign", "left", "right", "type"}),
    Picked: frozenset({"pick", "items", "type"}),
    Rounded: frozenset({"item", "digits", "type"}),
    Chosen: frozenset({"condition", "then", "otherwise", "type"}),
    Truth: frozenset({"condition", "type"}),
    DaysSince: frozenset({"item", "type"}),
    Trait: frozenset({"name", "digest", "type", "value"}),
    Member: frozenset({"name", "digest", "anonymous", "condition"}),
}
"""The nodes and fields that are read here; a field that is not may hold nothing but its default."""


class Whole(Exception):  # noqa: N818 - an answer, not a failure
    """There is something in the leaf that is not known here."""


def check(node: object) -> None:
    """Raise Whole where *node* is of a kind, or holds something, that is not known here."""
    known = KNOWN.get(type(node))
    if known is None:
        raise Whole
    for field in dataclasses.fields(node):  # type: ignore[arg-type]  # they are all dataclasses
        if field.name not in known and getattr(node, field.name) != field.default:
            raise Whole


def moving(constant: object) -> bool:
    """Return whether a constant stands elsewhere when the clock goes on."""
    match constant:
        case Literal() | Moment() | OwnMoment():
            return False
        case Ago() | Edge():
            return True
        case _:
            raise Whole


def constants_of(node: Test) -> list[object]:
    """Return the constants that a test compares with."""
    match node:
        case Compare():
            return [term for term in node.terms if isinstance(term, CONSTANTS)]
        case In():
            return list(node.options)
        case _:
            return []


def fixed(node: Condition) -> None:
    """Raise Whole unless a filter of events says the same of an event at any time."""
    for part in walk(node):
        check(part)
        if isinstance(part, Compare | In | Exists | Matches):
            for value in values_of(part):
                if not isinstance(value, Property):
                    raise Whole
                check(value)
            if any(moving(constant) or personal(constant) for constant in constants_of(part)):
                raise Whole
        elif not isinstance(part, And | Or | Not):
            raise Whole

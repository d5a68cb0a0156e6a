"""
What `incremental_reach` can read: the nodes of a tree and their fields, and which constants move with the clock.

A node, or a field of one, that is not listed makes its leaf evaluated whole, so that a new word is slow before it is wrong.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from core.segments import tree as t
from core.segments.tree_events import Edge, LastEvent, OwnMoment, Sequence, Step, personal
from core.segments.tree_sets import Bucket, Changed
from core.segments.tree_traits import Arithmetic, Chosen, DaysSince, Member, Picked, Rounded, Trait, Truth

KNOWN: Final[dict[type, frozenset[str]]] = {
    t.Did: frozenset({"events"}),
    t.Answered: frozenset({"survey", "window"}),
    t.Compare: frozenset({"terms", "ops"}),
    t.In: frozenset({"value", "options"}),
    t.Exists: frozenset({"value"}),
    t.Matches: frozenset({"value", "how", "text", "case"}),
    t.EventSet: frozenset({"name", "window", "filter", "source"}),
    t.Window: frozenset({"after", "upto", "since", "until"}),
    t.Property: frozenset({"name", "type"}),
    t.Aggregate: frozenset({"function", "events", "of", "zone", "every_us"}),
    t.ProfileField: frozenset({"name", "type"}),
    t.CompanyField: frozenset({"name", "type"}),
    t.SourceField: frozenset({"connection", "stream", "field", "type"}),
    t.Billing: frozenset({"word", "type"}),
    t.Score: frozenset({"word"}),
    t.Answer: frozenset({"survey", "question", "every", "type"}),
    Changed: frozenset({"value", "to", "before", "window"}),
    Bucket: frozenset({"salt", "type"}),
    t.And: frozenset({"items"}),
    t.Or: frozenset({"items"}),
    t.Not: frozenset({"item"}),
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
        case t.Literal() | t.Moment() | OwnMoment():
            return False
        case t.Ago() | Edge():
            return True
        case _:
            raise Whole


def constants_of(node: t.Test) -> list[object]:
    """Return the constants that a test compares with."""
    match node:
        case t.Compare():
            return [term for term in node.terms if isinstance(term, t.CONSTANTS)]
        case t.In():
            return list(node.options)
        case _:
            return []


def fixed(node: t.Condition) -> None:
    """Raise Whole unless a filter of events says the same of an event at any time."""
    for part in t.walk(node):
        check(part)
        if isinstance(part, t.Compare | t.In | t.Exists | t.Matches):
            for value in t.values_of(part):
                if not isinstance(value, t.Property):
                    raise Whole
                check(value)
            if any(moving(constant) or personal(constant) for constant in constants_of(part)):
                raise Whole
        elif not isinstance(part, t.And | t.Or | t.Not):
            raise Whole

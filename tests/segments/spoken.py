"""Which words of the language a node of a tree was written with, for counting how often each was true and false."""

from __future__ import annotations

from collections.abc import Iterator

from core.segments import tree as t
from core.segments.tree_constants import Ago, Edge, Moment, OwnMoment
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Sequence
from core.segments.tree_sets import CompanyIn, FromSql, InList, Users

_PLAIN = {
    t.Did: "did", LastEvent: "last_event", t.Answered: "answered", t.Top: "top", InList: "in_list", t.Changed: "changed",
    FromSql: "sql", t.Exists: "exists", t.In: "in", t.InSegment: "segment", t.InGroup: "partition", CompanyIn: "segment",
    t.And: "and", t.Or: "or", t.Not: "not",
}  # fmt: skip


def words_of(node: object) -> Iterator[str]:
    """Yield the words of a node itself, those under it excepted where they are conditions of their own."""
    if type(node) in _PLAIN:
        yield _PLAIN[type(node)]
    match node:
        case t.Compare():
            yield from _of_time(node)
            yield from node.ops
        case t.Matches():
            yield node.how
        case Users():
            yield node.quantifier
        case Sequence():
            yield "sequence"
            if any(step.absent for step in node.steps):
                yield "without"
        case t.Did() | LastEvent():
            yield from _of_events(node.events)
    for value in t.values_of(node):  # type: ignore[arg-type]  # nothing, for what is no condition
        yield from _of_value(value)


def _of_time(node: t.Compare) -> Iterator[str]:
    match node.terms:
        case (Ago(), _, Ago(us=0)):
            yield "within_last"
        case (Ago(us=0), _, Ago()):
            yield "within_next"
        case (Ago(), _, Ago()):
            yield "between_ago"
        case (_, Ago()):
            yield "more_than_ago"
        case _ if any(isinstance(term, Edge) for term in node.terms):
            yield "during"
        case _ if any(isinstance(term, Moment | OwnMoment) for term in node.terms):
            yield "date"


def _of_value(value: t.Value) -> Iterator[str]:
    match value:
        case Aggregate():
            yield "regularly" if value.function is Function.PERIODS else value.function
            yield from _of_events(value.events)
        case t.Billing() | t.Score():
            yield value.word
        case t.ProfileField():
            yield value.name
        case t.CompanyField():
            yield f"company.{value.name}"
        case t.SourceField():
            yield "source field"
        case t.Answer():
            yield "answer"
        case t.Percentile() | t.Bucket():
            yield type(value).__name__.lower()


def _of_events(events: EventSet) -> Iterator[str]:
    window = events.window
    if events.filter is not None:
        yield "where="
    if events.source is not None:
        yield "source="
    if window.after is not None:
        yield "last=" if window.upto is None else "between_ago="
    for name, bound in (("since=", window.since), ("until=", window.until)):
        if bound is not None:
            yield "during=" if isinstance(bound, Edge) else name

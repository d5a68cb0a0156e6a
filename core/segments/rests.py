"""What a tree names: the sets, events and values in it, and the streams that can feed them."""

from __future__ import annotations

from collections.abc import Iterator

from core.contract import Kind
from core.segments.tree import (
    Aggregate,
    Answer,
    Answered,
    Billing,
    CompanyField,
    Condition,
    Did,
    EventSet,
    InGroup,
    InSegment,
    ProfileField,
    Score,
    SourceField,
    Value,
    values_of,
    walk,
)  # fmt: skip
from core.segments.vocabulary import Vocabulary


def names_in(condition: Condition) -> frozenset[str]:
    """Return `segment.NAME` and `partition.NAME` of all sets that are named."""
    found = set()
    for node in walk(condition):
        match node:
            case InSegment():
                found.add(f"segment.{node.name}")
            case InGroup():
                found.add(f"partition.{node.partition}")
    return frozenset(found)


def values_in(condition: Condition) -> Iterator[Value]:
    """Yield each value of people (in a filter: of events) that is looked at."""
    for node in walk(condition):
        yield from values_of(node)


def event_sets(condition: Condition) -> Iterator[EventSet]:
    """Yield each set of events that is looked at."""
    for node in walk(condition):
        if isinstance(node, Did):
            yield node.events
        for value in values_of(node):
            if isinstance(value, Aggregate):
                yield value.events


def rests_on(condition: Condition, vocabulary: Vocabulary) -> frozenset[str]:
    """Return the streams that can feed a word of *condition* itself."""
    found: set[str] = set()
    for events in event_sets(condition):
        found |= vocabulary.feeding(Kind.EVENT, source=events.source)
    for node in walk(condition):
        if isinstance(node, Answered):
            found |= vocabulary.feeding(Kind.ANSWER)
    for value in values_in(condition):
        found |= _feeding(value, vocabulary)
    return frozenset(found)


def _feeding(value: Value, vocabulary: Vocabulary) -> frozenset[str]:
    match value:
        case ProfileField():
            return vocabulary.feeding(Kind.PROFILE, value.name)
        case CompanyField():
            return vocabulary.feeding(Kind.COMPANY, value.name)
        case SourceField():
            if value.stream:
                return frozenset({f"{value.connection}.{value.stream}"})
            return frozenset(s.text for s in vocabulary.of_connection(value.connection) if s.kinds != {Kind.EVENT})
        case Billing():
            from core.segments.words.billing import kind_of

            return vocabulary.feeding(kind_of(value.word))
        case Score() | Answer():
            return vocabulary.feeding(Kind.ANSWER)
        case _:
            return frozenset()

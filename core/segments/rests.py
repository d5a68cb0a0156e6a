"""What a tree names: the sets, events and values in it, and the streams that can feed them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from core.contract import Kind
from core.segments.tree import (
    And,
    Answer,
    Answered,
    Billing,
    CompanyField,
    Condition,
    Did,
    InGroup,
    InSegment,
    Leaf,
    Not,
    Or,
    ProfileField,
    Score,
    SourceField,
    Term,
    Value,
    values_of,
    walk,
)
from core.segments.tree_constants import CONSTANTS, personal
from core.segments.tree_events import Aggregate, EventSet, LastEvent, Sequence
from core.segments.tree_sets import CompanyIn, FromSql, InList, Percentile, Users
from core.segments.tree_traits import COMPUTED, Member, Trait, conditions_in, parts_of, terms_in
from core.segments.vocabulary import Vocabulary
from core.store.schema import TABLES


def names_in(condition: Condition) -> frozenset[str]:
    """Return `segment.NAME` and `partition.NAME` of all sets that are named."""
    found = set()
    for node in walk(condition):
        match node:
            case InSegment() | CompanyIn():
                found.add(f"segment.{node.name}")
            case InGroup():
                found.add(f"partition.{node.partition}")
    return frozenset(found)


def leaves_of_people(condition: Condition, of: str) -> Iterator[Leaf]:
    """Yield what a set of people (*of* = "person"), or of companies, asks of people in one query each."""
    if of == "company":
        for node in walk(condition):
            if isinstance(node, Users):
                yield from leaves_of_people(node.item, "person")
        return
    yield from (
        node for node in walk(condition) if not isinstance(node, And | Or | Not | InSegment | InGroup | Users | CompanyIn)
    )


def values_in(condition: Condition) -> Iterator[Value]:
    """Yield each value of people (in a filter: of events) that is looked at."""
    for node in deep(condition):
        for value in values_of(node):
            yield from within(value)


def within(value: Value) -> Iterator[Value]:
    """Yield *value* and the values that it is made of, each once; not those that conditions in it look at."""
    if not isinstance(value, _MADE):
        yield value
        return
    stack: list[Value] = [value]
    seen: set[Value] = set()
    while stack:
        one = stack.pop()
        if one not in seen:
            seen.add(one)
            yield one
            inner: tuple[Term, ...] = (one.value,) if isinstance(one, Percentile) else terms_in(one)
            stack.extend(term for term in reversed(inner) if not isinstance(term, CONSTANTS))


def deep(condition: Condition) -> Iterator[Condition]:
    """Yield *condition*, all conditions under it, and those inside the values that they look at."""
    for node in walk(condition):
        yield node
        for value in values_of(node):
            if isinstance(value, _MADE):
                yield from _inside(value)
        if isinstance(node, Member):
            yield from deep(node.condition)


_MADE = (*COMPUTED, Percentile)
"""Values in which conditions can stand."""


@lru_cache(maxsize=4_096)
def _inside(value: Value) -> tuple[Condition, ...]:
    return tuple(conditions_in(value))


def digests_in(condition: Condition) -> Iterator[str]:
    """Yield the content of each file that is read, and what each computed value is made of, as a hash."""
    for node in deep(condition):
        if isinstance(node, InList | Member):
            yield node.digest
    for value in values_in(condition):
        if isinstance(value, Trait):
            yield value.digest


def event_sets(condition: Condition) -> Iterator[EventSet]:
    """Yield each set of events that is looked at."""
    for node in deep(condition):
        if isinstance(node, Did):
            yield node.events
        elif isinstance(node, LastEvent):
            yield replace(node.events, filter=node.test)
        elif isinstance(node, Sequence):
            yield from (step.events for step in node.steps)
        for inner in (inner for value in values_of(node) for inner in within(value)):
            if isinstance(inner, Aggregate):
                yield inner.events


def rests_on(condition: Condition, vocabulary: Vocabulary) -> frozenset[str]:
    """Return the streams that can feed a word of *condition* itself."""
    found: set[str] = set()
    for events in event_sets(condition):
        found |= vocabulary.feeding(Kind.EVENT, source=events.source)
    for node in deep(condition):
        if isinstance(node, Answered):
            found |= vocabulary.feeding(Kind.ANSWER)
        if isinstance(node, FromSql):
            found |= _behind(node.tables, vocabulary)
    for value in values_in(condition):
        found |= _feeding(value, vocabulary)
    return frozenset(found)


def rests_on_zones(condition: Condition, vocabulary: Vocabulary) -> frozenset[str]:
    """Return the streams that give people's zones, where *condition* (of a text with `tz = "person"`) asks for those."""
    asked = any(personal(part) for part in parts_of(condition))
    return vocabulary.feeding(Kind.PROFILE, "timezone") if asked else frozenset()


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


def _behind(tables: Iterable[str], vocabulary: Vocabulary) -> frozenset[str]:
    """Return the streams whose rows are in these tables of the store."""
    kinds = {table: kind for kind, table in TABLES.items()} | {"profiles": Kind.PROFILE, "companies": Kind.COMPANY}
    found: set[str] = set()
    for table in tables:
        found |= {s.text for s in vocabulary.streams if s.landing is not None and s.landing.lower() == table.lower()}
        if table in kinds:
            found |= vocabulary.feeding(kinds[table])
    return frozenset(found)

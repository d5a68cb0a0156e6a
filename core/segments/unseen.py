"""What a condition names that was never seen: events, their properties, surveys, questions; with the nearest known name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from core.config.names import nearest
from core.segments.compile_billing import STATUSES
from core.segments.rests import deep, event_sets, values_in
from core.segments.tree import Answer, Answered, Billing, Compare, Condition, In, SourceField, values_of
from core.segments.tree_constants import Literal
from core.segments.tree_events import Aggregate, Property, Sequence
from core.segments.tree_sets import Changed
from core.segments.vocabulary import Seen, Vocabulary
from core.segments.words.events import ABOUT

STATUS: Final = "subscription_status"


def unseen_in(condition: Condition, vocabulary: Vocabulary) -> tuple[frozenset[str], list[str]]:
    """Return the events, surveys and questions that no complete pull has shown, and what to tell about them and other names."""
    unseen: dict[str, None] = {}
    warnings: list[str] = []

    def doubt(what: str, name: str, seen: Seen | None, known: Mapping[str, object], source: str | None = None) -> None:
        if seen is not None and any(_complete(s, vocabulary, source) for s in seen.streams):
            return
        unseen[f'{what} "{name}"'] = None
        like = nearest(name, known) if seen is None else None
        warnings.append(f'{what} "{name}" was never seen in a complete pull' + _meant(like))

    for events in event_sets(condition):
        doubt("event", events.name, vocabulary.events.get(events.name), vocabulary.events, events.source)
    for event, property_ in dict.fromkeys(_properties(condition)):
        warnings += _never_seen_with(event, property_, vocabulary)
    for node in deep(condition):
        if isinstance(node, Answered):
            doubt("survey", node.survey, vocabulary.surveys.get(node.survey), vocabulary.surveys)
    for value in values_in(condition):
        if isinstance(value, Answer):
            questions = {f"{s}: {q}": None for s, q in vocabulary.questions}
            seen = vocabulary.questions.get((value.survey, value.question))
            doubt("question", f"{value.survey}: {value.question}", seen, questions)
        if isinstance(value, SourceField):
            stream = vocabulary.stream(value.connection, value.stream)
            if stream is None or not stream.completed:
                where = f"{value.connection}.{value.stream}" if value.stream else value.connection
                warnings.append(f"{value.field} cannot be checked before the first complete pull of {where}")
    warnings += _no_statuses(condition)
    return frozenset(unseen), warnings


def _no_statuses(condition: Condition) -> Iterator[str]:
    """Yield what is told of texts that are no status of a vendor's subscription: what is compared with one is never equal."""
    for node in deep(condition):
        if not any(isinstance(value, Billing) and value.word == STATUS for value in values_of(node)):
            continue
        match node:
            case Compare(terms=terms) | In(options=terms):
                pass
            case Changed(to=to, before=before):
                terms = (*to, *before)
            case _:
                continue
        for term in terms:
            if isinstance(term, Literal) and term.value not in STATUSES:
                meant = _meant(nearest(str(term.value), STATUSES)) or f"; there is {', '.join(STATUSES)}"
                yield f'"{term.value}" is no {STATUS} that a vendor gives{meant}'


def _properties(condition: Condition) -> Iterator[tuple[str, str]]:
    """Yield event and name of each property that is filtered by, added up, or the same along a sequence."""
    for events in event_sets(condition):
        for value in values_in(events.filter) if events.filter is not None else ():
            if isinstance(value, Property):
                yield events.name, value.name
    for value in values_in(condition):
        if isinstance(value, Aggregate) and value.of is not None:
            yield value.events.name, value.of
    for node in deep(condition):
        if isinstance(node, Sequence) and node.same is not None:
            yield from ((step.events.name, node.same) for step in node.steps)


def _never_seen_with(event: str, name: str, vocabulary: Vocabulary) -> Iterator[str]:
    known, seen = vocabulary.properties.get(event, {}), vocabulary.events.get(event)
    # an event may have none at all; where no property of any event is known, nothing is
    told = known or (seen is not None and seen.complete and vocabulary.properties)
    if told and name not in known:
        # a window misspelt is a filter, and "not did(..., lst=...)" then is everybody
        like = nearest(name, known) or (f"{word}=" if (word := nearest(name, ABOUT)) else None)
        yield f'"{event}" was never seen with {name}' + _meant(like)


def _meant(like: str | None) -> str:
    return f"; did you mean {like}?" if like else ""


def _complete(text: str, vocabulary: Vocabulary, source: str | None) -> bool:
    connection, _, name = text.partition(".")
    stream = vocabulary.stream(connection, name)
    return stream is not None and stream.completed and source in (None, connection)

"""What a condition names that no complete pull has shown: it may be misspelt, or only not there yet."""

from __future__ import annotations

from collections.abc import Mapping

from core.config.names import nearest
from core.segments.rests import deep, event_sets, values_in
from core.segments.tree import Answer, Answered, Condition, Property, SourceField
from core.segments.vocabulary import Seen, Vocabulary


def never_seen(condition: Condition, vocabulary: Vocabulary) -> tuple[frozenset[str], list[str]]:
    """Return what the condition names that was never seen, and what to tell about it."""
    unseen: dict[str, None] = {}
    warnings: list[str] = []

    def doubt(what: str, name: str, seen: Seen | None, known: Mapping[str, object], source: str | None = None) -> None:
        if seen is not None and any(_complete(s, vocabulary, source) for s in seen.streams):
            return
        unseen[f'{what} "{name}"'] = None
        like = nearest(name, known) if seen is None else None
        warnings.append(f'{what} "{name}" was never seen in a complete pull' + (f"; did you mean {like}?" if like else ""))

    for events in event_sets(condition):
        doubt("event", events.name, vocabulary.events.get(events.name), vocabulary.events, events.source)
        known = vocabulary.properties.get(events.name)
        for value in values_in(events.filter) if events.filter is not None else ():
            if isinstance(value, Property) and known and value.name not in known:
                like = nearest(value.name, known)
                warnings.append(
                    f'"{events.name}" was never seen with {value.name}' + (f"; did you mean {like}?" if like else "")
                )
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
    return frozenset(unseen), warnings


def _complete(text: str, vocabulary: Vocabulary, source: str | None) -> bool:
    connection, _, name = text.partition(".")
    stream = vocabulary.stream(connection, name)
    return stream is not None and stream.completed and source in (None, connection)

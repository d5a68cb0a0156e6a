"""What may be wrong with a set though it can be evaluated: too few people, twins, conditions that nothing can meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pyroaring import BitMap

from core.clock import from_us, to_us
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation
from core.segments.explain_spoken import span
from core.segments.explain_texts import parts
from core.segments.funnel import Funnel
from core.segments.tree_events import EventSet
from core.store import Store

MEANINGFUL: Final = 10
"""A set with fewer members says nothing: one person more or less is a tenth of it."""
SAME: Final = 0.95
"""Two sets that share more of all their members than this are one."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of a set is in another."""

    name: str
    size: int
    both: int
    share: float
    """Of the members of either, those in both."""


def overlaps(members: BitMap, others: Mapping[str, BitMap]) -> list[Overlap]:
    """Return the sets that share somebody with *members*, the most alike first."""
    found = []
    for name, other in others.items():
        if both := members.intersection_cardinality(other):
            found.append(Overlap(name, len(other), both, both / (len(members) + len(other) - both)))
    return sorted(found, key=lambda one: (-one.share, one.name))


def doubts(
    store: Store,
    definitions: Definitions,
    name: str,
    evaluation: Evaluation,
    *,
    funnel: Funnel | None,
    alike: list[Overlap],
) -> list[str]:  # fmt: skip
    """Return what to tell about the set *name*, most telling first; what the definition itself says is among it."""
    found = list(definitions.sets[name].warnings)
    if name in evaluation.sets:
        size = len(evaluation.sets[name])
        if size == 0:
            found.append("nobody is in it")
        elif size < MEANINGFUL:
            found.append(f"only {size} in it: with fewer than {MEANINGFUL} its numbers mean little")
    found += [f"{leaf.text} is true of nobody" for leaf in (funnel.leaves if funnel is not None else ()) if leaf.size == 0]
    found += [f"{one.share:.0%} the same people as {one.name}" for one in alike if one.share > SAME]
    found += _long_windows(store, definitions, name, evaluation)
    return list(dict.fromkeys(found))


def _long_windows(store: Store, definitions: Definitions, name: str, evaluation: Evaluation) -> Iterator[str]:
    """Yield a text for each window that begins before the first event that its sources have."""
    now = to_us(evaluation.as_of)
    for events in dict.fromkeys(p for p in parts(definitions.sets[name].condition) if isinstance(p, EventSet)):
        after = events.window.after
        us = getattr(after, "us", None)
        if us is None:
            continue
        first = _first_event(store, definitions, events.source)
        if first is not None and now - us < first <= now:
            day = f"{from_us(first).astimezone(definitions.config.workspace.timezone):%Y-%m-%d}"
            yield f'"{events.name}" is looked for in {span(us)}, but the first event of any kind is of {day}'


def _first_event(store: Store, definitions: Definitions, source: str | None) -> int | None:
    """Return when the history of events begins, that of one connection or of all."""
    named = [name for name, seen in definitions.vocabulary.events.items() if _from(seen.streams, source)]
    firsts = []
    for name in named:
        row = store.conn.execute(
            "SELECT min(time) FROM events WHERE name_id = (SELECT id FROM event_names WHERE name = ?)", (name,)
        ).fetchone()
        firsts += [row[0]] if row[0] is not None else []
    return min(firsts, default=None)


def _from(streams: frozenset[str], source: str | None) -> bool:
    return source is None or any(text.partition(".")[0] == source for text in streams)

"""
What the sources were when it was found out who is wanted: a plan is as good as what had been read by then.

A source that was read to its end, or was well again, only after that is sound by now, and the plan is not. Nothing here decides
what is held; `core.planning.guards` does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from core.config.model import Config
from core.planning.guards import SourceGuard, SourceState, sources_held
from core.pulling.freshness import is_pulled, source_states

Marks = Mapping[str, tuple[object, ...]]
"""By stream (`connection.stream`), how far its pulls have come: between two marks it is neither the one nor the other."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All streams of the store as somebody who evaluated has seen them."""

    at: datetime
    _: KW_ONLY
    states: Sequence[SourceState] = ()
    moving: frozenset[str] = frozenset()
    """Those that somebody was just reading, or came to the end of meanwhile."""

    def unsound(self, guards: Sequence[SourceGuard]) -> frozenset[str]:
        """Return the names of those that nothing was to be sent by; without *guards* all are good."""
        held = {one.name for one in self.states if sources_held([one], self.at, guards=guards)}
        return frozenset(self.moving | held) if guards else frozenset()


def marks(conn: sqlite3.Connection) -> Marks:
    """Return the marks of all streams, to be taken before anything is looked at and handed to `seen` after it."""
    rows = conn.execute(
        "SELECT c.name || '.' || s.name, s.reading, s.completed_at, s.finished_at, s.error, s.held_since, s.removed_at"
        " FROM streams s JOIN connections c ON c.id = s.connection_id"
    )
    return {name: tuple(mark) for name, *mark in rows}


def seen(conn: sqlite3.Connection, before: Marks, *, config: Config, now: datetime) -> Sources:
    """Return what the sources were from *before* until now."""
    after = marks(conn)
    at_it = {name for name, (reading, *_) in after.items() if reading is not None and is_pulled(conn, name, now)}
    moving = at_it | {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
    states = source_states(conn, after, config=config, now=now)
    return Sources(now, states=states, moving=frozenset(moving))


def sound_by_now(conn: sqlite3.Connection, sources: Sources, guards: Sequence[SourceGuard], *, config: Config) -> bool:
    """Return whether one of *sources* that was not sound is so by now, with nobody at it: to look once more is worth it."""
    states = source_states(conn, sources.unsound(guards), config=config, now=sources.at, leased=True)
    return any(not sources_held([one], sources.at, guards=guards) for one in states)

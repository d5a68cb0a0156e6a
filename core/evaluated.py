"""
One evaluation for all that come due together: who is in which set, found out once and recorded once.

A sync by itself, or several in one command, have it made when they need it. In the daemon each sync is a job of its own, and
those of one tick share the first one's, unless something changed meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from core.clock import from_us
from core.errors import Stopped
from core.hub import Hub
from core.pulling.fill import resolve_now
from core.pulling.soundness import Sources, marks, seen
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation, evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store, changes, leaves, runs
from core.store.identity import is_unresolved

SHARED_FOR: Final = timedelta(minutes=1)
"""How old a shared evaluation may be: as long as jobs of one tick may come one after another."""

Sizes = Mapping[str, tuple[int, int]]
"""How many entered and left each set."""
Record = Callable[[Hub, Store, Definitions, Evaluation], Sizes]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The definitions of a moment and what they came to."""

    definitions: Definitions
    evaluation: Evaluation
    _: KW_ONLY
    changed: Sizes
    after_run: int = 0
    """The last run that had begun before it was made: whatever a later one did is not in it."""
    sources: Sources | None = None
    """What it was made from."""


class Evaluations:
    """Makes evaluations, and hands out the last one for as long as it is what a new one would be. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Evaluated | None = None
        self._place: tuple[int, int, int] | None = None

    def get(self, hub: Hub, store: Store, record: Record) -> Evaluated:
        """Return who is in which set now, resolved, evaluated and recorded by *record*."""
        while not self._lock.acquire(timeout=0.5):  # another sync is at it, whose answer will do
            if hub.stop.is_set():
                raise Stopped("told to stop")
        try:
            return self._get(hub, store, record)
        finally:
            self._lock.release()

    def _get(self, hub: Hub, store: Store, record: Record) -> Evaluated:
        if self._last is not None and self._serves(hub, store, self._last):
            return self._last
        self._last = None
        after_run, before = runs.newest(store.conn), marks(store.conn)
        as_of = resolve_now(hub, store)
        definitions = hub.definitions(store)
        ensure_indexes(store, definitions)
        look = partial(seen, store.conn, before, config=hub.config, now=min(as_of, hub.clock()))
        looked: list[Sources] = []
        # in its very snapshot: who begins to read a source a moment later has not touched what it is made from
        evaluation = evaluate(store, definitions, as_of=as_of, keep=True, beside=lambda: looked.append(look()))
        taken = leaves.taken(store.conn)
        (sources,) = looked
        changed = record(hub, store, definitions, evaluation)
        found = Evaluated(definitions, evaluation, changed=changed, after_run=after_run, sources=sources)
        # else somebody wrote in between, or is about to, and nobody shares it
        if taken is not None and from_us(taken.as_of) == as_of and not sources.moving:
            self._last, self._place = found, (taken.epoch, taken.seq, taken.mark)
        return found

    def _serves(self, hub: Hub, store: Store, last: Evaluated) -> bool:
        """Return whether nothing has changed since, and it is not long ago."""
        age = hub.clock() - last.evaluation.as_of
        if not timedelta(0) <= age <= SHARED_FOR:
            return False
        place = (leaves.epoch(store.conn), *changes.position(store.conn))
        now, then = hub.definitions(store), last.definitions
        return not is_unresolved(store.conn) and place == self._place and (now.sets, now.traits) == (then.sets, then.traits)

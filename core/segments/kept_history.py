"""
Whether `[workspace.retention]` keeps what the config asks of the past: a segment that looks further would change by itself.

Only `changed(...)` reads the history of fields for an answer of today; how far it looks must be told by a rolling window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta

from core.clock import MICROSECOND
from core.config.model import Place
from core.durations import spell_duration
from core.errors import Problem
from core.segments.tree_events import Window
from core.segments.tree_sets import Changed


def history_problems(kept: timedelta | None, named: Iterator[tuple[str, object, Place]]) -> list[Problem]:
    """Return what is wrong with *named* (name, tree, place) where field history is kept for *kept*."""
    if kept is None:
        return []
    found = []
    for name, tree, place in named:
        for change in changes_in(tree):
            back = looks_back(change.window)
            if back is None or back > kept:
                far = "without end" if back is None else f"{spell_duration(back)} back"
                said = f"{name} looks {far} with changed(...), and field_history keeps {spell_duration(kept)}"
                remedy = f'give changed(...) a window of last="{spell_duration(kept)}" or less, or keep more'
                found.append(Problem(said, place.file, place.line, place.key, remedy=remedy))
                break
    return found


def changes_in(tree: object) -> Iterator[Changed]:
    """Yield every `changed(...)` of a tree, inside values too; without recursion."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Changed):
            yield node
        elif isinstance(node, tuple | frozenset):
            stack += node
        elif is_dataclass(node) and not isinstance(node, type):
            stack += (getattr(node, field.name) for field in fields(node))


def looks_back(window: Window) -> timedelta | None:
    """Return how far before the clock a window begins; None where that is not bounded, or moves with the calendar."""
    return None if window.after is None else window.after.us * MICROSECOND

"""
Why somebody is in a set, or is not: the tree with true or false at each node, what was seen, and when it can change by itself.

Each leaf is asked by the query that evaluation asks, of a store that shows this one person (`explain_person`). What hangs on
other people (ranks, a company's users, SQL) is asked of everybody first. What is seen at a leaf is in `explain_values`, and
where that comes from in `explain_sources`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import Any

from core.clock import from_us, to_us
from core.errors import StoreError
from core.segments import dialect
from core.segments.definitions import Definitions
from core.segments.evaluate import read_facts
from core.segments.explain_changes import Timeline, first_change
from core.segments.explain_others import of_everybody
from core.segments.explain_person import alone, freeze
from core.segments.explain_tree import Next, Node, Person, condition_of, leaves_of, sets_in
from core.segments.facts import LeafFailed
from core.segments.tree import InGroup, InSegment
from core.store import Store


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one person is in one set, or is not."""

    profile_id: int
    name: str
    member: bool | None
    _: KW_ONLY
    tree: Node
    live: bool
    known: bool
    """Whether they have an e-mail or a user id, which a set asks for unless it is `anonymous`."""
    excluded: bool = False
    next: Next | None = None
    foreseen: bool = True
    """Whether `next` is all that can happen by itself; what other people do is not foreseen (ranks, a company's users)."""
    approximate: tuple[str, ...] = ()


def explain(store: Store, definitions: Definitions, name: str, profile_id: int, *, as_of: datetime) -> Explanation:
    """Return why *profile_id* was in the set *name* at *as_of*, or was not."""
    return explain_several(store, definitions, [name], profile_id, as_of=as_of)[0]


def explain_several(
    store: Store, definitions: Definitions, names: Sequence[str], profile_id: int, *, as_of: datetime
) -> list[Explanation]:
    """Return it for several sets of one person, as the groups of a partition."""
    dialect.register(store.conn)
    try:
        facts = read_facts(store, definitions, to_us(as_of))
        needed = [condition_of(definitions, name) for name in _needed(definitions, names)]
        others = of_everybody(store, definitions, needed, profile_id, facts)
        with alone(store.conn, profile_id, needed, facts):
            person = Person(definitions, facts, profile_id, others)
            found = [_explanation(person, name) for name in names]
            freeze(store.conn, facts)
            person.said.clear()
            changes = _Changes(person)
            return [changes.put(one) for one in found]
    except sqlite3.Error as error:
        raise StoreError(f"{store.path}: cannot be explained: {error}") from error


def _needed(definitions: Definitions, names: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    stack = [*names, *([definitions.exclude] if definitions.exclude else [])]
    while stack:
        name = stack.pop()
        if name not in found:
            found[name] = None
            stack.extend(definitions.sets[name].refers)
    return list(found)


def _explanation(person: Person, name: str) -> Explanation:
    """Return the tree of a set with what was seen, not yet when it changes."""
    person.facts.approximate = set()
    now, exclude = person.facts.as_of_us, person.definitions.exclude
    excluded, member = False, None
    try:
        excluded = _may_be_excluded(person.definitions, name) and person.member(str(exclude), now)
        member = person.member(name, now) and not excluded
    except LeafFailed:
        pass
    tree = person.set_node(name)
    return Explanation(
        person.profile_id, name, member, tree=tree, live=person.live, known=person.known, excluded=excluded,
        foreseen=not person.others.said,
        approximate=tuple(sorted(person.facts.approximate | person.others.today)),
    )  # fmt: skip


def _may_be_excluded(definitions: Definitions, name: str) -> bool:
    """Return whether `exclude` keeps people out of the set: out of every other one that is of people."""
    return definitions.exclude not in (None, name) and definitions.sets[name].of != "company"


class _Changes:
    """Puts into an explanation when its answers change by themselves."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._now = person.facts.as_of_us
        self._timelines: dict[Any, Timeline] = {}

    def put(self, one: Explanation) -> Explanation:
        of, name = self._person.definitions, one.name
        exclude = of.exclude if _may_be_excluded(of, name) else None
        tree = self._in(one.tree)
        if one.member is None:
            return replace(one, tree=tree)

        def member(at_us: int) -> bool:
            out = exclude is not None and self._person.member(exclude, at_us)
            return self._person.member(name, at_us) and not out

        conditions = [condition_of(of, one) for one in (name, exclude) if one is not None]
        return replace(one, tree=tree, next=self._next(member, conditions))

    def _in(self, node: Node) -> Node:
        if node.kind != "leaf":
            return replace(node, children=tuple(map(self._in, node.children)))
        if node.holds is None:
            return node
        return replace(node, next=self._next(lambda at_us: self._person.holds(node.condition, at_us), [node.condition]))

    def _next(self, holds: Callable[[int], bool], conditions: list[Any]) -> Next | None:
        """Return when it first changes; nothing of somebody who is gone, and nothing is known of what others do."""
        if not self._person.live:
            return None
        try:
            found = first_change(holds, [self._timeline(leaf) for leaf in self._under(conditions)], self._now)
            return None if found is None else Next(from_us(found.at_us), found.holds)
        except (LeafFailed, OverflowError):
            return None

    def _timeline(self, leaf: Any) -> Timeline:
        if leaf not in self._timelines:
            self._timelines[leaf] = Timeline(leaf, self._person.asked, self._person.holds)
        return self._timelines[leaf]

    def _under(self, conditions: list[Any]) -> list[Any]:
        """Return the leaves of *conditions* and of all sets that they name."""
        found: dict[Any, None] = {}
        done: set[str] = set()
        stack = list(conditions)
        while stack:
            for leaf in leaves_of(stack.pop()):
                names = set(sets_in(leaf)) if isinstance(leaf, InSegment | InGroup) else set()
                if not names and leaf not in self._person.others.said:
                    found[leaf] = None
                stack.extend(condition_of(self._person.definitions, name) for name in names - done)
                done |= names
        return list(found)

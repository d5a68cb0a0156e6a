"""
A sequence to SQL: for each first event one look into the index a step, nested.

Of the events that a later step could be, one is enough: the earliest, for it leaves the others the most room; before an absent
step at the end the latest that is in time. Only where an absent step follows between two events must each be tried.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.segments.compile_events import latest_of, rows
from core.segments.dialect import Param, Sql, property_of
from core.segments.facts import Facts
from core.segments.tree import EventSet, Type
from core.segments.tree_events import Sequence


@dataclass(frozen=True, slots=True)
class _Link:
    """A step that is an event, and which events must be absent before it (after the one before)."""

    events: EventSet
    absent: tuple[EventSet, ...]


def in_sequence(leaf: Sequence, facts: Facts) -> Sql:
    """Return who has the sequence."""
    return _Chain(leaf, facts).people()


class _Chain:
    """One sequence being compiled."""

    def __init__(self, leaf: Sequence, facts: Facts) -> None:
        self.leaf = leaf
        self.facts = facts
        self.same = property_of(leaf.same, Type.ANY) if leaf.same is not None else None
        links, absent = _links(leaf)
        self.first, *self.later = links
        self.absent_at_end = absent

    def people(self) -> Sql:
        """Return who has a first event that the rest follows."""
        first = rows(self.first.events, self.facts, "f")
        parts = [first]
        if self.leaf.start_last:
            latest = latest_of(self.first.events, self.facts)
            parts.append(Sql(f"id IN ({latest.text})", latest.params))
        if self.same is not None:
            parts.append(Sql(f"{self.same.text} IS NOT NULL", self.same.params))
        if self.absent_at_end and self.leaf.within_us is not None:  # a first event too young to tell does not count
            parts.append(Sql("f.time <= ?", (self.facts.as_of_us - self.leaf.within_us,)))
        parts.append(self._rest(0, "f.time"))
        found = _all(parts)
        return Sql(f"SELECT DISTINCT profile_id FROM {found.text}", found.params)

    def _rest(self, at: int, before: str) -> Sql:
        """Return the condition that the links from *at* on follow an event whose time is *before*."""
        if at == len(self.later):
            return self._none(self.absent_at_end, before, self._end("<="))
        link, time = self.later[at], f"s{at}.time"
        chosen = self._chosen(at, before)
        condition = _all([self._none(link.absent, before, Sql(f"< {time}")), self._rest(at + 1, time)])
        text = f"EXISTS (SELECT 1 FROM ({chosen.text}) s{at} WHERE {condition.text})"
        return Sql(text, (*chosen.params, *condition.params))

    def _chosen(self, at: int, before: str) -> Sql:
        """Return the times at which the link can be: one that is as good as any, or all."""
        last = at + 1 == len(self.later)
        after = self.absent_at_end if last else self.later[at + 1].absent
        if not after:
            order = " ORDER BY time LIMIT 1"
        elif last and not self.later[at].absent:
            order = " ORDER BY time DESC LIMIT 1"
        else:
            order = ""
        found = self._between(self.later[at].events, before, self._end("<="))
        return Sql(f"SELECT time FROM {found.text}{order}", found.params)

    def _none(self, absent: tuple[EventSet, ...], after: str, until: Sql) -> Sql:
        parts = []
        for events in absent:
            found = self._between(events, after, until)
            parts.append(Sql(f"NOT EXISTS (SELECT 1 FROM {found.text})", found.params))
        return _all(parts) if parts else Sql("1")

    def _between(self, events: EventSet, after: str, until: Sql) -> Sql:
        """Return the person's events after a time and until another, of the same property where that is asked."""
        parts = [
            rows(events, self.facts, of="f.profile_id", bounded=True),
            Sql(f"time > {after}"),
            Sql(f"time {until.text}", until.params),
        ]
        if self.same is not None and self.leaf.same is not None:
            first = property_of(self.leaf.same, Type.ANY, "f.properties")
            parts.append(Sql(f"{self.same.text} = {first.text}", (*self.same.params, *first.params)))
        return _all(parts)

    def _end(self, op: str) -> Sql:
        """Return the bound of the whole span; nothing after the run's clock is seen in any case."""
        if self.leaf.within_us is None:
            return Sql(f"{op} ?", (self.facts.as_of_us,))
        return Sql(f"{op} f.time + ?", (self.leaf.within_us,))


def _links(leaf: Sequence) -> tuple[list[_Link], tuple[EventSet, ...]]:
    """Return the steps that are events, each with those absent before it, and those absent at the end."""
    links: list[_Link] = []
    absent: tuple[EventSet, ...] = ()
    for step in leaf.steps:
        if step.absent:
            absent = (*absent, step.events)
        else:
            links.append(_Link(step.events, absent))
            absent = ()
    return links, absent


def _all(parts: list[Sql]) -> Sql:
    params: tuple[Param, ...] = tuple(p for part in parts for p in part.params)
    return Sql(" AND ".join(part.text for part in parts), params)

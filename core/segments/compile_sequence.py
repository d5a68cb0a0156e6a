"""
A sequence to SQL: for each first event one look into the index a step, nested.

Of the events that a later step could be, one is enough: the earliest, for it leaves the others the most room; before an absent
step at the end the latest that is in time. The walk can as well begin with a later step, and then look on both sides of it: for
the latest before and the earliest after. It begins with the rarest, and beside an absent step, where not every earliest event
would do. So it is one walk over a person's events, however many there are; but where an absent step ends such a sequence as
well, each event before the absent one is tried.

Where none is absent at the end, the same walk gives how long the sequence from that event on took, at its shortest: of several
that ask for no more than so long each, one walk tells (`shortest`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from core.segments import dialect
from core.segments.compile_events import covered, event_property, latest_of, people_of, rows
from core.segments.dialect import Param, Sql
from core.segments.facts import Facts
from core.segments.tree_events import EventSet, Sequence

_ALWAYS: Final = 2**62


@dataclass(frozen=True, slots=True)
class _Link:
    """A step that is an event, and which events must be absent before it (after the one before)."""

    events: EventSet
    absent: tuple[EventSet, ...]


def in_sequence(leaf: Sequence, facts: Facts) -> Sql:
    """Return who has the sequence."""
    return _Chain(leaf, facts).people()


def shortest(leaf: Sequence, facts: Facts) -> tuple[Sql, Sql] | None:
    """
    Return the rows of events that a walk begins with, and how long the shortest sequence through such a row takes.

    None where that does not tell who has the sequence, or is more work.
    """
    chain = _Chain(replace(leaf, within_us=None), facts, spanning=True)
    if chain.absent_at_end or (not chain.pivot and any(link.absent for link in chain.links[2:])):
        return None
    if leaf.same is not None and not covered(chain.links[chain.pivot].events, facts):
        return None  # the rows of one person would have to be brought together first
    return chain.begins(), chain.rest()


class _Chain:
    """One sequence being compiled: as a condition, or (*spanning*) as the time that it takes."""

    def __init__(self, leaf: Sequence, facts: Facts, *, spanning: bool = False) -> None:
        self.leaf = leaf
        self.facts = facts
        self.spanning = spanning
        self.same = event_property(leaf.same, facts) if leaf.same is not None else None
        self.links, self.absent_at_end = _links(leaf)
        self.pivot = self._pivot()

    def _pivot(self) -> int:
        """
        Return which link the walk begins with: of those that it can, the one with the fewest events.

        Beside an absent step it has to be; and where the end of the span is asked about it can only be the first.
        """
        if self.leaf.start_last or self.absent_at_end:
            return 0
        beside = [{at - 1, at} for at, link in enumerate(self.links) if link.absent]
        able = set(range(len(self.links))).intersection(*beside)
        if len(able) < 2:
            return min(able, default=0)
        return min(able, key=lambda at: (self.facts.about_as_many(self.links[at].events.name), at))

    def people(self) -> Sql:
        """Return who has an event that the rest follows, and the steps before it precede."""
        return people_of(_all([self.begins(), self.rest()]), self.facts)

    def begins(self) -> Sql:
        """Return the rows of the events that the walk begins with."""
        first, together = self.links[self.pivot].events, self.spanning and self.same is not None
        parts = [rows(first, self.facts, "f", reads=True) if together else self._rows(first, "f")]
        if self.leaf.start_last:
            latest = latest_of(first, self.facts)
            parts.append(Sql(f"id IN ({latest.text})", latest.params))
        if self.same is not None:
            parts.append(Sql(f"{self.same.text} IS NOT NULL", self.same.params))
        if self.absent_at_end and self.leaf.within_us is not None:  # a first event too young to tell does not count
            parts.append(Sql("f.time <= ?", (self.facts.as_of_us - self.leaf.within_us,)))
        return _all(parts)

    def rest(self) -> Sql:
        """Return the condition on such an event, or from it how long the whole sequence takes: NULL where it does not exist."""
        return self._rest(self.pivot + 1, "f.time")

    def _rest(self, at: int, before: str) -> Sql:
        """Return the condition that the links from *at* on follow an event whose time is *before*."""
        if at == len(self.links):
            return self._start(before) if self.pivot else self._ended(before)
        link, time = self.links[at], f"s{at}.time"
        chosen = self._chosen(at, before)
        return self._through(chosen, f"s{at}", self._none(link.absent, before, Sql(f"< {time}")), self._rest(at + 1, time))

    def _ended(self, last: str) -> Sql:
        """Return the condition that nothing more is in the way after the last event, whose time is *last*."""
        return Sql(f"{last} - f.time") if self.spanning else self._none(self.absent_at_end, last, self._end("<="))

    def _through(self, chosen: Sql, name: str, free: Sql, rest: Sql) -> Sql:
        """Return the condition that with one of the *chosen* times the way is *free*, and *rest* holds."""
        if self.spanning:  # there is one such time at most
            text = f"(SELECT {rest.text} FROM ({chosen.text}) {name} WHERE {free.text})"
            return Sql(text, (*rest.params, *chosen.params, *free.params))
        text = f"EXISTS (SELECT 1 FROM ({chosen.text}) {name} WHERE {free.text} AND {rest.text})"
        return Sql(text, (*chosen.params, *free.params, *rest.params))

    def _chosen(self, at: int, before: str) -> Sql:
        """Return the times at which the link can be: one that is as good as any, or all."""
        last, link = at + 1 == len(self.links), self.links[at]
        after = self.absent_at_end if last else self.links[at + 1].absent
        until, order = self._end("<="), ""
        if not after or self.pivot:
            order = " ORDER BY time LIMIT 1"
        elif last:
            until, order = self._until_first(link.absent, before), " ORDER BY time DESC LIMIT 1"
        found = self._between(link.events, before, until)
        return Sql(f"SELECT time FROM {found.text}{order}", found.params)

    def _until_first(self, absent: tuple[EventSet, ...], after: str) -> Sql:
        """Return the bound of the whole span, or the first absent event where that is earlier: one bound, for the index."""
        end = self._end("")
        ends, params = [end.text], end.params
        for events in absent:
            found = self._between(events, after, self._end("<="))
            ends.append(f"ifnull((SELECT time FROM {found.text} ORDER BY time LIMIT 1), {_ALWAYS})")
            params += found.params
        return Sql(f"<= {dialect.SMALLEST}({', '.join((*ends, str(_ALWAYS)))})", params)

    def _start(self, end: str) -> Sql:
        """Return the condition that the links before the pivot precede it, and that all of it lies within the span."""
        within = self.leaf.within_us
        rest = Sql("1") if within is None else Sql(f"b0.time >= {end} - ?", (within,))
        rest = Sql(f"{end} - b0.time") if self.spanning else rest
        for at in range(self.pivot):
            after = "f.time" if at + 1 == self.pivot else f"b{at + 1}.time"
            found = self._between(self.links[at].events, None, Sql(f"< {after}"))
            free = self._none(self.links[at + 1].absent, f"b{at}.time", Sql(f"< {after}"))
            latest = Sql(f"SELECT time FROM {found.text} ORDER BY time DESC LIMIT 1", found.params)
            rest = self._through(latest, f"b{at}", free, rest)
        return rest

    def _none(self, absent: tuple[EventSet, ...], after: str, until: Sql) -> Sql:
        parts = []
        for events in absent:
            found = self._between(events, after, until)
            parts.append(Sql(f"NOT EXISTS (SELECT 1 FROM {found.text})", found.params))
        return _all(parts) if parts else Sql("1")

    def _between(self, events: EventSet, after: str | None, until: Sql) -> Sql:
        """Return the person's events after a time and until another, of the same property where that is asked."""
        parts = [self._rows(events, of="f.profile_id"), Sql(f"time {until.text}", until.params)]
        if after is not None:
            parts.insert(1, Sql(f"time > {after}"))
        if self.same is not None and self.leaf.same is not None:
            first = event_property(self.leaf.same, self.facts, "f")
            parts.append(Sql(f"{self.same.text} = {first.text}", (*self.same.params, *first.params)))
        return _all(parts)

    def _rows(self, events: EventSet, alias: str = "", *, of: str | None = None) -> Sql:
        return rows(events, self.facts, alias, of=of, bounded=of is not None, same=self.leaf.same, each=True)

    def _end(self, op: str) -> Sql:
        """Return the bound of the whole span; nothing after the run's clock is seen in any case."""
        if self.leaf.within_us is None or self.pivot:  # from the pivot on: the first event is not known yet
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

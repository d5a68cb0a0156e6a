"""Windows to SQL: rolling bounds, calendar ones, and calendar times on each person's own clock."""

from __future__ import annotations

from collections.abc import Callable

from core.segments import dialect
from core.segments.calendar import around
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.predicate import bound
from core.segments.relation import historic
from core.segments.tree_constants import Edge, Moment, OwnMoment, personal
from core.segments.tree_events import Window

Own = Callable[[Edge | OwnMoment], Sql]
"""What a calendar time is for whoever a row belongs to."""


def own_times(owner: str | None, facts: Facts) -> Own:
    """Return what calendar times are on the own clock of the person in the column *owner*; the workspace's if None."""

    def own(at: Edge | OwnMoment) -> Sql:
        if owner is None:
            return dialect.own_time(Sql("NULL"), at, facts.zone, facts.as_of_us)
        zone = historic("z", "profile", "timezone", facts)
        found = dialect.own_time(zone, at, facts.zone, facts.as_of_us)
        return Sql(f"(SELECT {found.text} FROM profiles z WHERE z.id = {owner})", found.params)

    return own


def bounds(window: Window, as_of_us: int) -> tuple[int | None, int]:
    """Return (start, end) of a window in microseconds, for choosing a plan: nothing in the window lies outside."""
    starts = [as_of_us - window.after.us] if window.after else []
    starts += [around(window.since, as_of_us)[0]] if window.since else []
    ends = [as_of_us - window.upto.us] if window.upto else [as_of_us]
    ends += [around(window.until, as_of_us)[1]] if window.until else []
    return max(starts, default=None), min(ends)


def inside(window: Window, column: str, as_of_us: int, own: Own | None = None) -> Sql:
    """Return the condition that a time lies in the window; nothing after the run's clock does."""
    upto = as_of_us - window.upto.us if window.upto else as_of_us
    parts = [Sql(f"{column} <= ?", (upto,))]
    if window.after:
        parts.append(Sql(f"{column} > ?", (as_of_us - window.after.us,)))
    if window.since:
        parts += _since(column, ">=", window.since, as_of_us, own)
    if window.until:
        parts += _since(column, "<", window.until, as_of_us, own)
    return Sql(" AND ".join(part.text for part in parts), tuple(p for part in parts for p in part.params))


def _since(column: str, op: str, at: Moment | Edge | OwnMoment, as_of_us: int, own: Own | None) -> list[Sql]:
    if isinstance(at, Moment) or not personal(at):
        return [Sql(f"{column} {op} ?", (bound(at, as_of_us),))]
    assert own is not None  # whoever asks for a window knows whose rows they are
    low, high = around(at, as_of_us)
    exact = own(at)
    rough = Sql(f"{column} {op} ?", (low if op == ">=" else high,))  # a plain number first: an index can serve it
    return [rough, Sql(f"{column} {op} {exact.text}", exact.params)]

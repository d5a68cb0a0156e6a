"""What events in order and calendars mean, said slowly: plain Python over one person's events, and days counted one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from core.clock import from_us, to_us
from core.segments import tree_events as t
from core.segments.tree_constants import Edge, Unit

Events = Callable[[Any], list[dict[str, Any]]]
"""The person's events of a set, in the order in which they were stored."""


def last_passes(node: t.LastEvent, events: Events, passes: Callable[[Any, Any], bool]) -> bool:
    """Return whether the latest event passes the test."""
    latest = _latest(events(node.events))
    return latest is not None and passes(node.test, latest["properties"])


def _latest(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    found = None
    for event in events:
        if found is None or event["time"] >= found["time"]:  # of two at one moment the later stored
            found = event
    return found


def in_sequence(node: t.Sequence, events: Events, now: int) -> bool:
    """Return whether some first event is followed as the steps say."""
    firsts = events(node.steps[0].events)
    if node.start_last:
        firsts = [latest] if (latest := _latest(firsts)) is not None else []
    return any(_follows(node, list(node.steps[1:]), first, first, events, now) for first in firsts)


def _follows(node: t.Sequence, steps: list[t.Step], first: Any, before: Any, events: Events, now: int) -> bool:
    """Return whether the steps that are left can follow the event *before*, trying every event."""
    if node.same is not None and first["properties"].get(node.same) is None:
        return False
    end = now if node.within_us is None else first["time"] + node.within_us
    forbidden = []
    while steps and steps[0].absent:
        forbidden += _alike(node, first, events(steps.pop(0).events))
    times = [event["time"] for event in forbidden]
    if not steps:
        return not node.steps[-1].absent or (end <= now and not any(before["time"] < at <= end for at in times))
    for event in _alike(node, first, events(steps[0].events)):
        in_time = before["time"] < event["time"] <= end and not any(before["time"] < at < event["time"] for at in times)
        if in_time and _follows(node, steps[1:], first, event, events, now):
            return True
    return False


def _alike(node: t.Sequence, first: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if node.same is None:
        return events
    return [event for event in events if event["properties"].get(node.same) == first["properties"][node.same]]


def periods(times: list[int], every: int, now: int) -> int:
    """Return in how many of the periods that end now, one before the other, there is a time."""
    found = 0
    for n in range(1000):
        if any(now - (n + 1) * every < at <= now - n * every for at in times):
            found += 1
    return found


def median(numbers: list[float]) -> float | None:
    ordered = sorted(numbers)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def zone_of(said: str | None, fallback: str) -> str:
    """Return the zone that a profile says, the workspace's if it says none that there is."""
    try:
        return str(ZoneInfo(said)) if said else fallback
    except (KeyError, ValueError, OSError):
        return fallback


@cache
def edge(node: Edge, zone: str, now: int) -> int:
    """Return the first moment of a period: step by step from today to its first day."""
    day = from_us(now).astimezone(ZoneInfo(zone)).date()
    day = _begin(day, node)
    for _ in range(abs(node.step)):
        if node.step < 0:
            day = _begin(day - timedelta(days=1), node)
        else:
            start = day
            while _begin(day, node) == start:
                day += timedelta(days=1)
    return moment(datetime.combine(day, time()), zone)


def _begin(day: date, node: Edge) -> date:
    while not _begins(day, node):
        day -= timedelta(days=1)
    return day


def _begins(day: date, node: Edge) -> bool:
    match node.unit:
        case Unit.DAY:
            return True
        case Unit.WEEK:
            return day.weekday() == node.first_day
        case Unit.MONTH:
            return day.day == 1
        case Unit.QUARTER:
            return day.day == 1 and day.month in (1, 4, 7, 10)
        case _:
            return day.day == 1 and day.month == 1


@cache
def moment(local: datetime, zone: str) -> int:
    """Return the first minute at which the clock of *zone* shows *local* or later, found by looking at each."""
    at = local.replace(tzinfo=UTC) - timedelta(hours=15)
    while at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < local:
        at += timedelta(minutes=30)
    at -= timedelta(minutes=30)
    while at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < local:
        at += timedelta(minutes=1)
    return to_us(at)

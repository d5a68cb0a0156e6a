"""
The calendar in a zone: when a period begins, when a clock shows a time, and what an unknown zone is taken for.

A period begins at the first moment of its first day. Where the clock goes forward over midnight that is the moment of the
change; where midnight comes twice it is the first. Weeks begin with the workspace's `week_start`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from core.clock import EPOCH, MICROSECOND, from_us, to_us
from core.segments.tree_constants import Edge, Moment, OwnMoment, Unit, personal

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_US: Final = 86_400_000_000
_FARTHEST: Final = ("Pacific/Kiritimati", "Etc/GMT+12")
"""The zones whose clocks are ahead of, and behind, all others."""
_MONTHS: Final = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.YEAR: 12}


def edge_us(edge: Edge, zone: str, now_us: int) -> int:
    """Return the first moment of the period in *zone*, in microseconds."""
    return _edge_us(edge.unit, edge.step, edge.first_day, zone, now_us)


@lru_cache(maxsize=8192)
def _edge_us(unit: Unit, step: int, first_day: int, zone: str, now_us: int) -> int:
    info = ZoneInfo(zone)
    today = from_us(now_us).astimezone(info).date()
    return instant_us(datetime.combine(_first_day(today, unit, step, first_day), time()), info)


def _first_day(today: date, unit: Unit, step: int, first_day: int) -> date:
    match unit:
        case Unit.DAY:
            return today + timedelta(days=step)
        case Unit.WEEK:
            return today - timedelta(days=(today.weekday() - first_day) % 7) + timedelta(weeks=step)
        case _:
            length = _MONTHS[unit]
            months = (today.year * 12 + today.month - 1) // length * length + step * length
            return date(months // 12, months % 12 + 1, 1)


def instant_us(local: datetime, zone: ZoneInfo) -> int:
    """Return the first moment at which a clock in *zone* shows *local*, or has gone past it by jumping."""
    early, late = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    before, after = early.utcoffset() or timedelta(), late.utcoffset() or timedelta()
    naive = (local - EPOCH.replace(tzinfo=None)) // MICROSECOND
    if before >= after:  # an ordinary time, or the first of two
        return naive - before // MICROSECOND
    low, high = naive - after // MICROSECOND, naive - before // MICROSECOND
    while high - low > 1:  # the clock jumps over it somewhere in (low, high]
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(middle, zone) == after else (middle, high)
    return high


def _offset(us: int, zone: ZoneInfo) -> timedelta:
    return from_us(us).astimezone(zone).utcoffset() or timedelta()


def around(at: Moment | Edge | OwnMoment, now_us: int) -> tuple[int, int]:
    """Return moments that *at* lies between whoever it is asked for; both are itself where it is the same for all."""
    match at:
        case Moment():
            return at.at_us, at.at_us
        case Edge() if personal(at):
            ends = [edge_us(at, zone, now_us) for zone in _FARTHEST]
            return min(ends) - 2 * DAY_US, max(ends) + 2 * DAY_US
        case Edge():
            return (edge := edge_us(at, at.zone, now_us)), edge
        case OwnMoment():
            naive = to_us(datetime.fromisoformat(at.local).replace(tzinfo=UTC))
            return naive - 2 * DAY_US, naive + 2 * DAY_US


def stands_everywhere(edge: Edge, then_us: int, now_us: int) -> bool:
    """Return whether it stands in the same period at both times in every zone, whichever of them it goes by."""
    days = [from_us(at).astimezone(_info(zone)).date() for at, zone in zip((now_us, then_us), _FARTHEST, strict=True)]
    first, last = (_first_day(day, edge.unit, edge.step, edge.first_day) for day in days)
    return first == last


# --- the person's own ----------------------------------------------------------------------------------------------


def own_edge_us(zone: object, fallback: str, unit: str, step: int, first_day: int, now_us: int) -> int:
    """Return the first moment of the period for somebody whose profile says *zone*."""
    return _edge_us(Unit(unit), step, first_day, known_zone(zone) or fallback, now_us)


@lru_cache(maxsize=8192)
def own_moment_us(zone: object, fallback: str, local: str) -> int:
    """Return when somebody's own clock shows *local*."""
    at = datetime.fromisoformat(local)
    try:
        return instant_us(at, ZoneInfo(known_zone(zone) or fallback))
    except OverflowError:  # the first or last day that there is
        return to_us(at.replace(tzinfo=UTC))


def own_day(us: int | None, zone: object, fallback: str) -> int | None:
    """Return the number of the calendar day of a time for somebody whose profile says *zone*."""
    if us is None:
        return None
    try:
        offset = _offset(us, _info(known_zone(zone) or fallback))
    except OverflowError:  # a time beyond the calendar
        offset = timedelta()
    return (us + offset // MICROSECOND) // DAY_US


@lru_cache(maxsize=4096)
def known_zone(text: object) -> str | None:
    """Return the name of the zone that a profile's text says, None where it says none."""
    return _zones().get(text.strip().casefold()) if isinstance(text, str) else None


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones()}


@lru_cache(maxsize=1024)
def _info(zone: str) -> ZoneInfo:
    return ZoneInfo(zone)

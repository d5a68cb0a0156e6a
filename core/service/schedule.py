"""
When a schedule is due. One reading of cron for the config, the daemon and the staleness of a source.

Cron here is the usual one: five fields, 0 and 7 are Sunday, and where both day fields say something either is enough.
APScheduler's own counts weekdays from Monday and wants both, so it is handed names and, where needed, two triggers.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core.config.model import Cron, Every, Schedule

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

_FIELDS = ("minute", "hour", "day of the month", "month", "weekday")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBERS = r"(?:\*|\d{1,2}(?:-\d{1,2})?)(?:/\d{1,2})?"
_NAMED = {3: "|".join(_MONTHS), 4: "|".join(_WEEKDAYS[:7])}


def due_after(schedule: Schedule, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first time later than *after* at which *schedule* is due; cron reads the clock of *zone*."""
    match schedule:
        case Every(period):
            return after + period
        case Cron(text):
            just_after = (after + timedelta(microseconds=1)).astimezone(zone)
            times = [trigger.get_next_fire_time(None, just_after) for trigger in _triggers(text, zone)]
            found: list[datetime] = [time for time in times if time is not None]
            if not found:
                raise ValueError(f"{text!r} never comes")
            return min(found).astimezone(after.tzinfo)


def check_cron(text: str) -> None:
    """Raise ValueError saying what is wrong with the cron expression *text*."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{text!r} has {len(fields)} fields; cron has five: minute, hour, day of the month, month, weekday")
    for place, field in enumerate(fields):
        for part in field.split(","):
            pattern = _NUMBERS + (rf"|(?:{_NAMED[place]})(?:-(?:{_NAMED[place]}))?" if place in _NAMED else "")
            if re.fullmatch(pattern, part.lower()) is None:
                raise ValueError(f"{text!r}: {part!r} is no {_FIELDS[place]}")
    utc = ZoneInfo("UTC")
    try:
        comes = any(trigger.get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=utc)) for trigger in _triggers(text, utc))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    if not comes:
        raise ValueError(f"{text!r} never comes")


@lru_cache(maxsize=256)
def _triggers(text: str, zone: ZoneInfo) -> tuple[CronTrigger, ...]:
    from apscheduler.triggers.cron import CronTrigger  # heavy for a command that only prints help

    minute, hour, day, month, weekday = text.lower().split()

    def trigger(day: str, weekday: str) -> CronTrigger:
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=zone)

    named = _named_weekdays(weekday)
    if day.startswith("*") or weekday.startswith("*"):
        return (trigger(day, named),)
    return trigger(day, "*"), trigger("*", named)


def _named_weekdays(field: str) -> str:
    if field == "*":
        return field
    chosen: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = 0 if first == "*" else _weekday(first)
        high = 6 if first == "*" else _weekday(last) if last else 6 if step else low
        if high < low or int(step or 1) == 0:
            if high < low and last and not last.isdigit():  # fri-mon goes over the week's end; 5-1 does not in cron
                high += 7
            else:
                raise ValueError(f"{part!r} is no weekday")
        chosen |= {day % 7 for day in range(low, high + 1, int(step or 1))}
    return ",".join(_WEEKDAYS[day] for day in sorted(chosen))


def _weekday(text: str) -> int:
    number = int(text) if text.isdigit() else _WEEKDAYS.index(text)
    if number > 7:
        raise ValueError(f"{text!r} is no weekday; 0 and 7 are Sunday")
    return number

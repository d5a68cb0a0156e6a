"""
Which days are asked for in one request of the export, and how far a pull of events has got.

The export has no pages and no "changed since": only days. A request costs one sixtieth of the hour's budget however many days
it spans, and a broken one is read again whole; so a window is as wide as brings about a million events, by what the last one
brought. Days in which events may still arrive are read again once a day; between that, only the day at hand.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from connectors.mixpanel.vendor import Settings
from core.contract import Range
from core.errors import RejectedError

FIRST_SPAN: Final = 14
"""Days in the first window of a first pull, when nobody knows how many events a day has."""
LONGEST_SPAN: Final = 366
"""Days that a window spans at most."""
GROWTH: Final = 4
"""How many times as wide as the last window the next one may be: a project that grew must not bring years at once."""
EVENTS_A_REQUEST: Final = 1_000_000
"""Events that a window is to bring: a broken one is read again from its beginning."""
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """The cursor of the stream: the last day read, the day on which late events were last looked for, the span to ask in."""

    through: date
    _: KW_ONLY
    swept: date
    span: int

    def dump(self) -> str:
        return f"{self.through}/{self.swept}/{self.span}"

    @classmethod
    def parse(cls, text: str) -> Progress:
        through, swept, span = text.split("/")
        return cls(date.fromisoformat(through), swept=date.fromisoformat(swept), span=int(span))


@dataclass(frozen=True, slots=True)
class Window:
    """The days *first* to *last*, both included: one request."""

    first: date
    last: date
    _: KW_ONLY
    span: int
    """Days that were to be asked for; fewer where today came first."""
    page: int = 0
    """Pages that came of it before it broke off; it is begun again whole."""

    def dump(self, page: int = 0) -> str:
        """Return the resume token after *page* pages; no two tokens of a pull are alike."""
        return f"{self.first}/{self.last}/{self.span}/{page}"

    @classmethod
    def parse(cls, text: str) -> Window:
        """Return what `dump` wrote; RejectedError for anything else, so that the pull begins anew."""
        try:
            first, last, span, page = text.split("/")
            return cls(date.fromisoformat(first), date.fromisoformat(last), span=int(span), page=int(page))
        except ValueError:
            raise RejectedError("the resume token is of another version") from None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def after(self, events: int, today: date) -> Window | None:
        """Return the window that follows this one, which brought *events*; None where it holds today."""
        if self.last >= today:
            return None
        return window(self.last + DAY, today, self.next_span(events, today))

    def next_span(self, events: int, today: date) -> int:
        """Return how many days to ask for next. Today alone is no measure: it may have begun a minute ago."""
        if self.first >= today and events <= EVENTS_A_REQUEST:
            return self.span
        fits = self.days * EVENTS_A_REQUEST // max(events, 1)
        return max(1, min(LONGEST_SPAN, GROWTH * self.days, fits))

    def replaces(self, settings: Settings) -> Range | None:
        """
        Return the time of which a whole answer to this window has every event.

        A day less at each end than was asked for: should the project's days begin at another midnight than we were told, the
        events in between are in the neighbouring window, and not gone (Quirk 3).
        """
        if self.days < 3:
            return None
        zone = settings.zone if settings.days == "project" else UTC
        start, end = (datetime.combine(day, time.min, zone).astimezone(UTC) for day in (self.first + DAY, self.last))
        return Range(start, end)


def window(first: date, today: date, span: int) -> Window:
    """Return the window that begins on *first* and does not pass *today*."""
    return Window(first, min(first + (span - 1) * DAY, today), span=span)


def today_of(settings: Settings, now: datetime) -> date:
    """
    Return the last day that may be asked for.

    It is today in the project's zone, whichever midnight days begin at (Quirk 2); where they begin at UTC's and the project is
    east of it, the UTC day.
    """
    there = now.astimezone(settings.zone).date()
    return there if settings.days == "project" else min(there, now.astimezone(UTC).date())


def first_window(settings: Settings, progress: Progress | None, today: date) -> Window | None:
    """Return where a pull begins; None where the first day is yet to come."""
    if progress is None:
        return window(settings.start, today, FIRST_SPAN) if settings.start <= today else None
    first = min(progress.through, today)
    if progress.swept < today:
        first = min(first, max(settings.start, today - settings.late_days * DAY))
    return window(first, today, progress.span)

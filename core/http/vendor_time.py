"""
What time it is for a pull: what the vendor last said (`Date`), for by its clock it dates what it is asked for.

By a clock of ours that is ahead, if only for the length of a pull, a cursor would run past what the vendor calls now, and what
changes between would never be asked for. By one that is behind a list that ends now would end too early: it would lack who
unsubscribed yesterday. A vendor that sends no `Date` leaves us ours; so does one whose `Date` cannot be: unreadable, from a
cache, or of a day before the connector was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from core.clock import Clock

ON_THE_WAY: Final = timedelta(minutes=1)
"""How far apart the two may seem to be: an answer takes its time, and says whole seconds."""


class VendorTime:
    """The time of one connection. Thread-safe."""

    def __init__(self, clock: Clock, *, not_before: date) -> None:
        """*not_before*: the day on which the connector was held against the vendor's pages, so it is later than that."""
        self._clock = clock
        self._not_before = not_before
        self._text = ""
        self._read: datetime | None = None
        self._said: datetime | None = None
        self.ahead: timedelta | None = None
        """By how much our clock was ahead of the vendor's when it last spoke; None: it has not."""

    def heard(self, headers: Mapping[str, str]) -> None:
        """Note what a response says; the last one counts."""
        text = headers.get("date", "")
        if not text or "age" in headers:
            return
        if text != self._text:
            self._text, self._read = text, _read(text)
        said = self._read
        if said is not None and said.date() >= self._not_before:  # ours may be set between two answers of one second
            self._said, self.ahead = said, self._clock() - said

    def now(self) -> datetime:
        """Return what the vendor last said, else our clock's time; it is early by as long as nothing was heard."""
        return self._clock() if self._said is None else self._said

    def about_now(self) -> datetime:
        """Return our clock's time, set back by as much as it was ahead when something was heard: for how long to wait."""
        ours = self._clock()
        return ours - self.ahead if self.ahead is not None and self.ahead > ON_THE_WAY else ours


def _read(text: str) -> datetime | None:
    try:
        said = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)

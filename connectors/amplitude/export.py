"""
Asking for archives of hours: how many hours at once, and what an answer's status means.

The axis is the time at which Amplitude got an event, so an hour that has closed never changes: each is asked for once, and
there is nothing to look back for.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Final

from connectors.amplitude.vendor import EXPORT
from core.contract import Api
from core.errors import RateLimited, RejectedError, TransientError

HOUR: Final = timedelta(hours=1)
DELAY: Final = 3 * HOUR
"""The newest hour to ask for begins so long before the one at hand: it is exportable two hours after it closed. DOCS/export"""
MAX_HOURS: Final = 365 * 24
"""Hours in one request. DOCS/export"""
MAX_BYTES: Final = 5 * 1024**3
"""The vendor refuses above 4 GB."""
FIRST_HOURS: Final = 24
AIM: Final = 64 * 1024 * 1024
"""Bytes of an archive that we aim at: what a broken pull fetches again."""
NO_DATA, TOO_MUCH = 404, (400, 504)
S3_EXPORT: Final = "one hour of events is more than the export API gives: use Amplitude's export to Amazon S3 instead"


@dataclass(slots=True)
class Pace:
    """How many hours are asked for at once: from a day up while archives are small, down where they are too much."""

    hours: int = FIRST_HOURS
    most: int = MAX_HOURS

    def answered(self, size: int) -> None:
        """Heed an archive of *size* bytes."""
        if size < AIM // 4:
            self.hours = min(2 * self.hours, self.most)
        elif size > AIM:
            self.hours = max(1, self.hours // 2)

    def refused(self, hours: int) -> None:
        """Heed that *hours* were too much; so many are not asked for again in this pull."""
        self.hours = self.most = max(1, hours // 2)


def newest_hour(now: datetime) -> datetime:
    """Return the beginning of the last hour that can be had at *now*."""
    return now.replace(minute=0, second=0, microsecond=0) - DELAY


def ask(api: Api, stack: ExitStack, first: datetime, hours: int) -> IO[bytes] | None:
    """
    Return the archive of *hours* from *first*, kept by *stack*; None where there is nothing.

    Raises:
        TooMuchError: a shorter range is to be asked for.
        RejectedError, TransientError: even one hour is too much.
    """
    # Quirk 1: both hours are inclusive
    query = {"start": f"{first:%Y%m%dT%H}", "end": f"{first + (hours - 1) * HOUR:%Y%m%dT%H}"}
    allow = (NO_DATA, *TOO_MUCH) if hours > 1 else (NO_DATA, 400)
    for _ in range(
        2
    ):  # Quirk 2: no data, or somebody else's 404: the hours would be passed for good, so it has to be said twice
        try:
            got = stack.enter_context(api.fetch(EXPORT, max_bytes=MAX_BYTES, params=query, allow=allow))
        except TransientError as error:
            if hours > 1 and _took_too_long(error):
                raise TooMuchError from error
            if error.status == 504:
                raise TransientError(S3_EXPORT, status=504) from error
            raise
        if got.status in TOO_MUCH:
            if hours > 1:
                raise TooMuchError
            raise RejectedError(S3_EXPORT, status=got.status)
        if got.status != NO_DATA:
            return got.file
    return None


class TooMuchError(Exception):
    """The range is too heavy for the vendor."""


def _took_too_long(error: TransientError) -> bool:
    """Whether the vendor was reached and never finished its answer, each time."""
    return error.status is None and error.maybe_acted and not isinstance(error, RateLimited)

"""
Walking through a form's answers, newest first.

The first request names the window by time, all others only the last token: Typeform refuses the two together (Quirk 1). So the
walk itself sees when it is past the window's beginning. It may be broken off after any page and taken up again with a `Place`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from core.contract import Api, Json, parse_time
from core.errors import ProtocolError

RESPONSES_PER_PAGE: Final = 1000  # the most that `GET /forms/{form_id}/responses` gives; the default is 25
NEVER_YEAR: Final = 1
"""`0001-01-01T00:00:00Z` stands for a form that was opened and never sent (Quirk 6)."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a walk is: what goes into a page's resume token."""

    began: str
    """When the walk began, ISO 8601: what was sent before then has been asked for at its end."""
    wording: str
    """Fingerprint of the texts with which the answers so far were labelled."""
    whole: bool = False
    """All of the form is read, although a checkpoint was given."""
    before: str | None = None
    """The last token."""
    at: str | None = None
    """When the last answer was sent, to the second."""
    left: int = 0
    """How many answers are still to come, by the first request's count."""
    entered: str | None = None
    """The second at which the walk was taken up by time, after tokens led nowhere."""
    by_time: bool = True
    """Whether the next request names a window of time."""

    @classmethod
    def parse(cls, text: str) -> Place:
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise ProtocolError("the place of a broken pull cannot be read; pull in full") from None

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def sent_at(item: Json) -> datetime | None:
    """Return when an answer was sent; None where it never was."""
    at = parse_time(item.get("submitted_at"))
    return at if at is not None and at.year > NEVER_YEAR else None


def token_of(item: Json) -> str:
    """Return what names an answer within its form."""
    return str(item.get("token") or item["response_id"])


def stamp(at: datetime) -> str:
    """Return *at* as Typeform writes times in a query: UTC, whole seconds, no zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def walk(api: Api, form_id: str, place: Place, since: datetime | None) -> Iterator[tuple[Sequence[Any], Place | None]]:
    """
    Yield answers sent at or after *since*, newest first, and the place of the next page (None after the last).

    An empty page while answers are still to come is no end: some were deleted meanwhile, or the page is broken. The walk is
    then taken up by time, from the second of the last answer, once for each such second (Quirk 2).

    Raises:
        ProtocolError: the first page of a whole form is empty beside a count of answers; as the end all would seem deleted.
    """
    while True:
        window = _window(place, since) if place.by_time else {"before": place.before}
        body = api.get(f"/forms/{form_id}/responses", page_size=RESPONSES_PER_PAGE, **window)
        items: Sequence[Any] = body["items"]
        if not items and not place.by_time and place.left > 0 and place.at and place.entered != place.at:
            place = replace(place, entered=place.at, by_time=True)
            continue
        total = int(body["total_items"])
        if not items and place.before is None and since is None and total > 0:  # of a window the count may be the form's
            raise ProtocolError(f"the first page of a form is empty, though there are {total} answers")
        following = _following(place, items, total, since)
        yield [item for item in _new(items, place) if not _older(item, since)], following
        if following is None:
            return
        place = following


def _window(place: Place, since: datetime | None) -> dict[str, object]:
    return {"since": stamp(since) if since else None, "until": place.entered}


def _following(place: Place, items: Sequence[Any], total: int, since: datetime | None) -> Place | None:
    left = (total if place.by_time else place.left) - len(items)  # Quirk 3: `page_count` counts otherwise with a token
    counted_out = left <= 0 and len(items) < RESPONSES_PER_PAGE  # Quirk 2: the count may say too little
    if not items or counted_out or any(_older(item, since) for item in items):
        return None
    last = sent_at(items[-1])
    at = stamp(last) if last else place.at
    return replace(place, before=token_of(items[-1]), at=at, left=left, by_time=False)


def _new(items: Sequence[Any], place: Place) -> Sequence[Any]:
    """Leave out what the walk has had, where it was taken up at a second that it had seen a part of."""
    if not place.by_time or place.before is None:
        return items
    known = next((n for n, item in enumerate(items) if token_of(item) == place.before), -1)
    return items[known + 1 :]


def _older(item: Json, since: datetime | None) -> bool:
    at = sent_at(item)
    return since is not None and at is not None and at < since

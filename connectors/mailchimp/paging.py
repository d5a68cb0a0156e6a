"""
Reading a collection whole that moves while it is read.

Mailchimp pages by offset. A member that changes leaves the window being read (its last_changed passes the upper bound), all
behind it move up, and the next offset would skip as many. `total_items` tells how many left: then we step back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from core.contract import Api, Json
from core.errors import ProtocolError, TransientError

PAGE_SIZE = 1000  # the most; the default is 10. https://mailchimp.com/developer/marketing/docs/methods-parameters/#pagination
MAX_RESTARTS = 50  # pages of one reading that may be asked for again because the list moved


@dataclass(frozen=True, slots=True)
class Place:
    """How far a collection has been read; survives a crash as the page's resume token."""

    position: int = 0
    """All rows before it have been read."""
    total: int | None = None
    """`total_items` of the last answer."""
    margin: int = 0
    """How far before *position* the next page starts, once the list has been seen to move."""
    part: str = ""
    until: str = ""
    """Upper bound of the window, kept from the first request to the last."""

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, token: str) -> Place:
        return cls(**json.loads(token))


def pages(api: Api, path: str, items: str, place: Place, **query: Any) -> Iterator[tuple[Sequence[Json], Place | None]]:
    """
    Yield pages of *items*, each with the place that follows it, None after the last.

    Rows may come twice when the list moves; none is left out.

    Raises:
        TransientError: the list moves faster than it can be read.
        ProtocolError: a page in the middle holds nothing, or the answer has another shape.
    """
    restarts = 0
    while True:
        start = max(0, place.position - place.margin)
        body = api.get(path, count=PAGE_SIZE, offset=start, **query)
        rows, total = _read(body, items)
        left = max(0, (place.total or 0) - total)
        if start > 0 and start > place.position - left:  # Quirk 4: rows moved up past the start of this page
            restarts += 1
            if restarts > MAX_RESTARTS:
                raise TransientError(
                    "the list changes faster than it can be read; try again at a quieter hour", maybe_acted=False
                )
            margin = min(2 * left, PAGE_SIZE // 2)
            place = replace(place, position=max(0, place.position - left), total=total, margin=margin)
            continue
        end = start + len(rows)
        if not rows and end < total:  # to take it for the end would be to lose the rest, and to call what is lost gone
            raise ProtocolError(
                f"a page of {items} is empty, and {total - end} are still to come; it is asked for again next time"
            )
        place = replace(place, position=end, total=total)
        if end >= total:
            yield rows, None
            return
        yield rows, place


def _read(body: Json, items: str) -> tuple[Sequence[Json], int]:
    try:
        rows, total = body[items], int(body["total_items"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the answer has no {items} or no total_items") from error
    if not isinstance(rows, list):
        raise ProtocolError(f"{items} is no list")
    return rows, total

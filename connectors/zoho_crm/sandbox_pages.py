"""Page tokens as the vendor has them: bound to their query, short-lived, and no further than their reach."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.zoho_crm.sandbox_form import number, refused
from connectors.zoho_crm.sandbox_state import Stored, text
from core.contract import Ask

LIFE: Final = timedelta(days=1)
DISCRETE: Final = 2_000
_SORTED: Final[dict[str, Callable[[Stored], Any]]] = {
    "id": lambda record: record.id,
    "Created_Time": lambda record: (record.created, record.id),
    "Modified_Time": lambda record: (record.modified.replace(microsecond=0), record.id),
}


@dataclass(frozen=True, slots=True)
class _Place:
    query: tuple[Any, ...]
    after: Any
    read: int
    until: datetime


class PageTokens:
    """Cuts pages of a sorted list, and remembers where each token goes on."""

    def __init__(self, now: Callable[[], datetime], reach: int) -> None:
        self._now, self._reach = now, reach
        self._places: dict[str, _Place] = {}
        self._sorted: tuple[Any, list[Stored], list[Any]] = (None, [], [])
        """The last list that pages were cut from, with its keys: it is the same while nothing changes."""

    def cut(self, ask: Ask, find: Callable[[], Sequence[Stored]], version: int) -> tuple[Sequence[Stored], dict[str, Any]]:
        """Return the records of a page and the `info` that goes with it; *find* gives all, sorted anyhow."""
        size = number(ask, "per_page", 200, 200)
        by, way = ask.one("sort_by", "id") or "", ask.one("sort_order", "desc")
        if by not in _SORTED:
            raise refused(400, "INVALID_DATA", "sort_by", param_name="sort_by")
        key, token = _SORTED[by], ask.one("page_token")
        query = (ask.path, tuple(sorted(p for p in ask.query if p[0] != "page_token")), ask.headers.get("if-modified-since"))
        if self._sorted[0] != (query, version):
            ordered = sorted(find(), key=key)
            self._sorted = ((query, version), ordered, [key(record) for record in ordered])
        _, ordered, keys = self._sorted
        read, page = 0, number(ask, "page", 1, 10**6)
        start, end = 0, len(ordered)
        if token is not None:
            place = self._place(token, query, page_too=ask.one("page") is not None)
            read = place.read
            start, end = (0, bisect_left(keys, place.after)) if way == "desc" else (bisect_right(keys, place.after), end)
        elif page * size > DISCRETE:
            raise refused(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", "use page_token to fetch further records")
        skip = 0 if token is not None else (page - 1) * size
        more = end - start > skip + size
        if way == "desc":
            rows = ordered[start:end][::-1][skip : skip + size]
        else:
            rows = ordered[start + skip : min(end, start + skip + size)]
        info: dict[str, Any] = {
            "per_page": size, "count": len(rows), "page": page, "more_records": more, "sort_by": by, "sort_order": way,
            "next_page_token": None, "previous_page_token": token, "page_token_expiry": None,
        }  # fmt: skip
        if more and read + len(rows) < self._reach:
            following = f"t{len(self._places):06d}"
            self._places[following] = _Place(query, key(rows[-1]), read + len(rows), self._now() + LIFE)
            info |= {"next_page_token": following, "page_token_expiry": text(self._now() + LIFE)}
        return rows, info

    def _place(self, token: str, query: tuple[Any, ...], *, page_too: bool) -> _Place:
        place = self._places.get(token)
        if place is None or self._now() >= place.until:
            raise refused(400, "INVALID_DATA", "the page token is invalid or has expired", param_name="page_token")
        if page_too or place.query != query:
            raise refused(400, "INVALID_DATA", "page_token goes with the very query it came from", param_name="page_token")
        return place

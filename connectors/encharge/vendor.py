"""
How Encharge is read: everybody by offset without a total, some people by their ids, the field that says who unsubscribed.

Nothing here knows streams or audiences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.contract import Api, Json, chunks
from core.errors import ProtocolError

DOCS: Final = "https://app-encharge-resources.s3.amazonaws.com/redoc.html"
PAGE: Final = 100
"""People a page: the default; no page says what the most is (Quirk 3)."""
SOME: Final = 50
"""People asked for by id or address in one query string (Quirk 4)."""
MAX_RESTARTS: Final = 20
"""Pages in a row that may bring nobody new because the list moved."""
UNSUBSCRIBED: Final = "unsubscribed"
"""What we call the field, whatever its name there."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far everybody has been read; survives a crash as the page's resume token."""

    position: int = 0
    """All rows before it have been read."""
    last: str = ""
    """Id of the last of them."""

    def dump(self) -> str:
        """Return it as a resume token."""
        return f"{self.position}/{self.last}"

    @classmethod
    def parse(cls, token: str | None) -> Place:
        """Return what `dump` wrote; the beginning for None."""
        position, _, last = (token or "0/").partition("/")
        return cls(int(position), last)


def everybody(api: Api, place: Place, **query: object) -> Iterator[tuple[Sequence[Json], Place]]:
    """
    Yield pages of people, each with the place after it, from *place* to the end.

    There is no total and the list moves while it is read (Quirk 3), so each page begins with the last row of the one before.
    Rows may come twice; none is left out. Only a page that brings nothing but that row is the end.

    Raises:
        ProtocolError: offsets are not heeded, or the list moves faster than it can be read.
    """
    restarts = 0
    while True:
        start = max(0, place.position - 1)
        rows = _page(api, start, **query)
        if not rows and start == 0:
            rows = _page(api, start, **query)  # an empty beginning is worth a second look
            if not rows:
                return
        at = _index(rows, place.last) if place.last else -1
        if place.last and at < 0:  # rows before it are gone, and it moved up past this page's beginning
            restarts, place = _again(restarts), Place(max(0, place.position - PAGE), "")
            continue
        fresh = rows[at + 1 :]
        if not fresh and at <= 0:
            return
        if not fresh:  # so many came in before it that it moved down by a page
            restarts, place = _again(restarts), Place(place.position + at, place.last)
            continue
        restarts = 0
        place = Place(start + len(rows), str(fresh[-1]["id"]))
        yield fresh, place


def _page(api: Api, start: int, **query: object) -> Sequence[Json]:
    return people_of(api.get("/people/all", params=query, limit=PAGE, offset=start, ignoreAnonymous=True), "people")


def _index(rows: Sequence[Json], id_: str) -> int:
    return next((at for at, row in enumerate(rows) if str(row["id"]) == id_), -1)


def _again(restarts: int) -> int:
    if restarts >= MAX_RESTARTS:
        raise ProtocolError("the list of people goes in circles, or changes faster than it can be read")
    return restarts + 1


def people_of(body: Json, items: str) -> Sequence[Json]:
    """Return the people of an answer, under `people` or `users` (Quirk 5); ProtocolError where there are none to read."""
    rows = body.get(items) if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("id") for row in rows):
        raise ProtocolError(f"the answer has no list {items!r} of people with ids")
    return rows


def some_people(api: Api, by: str, values: Sequence[str], *attributes: str) -> Iterator[Json]:
    """Yield whom the vendor knows under *values* of the identifier *by* (`id`, `email`); the archived are hidden."""
    for some in chunks(values, SOME):
        params = {f"people[{at}][{by}]": value for at, value in enumerate(some)}
        yield from people_of(api.get("/people", params=params, attributes=",".join(attributes)), "users")


def value(person: Mapping[str, Any], name: str) -> Any:
    """Return a field of a person: flat, or under `data` (Quirk 6)."""
    if name in person:
        return person[name]
    data = person.get("data")
    return data.get(name) if isinstance(data, dict) else None


def tags_of(person: Mapping[str, Any]) -> list[str]:
    """Return a person's tags, which are one text with commas (Quirk 2)."""
    text = value(person, "tags")
    parts = text if isinstance(text, list) else str(text or "").split(",")
    return [tag for part in parts if (tag := str(part).strip())]


def unsubscribed_name(api: Api) -> str:
    """
    Return the name of the field that says who unsubscribed (Quirk 7).

    Raises:
        ProtocolError: there is none; then nobody's consent could be told.
    """
    if api.settings.unsubscribed_field:
        return str(api.settings.unsubscribed_field)
    body = api.get("/fields")
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ProtocolError("the answer has no list 'items' of fields")
    for item in items:
        if UNSUBSCRIBED in (str(item.get("title")).strip().casefold(), str(item.get("name")).casefold()) and item.get("name"):
            return str(item["name"])
    raise ProtocolError("no person field is called Unsubscribed; set unsubscribed_field to the name of the one that says so")


def is_unsubscribed(person: Mapping[str, Any], name: str) -> bool | None:
    """Return whether a person unsubscribed; None where the field is not there or holds no yes or no."""
    said = value(person, name)
    if isinstance(said, bool):
        return said
    return {"true": True, "false": False}.get(str(said).strip().lower())

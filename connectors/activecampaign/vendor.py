"""
How ActiveCampaign is read: the sizes of pages, paging by id and by offset, and what its texts mean.

Every scalar comes as text, also numbers and booleans; a missing time is a time of zeros. Nothing here knows streams or
audiences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from core.contract import Api, Json, parse_time
from core.errors import ProtocolError

DOCS: Final = "https://developers.activecampaign.com/reference"
PAGE: Final = 100
"""Rows of a page at most; the default is 20 (DOCS/pagination, Quirk 2)."""


def contacts_by_id(api: Api, after: int = 0, **filters: object) -> Iterator[Sequence[Json]]:
    """
    Yield pages of contacts, lowest id first, from those above *after* on.

    *filters* are query parameters of `GET /contacts`; `__` stands for brackets (`filters__updated_after`).
    """
    first = after == 0
    query = {_bracketed(name): value for name, value in filters.items()}
    while True:
        body = api.get("/contacts", params={"limit": PAGE, "orders[id]": "ASC", "id_greater": after, **query})
        rows, total = rows_of(body, "contacts"), total_of(body)
        if not rows:
            if first and total:
                raise ProtocolError("a page of contacts came without contacts, though there are some")
            return
        ids = [int(row["id"]) for row in rows]
        if min(ids) <= after or sorted(ids) != ids:  # Quirk 7: a filter that is ignored brings everybody
            raise ProtocolError("contacts came in another order than the one asked for")
        yield rows
        if len(rows) >= total:  # Quirk 3: whether the total counts those before, no page says; this holds both ways
            return
        after, first = ids[-1], False


def _bracketed(name: str) -> str:
    head, *inner = name.split("__")
    return head + "".join(f"[{step}]" for step in inner)


def by_offset(api: Api, path: str, items: str, **query: object) -> Iterator[Sequence[Json]]:
    """Yield pages of a collection that only knows offsets. Rows may come twice when it shrinks meanwhile; none is left out."""
    params = {_bracketed(name): value for name, value in query.items()}
    offset, before = 0, 0
    while True:
        body = api.get(path, params={"limit": PAGE, "offset": offset, **params})
        rows, total = rows_of(body, items), total_of(body)
        if offset and total < before:  # what went from the front moved the rest up past this page's beginning
            offset, before = max(0, offset - (before - total)), total
            continue
        if not rows and offset < total:
            raise ProtocolError(f"a page of {items} came empty before the end")
        offset, before = offset + len(rows), total
        if rows:
            yield rows
        if offset >= total:
            return


def rows_of(body: Json, items: str) -> Sequence[Json]:
    """Return the list *items* of an answer; ProtocolError where there is none, or something else than objects in it."""
    rows = body.get(items) if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProtocolError(f"the answer has no list {items!r}")
    return rows


def total_of(body: Json) -> int:
    """Return `meta.total`, which is text in most answers and a number in some (Quirk 4)."""
    try:
        return int(body["meta"]["total"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("the answer has no meta.total") from error


def object_of(body: Json, name: str) -> Mapping[str, Any]:
    """Return the object *name* of an answer, which has an id; else ProtocolError."""
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, dict) or not found.get("id"):
        raise ProtocolError(f"the answer has no {name!r} with an id")
    return found


def time_of(row: Mapping[str, Any], what: str) -> datetime | None:
    """Return when a row was *what* (created, updated): the UTC stamp, else the one in the account's own zone (Quirk 5)."""
    text = row.get(f"{what}_utc_timestamp")
    if isinstance(text, str) and text[:1] not in ("", "0"):
        try:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError:
            pass
    return parse_time(row.get(f"{what[0]}date"))


def clean(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without links, with "" and times of zeros as missing (Quirk 4)."""
    return {
        name: None if value == "" or (isinstance(value, str) and value.startswith("0000-00-00")) else value
        for name, value in row.items()
        if name != "links"
    }


def same_address(one: object, other: str) -> bool:
    """Return whether two addresses are one."""
    return isinstance(one, str) and one.strip().lower() == other.strip().lower()

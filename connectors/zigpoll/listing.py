"""
Reading Zigpoll's lists, whose envelopes differ: bare arrays, `{data, hasNextPage, endCursor}`, and some that may be either.

A 422 is what a wrong key gets as well as a wrong parameter: which of the two, `/me` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from core.contract import Api, Json
from core.errors import ProtocolError, RejectedError

PER_PAGE: Final = 1000
"""Rows a page: what the vendor's own tools ask for at most; 5,000 was seen to work. Fewer may come (Quirk 4)."""


def rows_of(body: Json) -> Sequence[Any]:
    """Return the rows of an answer, an array or an object with `data` (Quirk 1)."""
    found = body if isinstance(body, list) else body.get("data") if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise ProtocolError("the answer is neither an array nor an object with data")
    return found


def asked(api: Api, path: str, **query: object) -> Json:
    """
    GET *path*.

    Raises:
        AuthError: it was refused because the key is not good any more.
    """
    try:
        return api.get(path, params=query)
    except RejectedError as error:
        if error.status == 422:  # Quirk 2
            api.get("/me")
        raise


def pages(api: Api, path: str, cursor: str | None = None, **query: object) -> Iterator[tuple[Sequence[Any], str | None]]:
    """
    Yield the rows of each page and the cursor of the next (None after the last).

    The vendor may give the last page's own cursor again for a next one: after a page that is not full that is the end, after a
    full one there is more that cannot be had (Quirk 4).

    Raises:
        ProtocolError: a next page is announced after a full one, and nothing leads there.
    """
    while True:
        body = asked(api, path, limit=PER_PAGE, startCursor=cursor, **query)
        found = rows_of(body)
        following = _next(body, cursor)
        if following is None and isinstance(body, Mapping) and body.get("hasNextPage") and len(found) >= PER_PAGE:
            raise ProtocolError(f"{path}: a next page is announced, and no new cursor leads to it")
        yield found, following
        if following is None:
            return
        cursor = following


def _next(body: Json, cursor: str | None) -> str | None:
    if not isinstance(body, Mapping) or not body.get("hasNextPage"):
        return None
    following = body.get("endCursor")
    return str(following) if following and str(following) != cursor else None


def accounts(api: Api) -> Sequence[str]:
    """Return the ids of all accounts that the key sees (`GET /me`)."""
    me = api.get("/me")
    if not isinstance(me, dict) or not me.get("_id"):
        raise ProtocolError("/me does not say whose key it is")
    found = me.get("accounts")
    if not isinstance(found, list):  # taken for none, it would be all answers gone
        raise ProtocolError("/me does not say which accounts the key sees")
    return [str(account["_id"] if isinstance(account, Mapping) else account) for account in found]

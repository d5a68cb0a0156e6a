"""Reading Stripe: a list from newest to oldest, and one object by its id. What both check is here, and only here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from core.contract import Api
from core.errors import ConfigError, ProtocolError, RejectedError

PAGE_SIZE = 100  # the most a list gives; docs.stripe.com/api/pagination
MISSING = "resource_missing"


class Anchor(NamedTuple):
    """The last row of a page: where the next one starts."""

    id: str
    created: int


class Chunk(NamedTuple):
    """One page of a list, and where the next starts; None after the last."""

    rows: list[dict[str, Any]]
    next: Anchor | None


def mode(api: Api) -> str:
    """Return `live` or `test`: the key decides, not the host."""
    parts = api.settings.key.get_secret_value().split("_")
    if len(parts) < 3 or parts[0] not in {"rk", "sk"} or parts[1] not in {"live", "test"}:
        raise ConfigError(
            "the Stripe key is none that this connector knows: it begins with rk_live_, rk_test_, sk_live_ or sk_test_"
        )
    return str(parts[1])


def walk(
    api: Api, path: str, params: Mapping[str, object] | None = None, *, after: Anchor | None = None, windows: bool = True
) -> Iterator[Chunk]:
    """
    Yield the pages of a list, newest `created` first (the only order there is).

    *windows* says that the list can be narrowed by `created`: then an anchor that was deleted meanwhile does no harm, the walk
    goes on from its second.
    """
    anchor = after
    bound: dict[str, object] = {}
    while True:
        start: dict[str, object] = {"starting_after": anchor.id} if anchor else {}
        try:
            body = api.get(path, params={"limit": PAGE_SIZE, **(params or {}), **bound, **start})
        except RejectedError as error:
            if anchor is None or error.code != MISSING or not windows:
                raise
            bound, anchor = {"created[lte]": anchor.created}, None  # Quirk 4; inclusive: others of that second are not lost
            continue
        rows = _rows(api, path, body)
        last = Anchor(rows[-1]["id"], rows[-1].get("created", 0)) if rows and body.get("has_more") else None
        if body.get("has_more") and (last is None or last == anchor):
            raise ProtocolError(f"{path} says there is more and gives nothing further; try again later")
        anchor = last
        yield Chunk(rows, anchor)
        if anchor is None:
            return


def _rows(api: Api, path: str, body: Any) -> list[dict[str, Any]]:
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in data):
        raise ProtocolError(f"{path} did not answer with a list of objects")
    for row in data:
        refuse_other_mode(api, row)
    return data


def refuse_other_mode(api: Api, row: Mapping[str, Any]) -> None:
    """Raise where an object is of the other mode than the key: test data never mixes with live."""
    if "livemode" in row and row["livemode"] is not (mode(api) == "live"):
        raise ProtocolError(f"an object of the other mode answered a {mode(api)} key; nothing of this page was taken")


def fetch(api: Api, path: str, id: str, expand: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """Return the object *id* at the pinned version; None where it is gone (Quirk 5: two ways of saying so)."""
    try:
        body = api.get(f"{path}/{quote(id, safe='')}", params={"expand[]": list(expand)} if expand else None)
    except RejectedError as error:
        if error.code != MISSING:  # a bare 404 of a proxy is not the vendor's word that an object is gone
            raise
        return None
    if not isinstance(body, dict) or body.get("id") != id:
        raise ProtocolError(f"{path} answered with something else than the object asked for")
    if body.get("deleted"):
        return None
    refuse_other_mode(api, body)
    return body

"""
Where things are at HubSpot: the pinned version, the one path builder, the sizes of pages and batches, reading a batch.

Nothing here knows streams or audiences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from core.contract import Api, Json
from core.errors import ProtocolError

API_VERSION: Final = "2026-03"
"""Unsupported from September 2027 on (docs: developer-tooling/platform/versioning)."""
APP_URL: Final = "https://app.hubspot.com"
"""Where a person signs in; it leads on to the portal's own data centre."""
SCOPES: Final = (
    "oauth", "crm.objects.contacts.read", "crm.schemas.contacts.read", "crm.lists.read", "crm.lists.write",
)  # fmt: skip
"""Without these nobody can sign in."""
OPTIONAL_SCOPES: Final = (
    "crm.objects.companies.read", "crm.schemas.companies.read", "crm.objects.deals.read", "crm.schemas.deals.read",
    "crm.objects.contacts.write",
)  # fmt: skip
"""Granted where the account has them; what they are for can be left out of a connection."""
LIST_PAGE: Final = 100
"""Objects in a page of GET; api-reference/2026-03/crm/objects."""
SEARCH_PAGE: Final = 200
"""Objects in a page of search; api-reference/2026-03/crm/search-the-crm."""
SEARCH_CAP: Final = 10_000
"""Results that one search can be paged through; the same page."""
BATCH: Final = 100
"""Inputs of a batch read or upsert, and of an association read."""
MEMBERS_PAGE: Final = 250
"""Members in a page of a list; api-reference/2026-03/crm/lists/memberships."""
CONTACTS_TYPE: Final = "0-1"
"""The object type id of contacts."""
COMPANIES_TYPE: Final = "0-2"
"""The object type id of companies."""


def path(area: str, *rest: str) -> str:
    """Return the path of *area* (`crm/objects`, `account-info`) in the pinned version, the steps of *rest* percent-encoded."""
    return "/" + "/".join((area, API_VERSION, *(quote(step, safe="") for step in rest)))


def read_batch(api: Api, where: str, body: Json) -> Sequence[Json]:
    """
    Return the results of one batch read at the path *where*; what the vendor does not know is merely not among them.

    Raises:
        ProtocolError: a 207 that holds any other error than "not found", or no list of results.
    """
    answer = api.request("POST", where, json=body, repeat=True, allow=(207,))  # Quirk 6: 207 is neither success nor failure
    return results(answer.body)


def results(body: Json) -> Sequence[Json]:
    """Return `results` of a batch's answer, having looked at its errors (Quirk 6)."""
    for error in list_of(body, "errors", needed=False):
        if not isinstance(error, dict) or error.get("category") != "OBJECT_NOT_FOUND":
            code = str(error.get("category")) if isinstance(error, dict) else None
            raise ProtocolError("a batch came back with an error that is not about a missing record", status=207, code=code)
    return list_of(body, "results")


def list_of(body: Json, key: str, *, needed: bool = True) -> list[Json]:
    """Return the list under *key* of an answer; ProtocolError where there is none and one is *needed*."""
    found = body.get(key) if isinstance(body, dict) else None
    if isinstance(found, list):
        return found
    if found is None and not needed:
        return []
    raise ProtocolError(f"the answer has no list {key!r}")


def next_after(body: Json) -> str | None:
    """Return the token of the next page, or None on the last one, where `paging` or `next` is left out."""
    paging = body.get("paging") if isinstance(body, dict) else None
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return None if after in (None, "") else str(after)

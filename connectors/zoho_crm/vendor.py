"""Where Zoho CRM is, how much it takes at once, and how its answers are wrapped. What they mean is elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from core.contract import Api, Json
from core.errors import ProtocolError

DOCS: Final = "https://www.zoho.com/crm/developer/docs/api/v8"
API_VERSION: Final = "v8"
API: Final = f"/crm/{API_VERSION}"

PAGE: Final = 200  # records a page; get-records.html
REACH: Final = 100_000  # records that one chain of page tokens reaches; get-records.html
MAX_FIELDS: Final = 50  # names in `fields`; get-records.html
MAX_IDS: Final = 100  # values of `ids` (Quirk 4)
COQL_ROWS: Final = 200  # rows of a query that costs one credit; COQL-Limitations.html
COQL_VALUES: Final = 100  # values of `in (...)`; COQL-Limitations.html
MAX_UPSERT: Final = 100  # records; upsert-records.html
MAX_TAGGED: Final = 500  # ids; add-tags.html

_CODE = re.compile(r"[A-Z][A-Z_]{0,59}")

CONTACTS: Final = "Contacts"
LEADS: Final = "Leads"


class DataCentre(NamedTuple):
    """One of Zoho's eight worlds: an organisation, its clients and its tokens exist in exactly one."""

    accounts: str
    """Host at which a person signs in and tokens are fetched."""
    api: str
    """Domain of the API: `www.` of it, `sandbox.` or `developer.`."""


DATA_CENTRES: Final = {
    "us": DataCentre("accounts.zoho.com", "zohoapis.com"),
    "eu": DataCentre("accounts.zoho.eu", "zohoapis.eu"),
    "in": DataCentre("accounts.zoho.in", "zohoapis.in"),
    "au": DataCentre("accounts.zoho.com.au", "zohoapis.com.au"),
    "cn": DataCentre("accounts.zoho.com.cn", "zohoapis.com.cn"),
    "jp": DataCentre("accounts.zoho.jp", "zohoapis.jp"),
    "ca": DataCentre("accounts.zohocloud.ca", "zohoapis.ca"),
    "sa": DataCentre("accounts.zoho.sa", "zohoapis.sa"),
}
HOSTS: Final = tuple(host for centre in DATA_CENTRES.values() for host in centre)


def ask(api: Api, method: str, path: str, *, allow: Sequence[int] = (), **request: Any) -> Json:
    """
    Return the body of an answer; None only where the status says that there is nothing (Quirk 6): 204, and 304 for a header.

    *allow* names further statuses whose bodies hold rows.
    """
    answer = api.request(method, path, allow=(304, *allow), **request)
    if answer.body is None and answer.status not in (204, 304):
        raise ProtocolError("an answer that should have a body has none", status=answer.status)
    return answer.body


def rows_of(body: Json, key: str = "data") -> Sequence[Json]:
    """Return the objects of an answer; none where there is no body."""
    if body is None:
        return ()
    rows = body.get(key) if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProtocolError(f"the answer holds no list of {key}")
    return rows


def details_of(row: Json) -> Json:
    """Return what a row of a batch answer tells about its record."""
    details = row.get("details")
    return details if isinstance(details, dict) else {}


def code_of(row: Json) -> str:
    """Return a row's code in words that may be shown: one that is not spelled like Zoho's may be an echo of what we sent."""
    code = str(row.get("code") or "")
    return code if not code or _CODE.fullmatch(code) else "UNKNOWN"


def said_of(row: Json) -> str:
    """Return a row's sentence, as it came."""
    return str(row.get("message") or "")


def header_time(at: datetime) -> str:
    """Return a time for `If-Modified-Since`: ISO 8601 with an offset, whole seconds, rounded down."""
    return at.astimezone(UTC).isoformat(timespec="seconds")

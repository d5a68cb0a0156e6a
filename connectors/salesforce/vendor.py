"""
Where things are at Salesforce: the pinned version, sizes of pages and batches, SOQL spelled safely, a query read page by page.

Nothing here knows streams or audiences.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Final
from urllib.parse import quote_plus

from core.contract import Api, Json
from core.errors import ProtocolError

API_VERSION: Final = "v66.0"
"""Versions live at least three years; 41 to 68 are supported (REST guide: API end-of-life)."""
VERSIONS: Final = "/services/data/"
ROOT: Final = f"/services/data/{API_VERSION}"
BULK_ABOVE: Final = 50_000
"""Rows from which on a query job is cheaper than pages of at most 2,000."""
MAX_QUERY_CHARS: Final = 12_000
"""Of a query in an address, percent-encoded: address and headers together have 16,384 bytes (Quirk 6)."""
COLLECTION: Final = 200
"""Records in one call of composite/sobjects."""
LEAD_PREFIX: Final = "00Q"
"""What the id of every Lead begins with; a Contact's begins with 003."""
UNREADABLE: Final = frozenset({"address", "location", "base64"})
"""Types of fields that a query job refuses; the parts of an address are fields of their own."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the token may see and do of one kind of object."""

    fields: Mapping[str, str]
    """Name to type. Fields that the token may not see are not among them."""
    createable: bool
    deletable: bool

    def spelled(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that can be read, in order, once each and spelled as Salesforce does."""
        known = {name.lower(): name for name, type_ in self.fields.items() if type_ not in UNREADABLE}
        return list(dict.fromkeys(known[name.lower()] for name in names if name.lower() in known))


def describe(api: Api, sobject: str) -> Described:
    """Ask what there is of *sobject* (REST guide: sobject describe)."""
    body = api.get(f"{ROOT}/sobjects/{sobject}/describe")
    if not isinstance(body, dict) or not isinstance(body.get("fields"), list):
        raise ProtocolError(f"the description of {sobject} names no fields")
    fields = {str(field["name"]): str(field.get("type") or "string") for field in body["fields"]}
    return Described(fields, body.get("createable") is True, body.get("deletable") is True)


def text(value: str) -> str:
    """Return *value* as a SOQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def instant(at: datetime) -> str:
    """Return *at* as a SOQL literal: unquoted, with a Z (Quirk 3)."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def packed(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield *values* in pieces whose lists of literals fit into an address (Quirk 6)."""
    piece: list[str] = []
    size = 0
    for value in values:
        length = len(quote_plus(text(value) + ","))
        if piece and size + length > MAX_QUERY_CHARS:
            yield piece
            piece, size = [], 0
        piece.append(value)
        size += length
    if piece:
        yield piece


def listed(values: Sequence[str]) -> str:
    """Return *values* as the right side of IN."""
    return f"({','.join(text(value) for value in values)})"


@dataclass(frozen=True, slots=True)
class Found:
    """One answer of a query."""

    records: Sequence[dict[str, Any]]
    total: int
    """How many the query has in all."""
    following: str | None
    """Path of the next page; None on the last one."""


def ask(api: Api, soql: str, *, deleted: bool = False) -> Found:
    """Return the first page of a query; *deleted*: with rows in the recycle bin and merged ones."""
    return _found(api.get(f"{ROOT}/{'queryAll' if deleted else 'query'}", q=soql))


def more(api: Api, path: str) -> Found:
    """Return the page at *path*, which may say `query` where `queryAll` was asked (Quirk 4)."""
    found = _found(api.get(path))
    if found.following == path:
        raise ProtocolError("the vendor names the page in hand as the next one")
    return found


def select(api: Api, soql: str) -> Iterator[Sequence[Json]]:
    """Yield the live records of a query, a page at a time."""
    found = ask(api, soql)
    yield found.records
    while found.following is not None:
        found = more(api, found.following)
        yield found.records


@contextmanager
def table(file: IO[bytes]) -> Iterator[Iterator[dict[str, str]]]:
    """Give the rows of a CSV file by its first line. The file is the api's to close."""
    text_of = io.TextIOWrapper(file, "utf-8", newline="")
    try:
        yield csv.DictReader(text_of)
    finally:
        text_of.detach()


def _found(body: Json) -> Found:
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list) or not isinstance(body.get("totalSize"), int):
        raise ProtocolError("the answer to a query holds no records")
    following = body.get("nextRecordsUrl")
    if body.get("done") is not True and not following:
        raise ProtocolError("a query is not done and names no next page")
    return Found(records, body["totalSize"], None if body.get("done") is True else str(following))

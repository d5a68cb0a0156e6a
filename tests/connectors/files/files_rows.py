"""Settings and helpers for the tests of the files connector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.files.config import FileStream
from connectors.files.stream import make_stream
from core.contract import Page, Stream

ACCOUNTS = {
    "path": "data/accounts.csv",
    "kind": "profile",
    "key": "account_id",
    "identifiers": {"user_id": "account_id", "email": "owner_email"},
    "fields": {"country": "country", "company.name": "account_name"},
}
USAGE = {
    "path": "data/usage.csv",
    "kind": "event",
    "key": "usage_id",
    "identifiers": {"subscription_id": "subscription_id"},
    "time": "usage_date",
    "event_column": "feature_name",
}
PAYMENTS = {
    "path": "data/payments.csv",
    "kind": "payment",
    "key": "id",
    "identifiers": {"user_id": "user"},
    "fields": {"amount": "amount", "paid_at": "paid"},
}


def stream_of(spec: dict[str, Any]) -> Stream:
    """Return the stream that a table of the config makes."""
    return make_stream("it", FileStream.model_validate(spec))


def write(folder: Path, path: str, content: str | bytes) -> Path:
    """Write a file below *folder*."""
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return place


def pull(api: Any, spec: dict[str, Any], cursor: str | None = None, path: str | None = None) -> list[Page]:
    """Pull one file of the stream."""
    return list(stream_of(spec).pull(api, cursor, None, path or spec["path"]))


def records(pages: list[Page]) -> list[Any]:
    """Return the records of all pages."""
    return [record for page in pages for record in page.records]


def bad(pages: list[Page]) -> list[tuple[str, str]]:
    """Return where and why rows were refused."""
    return [(entry.ref, entry.reason) for page in pages for entry in page.bad]

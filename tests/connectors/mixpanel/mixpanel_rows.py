"""Recorded answers and neutral rows for the tests of the Mixpanel connector."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from support import recorded

FOLDER = Path(__file__).parent
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""The tests' clock."""
SETTINGS = {
    "project_id": "1234567", "service_account": "tagalong.1.mp-service-account", "secret": "s" * 32, "token": "t" * 32,
    "timezone": "Europe/Stockholm", "start": "2026-02-20",
}  # fmt: skip


class Payload(recorded.Payload):
    folder = FOLDER / "payloads"


def payload(name: str) -> httpx.Response:
    """Return the response of a payload file."""
    return httpx.Response(**Payload(name).kwargs)


def event(
    id_: object, days_ago: float = 1, user_id: str | None = "42", name: str = "Page Viewed", **values: Any
) -> dict[str, Any]:
    """Return a neutral event row; keys that Mixpanel's rows have besides go in *values*."""
    at = NOON - timedelta(days=days_ago)
    return {"id": str(id_), "user_id": user_id, "name": name, "at": at, "properties": {"path": "/pricing"}, **values}


def users(*ids: str, **values: Any) -> list[dict[str, Any]]:
    """Return neutral rows of *ids*."""
    return [{"id": id_, "email": f"u{id_}@example.com", "first_name": "Ann", "country": "SE", **values} for id_ in ids]

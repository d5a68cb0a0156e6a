"""How the sandbox spells things: people, tags and the account's fields in the API's JSON, and refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from core.contract import Ask, Refused

MADE: Final = "2026-01-02T03:04:05.000Z"
"""When each tag was made."""


@dataclass(slots=True)
class User:
    """Somebody."""

    id: str
    email: str | None
    created_at: datetime
    updated_at: datetime
    fields: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    unsubscribed: bool | None = None
    archived: bool = False
    anonymous: bool = False


def tag_json(name: str) -> dict[str, Any]:
    return {"tag": name, "color": "", "description": "", "createdAt": MADE}


def user_json(user: User, custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return somebody with what the account's own fields come to, beside the others or under `data`."""
    return {
        "id": user.id, "email": user.email, "userId": None, "name": None, "firstName": None, "lastName": None,
        **user.fields, "tags": ",".join(user.tags), "title": None, "leadScore": 0, "createdAt": stamp(user.created_at),
        "updatedAt": stamp(user.updated_at), "isEmailDisposable": False, "CommunicationCategories": {}, **custom,
    }  # fmt: skip


def fields_json(unsubscribed: tuple[str, str] | None) -> dict[str, Any]:
    """Return the account's fields, with name and title of the one that says who unsubscribed."""
    fields = [("email", "Email"), ("firstName", "First name"), ("plan", "Plan"), *([unsubscribed] if unsubscribed else [])]
    kind = {"type": "string", "format": None, "array": False, "readOnly": False}
    return {"items": [{**kind, "name": name, "title": title} for name, title in fields]}


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_of(ask: Ask) -> Any:
    try:
        return ask.json() or {}
    except json.JSONDecodeError as error:
        raise refused(400, "Unexpected token in JSON") from error


def refused(status: int, message: str) -> Refused:
    error = {"message": message, "markdown": f"<p>{message}</p>", "traceId": str(uuid4()), "stack": "Error: at app.js:1"}
    return Refused(status, {"error": error})

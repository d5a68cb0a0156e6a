"""The form of what the sandbox says: refusals, and the header and parameters that it reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from core.contract import Ask, Refused, parse_time

READS: Final = {"settings/fields": "settings.fields.READ", "settings/tags": "settings.tags.ALL"}


def problem(code: str, message: str, **details: Any) -> dict[str, Any]:
    """Return an error as Zoho writes it, alone or as a row."""
    return {"code": code, "details": details, "message": message, "status": "error"}


def refused(status: int, code: str, message: str, **details: Any) -> Refused:
    """Return a refusal to raise."""
    return Refused(status, problem(code, message, **details))


def number(ask: Ask, name: str, default: int, most: int) -> int:
    """Return a numeric parameter between 1 and *most*."""
    text = ask.one(name, str(default)) or ""
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise refused(400, "INVALID_DATA", f"{name} is invalid", param_name=name)
    return int(text)


def since(ask: Ask) -> datetime | None:
    """Return `If-Modified-Since`, which must have an offset."""
    text = ask.headers.get("if-modified-since")
    at = parse_time(text)
    if text is not None and (at is None or "T" not in text or text.endswith("Z")):
        raise refused(400, "INVALID_DATA", "If-Modified-Since is invalid")
    return at


def body_of(ask: Ask) -> dict[str, Any]:
    """Return the body, a JSON object."""
    try:
        body = ask.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise refused(400, "INVALID_DATA", "body")
    return body


def needed_scope(ask: Ask) -> str:
    """Return the scope that a request needs, without `ZohoCRM.`."""
    path = ask.path.removeprefix("/crm/v8/")
    if path in READS:
        return READS[path]
    if path in ("org", "coql"):
        return f"{path}.READ"
    module = path.partition("/")[0].lower()
    return f"modules.{module}.{'READ' if ask.method == 'GET' else 'ALL'}"

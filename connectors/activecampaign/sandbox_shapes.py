"""
How the sandbox spells things: rows as texts, pages, refusals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.contract import Ask, Refused, Reply

PAGE: Final = 100


def size_of(ask: Ask) -> int:
    return min(int(ask.one("limit") or 20), PAGE)


def page(ask: Ask, items: str, found: Sequence[Mapping[str, Any]]) -> Reply:
    start = int(ask.one("offset") or 0)
    return Reply({items: list(found[start : start + size_of(ask)]), "meta": {"total": str(len(found))}})


def json_of(ask: Ask) -> Any:
    try:
        return ask.json() or {}
    except json.JSONDecodeError as error:
        raise Refused(400, {"message": "Invalid JSON"}) from error


def known(of: Mapping[int, object], ask: Ask, what: str) -> int:
    """Return the id in the path; 404 where there is no such thing."""
    id_ = ask.params["id"]
    if not id_.isdigit() or int(id_) not in of:
        raise Refused(404, {"message": f"No Result found for {what} with id {id_}"})
    return int(id_)


def value_json(contact: int, field: int, value: str) -> dict[str, Any]:
    return {"contact": str(contact), "field": str(field), "value": value, "id": f"{contact}{field}", "owner": str(contact)}


def invalid(title: str, code: str | None, pointer: str) -> Refused:
    error = {"title": title, "detail": "", "source": {"pointer": f"/data/attributes/{pointer}"}}
    return Refused(422, {"errors": [error | ({"code": code} if code else {"status": 422})]})

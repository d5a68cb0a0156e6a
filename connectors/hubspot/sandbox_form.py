"""
The form of the sandbox's answers and refusals, and how it reads what it is asked. No HTTP library: `sandbox` speaks that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that was let in."""

    path: Mapping[str, str]
    """The variable steps of the path."""
    query: Mapping[str, str]
    url_length: int
    raw: bytes


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """An answer in the form of the vendor's errors."""

    def __init__(self, status: int, category: str, message: str, *, errors: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Mapping[str, str] = {}
        self.body: dict[str, object] = {
            "status": "error", "message": message, "correlationId": "sandbox", "category": category, "errors": list(errors),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is none."""

    body: Any
    status: int = 200


def invalid(message: str) -> Refused:
    return Refused(400, "VALIDATION_ERROR", message)


def object_of(ask: Ask) -> dict[str, Any]:
    """Return the JSON object that came."""
    try:
        body = json.loads(ask.raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON")
    return body


def inputs(body: Mapping[str, Any]) -> list[str]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= BATCH:
        raise invalid(f"inputs must hold 1 to {BATCH}")
    return [str(each["id"]) for each in inputs]


def number(value: object, low: int, high: int | None) -> int:
    number = int(str(value)) if str(value).isdecimal() else -1
    if number < low or (high is not None and number > high):
        raise invalid(f"limit or after must lie between {low} and {high}")
    return number


def page(results: Sequence[object], after: str | None) -> dict[str, Any]:
    return {"results": results, **({"paging": {"next": {"after": after}}} if after else {})}


def batch(results: Sequence[object], of: str, missing: Sequence[str]) -> Reply:
    answer = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": "2026-01-01T00:00:00Z",
        "completedAt": "2026-01-01T00:00:00Z",
    }
    if not missing:
        return Reply(answer)
    message = f"Could not get some {of.upper()} objects, they may be deleted or not exist."
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": list(missing)}}
    return Reply({**answer, "numErrors": 1, "errors": [error]}, 207)

"""
What a vendor says of a refusal: its code and its sentence, out of the shapes in which most of them answer, masked at once.

    {"message", "category" | "code" | "errorCode" | "type"}      [{"message", "errorCode"}]
    {"errors": [{"title", "detail", "code"}]}                     {"error": {"message", "code"}}
    {"error": "...", "error_description": "..."}                  {"data": [{"code", "message", "status": "error"}]}

The rest of the body is dropped: it may hold people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from core.masking import masked, masked_code

MAX_BODY: Final = 200_000
"""Bytes of a refusal that are read for its words."""
DEPTH: Final = 4
_SENTENCES: Final = (
    "message",
    "detail",
    "error_description",
    "description",
    "error_message",
    "msg",
    "reason",
    "title",
    "error",
)
_CODES: Final = ("errorCode", "error_code", "errorcode", "code", "category", "statusCode", "type", "error", "status")
_NO_CODES: Final = frozenset({"error", "fail", "failed", "failure", "success", "ok"})
_ERRORS: Final = ("errors", "error", "data", "results")
"""Where the errors themselves may stand, in a body that says something general above them."""


class Said(NamedTuple):
    """Both masked; empty where the vendor gives none."""

    code: str | None
    message: str


def said(content: bytes) -> Said:
    """Return what a refusal says in its body; nothing where it is no JSON."""
    if len(content) > MAX_BODY:
        return Said(None, "")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return Said(None, "")
    return words_of(body)


def words_of(body: Any) -> Said:
    """Return the first code and the first sentence of a parsed answer, what stands further out first."""
    tables = list(_tables(body, DEPTH))
    sentence = next((text for table in tables if (text := _sentence(table))), "")
    code = next((code for table in tables if (code := _code(table))), None)
    details = [text for table in tables if (text := _sentence(table)) and text != sentence]
    # "Validation failed" says little; the error that stands under it says what
    message = masked(f"{sentence}: {details[0]}" if details else sentence)
    return Said(code, message)


def _tables(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in which an error may be told, outermost first."""
    match value:
        case Mapping():
            yield value
            if depth:
                for key in _ERRORS:
                    yield from _tables(value.get(key), depth - 1)
        case list() if depth:
            for one in value[:3]:
                yield from _tables(one, depth - 1)
        case _:
            return


def _sentence(table: Mapping[str, Any]) -> str:
    return next((text for key in _SENTENCES if isinstance(text := table.get(key), str) and " " in text.strip()), "")


def _code(table: Mapping[str, Any]) -> str | None:
    for key in _CODES:
        value = table.get(key)
        code = masked_code(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
        if code is not None and code.lower() not in _NO_CODES and not (code.isdecimal() and len(code) == 3):  # an HTTP status
            return code
    return None

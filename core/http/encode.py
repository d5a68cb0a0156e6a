"""How plain values are spelled in a query string, a form and a JSON body."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from urllib.parse import urlencode
from uuid import UUID


def encode_pairs(*parts: Mapping[str, object] | None) -> str:
    """
    Return *parts* as one query string.

    None is left out, a list repeats its name, booleans are `true` and `false`, times are ISO 8601 with a Z.
    """
    return urlencode([pair for part in parts if part for name, value in part.items() for pair in _pairs(name, value)])


def _pairs(name: str, value: object) -> Iterable[tuple[str, str]]:
    if value is None:
        return ()
    if isinstance(value, list | tuple | set | frozenset):
        return ((name, spell(item)) for item in value if item is not None)
    return ((name, spell(value)),)


def spell(value: object) -> str:
    """Return one value as text; TypeError for what has no spelling, ValueError for a time without a zone."""
    match value:
        case str() if not isinstance(value, Enum):
            return value
        case bool():
            return "true" if value else "false"
        case Enum():
            return spell(value.value)
        case datetime():
            if value.tzinfo is None:
                raise ValueError("a time without a zone cannot be sent")
            return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        case date():
            return value.isoformat()
        case int() | float() | Decimal() | UUID():
            return str(value)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be sent as a parameter")


def encode_json(value: object) -> bytes:
    """Return *value* as compact JSON; times as in a query, NaN refused."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=spell).encode()

"""
Types of landing columns: which there are, which holds which values, and how a value or a column becomes one of another type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from core.contract import Record
from core.normalise import time_us

MAX_INTEGER: Final = 2**63
"""Integers of this size and above are no integers to SQLite, and so texts here."""
MAX_DEPTH: Final = 5
"""Levels of nesting that become columns; deeper objects stay JSON."""
_RANK: Final = {"boolean": 1, "integer": 2, "number": 3}


def flatten(record: Record) -> Mapping[str, object]:
    """Return the record's fields, those of nested objects last and joined with a dot; lists stay what they are."""
    nested = [field for field, value in record.items() if type(value) is dict]
    if not nested:
        return record  # flat already, as most are
    flat = dict(record)
    for field in nested:
        _flatten(flat, str(field), flat.pop(field), 1)
    return flat


def _flatten(flat: dict[str, object], prefix: str, inner: Mapping[str, object], depth: int) -> None:
    for field, value in inner.items():
        name = f"{prefix}.{field}"
        if isinstance(value, dict) and depth < MAX_DEPTH:
            _flatten(flat, name, value, depth + 1)
        else:
            flat[name] = value


def type_of(value: object) -> str:
    """Return the catalogue's word for the type of a value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -MAX_INTEGER <= value < MAX_INTEGER else "text"
    if isinstance(value, float | Decimal):
        return "number"
    if isinstance(value, datetime | date):
        return "time"
    return "json" if isinstance(value, list | tuple | dict) else "text"


def wider(old: str, new: str) -> str:
    """Return the narrowest type that holds values of both; `null` holds none yet."""
    if old in {new, "null"}:
        return new
    if old in _RANK and new in _RANK:
        return max(old, new, key=_RANK.__getitem__)
    return "text"


def as_type(value: object, type_: str) -> object:
    """Return *value* as a column of *type_* holds it; *type_* is as wide as the value's or wider."""
    match type_:
        case "boolean" | "integer":
            return int(value)  # type: ignore[call-overload]  # a bool or an int: `wider` saw to it
        case "number":
            return float(value)  # type: ignore[arg-type]  # a number: as above
        case "time":
            return time_us(value)
        case "json":
            return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | tuple | dict) else str(value)


def converted(column: str, old: str, new: str) -> str:
    """Return the assignment that makes the values of an *old* column those of a *new* one."""
    if new == "number":
        return f"{column} = CAST({column} AS REAL)"
    if old == "boolean" and new == "text":
        return f"{column} = CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    if old == "time":
        return f"{column} = strftime('%Y-%m-%dT%H:%M:%S+00:00', {column} / 1000000, 'unixepoch')"
    return f"{column} = CAST({column} AS TEXT)" if new == "text" else f"{column} = {column}"

"""Strikes out what texts of the store quote of a person who is forgotten."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any, Final

STRUCK: Final = "[forgotten]"


def strike(conn: sqlite3.Connection, table: str, columns: Mapping[str, str], quotable: Collection[str]) -> int:
    """Strike out what texts quote of the person; JSON stays JSON, and a cursor that names them is let go of."""
    if not quotable:
        return 0
    pattern = re.compile(
        "|".join(rf"(?<![\w.@-]){re.escape(text)}(?![\w@-])" for text in sorted(quotable, key=len, reverse=True)), re.IGNORECASE
    )
    conn.create_function("struck", 1, lambda text: _struck(text, pattern))
    changed = 0
    for column in (column for column, holds in columns.items() if holds == "text"):
        # no vendor takes a place in its list with something struck out of it: such a pull starts over
        less = f'"{column}" = struck("{column}")'
        if table == "checkpoints":
            less = ", ".join(f'"{name}" = NULL' for name in dict.fromkeys((column, "resume")))
        changed += conn.execute(f'UPDATE {table} SET {less} WHERE "{column}" <> struck("{column}")').rowcount
    conn.create_function("struck", 1, None)
    return changed


def _struck(text: Any, pattern: re.Pattern[str]) -> Any:
    """Return *text* without what the pattern finds; of JSON its strings alone, for a number there is nobody's."""
    if not isinstance(text, str) or not ("\\u" in text or pattern.search(text)):
        return text
    if text[:1] in ("{", "["):
        try:
            told = json.loads(text)
        except ValueError:
            return pattern.sub(STRUCK, text)
        less = _struck_json(told, pattern)
        return text if less == told else json.dumps(less)
    return pattern.sub(STRUCK, text)


def _struck_json(told: Any, pattern: re.Pattern[str]) -> Any:
    match told:
        case str():
            return pattern.sub(STRUCK, told)
        case list():
            return [_struck_json(one, pattern) for one in told]
        case dict():
            return {pattern.sub(STRUCK, name): _struck_json(one, pattern) for name, one in told.items()}
        case _:
            return told

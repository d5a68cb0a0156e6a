"""
What a query of the user's own may do: read, and nothing else; no clock and no chance of its own; not for long.

SQLite asks the authorizer of each thing that a statement would do while it is prepared, so a write is refused before it runs,
wherever in the text it hides. The limits below bound what one step may build; the progress handler ends the whole.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LIMIT_S: Final = 10.0
"""How long a query may run at evaluation."""
CHECK_S: Final = 0.05
"""How long checking its text may take."""
_STEPS: Final = 10_000
"""Virtual machine steps between two looks at the clock."""
_LIMITS: Final = (
    (sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
)
FUNCTIONS: Final = frozenset(
    [
        "abs",
        "avg",
        "ceil",
        "ceiling",
        "char",
        "coalesce",
        "concat",
        "concat_ws",
        "count",
        "cume_dist",
        "date",
        "datetime",
        "dense_rank",
        "exp",
        "first_value",
        "floor",
        "format",
        "glob",
        "group_concat",
        "hex",
        "ifnull",
        "iif",
        "instr",
        "json",
        "json_array",
        "json_array_length",
        "json_each",
        "json_extract",
        "json_group_array",
        "json_group_object",
        "json_object",
        "json_quote",
        "json_tree",
        "json_type",
        "json_valid",
        "julianday",
        "lag",
        "last_value",
        "lead",
        "length",
        "like",
        "ln",
        "log",
        "log10",
        "log2",
        "lower",
        "ltrim",
        "max",
        "median",
        "min",
        "mod",
        "nth_value",
        "ntile",
        "nullif",
        "percent_rank",
        "pow",
        "power",
        "printf",
        "quote",
        "rank",
        "replace",
        "round",
        "row_number",
        "rtrim",
        "sign",
        "sqrt",
        "strftime",
        "string_agg",
        "substr",
        "substring",
        "sum",
        "time",
        "total",
        "trim",
        "trunc",
        "typeof",
        "unicode",
        "unixepoch",
        "upper",
        "zeroblob",
        "->",
        "->>",
    ]
)
"""Everything that gives the same for the same rows."""
_WRITES: Final = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "BEGIN and COMMIT",
    sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
    sqlite3.SQLITE_REINDEX: "REINDEX",
    sqlite3.SQLITE_ANALYZE: "ANALYZE",
}
MAX_CHARS: Final = 5_000
_WORD: Final = re.compile(r"\s*([A-Za-z]+)")
_READS: Final = ("SELECT", "WITH", "VALUES")
_CLOCK: Final = re.compile(
    r"\bcurrent_(?:date|time|timestamp)\b|'now'|\"now\"|\[now\]|`now`|\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\)"
    r"|\bstrftime\s*\(\s*'[^']*'\s*\)",
    re.IGNORECASE,
)


class Refused(Exception):  # noqa: N818 - an answer about a text, not a failure
    """Why a query is not run."""


class Guard:
    """One query under watch: what it would do that it may not, and what it reads."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.tables: dict[str, None] = {}

    def __call__(self, action: int, first: str | None, second: str | None, _base: str | None, _inside: str | None) -> int:
        """Answer SQLite's question whether a thing may be done."""
        reason = self._reason(action, (first or "").lower(), (second or "").lower())
        if reason is None:
            return sqlite3.SQLITE_OK
        self.reason = self.reason or reason
        return sqlite3.SQLITE_DENY

    def _reason(self, action: int, first: str, second: str) -> str | None:
        if first == "sqlite_master" and action != sqlite3.SQLITE_READ:  # what a table function of the engine's own begins with
            return "may only read the tables of people, companies and what they did; CREATE, DROP and PRAGMA are refused"
        match action:
            case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_RECURSIVE:
                return None
            case sqlite3.SQLITE_READ:
                if first.startswith(("pragma_", "sqlite_")) or first == "dbstat":
                    return f"may not read {first}: only the tables of people, companies and what they did"
                self.tables[first] = None
                return None
            case sqlite3.SQLITE_FUNCTION:
                return None if second in FUNCTIONS else f"may not call {second}()"
        return f"may only read: {_WRITES.get(action, 'this statement')} is refused"


def problem(text: str) -> str | None:
    """Return what can be seen of *text* alone: no query, or one with a clock of its own."""
    if not text.strip():
        return "is empty"
    if len(text) > MAX_CHARS:
        return f"is longer than {MAX_CHARS:,} characters"
    if (word := _WORD.match(text)) and word[1].upper() not in _READS:
        return f"may only read: {word[1].upper()[:20]} is refused"
    found = _CLOCK.search(text)
    return f"{found[0]} reads another clock than the run's: write :as_of, in microseconds" if found else None


@contextmanager
def guarded(conn: sqlite3.Connection, limit_s: float) -> Iterator[Guard]:
    """Let *conn* do nothing but read, and end what takes longer than *limit_s*; a failure becomes `Refused`."""
    guard = Guard()
    conn.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").close()  # known from now on: first sight would be a write
    ends = time.monotonic() + limit_s
    before = [(limit, conn.setlimit(limit, most)) for limit, most in _LIMITS]
    conn.set_authorizer(guard)
    conn.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
    try:
        yield guard
    except sqlite3.Error as error:
        if time.monotonic() > ends:
            raise Refused(f"ran longer than {limit_s:g} s") from error
        raise Refused(guard.reason or str(error)) from error
    finally:
        conn.set_progress_handler(None, 0)
        conn.set_authorizer(None)
        for limit, was in before:
            conn.setlimit(limit, was)

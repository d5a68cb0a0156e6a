"""
Many rows in one statement: a statement a row costs as much again for narrow ones, in Python and in SQLite.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

_MOST: Final = 30_000
"""Parameters of one statement; SQLite takes 32,766."""


def insert(
    conn: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]], conflict: str = "", *, same: Sequence[Any] = ()
) -> int:
    """
    Execute *statement*, which ends in VALUES, with all of *rows*, each as wide as the first, and *conflict* behind them.

    *same* are the values of the first columns, which all rows share.

    Returns:
        How many rows were inserted or changed.
    """
    if not rows:
        return 0
    written = 0
    width = len(rows[0])
    at_once = (_MOST - len(same)) // width
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        text = _with_marks(statement, len(same), width, len(part), conflict)
        written += conn.execute(text, [*same, *chain.from_iterable(part)]).rowcount
    return written


@lru_cache(maxsize=256)
def _with_marks(statement: str, same: int, width: int, rows: int, conflict: str) -> str:
    # a bare mark takes the number after the highest so far, so those of the rows follow those that they share
    marks = f"({', '.join([*(f'?{n + 1}' for n in range(same)), *('?' * width)])})"
    return f"{statement} {', '.join([marks] * rows)} {conflict}"

"""
Many rows in one statement: a statement a row costs as much again for narrow ones, in Python and in SQLite.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, overload

_MOST: Final = 30_000
"""Parameters of one statement; SQLite takes 32,766."""


class Turned(Sequence[tuple[Any, ...]]):
    """Rows that are kept as their *columns*, each as long as the first: to bind them nobody has to make the rows."""

    __slots__ = ("columns",)

    def __init__(self, *columns: Sequence[Any]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, at: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> Turned: ...
    def __getitem__(self, at: int | slice) -> tuple[Any, ...] | Turned:
        if isinstance(at, slice):
            return Turned(*(column[at] for column in self.columns))
        return tuple(column[at] for column in self.columns)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self.columns, strict=True)


def _in_a_row(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the values of all *rows*, one row after the other; ValueError where their columns are not equally long."""
    if not isinstance(rows, Turned):
        return list(chain.from_iterable(rows))
    width = len(rows.columns)
    values: list[Any] = [None] * (len(rows) * width)
    for at, column in enumerate(rows.columns):
        values[at::width] = column
    return values


def insert(
    conn: sqlite3.Connection,
    statement: str,
    rows: Sequence[Sequence[Any]],
    conflict: str = "",
    *,
    same: Sequence[Any] = (),
    again: int = 0,
) -> int:
    """
    Execute *statement*, which ends in VALUES, with all of *rows*, each as wide as the first, and *conflict* behind them.

    *same* are the values of the first columns, which all rows share. The *again* columns behind them have each row's first
    value too: binding a value takes as long as storing it.

    Returns:
        How many rows were inserted or changed.
    """
    if not rows:
        return 0
    written = 0
    width = _width(rows)
    at_once = (_MOST - len(same)) // width
    for start in range(0, len(rows), at_once):
        part = rows if len(rows) <= at_once else rows[start : start + at_once]
        text = _with_marks(statement, len(same), again, width, len(part), conflict)
        written += conn.execute(text, [*same, *_in_a_row(part)]).rowcount
    return written


def insert_each(conn: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]], same: Sequence[Sequence[Any]]) -> None:
    """
    Execute *statement*, which ends in VALUES, with as many rows for each of *rows* as there are *same*, each as wide.

    The n-th holds the n-th of *same*, then the row's first value, then its n-th other one.
    """
    shared = [value for values in same for value in values]
    width = len(same) + 1
    at_once = (_MOST - len(shared)) // width
    for start in range(0, len(rows), at_once):
        part = rows if len(rows) <= at_once else rows[start : start + at_once]
        text = _with_marks_each(statement, len(same), len(same[0]), len(part))
        conn.execute(text, [*shared, *_in_a_row(part)])


def _width(rows: Sequence[Sequence[Any]]) -> int:
    return len(rows.columns) if isinstance(rows, Turned) else len(rows[0])


@lru_cache(maxsize=256)
def _with_marks(statement: str, same: int, again: int, width: int, rows: int, conflict: str) -> str:
    shared = [f"?{n + 1}" for n in range(same)]
    if not again:
        # a bare mark takes the number after the highest so far, so those of the rows follow those that they share
        marks = [f"({', '.join([*shared, *('?' * width)])})"] * rows
    else:
        firsts = range(same + 1, same + rows * width + 1, width)
        marks = [f"({', '.join([*shared, *[f'?{n}'] * (again + 1), *('?' * (width - 1))])})" for n in firsts]
    return f"{statement} {', '.join(marks)} {conflict}"


@lru_cache(maxsize=256)
def _with_marks_each(statement: str, each: int, same: int, rows: int) -> str:
    marks = []
    for first in range(each * same + 1, each * same + rows * (each + 1) + 1, each + 1):
        for at in range(each):
            shared = ", ".join(f"?{n + 1}" for n in range(at * same, (at + 1) * same))
            marks.append(f"({shared}, ?{first}, ?{first + at + 1})")
    return f"{statement} {', '.join(marks)}"


def landing_upsert(table: str, columns: Sequence[str], same: Collection[int], keys: Collection[int]) -> tuple[str, str, int]:
    """
    Return the two ends of the statement that writes rows of a landing table, and how many values each row has of its own.

    *columns* are `more` and those of fields, quoted; *same* the places of those that all rows share, *keys* of those that have
    the record's key.
    """
    head = ["slice", "seen_run", "changed_at", *(columns[at] for at in same)]
    again = [columns[at] for at in keys]
    own = ["subject_id", "content_hash", *(name for at, name in enumerate(columns) if at not in same and at not in keys)]
    updates = ", ".join(f"{name} = excluded.{name}" for name in [*head, *again, *own])
    return (
        f'INSERT INTO "{table}" ({", ".join([*head, "key", *again, *own])}) VALUES',
        f"ON CONFLICT (key) DO UPDATE SET {updates}, deleted_at = NULL",
        len(own) + 1,
    )


def quoted(name: str) -> str:
    """Return the name of a column as SQL has it."""
    return '"' + name.replace('"', '""') + '"'

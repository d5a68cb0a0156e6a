"""
Leaves asked of the store together: those that are told by the same reading in one statement, and statements by several threads.

A statement yields the ids of all who have a row as one text, and beside it others of a character for each id, whose bits say
which leaves hold of that person: a million ids are made numbers once, and six leaves take a byte of each.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Final, TypeVar

from pyroaring import BitMap

from core.segments.compile_shared import Part, Reading
from core.segments.dialect import Sql
from core.segments.parallel import Readers, Work, bits_of, numbers, share_out

AT_ONCE: Final = 24
"""Leaves in one statement at most."""
_BITS: Final = 6
"""Leaves that one character tells: from 64 on there is an ASCII character for each number below 2^6."""
_BIT: Final = [bytes(code >> bit & 1 for code in range(256)) for bit in range(_BITS)]

Name = TypeVar("Name", bound=Hashable)
Asked = Mapping[Name, tuple[Sql, Part | None]]
"""By leaf its own query, and how a reading tells it."""


def ask(conn: sqlite3.Connection, readers: Readers, asked: Asked[Name], is_own: Callable[[str], bool]) -> dict[Name, BitMap]:
    """
    Return what each leaf's query yields, asked by *conn* and *readers* at once; what reads what *is_own*, by *conn* alone.

    One that fails is not in the answer: whoever asks it again is told why.
    """
    own: dict[int, Work[dict[Name, BitMap]]] = {}
    others: dict[int, Work[dict[Name, BitMap]]] = {}
    for number, (leaves, query) in enumerate(sorted(_statements(asked), key=_weight, reverse=True)):
        (own if is_own(query.text) else others)[number] = _asking(leaves, query)
    return {leaf: bits for told in share_out(conn, readers, others, own).values() for leaf, bits in told.items()}


def _statements(asked: Asked[Name]) -> Iterator[tuple[tuple[Name, ...], Sql]]:
    """Yield the leaves of each statement with it: the own query of one, or a reading that tells several."""
    alike: dict[Reading | Name, list[Name]] = {}
    for leaf, (_, part) in asked.items():
        alike.setdefault(leaf if part is None else part.reading, []).append(leaf)
    for leaves in alike.values():
        for start in range(0, len(leaves), AT_ONCE):
            some = tuple(leaves[start : start + AT_ONCE])
            parts = [part for _, part in (asked[leaf] for leaf in some) if part is not None]
            yield some, together(parts) if len(some) > 1 else asked[some[0]][0]


def together(parts: Sequence[Part]) -> Sql:
    """Return the statement of several leaves that one reading tells: it yields the ids, and one text for each six leaves."""
    reading = parts[0].reading
    names = {value: f"v{number}" for number, value in enumerate(dict.fromkeys(part.value for part in parts))}
    made = ", ".join(f"{value.text} AS {name}" for value, name in names.items())
    once = f"GROUP BY {reading.person}" if reading.grouped else "LIMIT -1"  # else SQLite writes the values out in each test
    tests = [part.passes(names[part.value]) for part in parts]
    bits = [f"{1 << number % _BITS} * (({test.text}) IS TRUE)" for number, test in enumerate(tests)]
    characters = [" + ".join(bits[start : start + _BITS]) for start in range(0, len(bits), _BITS)]
    told = ", ".join(f"group_concat(char(64 + {one}), '')" for one in characters)
    text = f"WITH told AS (SELECT {reading.person} AS p, {made} FROM {reading.source.text} {once})"
    params = [param for sql in (*names, reading.source, *tests) for param in sql.params]
    return Sql(f"{text} SELECT json_group_array(p), {told} FROM told", tuple(params))


def _asking(leaves: tuple[Name, ...], query: Sql) -> Work[dict[Name, BitMap]]:
    if len(leaves) == 1:
        return lambda conn: {leaves[0]: bits_of(conn, query)}
    return lambda conn: dict(zip(leaves, bits_of_several(conn, query, len(leaves)), strict=True))


def bits_of_several(conn: sqlite3.Connection, query: Sql, many: int) -> list[BitMap]:
    """Return, one after the other, of whom the statement of so many leaves says that each holds."""
    ids, *told = conn.execute(query.text, query.params).fetchone()
    people, texts = numbers(ids), [(text or "").encode() for text in told]
    holding = (texts[number // _BITS].translate(_BIT[number % _BITS]) for number in range(many))
    return [BitMap(array("I", compress(people, bits))) for bits in holding]


def _weight(statement: tuple[tuple[Name, ...], Sql]) -> int:
    """Return how long a statement takes, roughly: the longest is begun first, so that no thread is at it after the others."""
    leaves, query = statement
    return len(leaves) * query.text.count("FROM events")

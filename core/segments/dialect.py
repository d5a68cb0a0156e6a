"""
Everything that is SQLite's own way: JSON, text functions, local days, which index to lead with.

`compile` writes SQL that other engines have and comes here for the rest; another engine is another module like this one.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from core.clock import from_us, to_us
from core.segments import calendar, exact
from core.segments.tree import How
from core.segments.tree_constants import Edge, OwnMoment, Type
from core.segments.types import compiled

Param = str | int | float | None
AMONG: Final = "temp.among"
PERSON: Final = "among.person"
"""The few people that a query is restricted to, where it is (`core.segments.few`)."""
DAY_US: Final = 86_400_000_000
SIDE_INDEX: Final = "events_side_"
"""How the names of the indexes on side columns begin."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_ $.:/-]{1,200}")


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values bound in it, in order."""

    text: str
    params: tuple[Param, ...] = ()


def register(conn: sqlite3.Connection) -> None:
    """Give *conn* the functions that the SQL below calls."""
    conn.create_function("tagalong_fold", 1, _fold, deterministic=True)
    conn.create_function("tagalong_matches", 3, _matches, deterministic=True)
    conn.create_function("tagalong_time", 1, read_time, deterministic=True)
    conn.create_function("tagalong_own_edge", 6, calendar.own_edge_us, deterministic=True)
    conn.create_function("tagalong_own_moment", 3, calendar.own_moment_us, deterministic=True)
    conn.create_function("tagalong_own_day", 3, calendar.own_day, deterministic=True)
    conn.create_function("tagalong_drawn", 2, drawn_number, deterministic=True)
    exact.register(conn)
    conn.create_aggregate("tagalong_median", 1, _Median)  # type: ignore[arg-type]  # of one parameter, as it says


class _Median:
    """The middle of several numbers, of two the mean: to sort each person's own is a fraction of ranking everybody's."""

    def __init__(self) -> None:
        self._numbers: list[float] = []

    def step(self, number: float | None) -> None:
        if number is not None:
            self._numbers.append(number)

    def finalize(self) -> float | None:
        if not self._numbers:
            return None
        self._numbers.sort()
        many = len(self._numbers)
        return (self._numbers[(many - 1) // 2] + self._numbers[many // 2]) / 2


def _fold(value: object) -> str | None:
    return str(value).casefold() if value is not None else None


def _matches(pattern: str, case: int, value: object) -> int | None:
    return None if value is None else int(compiled(pattern, bool(case)).search(str(value)) is not None)


def read_time(value: object) -> int | None:
    """Return the microseconds of an ISO 8601 text (UTC unless it says otherwise), None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value.strip())
        return to_us(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def drawn_number(salt: str, id_: int) -> float:
    """Return a number from 0 up to 1, uniform over ids, that hangs on the salt and the id alone: the same for ever."""
    drawn = _salted(salt).copy()
    drawn.update(b"%d" % id_)
    return (int.from_bytes(drawn.digest(), "big") >> 11) * 2.0**-53


@lru_cache(maxsize=64)
def _salted(salt: str) -> hashlib.blake2b:
    return hashlib.blake2b(salt.encode() + b"\0", digest_size=8)


def quoted(name: str) -> str:
    """Return *name* as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def marks(values: Sequence[object]) -> str:
    """Return a bracketed list of parameter marks."""
    return "(" + ", ".join("?" * len(values)) + ")"


def look_into(value: Sql, how: How, text: str, case: bool) -> Sql:
    """Return the test of a text; without case both sides are folded the way Unicode says."""
    if how is How.MATCHES:
        return Sql(f"tagalong_matches(?, ?, {value.text})", (text, int(case), *value.params))
    subject = value.text if case else f"tagalong_fold({value.text})"
    needle = text if case else text.casefold()
    match how:
        case How.CONTAINS:
            return Sql(f"instr({subject}, ?) > 0", (*value.params, needle))
        case How.STARTSWITH:
            return Sql(f"substr({subject}, 1, ?) = ?", (*value.params, len(needle), needle))
        case _:
            # a text shorter than the needle gives all of itself, which then differs
            return Sql(f"substr({subject}, -?) = ?", (*value.params, len(needle), needle))


def as_time(value: str) -> str:
    """Return the time that an ISO text in a column says."""
    return f"tagalong_time({value})"


# --- JSON ----------------------------------------------------------------------------------------------------------


def items(column: str) -> str:
    """Return a table (value, type) of the items of a JSON list; a text that is no JSON is one item."""
    return f"json_each(CASE WHEN json_valid({column}) THEN {column} ELSE json_quote({column}) END)"


def given_items() -> str:
    """Return a table (value) of the items of a JSON list that is a parameter."""
    return "json_each(?)"


def item_of(type_: Type) -> str:
    """Return the condition that an item has the type."""
    match type_:
        case Type.NUMBER:
            return "type IN ('integer', 'real')"
        case Type.BOOLEAN:
            return "type IN ('true', 'false')"
        case Type.ANY:
            return "type <> 'null'"
        case _:
            return "type = 'text'"


def side_column(name: str, type_: Type) -> str | None:
    """Return the name of the typed side column of a property, None where it cannot have one."""
    if _PLAIN_PATH.fullmatch(name) is None or type_ not in (Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.ANY):
        return None
    # SQLite's column names ignore case, properties do not
    return f"{type_.value}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def side_index(name_id: int, column: str) -> str:
    """Return the name of the index of one event's rows by a side column."""
    return f"{SIDE_INDEX}{name_id}_{hashlib.sha256(column.encode()).hexdigest()[:8]}"


def cover_index(name_id: int) -> str:
    """Return the name of the index of one event's rows that holds all of its side columns."""
    return f"{SIDE_INDEX}{name_id}_all"


def property_of(name: str, type_: Type, properties: str = "properties") -> Sql:
    """Return a property of the event at hand if it has the type, else NULL; ANY is whatever it is."""
    if _PLAIN_PATH.fullmatch(name) is None:  # a path cannot spell every key; the items can
        kind, wanted = f"json_each({properties})", item_of(type_)
        inner = "tagalong_time(value)" if type_ is Type.TIME else "value"
        return Sql(f"(SELECT {inner} FROM {kind} WHERE key = ? AND {wanted} LIMIT 1)", (name,))
    path = f"'$.\"{name}\"'"
    value = f"json_extract({properties}, {path})"
    if type_ is Type.ANY:
        return Sql(value)
    return Sql(
        f"CASE WHEN json_{item_of(type_).replace('type', f'type({properties}, {path})', 1)} "
        f"THEN {as_time(value) if type_ is Type.TIME else value} END"
    )


def drawn(column: str) -> str:
    """Return a number from 0 up to 1 that hangs on a salt (a parameter) and the id in a column alone."""
    return f"tagalong_drawn(?, {column})"


# --- plans ---------------------------------------------------------------------------------------------------------


def led_by(table: str, index: str) -> str:
    """Return *table* with the order to find its rows by *index*: without statistics the planner cannot know better."""
    return f"{table} INDEXED BY {index}"


def not_led_by(column: str) -> str:
    """Return *column* so that no index is chosen for it: without statistics a wide range looks as good as an equality."""
    return f"+{column}"


def whole_parts(column: str) -> str:
    """Return how many whole times a length (a parameter) lies between a time and a moment (a parameter before it)."""
    return f"(? - {column}) / ?"  # of whole numbers SQLite's quotient is whole


# --- numbers -------------------------------------------------------------------------------------------------------

SMALLEST: Final = "min"
"""Of several values in one row; missing where one is."""
LARGEST: Final = "max"


def as_number(value: str) -> str:
    """Return a number that divides as numbers do, not as whole ones."""
    return f"CAST({value} AS REAL)"


def median(value: str) -> str:
    """Return the middle number of a group's rows, of two the mean; missing where there is none."""
    return f"tagalong_median({value})"


def whole_days(passed: Sql) -> Sql:
    """Return the whole days in so many microseconds, rounded down, also below zero."""
    ahead = 10_000_000  # a quotient of whole numbers is cut towards zero, so all are made larger than that first
    return Sql(f"((({passed.text}) + {ahead * DAY_US}) / {DAY_US} - {ahead})", passed.params)


# --- local times and days ----------------------------------------------------------------------------------------------------


def local_day(column: str, zone: str, start_us: int, end_us: int) -> str:
    """Return the number of the calendar day in *zone*, exact over [start, end]."""
    steps = [(at, offset) for at, offset in _offsets(zone, from_us(end_us).year + 1) if at <= end_us]
    while len(steps) > 1 and steps[1][0] <= start_us:
        steps.pop(0)
    first, *later = steps
    text = str(first[1])
    if later:
        whens = " ".join(f"WHEN {column} >= {at} THEN {offset}" for at, offset in reversed(later))
        text = f"CASE {whens} ELSE {first[1]} END"
    # floor division also for times before 1970
    return f"(({column} + {text}) - ((({column} + {text}) % {DAY_US}) + {DAY_US}) % {DAY_US}) / {DAY_US}"


def own_time(zone: Sql, at: Edge | OwnMoment, fallback: str, now_us: int) -> Sql:
    """Return a calendar time on the clock of somebody whose zone is said by a column; an unknown one is *fallback*."""
    if isinstance(at, OwnMoment):
        return Sql(f"tagalong_own_moment({zone.text}, ?, ?)", (*zone.params, fallback, at.local))
    params = (fallback, at.unit.value, at.step, at.first_day, now_us)
    return Sql(f"tagalong_own_edge({zone.text}, ?, ?, ?, ?, ?)", (*zone.params, *params))


def own_day(column: str, zone: Sql, fallback: str) -> Sql:
    """Return the number of the calendar day in the zone that a column says."""
    return Sql(f"tagalong_own_day({column}, {zone.text}, ?)", (*zone.params, fallback))


@lru_cache(maxsize=64)
def _offsets(zone: str, until_year: int) -> tuple[tuple[int, int], ...]:
    """Return the moments at which the zone's offset from UTC changes, from 1990 on, with the offset that follows (µs)."""
    info, hour = ZoneInfo(zone), timedelta(hours=1)
    at, end = datetime(1990, 1, 1, tzinfo=UTC), datetime(until_year, 1, 1, tzinfo=UTC)

    def offset(when: datetime) -> int:
        return (when.astimezone(info).utcoffset() or timedelta(0)) // timedelta(microseconds=1)

    found = [(-(2**62), offset(at))]
    while at < end:
        later = at + timedelta(days=7)
        if offset(later) != found[-1][1]:
            low, high = at, later
            while high - low > timedelta(minutes=1):  # changes fall on whole minutes
                middle = low + (high - low) / 2
                middle = middle.replace(second=0, microsecond=0)
                if middle <= low:
                    break
                low, high = (low, middle) if offset(middle) != found[-1][1] else (middle, high)
            found.append((to_us(high), offset(high)))
            later = max(high, at + hour)
        at = later
    return tuple(found)

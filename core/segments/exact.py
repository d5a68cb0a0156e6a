"""
Sums, means and rounding of decimal numbers: what a person with a pencil gets, in whatever order the numbers come.

A sum of floating-point numbers hangs on their order, and so on the index by which SQLite found them; what SQLite rounds to
hangs on its version. Here a number is the decimal as which it is written (0.1 is a tenth), and a sum is exact until at its end
the nearest floating-point number is taken, which is that of the decimal: three times 0.1 is 0.3.

Nearly all numbers have at most six places. They are counted in millionths, which are whole, by SQLite itself; Python adds up
the others alone.
"""

from __future__ import annotations

import math
import sqlite3
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from fractions import Fraction
from typing import Final

MILLIONTHS: Final = "((CAST({n} * 1048576e6 AS INTEGER) + 524288) >> 20)"
"""
Of a number the nearest whole count of millionths, below 2^43: a larger number gives some other. It counts if it is the number
again when divided: 15 digits are kept by a floating-point number, so the decimal is that one and no other.
"""
PARTS: Final = (
    f"sum({MILLIONTHS}) AS counted, tagalong_beyond({{n}}, {MILLIONTHS}) FILTER (WHERE {MILLIONTHS} / 1e6 <> {{n}}) AS beyond"
)
"""What is asked of each group's numbers *n*."""
AMONG: Final = "count({n}) AS among, "
"""And for the mean."""
_WHOLE: Final = 2**53
"""Below it every whole number is a floating-point number, and a quotient of two such is the nearest one."""
_PLAIN: Final = f"beyond IS NULL AND abs(counted) < {_WHOLE}"
SUM: Final = f"CASE WHEN counted IS NULL THEN 0.0 WHEN {_PLAIN} THEN counted / 1e6 ELSE tagalong_total(counted, beyond, 1) END"
MEAN: Final = f"CASE WHEN {_PLAIN} THEN counted / (1e6 * among) ELSE tagalong_total(counted, beyond, among) END"
ROUNDED: Final = "tagalong_rounded({}, {digits})"
_PENCIL: Final = Context(prec=1_000)
"""From the smallest floating-point number to the largest are 633 places, and a million numbers add six to them."""


def register(conn: sqlite3.Connection) -> None:
    """Give *conn* the functions that the SQL above calls."""
    conn.create_aggregate("tagalong_beyond", 2, _Beyond)  # type: ignore[arg-type]  # of two parameters, as it says
    conn.create_function("tagalong_total", 3, _total, deterministic=True)
    conn.create_function("tagalong_rounded", 2, rounded, deterministic=True)


def rounded(number: float | None, digits: int) -> float | None:
    """Return *number*, as it is written, with so many digits after the point; halves go away from zero."""
    if number is None or abs(number) >= _WHOLE:  # such a number is whole
        return number
    near, unit = round(number, digits), 10**digits
    if abs(number) * unit < 1e12 and abs(abs(number - near) * unit - 0.5) > 0.001:  # no half, whoever writes it
        return near
    return float(Decimal(repr(number)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


class _Beyond:
    """By how much numbers are more than the millionths counted for them, as a text."""

    def __init__(self) -> None:
        self._numbers: list[float] = []
        self._counted = 0

    def step(self, number: float, counted: int) -> None:
        self._numbers.append(float(number))  # a whole one beyond 2^53 is in a side column as its nearest
        self._counted += counted

    def finalize(self) -> str | None:
        if not self._numbers:
            return None
        with localcontext(_PENCIL):
            return str(sum(map(Decimal, map(repr, self._numbers)), Decimal(-self._counted).scaleb(-6)))


def _total(counted: int | None, beyond: str | None, among: int) -> float | None:
    """Return millionths and what is beyond them together, by so many of them."""
    if counted is None:
        return None
    exact = Fraction(counted, 10**6) + Fraction(beyond or 0)
    try:
        return float(exact / among)
    except OverflowError:
        return math.copysign(math.inf, exact)

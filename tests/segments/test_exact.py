"""Sums, means and rounding are those of the decimals as they are written, in whatever order SQLite finds them."""

from __future__ import annotations

import sqlite3
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import pytest
from asking import members
from hypothesis import given, settings
from hypothesis import strategies as st
from smallworld import AS_OF, World, ago, definitions

from core.segments import exact
from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store

AMOUNTS = (0.1, 0.2, 0.3, 1e16, -1e16)
NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False, max_value=1e300, min_value=-1e300)
    | st.decimals(-(10**7), 10**7, places=2).map(float)
    | st.integers(-(2**62), 2**62)
    | st.none()
)


def spent(*orders: tuple[float, ...]) -> World:
    """Return a world of people who spent so much, one order after the other."""
    world = World()
    for amounts in orders:
        id_ = world.person()
        for n, amount in enumerate(amounts):
            world.event(id_, "Order", ago(minutes=2_000 - n), ms=amount)
    return world


def test_a_sum_is_one_whatever_the_order_of_its_numbers(shared: Store) -> None:
    orders = list(permutations(AMOUNTS))
    everybody = list(range(1, len(orders) + 1))

    assert len({sum(order) for order in orders}) > 1  # as floating-point numbers they are added up
    assert everybody == members(shared, spent(*orders), 'sum("Order", "ms") == 0.6')
    assert everybody == members(shared, spent(*orders), 'avg("Order", "ms") == 0.12')


def test_a_sum_is_that_of_the_decimals(shared: Store) -> None:
    cents = (0.1,) * 3, (19.99,) * 3, (33.3, 33.3, 33.4), (0.7, 0.1), (0.0000001,) * 3, ()
    for amounts, total in zip(cents, ("0.3", "59.97", "100", "0.8", "0.0000003", "0"), strict=True):
        assert [1] == members(shared, spent(amounts), f'sum("Order", "ms") == {total}')
    assert [1] == members(shared, spent((0.1,) * 3), 'avg("Order", "ms") == 0.1')
    assert [] == members(shared, spent(()), 'avg("Order", "ms") < 1')


def test_an_index_by_another_property_gives_the_same_sum(tmp_path: Path) -> None:
    """It is read in the order of that property's values, not of time."""
    world = World()
    id_ = world.person()
    for n, (amount, path) in enumerate(((0.1, "b"), (0.2, "a"), (0.3, "a"))):
        world.event(id_, "Order", ago(days=30 - n), ms=amount, path=path)
    text = 'sum("Order", "ms", path=["a", "b"])'
    with Store(tmp_path / "tagalong.db") as store:
        world.write(store)
        defined = definitions({"s": f"{text} == 0.6", "t": f"{text} != 0.6"})
        before = evaluate(store, defined, as_of=AS_OF, reuse=False).sets
        made = ensure_indexes(store, defined)
        after = evaluate(store, defined, as_of=AS_OF, reuse=False).sets

    assert any(name.startswith("events_side_") for name in made)
    assert before == after
    assert ([id_], []) == (list(after["segment.s"]), list(after["segment.t"]))


@settings(max_examples=100, deadline=None)
@given(numbers=st.lists(NUMBERS, max_size=6))
def test_a_sum_is_the_nearest_to_the_exact_one(numbers: list[float | None]) -> None:
    conn = sqlite3.connect(":memory:")
    exact.register(conn)
    conn.execute("CREATE TABLE t (n)")
    conn.executemany("INSERT INTO t VALUES (?)", [(number,) for number in numbers])
    parts = (exact.AMONG + exact.PARTS).replace("{n}", "n")
    found = conn.execute(f"SELECT {exact.SUM}, {exact.MEAN} FROM (SELECT {parts} FROM t)").fetchone()

    there = [Fraction(repr(float(number))) for number in numbers if number is not None]
    assert found == (float(sum(there)), float(sum(there) / len(there)) if there else None)


def test_millions_of_millionths_are_told_by_python_once_they_are_many(shared: Store) -> None:
    """Above 2^53 millionths a quotient would be rounded twice."""
    large = (8_500_000.000001,) * 1_100
    total = float(Fraction("8500000.000001") * 1_100)
    assert [1] == members(shared, spent(large), f'sum("Order", "ms") == {total!r}')


@pytest.mark.parametrize(
    ("number", "digits", "expected"),
    [
        pytest.param(0.95, 1, 1.0, id="below the half as a floating-point number"),
        pytest.param(2.675, 2, 2.68, id="likewise"),
        pytest.param(1.45, 1, 1.5, id="odd"),
        pytest.param(0.25, 1, 0.3, id="a half to the binary digit goes away from zero, not to the even"),
        pytest.param(-0.5, 0, -1.0, id="below zero"),
        pytest.param(0.04999999999999999, 1, 0.0, id="no half"),
        pytest.param(1e300, 2, 1e300, id="whole"),
        pytest.param(None, 2, None, id="missing"),
    ],
)
def test_rounding_is_that_of_the_number_as_it_is_written(number: float | None, digits: int, expected: float | None) -> None:
    assert expected == exact.rounded(number, digits)


def test_a_computed_value_is_rounded_as_a_number_that_is_written_out(shared: Store) -> None:
    """Some releases of SQLite round 0.95 to 1.0 and some to 0.9; a written number was rounded to 0.9."""
    everybody = spent((3.8,), (2,))
    assert [1] == members(shared, everybody, 'round(avg("Order", "ms") * 0.25, 1) in [0, 1, 5]')
    assert [1] == members(shared, everybody, 'round(sum("Order", "ms") * 0.25, 1) == round(0.95, 1)')

"""Ranks and buckets: percent_rank times 100 among people with a value, ties by profile id, a draw that never moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from smallworld import AS_OF, World, ago, definitions, problem_of
from test_rules import PLACE, evaluated, members

from core.config.model import Segment
from core.segments.dialect import drawn_number
from core.store import Store


def scored(*scores: int | None) -> World:
    world = World()
    for score in scores:
        world.contacts.append({"profile_id": world.person(), "score": score})
    return world


def test_percentile_is_percent_rank_among_people_with_a_value(shared: Store) -> None:
    """Of 10, 20, 20, 40, 50: 0, 25, 25, 75, 100. Who has no value has no rank and is not counted."""
    world = scored(10, 20, 20, 40, 50, None)

    assert [1] == members(shared, world, "percentile(crm.score) == 0")
    assert [2, 3] == members(shared, world, "percentile(crm.score) == 25")
    assert [4, 5] == members(shared, world, "percentile(crm.score) >= 75")
    assert [5] == members(shared, world, "percentile(crm.score) == 100")
    assert [6] == members(shared, world, "missing(percentile(crm.score))")
    assert [1, 2, 3, 6] == members(shared, world, "not percentile(crm.score) > 25")


def test_one_person_alone_is_at_zero(shared: Store) -> None:
    assert [1] == members(shared, scored(7), "percentile(crm.score) == 0")


def test_percentile_is_among_the_universe(shared: Store) -> None:
    """Anonymous and deleted people are not ranked, but where the segment has them."""
    world = scored(1, 2, 3)
    world.profiles[0]["email"] = None
    world.contacts.append({"profile_id": world.person(live=0), "score": 9})
    wide = Segment("wide", "percentile(crm.score) == 50", place=PLACE, anonymous=True)

    found = evaluated(shared, world, {"low": "percentile(crm.score) == 0", "wide": wide})

    assert [[2], [2]] == [list(bits) for bits in found.sets.values()]


def test_a_count_of_nothing_is_a_value_and_of_several_values_the_largest_is_ranked(shared: Store) -> None:
    world = scored(5, 6)
    world.contacts.append({"profile_id": 1, "score": 9})
    world.event(world.person(), "Order", ago(days=1))

    assert [1] == members(shared, world, "percentile(crm.score) == 100")
    assert [1, 2] == members(shared, world, 'percentile(count("Order")) == 0')
    assert [3] == members(shared, world, 'percentile(count("Order")) == 100')


@pytest.mark.parametrize(
    "value",
    ["crm.score", "company.employees", "mrr", "arr", "ltv", "seats", "nps", "csat", 'count("Order")', 'days_active("Order")',
     'sum("Order", "ms")', 'avg("Order", "ms")', 'first_time("Order")', "created_at", "crm.tags", 'answer("NPS", "Score")',
     'bucket("x")'],
)  # fmt: skip
def test_any_number_or_time_can_be_ranked(shared: Store, value: str) -> None:
    world = scored(1)
    assert set(members(shared, world, f"exists(percentile({value}))")) == set(members(shared, world, f"exists({value})"))
    assert set(members(shared, world, f"top({value}, 5)")) == set(members(shared, world, f"exists({value})"))


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("percentile(country) > 5", "is a country, which has no rank", 11),
        ("percentile(crm.vip) > 5", "is a boolean, which has no rank", 11),
        ("percentile(paying) > 5", "a field or another value is needed here", 11),
        ("percentile(percentile(mrr)) > 5", "a rank of a rank", 11),
        ("percentile(mrr, 5) > 5", "percentile takes 1 here", 16),
        ("percentile(mrr)", "is a number, not true or false", 0),
        ("percentil(mrr) > 1", "percentil(...) is not a known word", 0),
        ("top(mrr)", "top needs how many people", 0),
        ("top(mrr, 0)", "how many is a whole number", 9),
        ("top(mrr, 2.5)", "how many is a whole number", 9),
        ("top(mrr, True)", "how many is a whole number", 9),
        ("bucket() < 1", "bucket needs a salt", 0),
        ('bucket("") < 1', "an empty salt", 7),
        ("bucket(5) < 1", "a salt is needed here, in quotes", 7),
        ('did("Order", where=bucket("x") < 1)', "bucket is about a person, and where= about an event", 19),
    ],
)
def test_errors_point_at_what_is_wrong(text: str, message: str, column: int) -> None:
    problem = problem_of(text)
    assert message in problem.message
    assert column == problem.column


def test_top_breaks_ties_by_profile_id(shared: Store) -> None:
    world = scored(5, 9, 9, 9, None)

    assert [2] == members(shared, world, "top(crm.score, 1)")
    assert [2, 3] == members(shared, world, "top(crm.score, 2)")
    assert [1, 2, 3, 4] == members(shared, world, "top(crm.score, 100)")
    assert [1, 4, 5] == members(shared, world, "not top(crm.score, 2)")


def test_top_is_among_the_universe(shared: Store) -> None:
    world = scored(9, 8, 7)
    world.profiles[0]["email"] = None
    assert [2] == members(shared, world, "top(crm.score, 1)")


def test_a_bucket_is_stable_and_grows_monotonically(shared: Store) -> None:
    """Who is in a tenth is in a fifth; another salt is another draw; the numbers are the same for ever."""
    world = World()
    for _ in range(400):
        world.person()

    tenth, fifth = (set(members(shared, world, f'bucket("spring") < {share}')) for share in (0.1, 0.2))

    assert tenth < fifth
    assert tenth == set(members(shared, world, 'bucket("spring") < 0.1'))
    assert tenth != set(members(shared, world, 'bucket("autumn") < 0.1'))
    assert set(range(1, 401)) == set(members(shared, world, '0 <= bucket("spring") < 1'))
    assert (0.2105, 0.607) == tuple(round(drawn_number("spring", id_), 4) for id_ in (1, 2))


def test_buckets_are_uniform_and_salts_independent() -> None:
    ids = range(1, 20_001)
    a, b = ([drawn_number(salt, id_) for id_ in ids] for salt in ("a", "b"))
    for part in range(10):
        assert 1_850 < sum(part / 10 <= x < (part + 1) / 10 for x in a) < 2_150
    assert 900 < sum(x < 0.2 and y < 0.25 for x, y in zip(a, b, strict=True)) < 1_100


def test_ranks_in_the_past_are_among_those_who_were_there(shared: Store) -> None:
    world = scored(1, 2, 3)
    for person in world.profiles:
        person["created_at"] = ago(days=90)
    world.profiles[2]["created_at"] = ago(days=1)
    then = AS_OF.replace(day=20)

    assert [2] == members(shared, world, "percentile(crm.score) == 100", as_of=then)
    assert [2] == members(shared, world, "top(crm.score, 1)", as_of=then)


def test_equal_ranks_are_one_leaf() -> None:
    one, two = (definitions({"s": "percentile(mrr) > 5"}).sets["segment.s"].condition for _ in range(2))
    assert {one: 1} == {two: 1}
    assert replace(definitions({"s": "top(mrr, 5)"}).sets["segment.s"].condition) != one


@pytest.mark.parametrize(
    "value", ["score", "crm.score * 2 + 1", 'round(count("Order") / 3, 1)', "10 if exists(country) else crm.score"]
)
def test_traits_and_computed_numbers_can_be_ranked(shared: Store, value: str) -> None:
    world = scored(5, 9, 7, None)
    traits = {"score": "10 * crm.score"}
    best, top = (members(shared, world, text, traits=traits) for text in (f"percentile({value}) == 100", f"top({value}, 1)"))
    assert [2] == best == top if value != 'round(count("Order") / 3, 1)' else ([], [1]) == (best, top)

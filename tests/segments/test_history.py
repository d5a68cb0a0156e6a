"""`changed`: what a canonical field became, from what, and when; never what the store saw first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from smallworld import AS_OF, World, ago, definitions, problem_of
from test_rules import evaluated, members

from core.store import Store


def moved() -> World:
    """Three people known for 90 days: one went lead, customer, churned; one became a lead; one never changed."""
    world = World()
    for changes in ({90: "lead", 40: "customer", 5: "churned"}, {10: "lead"}, {}):
        person = world.person()
        world.history.append(("profile", person, "email", f"p{person}@example.com", ago(days=90)))
        for days, stage in changes.items():
            world.history.append(("profile", person, "lifecycle_stage", stage, ago(days=days)))
            world.profiles[-1]["lifecycle_stage"] = stage
    return world


def test_changed_reads_the_history_of_a_field(shared: Store) -> None:
    world = moved()
    assert [1, 2] == members(shared, world, "changed(lifecycle_stage)")
    assert [3] == members(shared, world, "not changed(lifecycle_stage)")
    assert [1] == members(shared, world, 'changed(lifecycle_stage, to="customer")')
    assert [1] == members(shared, world, 'changed(lifecycle_stage, to="churned", from_="customer")')
    assert [] == members(shared, world, 'changed(lifecycle_stage, to="churned", from_="lead")')
    assert [1, 2] == members(shared, world, 'changed(lifecycle_stage, to=["lead", "churned"])')
    assert [1] == members(shared, world, 'changed(lifecycle_stage, from_=["lead", "x"])')


def test_changed_in_a_window_start_exclusive_end_inclusive(shared: Store) -> None:
    world = moved()
    assert [1] == members(shared, world, 'changed(lifecycle_stage, last="7d")')
    assert [1, 2] == members(shared, world, 'changed(lifecycle_stage, last="241h")')
    assert [1] == members(shared, world, 'changed(lifecycle_stage, last="10d")')
    assert [2] == members(shared, world, 'changed(lifecycle_stage, between_ago=("11d", "10d"))')
    assert [1] == members(shared, world, 'changed(lifecycle_stage, to="customer", since="2026-02-01")')
    assert [] == members(shared, world, 'changed(lifecycle_stage, to="customer", since="2026-03-01")')


def test_the_first_sight_of_somebody_is_no_change_but_a_field_filled_later_is(shared: Store) -> None:
    """The stage that a person came with was not seen to change; an empty one that is filled was."""
    world = moved()
    assert [2] == members(shared, world, 'changed(lifecycle_stage, to="lead")')


def test_a_field_that_was_emptied_changed(shared: Store) -> None:
    world = moved()
    world.history.append(("profile", 2, "lifecycle_stage", None, ago(days=2)))
    assert [1, 2] == members(shared, world, 'changed(lifecycle_stage, last="7d")')
    assert [2] == members(shared, world, 'changed(lifecycle_stage, from_="lead", last="7d")')


def test_the_same_value_again_is_no_change(shared: Store) -> None:
    world = moved()
    world.history.append(("profile", 2, "lifecycle_stage", "lead", ago(days=1)))
    assert [] == members(shared, world, 'changed(lifecycle_stage, to="lead", last="3d")')


def test_countries_are_normalised(shared: Store) -> None:
    world = moved()
    world.history += [("profile", 3, "country", "NO", ago(days=8)), ("profile", 3, "country", "SE", ago(days=3))]
    assert [3] == members(shared, world, 'changed(country, from_="Norway", to="Sverige")')


def test_a_companys_field_changes_for_all_of_its_people(shared: Store) -> None:
    world = World(companies=[{"id": 1, "employees": 50}])
    for company in (1, 1, None):
        world.person(company_id=company)
    world.history = [("company", 1, "employees", 5, ago(days=50)), ("company", 1, "employees", 50, ago(days=5))]
    assert [1, 2] == members(shared, world, "changed(company.employees, to=50)")
    assert [] == members(shared, world, "changed(company.employees, to=5)")


def test_a_subscription_changes_for_whose_it_is(shared: Store) -> None:
    """The company's for all of its people, else the person's own; as billing words are."""
    world = World(companies=[{"id": 1}])
    for company in (1, 1, None, None):
        world.person(company_id=company)
    world.subscriptions = [{"profile_id": 1, "company_id": 1, "plan": "pro"}, {"profile_id": 3, "plan": "pro"}]
    for number in (1, 2):
        world.history += [("subscription", number, "plan", plan, ago(days=days)) for plan, days in (("team", 50), ("pro", 5))]
    assert [1, 2, 3] == members(shared, world, 'changed(plan, from_="team", to="pro", last="7d")')
    assert [1, 3] == members(shared, world, 'changed(plan, to="pro")', billing_of="person")
    assert [] == members(shared, world, 'changed(plan, to="team")')


def test_the_past_sees_only_what_had_changed_by_then(shared: Store) -> None:
    world = moved()
    then = AS_OF - timedelta(days=20)
    assert [1] == members(shared, world, "changed(lifecycle_stage)", as_of=then)
    assert [] == members(shared, world, 'changed(lifecycle_stage, to="churned")', as_of=then)


def test_changed_rests_on_what_feeds_the_field() -> None:
    sets = definitions({"s": "changed(plan)", "t": "changed(country)"}).sets
    assert "billing.subscriptions" in sets["segment.s"].rests_on
    assert "crm.contacts" in sets["segment.t"].rests_on


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("changed(crm.stage)", "no history is kept of this", 8),
        ("changed(mrr)", "no history is kept of mrr", 8),
        ('changed(count("Order"))', "no history is kept of this", 8),
        ("changed(paying)", "no history is kept of this", 8),
        ("changed()", "changed needs a field", 0),
        ("changed(country, to=5)", "is a number where a text is compared", 20),
        ('changed(country, to="Atlantis")', "no country is called", 20),
        ("changed(country, to=language)", "to= needs a text, a number or a date", 20),
        ('changed(company.employees, from_="x")', "is a text where a number is compared", 33),
        ('changed(country, form_="SE")', "changed has no form_=", 23),
        ('changed(country, "SE")', "changed takes 1 here", 17),
        ('changed(country, last="soon")', "", 22),
    ],
)
def test_errors_point_at_what_is_wrong(text: str, message: str, column: int) -> None:
    problem = problem_of(text)
    assert message in problem.message
    assert column == problem.column


def test_one_change_must_be_all_that_is_asked(shared: Store) -> None:
    """To customer at one time and from customer at another is not from customer to customer."""
    found = evaluated(shared, moved(), {"s": 'changed(lifecycle_stage, from_="customer", to="customer")'})
    assert [] == list(found.sets["segment.s"])

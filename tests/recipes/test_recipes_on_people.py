"""Each recipe over made-up people small enough to see: who is in, and who is only nearly."""

from __future__ import annotations

from typing import Any

import pytest
from cooked import cooked
from smallworld import World, ago

from core.recipes.model import recipe_names
from core.store import Store


def customer(world: World, status: str = "active", *, mrr: int = 9_900, plan: str = "team", **more: Any) -> int:
    """Add a person with a subscription; *mrr* in cents of the workspace's currency."""
    person = world.person(**more)
    world.subscriptions.append(
        {"profile_id": person, "status": status, "plan": plan, "mrr": mrr, "currency": "EUR", "started_at": ago(days=400)}
    )
    return person


def busy(world: World, person: int, name: str, *days: float, **properties: Any) -> int:
    """Let a person do something so many days ago, once each."""
    for day in days:
        world.event(person, name, ago(days=day), **properties)
    return person


def test_activation_milestones(shared: Store) -> None:
    """All steps in any order make an active user, some put them on the way; the steps are one's own."""
    world = World()
    done = world.person()
    for step in ("Task Created", "Project Launched", "Team Invited"):
        busy(world, done, step, 3)
    begun, nothing = busy(world, world.person(), "Team Invited", 100), world.person()

    assert {"activated": [done], "on_the_way": [begun], "not_started": [nothing]} == cooked(shared, world, "activation")
    assert [done] == cooked(shared, world, "activation", milestones=("Task Created",))["activated"]
    assert [done, begun, nothing] == cooked(shared, world, "activation", milestones=("Store Created",))["not_started"]


def test_onboarding_stuck(shared: Store) -> None:
    """Begun three days ago or more and no further; not who began today, long ago, or went on."""
    world = World()
    stuck = busy(world, world.person(), "Signed Up", 5)
    busy(world, world.person(), "Signed Up", 1)
    busy(world, world.person(), "Signed Up", 90)
    busy(world, busy(world, world.person(), "Signed Up", 5), "Project Launched", 4)
    world.person()

    assert {"onboarding_stuck": [stuck]} == cooked(shared, world, "onboarding_stuck")


def test_lifecycle_stages(shared: Store) -> None:
    """Everybody has one stage; who came back counts as won back before anything else."""
    world = World()
    active = busy(world, customer(world), "Logged In", 40, 2)
    at_risk = busy(world, customer(world), "Logged In", 45)
    back = busy(world, customer(world), "Logged In", 200, 3)
    paid_again = busy(world, customer(world), "Logged In", 40, 2)
    world.history += [
        ("subscription", len(world.subscriptions), "status", "canceled", ago(days=100)),
        ("subscription", len(world.subscriptions), "status", "active", ago(days=50)),
    ]
    trial, churned = customer(world, "trialing", mrr=0), customer(world, "canceled", mrr=0)
    new, lead = world.person(created_at=ago(days=3)), world.person(created_at=ago(days=300))

    found = cooked(shared, world, "lifecycle")

    assert {
        "won_back": [back, paid_again], "trial": [trial], "at_risk": [at_risk], "active": [active], "churned": [churned],
        "new": [new],
    } == found  # fmt: skip
    assert lead not in [person for people in found.values() for person in people]


def test_value_tiers(shared: Store) -> None:
    """By monthly revenue in whole units; who pays nothing is in no tier."""
    world = World()
    high, middle, low = (customer(world, mrr=mrr) for mrr in (50_000, 49_999, 100))
    customer(world, mrr=0)
    world.person()

    assert {"high": [high], "middle": [middle], "low": [low]} == cooked(shared, world, "value_tiers")
    assert [high, middle] == cooked(shared, world, "value_tiers", high=499.99)["high"]


def test_occasional_advanced_and_inactive_users(shared: Store) -> None:
    """By the days on which they came in four weeks; ten times on one day is one day."""
    world = World()
    advanced = busy(world, world.person(), "Logged In", *range(12))
    occasional = busy(world, world.person(), "Logged In", *[0.001 * n for n in range(12)])
    inactive, never = busy(world, world.person(), "Logged In", 29), world.person()

    assert {"advanced": [advanced], "occasional": [occasional], "inactive": [inactive, never]} == cooked(shared, world, "usage")


def test_nps_groups(shared: Store) -> None:
    """The latest answer counts; who never answered is in no group."""
    world = World()
    for score in (9, 8, 6, 0):
        _score(world, world.person(), score, 5)
    _score(world, 1, 2, 50)
    world.person()

    assert {"promoter": [1], "passive": [2], "detractor": [3, 4]} == cooked(shared, world, "nps")


def _score(world: World, person: int, score: int, days: float) -> None:
    world.answers.append({
        "profile_id": person, "survey": "NPS", "question": "Score", "kind": "score", "number": score,
        "answered_at": ago(days=days),
    })  # fmt: skip


def test_expansion_ready(shared: Store) -> None:
    """Pays, grows and comes often, and there is a plan above."""
    world = World()
    people = [
        customer(world),
        customer(world, plan="enterprise"),
        customer(world),
        customer(world, "trialing", mrr=0),
        customer(world),
    ]
    for person in people:
        busy(world, person, "Logged In", *range(12))
    for person in (people[0], people[1], people[3]):
        busy(world, person, "Team Invited", 1, 2, 29)
    busy(world, people[2], "Team Invited", 1, 2, 31)
    busy(world, customer(world), "Team Invited", 1, 2, 3)

    assert {"expansion_ready": [people[0]]} == cooked(shared, world, "expansion_ready")
    assert people[:2] == cooked(shared, world, "expansion_ready", top_plans=("scale", "ultra"))["expansion_ready"]


def test_cross_sell_cohort(shared: Store) -> None:
    """Three of four weeks with the one thing, never the other, and paying."""
    world = World()
    fit = busy(world, customer(world), "Task Created", 1, 8, 22)
    busy(world, customer(world), "Task Created", 1, 2, 3)
    busy(world, busy(world, customer(world), "Task Created", 1, 8, 22), "Report Created", 300)
    busy(world, world.person(), "Task Created", 1, 8, 22)

    assert {"cross_sell": [fit]} == cooked(shared, world, "cross_sell")


def test_pricing_page_regulars(shared: Store) -> None:
    """Three visits in thirty days by somebody who does not pay."""
    world = World()
    regular = busy(world, world.person(), "Page Viewed", 1, 2, 3, path="/pricing")
    busy(world, world.person(), "Page Viewed", 1, 2, 31, path="/pricing")
    busy(world, world.person(), "Page Viewed", 1, 2, 3, path="/home")
    busy(world, customer(world), "Page Viewed", 1, 2, 3, path="/pricing")

    assert {"pricing_page_regulars": [regular]} == cooked(shared, world, "pricing_page_regulars")


def test_abandoned_sign_up(shared: Store) -> None:
    """Begun and not ended within a day, nor later; an hour ago is too young to tell."""
    world = World()
    gone = busy(world, world.person(), "Sign Up Started", 3)
    busy(world, world.person(), "Sign Up Started", 0.04)
    busy(world, busy(world, world.person(), "Sign Up Started", 3), "Signed Up", 2.9)
    busy(world, busy(world, world.person(), "Sign Up Started", 5), "Signed Up", 1)
    busy(world, world.person(), "Sign Up Started", 20)

    assert {"abandoned_sign_up": [gone]} == cooked(shared, world, "abandoned_sign_up")


SPOKEN = [("FI", "sv"), ("SE", "sv"), ("NO", "no"), ("DK", "da"), ("IS", "is"), ("US", "sv"), ("FI", "fi"), ("DE", "de")]


def test_nordic_countries(shared: Store) -> None:
    """Whatever they speak; who has no country is out."""
    world = _speaking()

    assert {"nordics": [1, 2, 3, 4, 5, 7]} == cooked(shared, world, "nordic_countries")
    assert [6] == cooked(shared, world, "nordic_countries", countries=("USA",))["nordics"]


def test_nordic_languages(shared: Store) -> None:
    """Wherever they live: a Finn may read Swedish, and so may somebody in the US."""
    groups = {"swedish": [1, 2, 6], "norwegian": [3], "danish": [4], "icelandic": [5], "finnish": [7]}

    assert groups == cooked(shared, _speaking(), "nordic_languages")


def _speaking() -> World:
    world = World()
    for country, language in SPOKEN:
        world.person(country=country, language=language)
    world.person()
    return world


def test_payment_failing(shared: Store) -> None:
    """Past due or unpaid; who cancelled fails at nothing."""
    world = World()
    due, unpaid = customer(world, "past_due"), customer(world, "unpaid", mrr=0)
    customer(world)
    customer(world, "canceled", mrr=0)

    assert {"payment_failing": [due, unpaid]} == cooked(shared, world, "payment_failing")


def test_feature_adoption_share(shared: Store) -> None:
    """The share of one's own features that were used lately, and its groups."""
    world = World()
    broad, narrow, old = world.person(), world.person(), world.person()
    for feature in ("Task Created", "Team Invited", "Report Created"):
        busy(world, broad, feature, 5, 6)
    busy(world, narrow, "Task Created", 1, 2, 3)
    busy(world, old, "Task Created", 31)

    assert {"broad": [broad], "narrow": [narrow], "none": [old]} == cooked(shared, world, "feature_adoption")
    few = {"features": ("Task Created", "Signed Up"), "broad": 50}
    assert [broad, narrow] == cooked(shared, world, "feature_adoption", **few)["broad"]


def test_rfm_groups(shared: Store) -> None:
    """By rank among those who paid; who never paid is in none."""
    world = World()
    paid = {1: (5, 5, 900), 2: (20, 4, 10), 3: (400, 3, 500), 4: (10, 1, 60), 5: (300, 1, 30), 6: (100, 2, 30)}
    for person, (days, times, amount) in paid.items():
        assert person == world.person()
        for number in range(times):
            world.payments.append({
                "profile_id": person, "amount": amount * 100, "currency": "EUR", "status": "paid",
                "paid_at": ago(days=days + number * 30),
            })  # fmt: skip
    world.person()

    assert {
        "champions": [1], "loyal": [2], "slipping_away": [3], "promising": [4], "asleep": [5], "average": [6],
    } == cooked(shared, world, "rfm")  # fmt: skip


TESTED = {
    "abandoned_sign_up": test_abandoned_sign_up,
    "activation": test_activation_milestones,
    "cross_sell": test_cross_sell_cohort,
    "expansion_ready": test_expansion_ready,
    "feature_adoption": test_feature_adoption_share,
    "lifecycle": test_lifecycle_stages,
    "nordic_countries": test_nordic_countries,
    "nordic_languages": test_nordic_languages,
    "nps": test_nps_groups,
    "onboarding_stuck": test_onboarding_stuck,
    "payment_failing": test_payment_failing,
    "pricing_page_regulars": test_pricing_page_regulars,
    "rfm": test_rfm_groups,
    "usage": test_occasional_advanced_and_inactive_users,
    "value_tiers": test_value_tiers,
}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_tried_on_people(name: str) -> None:
    """A recipe without a test of its own does not ship."""
    assert name in TESTED

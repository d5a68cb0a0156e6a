"""Words of the company, and segments whose members are companies."""

from __future__ import annotations

from typing import Any

import pytest
from smallworld import AS_OF, World, ago, definitions
from test_rules import PLACE, evaluated, members

from core.config.model import Partition, Segment
from core.errors import ConfigError
from core.segments.evaluate import evaluate
from core.store import Store


def firms() -> World:
    """Firm 1 has 1 and 2, who both ordered; firm 2 has 3, who did, and 4, who did not; firm 3 nobody; 5 works nowhere."""
    world = World(companies=[{"id": n, "employees": 10 * n} for n in (1, 2, 3)])
    for company in (1, 1, 2, 2, None):
        world.person(company_id=company)
    for buyer in (1, 2, 3, 5):
        world.event(buyer, "Order", ago(days=buyer))
    return world


def of_companies(store: Store, world: World, text: str, **options: Any) -> list[int]:
    world.write(store)
    segment = Segment("s", text, place=PLACE, of="company")
    found = evaluate(store, definitions({"s": segment}, **options), as_of=options.pop("as_of", AS_OF))
    assert {} == found.failed
    return list(found.sets["segment.s"])


def test_any_user_is_any_of_the_persons_company_the_person_among_them(shared: Store) -> None:
    assert [1, 2, 3, 4] == members(shared, firms(), 'any_user(did("Order"))')
    assert [3, 4] == members(shared, firms(), 'any_user(not did("Order"))')
    assert [1, 2] == members(shared, firms(), 'any_user(did("Order", last="36h"))')


def test_all_users_over_nobody_is_false(shared: Store) -> None:
    """Who works nowhere has no colleagues: not even all of them."""
    assert [1, 2] == members(shared, firms(), 'all_users(did("Order"))')
    assert [1, 2, 3, 4] == members(shared, firms(), "all_users(exists(email))")
    assert [3] == of_companies(shared, firms(), "not all_users(exists(email))")


def test_no_user_is_the_complement_of_any_user(shared: Store) -> None:
    """So it is true of who works nowhere."""
    world = firms()
    world.events = world.events[:2]
    assert [3, 4, 5] == members(shared, world, 'no_user(did("Order"))')
    assert members(shared, world, 'not any_user(did("Order"))') == members(shared, world, 'no_user(did("Order"))')


def test_users_are_the_companys_people_of_the_universe(shared: Store) -> None:
    """A deleted colleague and an anonymous one do not count; the latter does where the segment has them."""
    world = firms()
    world.profiles[3]["live"] = 0
    assert [1, 2, 3] == members(shared, world, 'all_users(did("Order"))')
    world.profiles[3] |= {"live": 1, "email": None}
    assert [1, 2, 3] == members(shared, world, 'all_users(did("Order"))')
    wide = Segment("wide", 'all_users(did("Order"))', place=PLACE, anonymous=True)
    assert [1, 2] == list(evaluated(shared, world, {"wide": wide}).sets["segment.wide"])


def test_the_inner_expression_is_any_about_a_user(shared: Store) -> None:
    partition = Partition("p", {"a": 'did("Order")'}, place=PLACE, otherwise="b")
    inner = 'segment("buyers") and partition("p") == "a" and not top(created_at, 1) or percentile(count("Order")) > 100'
    found = evaluated(
        shared,
        firms(),
        {"s": f"any_user({inner}) and no_user(all_users(missing(email)))", "buyers": 'did("Order")'},
        partitions={"p": partition},
    )
    assert [1, 2, 3, 4] == list(found.sets["segment.s"])


def test_a_company_that_is_gone_is_nobodys(shared: Store) -> None:
    world = firms()
    world.companies[0]["live"] = 0
    assert [3, 4] == members(shared, world, 'any_user(did("Order"))')


def test_a_segment_of_companies_has_companies_as_members(shared: Store) -> None:
    """Those without any user too; not those that are gone."""
    world = firms()
    world.companies.append({"id": 4, "employees": 40, "live": 0})
    assert [2, 3] == of_companies(shared, world, "company.employees >= 20")
    assert [1] == of_companies(shared, world, "not company.employees >= 20")
    assert [1, 2] == of_companies(shared, world, 'any_user(did("Order"))')
    assert [1] == of_companies(shared, world, 'all_users(did("Order"))')
    assert [3] == of_companies(shared, world, 'no_user(did("Order"))')
    assert [3] == of_companies(shared, world, "top(company.employees, 1)")
    assert [2] == of_companies(shared, world, "percentile(company.employees) == 50")
    assert [2, 3] == of_companies(shared, world, 'sql("select id from companies where employees > 15")')


def test_billing_in_a_segment_of_companies_is_the_companys(shared: Store) -> None:
    world = firms()
    world.subscriptions = [
        {"profile_id": 1, "company_id": 1, "status": "active", "mrr": 9000, "plan": "pro"},
        {"profile_id": 5, "status": "active", "mrr": 100},
        {"company_id": 3, "status": "past_due", "mrr": 100},
    ]
    for billing_of in ("company", "person"):
        assert [1, 3] == of_companies(shared, world, "paying", billing_of=billing_of)
        assert [2] == of_companies(shared, world, "not paying", billing_of=billing_of)
        assert [1] == of_companies(shared, world, 'mrr == 90 and plan == "pro"', billing_of=billing_of)
    assert [1] == of_companies(shared, world, "mrr > company.employees")


def test_a_segment_of_companies_named_of_people_is_whose_company_is_in_it(shared: Store) -> None:
    big = Segment("big", "company.employees >= 20", place=PLACE, of="company")
    loud = Segment("loud", 'segment("big") and any_user(segment("buyers"))', place=PLACE, of="company")
    segments = {
        "big": big,
        "loud": loud,
        "buyers": 'did("Order")',
        "s": 'segment("big") and did("Order")',
        "no": 'not segment("big")',
    }

    found = evaluated(shared, firms(), segments, exclude="buyers")

    assert [2, 3] == list(found.sets["segment.big"])
    assert [2] == list(found.sets["segment.loud"])
    assert [] == list(found.sets["segment.s"])  # all of them are excluded; companies are not
    assert [] == list(found.sets["segment.no"])
    assert [1, 2, 3] == list(found.companies)
    free = evaluated(shared, firms(), segments)
    assert [[3], [1, 2, 5]] == [list(free.sets[f"segment.{name}"]) for name in ("s", "no")]


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ('country == "SE"', "country is about a person, and this segment is of companies", 0),
        ('not did("Order")', "did is about a person", 4),
        ("crm.score > 5", "crm.score is about a person", 0),
        ("nps > 8", "nps is about a person", 0),
        ('segment("people")', "people is a segment of people", 0),
        ('partition("p") == "a"', "partition is about a person", 0),
        ("percentile(crm.score) > 5", "crm.score is about a person", 11),
    ],
)
def test_what_is_about_a_person_is_no_word_of_a_company(text: str, message: str, column: int) -> None:
    segments = {"s": Segment("s", text, place=PLACE, of="company"), "people": "exists(email)"}
    with pytest.raises(ConfigError) as caught:
        definitions(segments, partitions={"p": {"a": "paying"}})
    (problem,) = caught.value.problems
    assert message in problem.message
    assert column == problem.column
    definitions(
        {**segments, "s": Segment("s", f"any_user({text})", place=PLACE, of="company")}, partitions={"p": {"a": "paying"}}
    )


def test_a_segment_of_companies_cannot_be_excluded() -> None:
    with pytest.raises(ConfigError, match="is a segment of companies"):
        definitions({"firms": Segment("firms", "paying", place=PLACE, of="company")}, exclude="firms")


def test_who_works_where_is_answered_as_of_today(shared: Store) -> None:
    world = firms()
    world.write(shared)
    found = evaluate(shared, definitions({"s": 'any_user(did("Order"))', "t": 'did("Order")'}), as_of=AS_OF.replace(day=29))
    assert "company" in found.approximate["segment.s"]
    assert "company" not in found.approximate["segment.t"]


def test_words_of_the_company_rest_on_what_they_ask() -> None:
    sets = definitions({"s": 'any_user(answered("NPS"))', "c": Segment("c", "paying", place=PLACE, of="company")}).sets
    assert "survey.responses" in sets["segment.s"].rests_on
    assert "billing.subscriptions" in sets["segment.c"].rests_on
    assert sets["segment.c"].definition != definitions({"c": "paying"}).sets["segment.c"].definition


def test_what_is_inside_where_is_about_an_event() -> None:
    with pytest.raises(ConfigError, match="any_user is about a person, and where= about an event"):
        definitions({"s": 'did("Order", where=any_user(paying))'})

"""All that is known of one person: which record says who they are, and how they were on an earlier day."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.pulled import CONTACT, World, contact, stream

from core.contract import Category, Kind
from core.errors import ConfigError, HubError
from core.export import find_person
from core.forget.flow import identify
from core.store.people import describe_person, find_profiles

BILLED: dict[str, Any] = {"identifiers": {"customer_id": "id", "email": "email"}}
TYPED: dict[str, Any] = {"identifiers": {"email": "email"}, "fields": {"number": "score"}}
SEEN: dict[str, Any] = {"identifiers": {"email": "email", "anon": "anon"}, "fields": {"name": "event", "time": "at"}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A CRM, a billing tool, a survey and a web tool; `contacts`, `customers`, `typed`, `visits` are what they hold."""
    lists: dict[str, list[dict[str, Any]]] = {"contacts": [], "customers": [], "typed": [], "visits": []}
    fields = {"first_name": "name", "country": "country", "company.domain": "domain", "company.industry": "industry"}
    companies = {
        **CONTACT,
        "identifiers": {**CONTACT["identifiers"], "user_id": "user", "company_domain": "domain"},
        "fields": fields,
    }
    made = World(
        tmp_path / "store.db",
        crm=(Category.CRM, [stream("contacts", lambda: lists["contacts"], size=50, **companies)]),
        billing=(Category.BILLING, [stream("customers", lambda: lists["customers"], size=50, **BILLED)]),
        nps=(Category.SURVEY, [stream("typed", lambda: lists["typed"], Kind.ANSWER, size=50, **TYPED)]),
        web=(Category.ANALYTICS, [stream("visits", lambda: lists["visits"], Kind.EVENT, size=50, **SEEN)]),
    )
    made.lists = lists
    return made


def _put(world: World, name: str, *records: dict[str, Any]) -> None:
    world.lists[name][:] = records


def _profile(world: World, key: str = "1") -> int:
    found: int = world.one("SELECT profile_id FROM crm__contacts WHERE key = ?", key)
    return found


def test_links_say_which_record_brought_which_identifier(world: World) -> None:
    """Keys join, claims only find; events say with what they came, and of no record."""
    _put(world, "contacts", contact(1, "ann@example.com"))
    _put(world, "customers", contact(7, "ann@example.com"))
    _put(world, "typed", contact("r1", "ann@example.com", score=9))
    _put(world, "visits", {"id": "v1", "email": "ann@example.com", "anon": "x", "event": "Seen", "at": "2026-01-01"})
    world.everything()

    links = describe_person(world.store, _profile(world))["links"]
    address = {"kind": "email", "value": "ann@example.com", "blocked": None, "apart": False}
    assert [
        ("billing.customers", "7", "key", True, ["billing.customer_id", "email"]),
        ("crm.contacts", "1", "key", True, ["crm.contact_id", "email"]),
        ("nps.typed", "r1", "claim", True, ["email"]),
        ("web.visits", None, "claim", True, ["email", "web.anon"]),
    ] == [
        (one["stream"], one["record"], one["trust"], one["live"], sorted(i["kind"] for i in one["identifiers"]))
        for one in links
    ]
    assert all(address in one["identifiers"] for one in links)


def test_a_blocked_value_is_told_with_the_record_that_has_it(world: World) -> None:
    """Whoever wonders why two records are two people sees which value was not let to join them."""
    _put(world, "contacts", *(contact(n, "info@example.com", user=f"u{n}") for n in range(1, 4)))
    world.everything()

    for n in (1, 2, 3):
        (link,) = describe_person(world.store, _profile(world, str(n)))["links"]
        assert {"email": "2026-03-02T12:00:00Z", "user_id": None, "crm.contact_id": None} == {
            one["kind"]: one["blocked"] for one in link["identifiers"]
        }


def test_a_person_as_of_an_earlier_day(world: World) -> None:
    """Fields, company and events are as they were; what has no history is named."""
    _put(world, "contacts", contact(1, "ann@example.com", name="Ann", country="SE", domain="a.example.com", industry="Ore"))
    visit = {"email": "ann@example.com", "anon": "x", "event": "Seen"}
    _put(world, "visits", {**visit, "id": "v1", "at": "2026-03-01"}, {**visit, "id": "v2", "at": "2026-03-05"})
    world.everything()
    first = world.at
    world.later(days=5)
    _put(world, "contacts", contact(1, "ann@example.com", country="US", domain="a.example.com", industry="Art"))
    world.everything()
    profile = _profile(world)

    now, then = describe_person(world.store, profile), describe_person(world.store, profile, first + timedelta(days=1))
    before = describe_person(world.store, profile, first - timedelta(days=30))
    assert ("US", None, "Art", 2) == _told(now)
    assert ("SE", "Ann", "Ore", 1) == _told(then)
    assert ("SE", "Ann", "Ore", 0) == _told(before)  # the store cannot know what was before it looked
    assert [] == now["approximate"]
    assert not {"country", "first_name"} & set(then["approximate"])
    assert {"country", "first_name", "company.industry", "identifiers", "records"} <= set(before["approximate"])


def _told(person: dict[str, Any]) -> tuple[object, ...]:
    fields = person["fields"]
    return (fields["country"], fields["first_name"], person["company"]["industry"], person["events"]["counts"].get("Seen", 0))


def test_times_end_in_z_and_live_is_a_boolean(world: World) -> None:
    """As everywhere in JSON."""
    _put(world, "contacts", contact(1, "ann@example.com", country="SE", domain="a.example.com"))
    _put(world, "typed", contact("r1", "ann@example.com", score=9))
    _put(world, "visits", {"id": "v1", "email": "ann@example.com", "event": "Seen", "at": "2026-01-01"})
    world.everything()

    person = describe_person(world.store, _profile(world))
    text = json.dumps(person)
    assert (True, True) == (person["live"], person["company"]["live"])
    assert re.search(r"\d\dT[\d:.]+Z", text)
    assert "+00:00" not in text


def test_a_user_id_may_be_a_longer_number_than_any_profile_has(world: World) -> None:
    """Some tools number their users so; and what is a digit only by its looks is no number."""
    long = "99999999999999999999"
    world.lists["contacts"].append({**contact(1, "ann@example.com"), "user": long})
    world.everything()
    assert find_profiles(world.store, long) == find_profiles(world.store, "ann@example.com") != []
    assert [] == find_profiles(world.store, "²")
    for who in (f"profile:{long}", "profile:²"):
        with pytest.raises(ConfigError, match="nobody is known by that"):
            identify(world.store, who)
        with pytest.raises(HubError, match="nobody"):
            find_person(world.store, who)

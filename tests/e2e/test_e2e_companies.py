"""
Companies as members, from the CRM's companies to its list of companies and back out.

Numbers of companies and of people are the same ones here, on purpose: who takes the one for the other is seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from house import House, address

from core.contract import Fault

BIG = """
[segments.big]
title = "Big accounts"
of = "company"
where = "company.employees >= 50"

[[syncs]]
name = "accounts"
segment = "big"
to = "crm"
audience = { company_list = "Big accounts" }
"""
PEOPLE = """
[segments.vip]
title = "Vips"
where = 'lifecycle_stage == "customer"'

[[syncs]]
name = "vips"
segment = "vip"
to = "crm"
audience = { list = "Vips" }
"""
LIST = "Big accounts"
DOWN = Fault(503, {}, b"")


def firm(number: int, employees: int = 100, **more: Any) -> dict[str, Any]:
    """Return a company of the CRM, with the numbers that a contact may have."""
    domain = f"firm{number}.example.com"
    return {"id": str(1000 + number), "name": f"Firm {number}", "domain": domain, "employees": employees, **more}


def ids(*numbers: int) -> set[str]:
    return {str(1000 + number) for number in numbers}


class Firms:
    """A house whose CRM has companies, with contacts of the same ids."""

    def __init__(self, house: House, config: str = BIG + PEOPLE) -> None:
        self.house = house
        self.box = house.boxes["crm"]
        house.write_config(config)
        house.path.write_text(house.path.read_text().replace('["contacts"]', '["contacts", "companies"]'))

    def firms(self, *numbers: int, employees: int = 100, **more: Any) -> None:
        now = self.house.clock()
        created = {"created_at": now - timedelta(days=90), "updated_at": now}
        self.box.load("companies", [{**firm(number, employees), **created, **more} for number in numbers])

    def there(self, name: str = LIST) -> set[str]:
        return self.house.tagged(name, "crm")

    def sync(self, *arguments: str, code: Any = 0) -> Any:
        return self.house.sync(*arguments, code=code).json

    def edit(self, old: str, new: str) -> None:
        text = self.house.path.read_text()
        assert old in text
        self.house.path.write_text(text.replace(old, new))

    def ledger(self) -> list[tuple[Any, ...]]:
        """Return company, state and object of each member."""
        return self.house.ask(
            "SELECT l.profile_id, l.state, l.remote_id FROM ledger l JOIN audiences a ON a.id = l.audience_id"
            " WHERE a.of = 'company' ORDER BY 3"
        )


@pytest.fixture
def crm(house: Callable[..., House]) -> Firms:
    """Three big firms, a small one, and three customers, who have the same numbers everywhere."""
    made = Firms(house("crm"))
    made.house.people(1, 2, 3, mail=False)
    made.firms(1, 2, 3)
    made.firms(4, employees=5)
    return made


def test_companies_go_to_their_list_and_back_out(crm: Firms) -> None:
    first = crm.sync()
    assert ids(1, 2, 3) == crm.there() == crm.there("Vips")
    plan = next(plan for run in first["syncs"] for plan in run["plans"] if plan["label"] == "accounts")
    assert (3, "company", "company_list") == (plan["adds"], plan["of"], plan["audience"]["kind"])
    assert {LIST: "companies", "Vips": "contacts"} == {one.name: one.of for one in crm.box.state.lists.values()}

    writes = crm.house.writes()
    crm.sync()
    assert writes == crm.house.writes(), "nothing is sent the second time"

    crm.firms(2, employees=5)
    crm.firms(4, employees=500)
    crm.sync()
    assert ids(1, 3, 4) == crm.there()
    assert ids(1, 2, 3) == crm.there("Vips")
    writes = crm.house.writes()
    crm.sync()
    assert writes == crm.house.writes()


def test_a_company_without_a_record_there_is_not_sent(crm: Firms) -> None:
    """It is known by a contact of it alone; nobody is asked, and no number of ours is sent for one of theirs."""
    crm.edit('where = "company.employees >= 50"', """where = 'any_user(lifecycle_stage == "customer")'""")
    crm.box.load("people", [{"id": "1001", "company_id": "77"}, {"id": "1002", "company_id": "1002"}])
    plan = next(p for run in crm.sync()["syncs"] for p in run["plans"] if p["label"] == "accounts")
    assert ids(2) == crm.there()
    assert {"no_identifier": 1} == plan["skips"]


def test_two_records_of_one_company_are_a_duplicate(crm: Firms) -> None:
    crm.firms(5, 6, domain="same.example.com")
    plan = next(p for run in crm.sync()["syncs"] for p in run["plans"] if p["label"] == "accounts")
    assert ids(1, 2, 3) == crm.there()
    assert {"duplicate": 1} == plan["skips"]


def test_many_removals_wait_for_a_person_and_go_when_approved(crm: Firms) -> None:
    """The guards count companies as they count people."""
    crm.firms(*range(5, 15))
    crm.sync()
    everybody = ids(1, 2, 3, *range(5, 15))
    assert everybody == crm.there()
    crm.firms(*range(5, 15), employees=1)
    report = crm.sync(code=4)
    held = next(p for run in report["syncs"] for p in run["plans"] if p["label"] == "accounts")
    assert (10, ["removals"]) == (held["held_removes"], [one["kind"] for one in held["held"]])
    assert everybody == crm.there()
    crm.house.run("approve", "accounts")
    crm.sync()
    assert ids(1, 2, 3) == crm.there()


def test_a_source_that_fails_holds_all_of_it(crm: Firms) -> None:
    """The records tell which object a company is, so the sync rests on them whatever its words are."""
    crm.edit('where = "company.employees >= 50"', """where = 'any_user(lifecycle_stage == "customer")'""")
    crm.sync()
    crm.firms(2, employees=5)
    crm.house.served["crm"].faults = lambda _, path, __: DOWN if "/objects/2026-03/companies" in path else None
    report = crm.sync(code=None)
    plan = next(p for run in report["syncs"] for p in run["plans"] if p["label"] == "accounts")
    assert {"source"} == {one["kind"] for one in plan["held"]}


@pytest.mark.parametrize(("loser", "winner"), [(1, 2), (2, 1), (1, 9)])
def test_a_merged_company_stays_on_the_list(crm: Firms, loser: int, winner: int) -> None:
    """As what it was merged into, whether that was on the list or not; and it leaves as that."""
    crm.firms(9, employees=5)
    crm.sync()
    crm.house.clock.advance(minutes=90)
    crm.box.merge("companies", str(1000 + loser), str(1000 + winner))
    crm.firms(winner, employees=200)
    crm.sync()
    left = ids(1, 2, 3, winner) - ids(loser)
    assert left == crm.there()
    assert left == {remote for _, state, remote in crm.ledger() if state == "ours"}
    assert ids(1, 2, 3) == crm.there("Vips")
    writes = crm.house.writes()
    crm.sync()
    assert writes == crm.house.writes()

    crm.firms(winner, employees=1)
    crm.sync()
    assert left - ids(winner) == crm.there()


def test_companies_that_are_joined_and_parted_here_are_followed(crm: Firms) -> None:
    """Two records come to have one domain, and part again: who was put in is never left there, and nobody else is touched."""
    crm.sync()
    crm.firms(2, domain="firm1.example.com")
    crm.sync()
    assert ids(1, 3) <= crm.there() <= ids(1, 2, 3)
    crm.firms(2)
    crm.sync()
    assert ids(1, 2, 3) == crm.there()
    crm.firms(2, employees=1)
    crm.sync()
    assert ids(1, 3) == crm.there()
    assert [(company, "ours") for company, *_ in crm.ledger()] == [(c, s) for c, s, _ in crm.ledger()]


def test_a_record_deleted_there_and_made_anew_is_listed_again(crm: Firms) -> None:
    crm.sync()
    crm.house.clock.advance(minutes=90)
    crm.box.delete("companies", ["1002"])
    crm.sync()
    assert ids(1, 3) == crm.there()
    crm.firms(7, domain="firm2.example.com")
    crm.sync()
    assert ids(1, 3, 7) == crm.there()
    crm.firms(7, domain="firm2.example.com", employees=1)
    crm.sync()
    assert ids(1, 3) == crm.there()


def test_who_was_there_before_us_stays(crm: Firms) -> None:
    crm.firms(8, employees=1)
    crm.box.make_list(LIST, members=["1001", "1008"], of="companies")
    crm.sync()
    assert ids(1, 2, 3, 8) == crm.there()
    crm.firms(1, 2, employees=1)
    crm.sync()
    assert ids(1, 3, 8) == crm.there()


@pytest.mark.parametrize("baseline", ["adopt", "replace"])
def test_who_was_there_before_us_is_adopted(crm: Firms, baseline: str) -> None:
    crm.edit(
        'audience = { company_list = "Big accounts" }', f'audience = {{ company_list = "{LIST}" }}\nbaseline = "{baseline}"'
    )
    crm.firms(8, employees=1)
    crm.box.make_list(LIST, members=["1001", "1008"], of="companies")
    crm.sync(code=None)
    if baseline == "replace":
        crm.house.run("approve", "accounts")
        crm.sync()
    assert ids(1, 2, 3, *([8] if baseline == "adopt" else [])) == crm.there()
    crm.firms(1, employees=1)
    crm.sync()
    assert ids(1) & crm.there() == set()


def test_somebody_forgotten_takes_no_company_along(crm: Firms) -> None:
    """The person and the company have the same number here, and the same at the CRM."""
    crm.house.write("waits.csv", "")
    crm.sync()
    before, rows = crm.there(), crm.ledger()
    numbers = {number for (number,) in crm.house.ask("SELECT id FROM profiles")}
    assert numbers & {company for company, *_ in rows}, "or this shows nothing"
    for number in (1, 2, 3):
        said = crm.house.run("forget", address(number), "--yes", "--json").json
        removed = [one["audience"] for of in said["certificate"]["connections"] for one in of["audiences"]]
        assert ["list 'Vips'"] == removed
        assert (before, rows) == (crm.there(), crm.ledger())
    assert set() == crm.there("Vips")
    assert "ok      ledger" in crm.house.run("doctor", "--deep", code=None).out
    writes = crm.house.writes()
    crm.sync(code=None)
    assert (before, rows) == (crm.there(), crm.ledger())
    assert writes == crm.house.writes()
    crm.firms(2, employees=1)
    crm.sync(code=None)
    assert ids(1, 3) == crm.there()


def test_what_is_told_of_a_person_has_no_company_in_it(crm: Firms) -> None:
    """Neither the person's page nor the export, whoever has the same number."""
    crm.sync()
    for number in (1, 2, 3):
        (person,) = crm.house.run("person", address(number), "--json").json["people"]
        assert ["Vips"] == [one["name"] for one in person["audiences"]]
        out = crm.house.folder / f"{number}.json"
        crm.house.run("export-person", address(number), "--output", str(out))
        told = json.loads(out.read_text())
        assert ["Vips"] == [one["name"] for one in told["audiences"]]
        assert {"Vips"} == {one["name"] for one in told["sent"]}


def test_a_person_alone_cannot_be_sent_to_a_list_of_companies(crm: Firms) -> None:
    said = crm.house.run("sync", "accounts", "--only", address(1), code=2)
    assert "the sync accounts pushes companies, and --only names one person" in said.err
    assert set() == crm.there()


def test_members_are_told_as_companies(crm: Firms) -> None:
    crm.house.run("pull")
    (plan,) = crm.house.run("plan", "accounts", "--members", "--json").json["plans"]
    assert {"firm1.example.com", "firm2.example.com", "firm3.example.com"} == {one["domain"] for one in plan["members"]}
    assert "Firm 2" in crm.house.run("plan", "--members").out
    crm.sync()
    crm.box.state.list_named(LIST).members.pop("1002")
    crm.house.clock.advance(hours=1)
    (found,) = crm.house.run("drift", "accounts", "--members", "--json", code=3).json["audiences"]
    assert [("missing", "Firm 2", "1002")] == [(m["what"], m["name"], m["member"]) for m in found["members"]]
    assert "firm2.example.com" in crm.house.run("drift", "--members", code=3).out
    crm.house.run("drift", "accounts", "--repair")
    crm.sync()
    assert ids(1, 2, 3) == crm.there()


def test_a_kept_plan_is_carried_out_and_a_retired_sync_takes_its_companies_out(crm: Firms) -> None:
    crm.house.run("pull")
    kept = crm.house.run("plan", "accounts", "--json").out
    crm.house.write("plan.json", kept)
    crm.house.run("sync", "--plan", str(crm.house.folder / "plan.json"))
    assert ids(1, 2, 3) == crm.there()
    crm.edit(BIG, "")
    crm.house.run("retire", "accounts", "--remove", "--yes")
    assert set() == crm.there()
    assert [] == crm.ledger()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('{ company_list = "Big accounts" }', '{ list = "Big" }', "a list at crm holds people"),
        ('{ list = "Vips" }', '{ company_list = "Vips" }', "a company_list at crm holds companies"),
        ('"contacts", "companies"', '"contacts"', "companies are known at crm by its stream companies, which is not pulled"),
        ('{ company_list = "Big accounts" }', '{ company_list = "Big" }\nrequire_consent = true', "consents to nothing"),
        ('{ company_list = "Big accounts" }', '{ company_list = "Big" }\ncreate_missing = true', "cannot create people"),
        ('{ company_list = "Big accounts" }', '{ company_list = "Big" }\nfields = { A = "mrr" }', "accounts"),
    ],
)
def test_what_companies_cannot_be_is_a_config_error(crm: Firms, old: str, new: str, said: str) -> None:
    crm.edit(old, new)
    told = crm.house.run("check", code=2)
    assert said in told.err


def test_the_kind_may_be_left_out_where_one_holds_such_members(crm: Firms) -> None:
    """As before for people, though there are two kinds of list now."""
    crm.edit('audience = { company_list = "Big accounts" }', "")
    crm.edit('audience = { list = "Vips" }', 'audience = "Vips"')
    crm.sync()
    assert ids(1, 2, 3) == crm.there() == crm.there("Vips")

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
    """Three big firms, a small one, and three customers, who have the same numbers everywhere and work at the first."""
    made = Firms(house("crm"))
    made.house.people(1, 2, 3, mail=False, company_id="1001")
    made.firms(1, 2, 3)
    made.firms(4, employees=5)
    return made


def test_companies_go_to_their_list_and_back_out(crm: Firms) -> None:
    """A merge at the vendor included, and what the plan, drift and the ledger say of them."""
    first = crm.sync()
    assert ids(1, 2, 3) == crm.there() == crm.there("Vips")
    plan = next(plan for run in first["syncs"] for plan in run["plans"] if plan["label"] == "accounts")
    assert (3, "company", "company_list") == (plan["adds"], plan["of"], plan["audience"]["kind"])
    assert {LIST: "companies", "Vips": "contacts"} == {one.name: one.of for one in crm.box.state.lists.values()}
    writes = crm.house.writes()
    crm.sync()
    assert writes == crm.house.writes(), "nothing is sent the second time"

    crm.firms(3, employees=5)
    crm.box.merge("companies", "1001", "1004")
    crm.firms(4, employees=500)
    crm.house.clock.advance(minutes=90)
    crm.house.run("pull")
    (told,) = crm.house.run("plan", "accounts", "--members", "--json").json["plans"]
    assert {("remove", "Firm 3"), ("update", "Firm 4")} == {(one["op"], one["name"]) for one in told["members"]}
    assert "firm3.example.com" in crm.house.run("plan", "--members").out
    crm.sync()
    assert ids(2, 4) == crm.there() == {remote for _, state, remote in crm.ledger() if state == "ours"}
    assert ids(1, 2, 3) == crm.there("Vips")

    crm.box.state.list_named(LIST).members.pop("1002")
    crm.house.clock.advance(hours=1)
    (found,) = crm.house.run("drift", "accounts", "--members", "--json", code=3).json["audiences"]
    assert [("missing", "Firm 2", "1002")] == [(one["what"], one["name"], one["member"]) for one in found["members"]]
    assert "firm2.example.com" in crm.house.run("drift", "--members", "--repair").out
    crm.sync()
    assert ids(2, 4) == crm.there()


def test_what_is_one_persons_has_no_company_in_it(crm: Firms) -> None:
    """Their page, their export, being sent alone, being forgotten: whoever has the same number here and at the CRM."""
    crm.sync()
    before, rows = crm.there(), crm.ledger()
    numbers = {number for (number,) in crm.house.ask("SELECT id FROM profiles")}
    assert numbers == {company for company, *_ in rows}, "or this shows nothing"
    said = crm.house.run("sync", "accounts", "--only", address(1), code=2)
    assert "the sync accounts pushes companies, and --only names one person" in said.err
    for number in (1, 2, 3):
        (person,) = crm.house.run("person", address(number), "--json").json["people"]
        told = json.loads(crm.house.run("export-person", address(number)).out)
        assert [["Vips"]] * 3 == [[one["name"] for one in of] for of in (person["audiences"], told["audiences"], told["sent"])]
    for number in (1, 2):
        made = crm.house.run("forget", address(number), "--yes", "--json").json["certificate"]
        assert ["list 'Vips'"] == [one["audience"] for of in made["connections"] for one in of["audiences"]]
    assert (before, rows, ids(3)) == (crm.there(), crm.ledger(), crm.there("Vips"))
    assert "ok      ledger" in crm.house.run("doctor", "--deep", code=None).out
    crm.firms(2, employees=1)
    crm.sync(code=None)
    assert ids(1, 3) == crm.there()
    crm.box.state.list_named(LIST).members["1002"] = crm.house.clock()
    crm.house.clock.advance(hours=1)
    (found,) = crm.house.run("drift", "accounts", "--members", "--json", code=3).json["audiences"]
    assert [("extra", "1002")] == [(one["what"], one["member"]) for one in found["members"]], "not somebody forgotten"

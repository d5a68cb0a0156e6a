"""What records mean: people, companies, deals, consent; values of every type from both answers; queries spelled safely."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.salesforce import mapping, vendor
from connectors.salesforce.sandbox_soql import MalformedError, parse
from core.contract import Amount, Kind, Money
from core.registry import load_connector

SF = load_connector("salesforce")
AT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        (None, "string", None), ("", "string", None), ("", "boolean", None), (False, "boolean", False),
        ("true", "boolean", True), ("false", "boolean", False), (3, "int", 3), ("3", "int", 3), ("3.0", "int", 3),
        (1500.5, "currency", 1500.5), ("1500.5", "currency", 1500.5), (10, "percent", 10.0), ("10", "double", 10.0),
        ("2026-05-06T07:08:09.000+0000", "datetime", AT), ("2026-05-06T07:08:09.000Z", "datetime", AT),
        ("2026-01-31", "date", date(2026, 1, 31)), ("a;b", "multipicklist", ["a", "b"]), ("003", "id", "003"),
    ],
)  # fmt: skip
def test_both_kinds_of_answer_give_the_same_value(value: object, type_: str, expected: object) -> None:
    """Gotcha: a query has datetimes without a colon, a job with a Z; an empty cell of a job is null."""
    found = mapping.cast(value, type_)

    assert (expected, type(expected)) == (found, type(found))


def record(**values: Any) -> dict[str, Any]:
    return {"Id": "003xx0000012345AAA", "SystemModstamp": AT, "IsDeleted": False, **values}


@pytest.mark.parametrize(
    ("values", "states"),
    [({"HasOptedOutOfEmail": True}, ["denied"]), ({"HasOptedOutOfEmail": False}, ["unknown"]), ({}, [])],
    ids=["ticked", "empty", "hidden"],
)
@pytest.mark.parametrize("rows", [mapping.contact_rows, mapping.lead_rows])
def test_opting_out_is_a_refusal_and_an_empty_box_is_no_consent(rows: Any, values: Any, states: list[str]) -> None:
    """A merge or a deletion says nothing of consent: such records come as no rows at all."""
    found = [row for row in rows(record(**values)) if row.kind is Kind.CONSENT]

    assert states == [row.values["state"] for row in found]
    assert all("email" == row.values["channel"] for row in found)


def test_a_lead_is_called_one_and_a_contact_is_not() -> None:
    (contact,) = mapping.contact_rows(record(Email="a@example.com", MobilePhone="1", MailingCountry="Sverige"))
    (lead,) = mapping.lead_rows(record(Email="a@example.com", Country="SE"))

    assert (None, "lead") == (contact.values.get("lifecycle_stage"), lead.values["lifecycle_stage"])
    assert ("Sverige", "SE", "1") == (contact.values["country"], lead.values["country"], contact.values["phone"])


def test_a_person_account_is_a_person_and_no_company() -> None:
    """Gotcha: such an org has contacts whose account is the person's own; its e-mail is the contact's too."""
    person = record(AccountId="001xx000003DGbXAAW", IsPersonAccount=True, Website="acme.example.com")

    assert [] == list(mapping.account_rows(person))
    assert (None, None, None) == (mapping.employer(person), mapping.company_id(person), mapping.domain(person))
    assert "001xx000003DGbXAAW" == mapping.employer({**person, "IsPersonAccount": False})
    (profile,) = mapping.contact_rows({**person, "Email": "a@example.com"})
    assert "a@example.com" == profile.values["email"]


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("https://www.acme.example.com/se?x=1", "acme.example.com"), ("acme.example.com", "acme.example.com"),
        ("http://Acme.example.com:8080", "acme.example.com"), ("WWW.acme.example.com/", "acme.example.com"),
        ("see our page", None), ("n/a", None), ("", None), (None, None), ("http://[bad", None),
    ],
)  # fmt: skip
def test_the_domain_of_a_website(website: str | None, domain: str | None) -> None:
    assert domain == mapping.domain(record(Website=website))


@pytest.mark.parametrize(
    ("values", "amount"),
    [
        ({"Amount": 1500.5, "CurrencyIsoCode": "SEK"}, Money(150050, "SEK")),
        ({"Amount": 1500.0, "CurrencyIsoCode": "JPY"}, Money(1500, "JPY")),
        ({"Amount": 0.1}, Amount(Decimal("0.1"))),
        ({"Amount": None, "CurrencyIsoCode": "SEK"}, None),
    ],
)
def test_only_orgs_with_several_currencies_say_which(values: Any, amount: object) -> None:
    """Gotcha: CurrencyIsoCode exists in multi-currency orgs alone; else the amount is of the workspace's currency."""
    assert amount == mapping.amount(record(**values))


@pytest.mark.parametrize(("closed", "at"), [(True, datetime(2026, 1, 31, tzinfo=UTC)), (False, None), (None, None)])
def test_the_close_date_of_an_open_deal_is_a_hope(closed: bool | None, at: datetime | None) -> None:
    assert at == mapping.closed_at(record(CloseDate=date(2026, 1, 31), IsClosed=closed))


def test_streams_are_known_before_any_secret_is() -> None:
    """The config is checked, and the list of connectors made, with settings that are not all there."""
    assert ["contacts", "leads", "accounts", "opportunities"] == list(SF.streams(SF.settings_model.model_construct()))


def test_a_field_of_ours_may_hold_the_user_id() -> None:
    settings = SF.settings_model.model_validate(
        {"client_id": "x", "client_secret": "s", "domain": "acme", "user_id_field": "User_Id__c"}
    )

    assert "User_Id__c" == SF.streams(settings)["contacts"].identifiers["user_id"]


@pytest.mark.parametrize(
    ("value", "literal"),
    [("O'Brien", r"'O\'Brien'"), ("a\\b", r"'a\\b'"), ("\\'", r"'\\\''"), ("x' OR Id != '", r"'x\' OR Id != \''")],
)
def test_a_literal_holds_whatever_is_in_it(value: str, literal: str) -> None:
    """Gotcha: quotes and backslashes are escaped; nothing in a name gets out of its literal."""
    query = parse(f"SELECT Id FROM Campaign WHERE Name = {vendor.text(value)}")

    assert literal == vendor.text(value)
    assert query.test({"Name": value})
    assert not query.test({"Name": "other"})


def test_lists_of_literals_are_cut_by_their_length() -> None:
    values = [f"{n:05}" + "å" * 40 for n in range(200)]
    pieces = list(vendor.packed(values))

    assert values == [value for piece in pieces for value in piece]
    assert 4 <= len(pieces) <= 5
    assert [["x" * 20_000]] == list(vendor.packed(["x" * 20_000]))
    assert [] == list(vendor.packed([]))


@pytest.mark.parametrize(
    "soql",
    [
        "", "SELECT", "SELECT Id FROM", "SELECT Id FROM Contact WHERE", "SELECT Id FROM Contact LIMIT x", "SELECT Id FROM A B",
        "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-05-06", "SELECT Id FROM Contact WHERE Id LIKE 'x'",
    ],
)  # fmt: skip
def test_the_sandbox_takes_no_half_queries(soql: str) -> None:
    with pytest.raises(MalformedError):
        parse(soql)


def test_a_quoted_time_is_no_time() -> None:
    """Gotcha: a datetime literal is not quoted; the sandbox fails such a comparison as the vendor does."""
    query = parse("SELECT Id FROM Contact WHERE SystemModstamp >= '2026-05-06T07:08:09Z'")

    with pytest.raises(TypeError):
        query.test({"SystemModstamp": AT})
    assert parse(f"SELECT Id FROM Contact WHERE SystemModstamp >= {vendor.instant(AT)}").test({"SystemModstamp": AT})

"""What HubSpot's texts mean: pure functions, tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.hubspot import mapping
from connectors.hubspot.mapping import Property
from core.contract import Merge, Money

JAN = datetime(2026, 1, 31, tzinfo=UTC)


def _property(type_: str, field_type: str = "text") -> Property:
    return Property("x", type_, field_type, custom=True)


@pytest.mark.parametrize(
    ("text", "of", "expected"),
    [
        ("17", _property("number"), 17),
        ("-17", _property("number"), -17),
        ("1500.00", _property("number"), 1500.0),
        ("about a dozen", _property("number"), None),
        ("NaN", _property("number"), None),
        ("1e999", _property("number"), None),
        ("99999999999999999999", _property("number"), 1e20),
        ("true", _property("bool"), True),
        ("FALSE", _property("bool"), False),
        ("maybe", _property("bool"), None),
        ("true", _property("enumeration", "booleancheckbox"), True),
        ("a;b; c;", _property("enumeration", "checkbox"), ["a", "b", "c"]),
        ("lead", _property("enumeration", "radio"), "lead"),
        ("2026-01-31", _property("date"), JAN),
        ("1769817600000", _property("date"), JAN),
        ("2026-01-31T00:00:00Z", _property("datetime"), JAN),
        ("2026-01-31T01:00:00.000+01:00", _property("datetime"), JAN),
        ("next spring", _property("datetime"), None),
        ("9" * 30, _property("datetime"), None),
        ("  as typed ", _property("string"), "  as typed "),
        ("17", _property("string"), "17"),
        ("+46 70", _property("phone_number"), "+46 70"),
        ("", _property("string"), None),
        (None, _property("number"), None),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, Property) else f"{value.type}-{value.field_type}",
)
def test_a_property_is_cast_by_its_type_and_leniently(text: str | None, of: Property, expected: object) -> None:
    """Quirk 3: everything comes as text or null, and a number property can hold junk."""
    found = mapping.cast(text, of)

    assert found == expected
    assert type(found) is type(expected)


def test_the_merged_ids_are_read_from_text_and_from_a_list() -> None:
    records: list[dict[str, Any]] = [
        {"id": "3", "properties": {"hs_merged_object_ids": "1;2"}},
        {"id": "5", "properties": {"hs_merged_object_ids": ["4", "5"]}},
        {"id": "6", "properties": {"hs_merged_object_ids": None}},
        {"id": "7", "properties": {}},
    ]

    assert mapping.merges(records) == [Merge("1", "3"), Merge("2", "3"), Merge("4", "5")]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"email": "a@example.com", "hs_additional_emails": "b@example.com;a@example.com"}, ["a@example.com", "b@example.com"]),
        ({"email": None, "hs_additional_emails": ["b@example.com"]}, ["b@example.com"]),
        ({}, []),
    ],
)
def test_every_address_of_a_contact_counts(properties: dict[str, Any], expected: list[str]) -> None:
    assert mapping.emails({"id": "1", "properties": properties}) == expected


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (1500.5, "SEK", Money(150050, "SEK")),
        (20, "JPY", Money(20, "JPY")),
        (0.1, "EUR", Money(10, "EUR")),
        (-5, "EUR", Money(-500, "EUR")),
        (None, "EUR", None),
        (5, None, None),
        (1e30, "EUR", None),
    ],
)
def test_an_amount_is_money_only_with_a_currency_and_a_sane_size(value: object, currency: str | None, expected: object) -> None:
    assert mapping.amount({"id": "1", "properties": {"amount": value}, "currency": currency}) == expected


@pytest.mark.parametrize(("number", "expected"), [(12, 12), (12.4, 12), (None, None)])
def test_employees_are_whole(number: object, expected: object) -> None:
    assert mapping.employees({"id": "1", "properties": {"numberofemployees": number}}) == expected


def test_the_lowest_of_several_ids_is_the_oldest_record() -> None:
    """By number, not by text: 999 is older than 1001."""
    assert mapping.lowest(["1001", 999, "1002"]) == "999"
    assert mapping.lowest([]) is None


def test_a_landing_row_has_the_properties_under_their_own_names() -> None:
    record = {"id": "1", "properties": {"lifecyclestage": "lead", "id": "not this"}, "stage": "New"}

    assert mapping.flat(record) == {"lifecyclestage": "lead", "id": "1", "stage": "New"}


def test_which_properties_are_read() -> None:
    known = [
        Property("email", "string", "text", custom=False),
        Property("hs_score", "number", "number", custom=False),
        Property("plan_interest", "string", "text", custom=True),
    ]

    assert list(mapping.chosen(known, ["email", "gone"], [])) == ["email", "plan_interest"]
    assert list(mapping.chosen(known, ["email"], ["hs_score", "nowhere"])) == ["email", "hs_score", "plan_interest"]
    assert list(mapping.chosen(known, [], ["*"])) == ["email", "hs_score", "plan_interest"]

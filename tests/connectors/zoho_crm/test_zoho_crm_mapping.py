"""What a record means, by literals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.zoho_crm.mapping import addresses, amount, chosen, closed_at, contact_rows, lookup_id, tag_names, won
from core.contract import Amount, Money


@pytest.mark.parametrize(
    ("deal", "is_won", "closed"),
    [
        ({"Probability": 100, "Stage": "Signed", "Closing_Date": "2026-01-31"}, True, datetime(2026, 1, 31, tzinfo=UTC)),
        ({"Probability": 0, "Stage": "Lost", "Closing_Date": "2026-01-31"}, False, datetime(2026, 1, 31, tzinfo=UTC)),
        ({"Probability": 40, "Stage": "Closed Won", "Closing_Date": "2026-01-31"}, False, None),
        ({"Stage": "Closed Won", "Closing_Date": "2026-01-31"}, True, datetime(2026, 1, 31, tzinfo=UTC)),
        ({"Stage": "Closed Lost", "Closing_Date": "some day"}, False, None),
        ({"Stage": None, "Closing_Date": None}, None, None),
    ],
)
def test_a_deal_is_won_by_its_probability(deal: dict[str, Any], is_won: bool | None, closed: datetime | None) -> None:
    """Quirk 15: stages are each organisation's own; an open deal's Closing_Date is a hope."""
    assert (is_won, closed) == (won(deal), closed_at(deal))


@pytest.mark.parametrize(
    ("deal", "expected"),
    [
        ({"Amount": 12.5, "currency": "EUR"}, Money(1250, "EUR")),
        ({"Amount": 1500, "currency": "JPY"}, Money(1500, "JPY")),
        ({"Amount": 12.5, "currency": None}, Amount(Decimal("12.5"))),
        ({"Amount": None, "currency": "EUR"}, None),
        ({"Amount": True, "currency": "EUR"}, None),
        ({"Amount": 1e300, "currency": "EUR"}, None),
    ],
)
def test_an_amount_is_of_a_currency_where_one_is_known(deal: dict[str, Any], expected: object) -> None:
    assert expected == amount(deal)


def test_a_lookup_is_an_object_or_null() -> None:
    """Quirk 26."""
    assert "4150868000004353999" == lookup_id({"name": "Acme", "id": "4150868000004353999"})
    assert lookup_id(None) is None
    assert lookup_id({"name": "Acme", "id": None}) is None


def test_tags_are_texts_or_objects() -> None:
    """Quirk 19."""
    assert ["a", "b"] == tag_names([{"name": "b", "id": "1"}, "a"])
    assert [] == tag_names(None)


def test_addresses_come_in_order_and_once() -> None:
    read = addresses(("Email", "Secondary_Email"))
    assert ["b@example.com", "a@example.com"] == read({"Secondary_Email": "a@example.com", "Email": "b@example.com"})
    assert ["a@example.com"] == read({"Secondary_Email": "a@example.com", "Email": "a@example.com"})
    assert [] == read({"Email": None, "Secondary_Email": ""})


def test_a_person_without_an_owner_or_a_phone_is_one() -> None:
    """Times come at the user's offset; the mobile number stands in."""
    record = {"id": "1", "Mobile": "070", "Phone": None, "Owner": None, "Created_Time": "2026-01-02T08:34:05+05:30"}
    (profile,) = contact_rows(record)

    assert ("070", None) == (profile.values["phone"], profile.values["owner"])
    assert datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) == profile.values["created_at"]


def test_a_fields_definition_may_lack_what_is_not_documented() -> None:
    """Quirk 12: without `custom_field` only the standard ones are read."""
    known = [{"api_name": "Email", "data_type": "email"}, {"api_name": "Mine", "data_type": "text"}, {"data_type": "text"}]
    assert ["Email"] == chosen(known, ["Email", "Phone"])

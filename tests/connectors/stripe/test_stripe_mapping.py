"""Recorded-looking answers through the streams: what is asked for, and which rows come of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from core.contract import Money, Row, Stream, pick
from core.registry import load_connector

BASE = "https://api.stripe.com/v1"
SETTINGS = {"key": "rk_test_canary", "account_id": "acct_1"}
Payload = Callable[[str], httpx.Response]


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.fixture
def api(fake_api: Callable[..., Any]) -> Any:
    return fake_api("stripe", SETTINGS)


def stream(api: Any, name: str, **settings: Any) -> Stream:
    connector = load_connector("stripe")
    return connector.streams(connector.settings_model.model_validate({**SETTINGS, **settings}))[name]


def rows(of: Stream, records: Any) -> dict[str, dict[str, object]]:
    assert of.rows is not None
    found: list[Row] = [row for record in records for row in of.rows(record)]
    return {row.key: dict(row.values) for row in found}


@pytest.fixture
def subscribed(respx_mock: Any, payload: Payload, api: Any) -> Any:
    respx_mock.get(f"{BASE}/subscriptions").mock(return_value=payload("subscriptions"))
    respx_mock.get(f"{BASE}/coupons/TWENTY").mock(return_value=payload("coupon"))
    respx_mock.get(f"{BASE}/products").mock(return_value=payload("products"))
    (page,) = stream(api, "subscriptions").pull(api, None, None)
    return page.records


def test_reads_subscriptions_with_all_that_a_list_can_carry(subscribed: Any, respx_mock: Any) -> None:
    """Quirk 6 and 8: every status, nothing expanded below the fourth level, a coupon and a product asked for once."""
    listed, coupon, products = (call.request for call in respx_mock.calls)

    assert listed.url.params["status"] == "all"
    assert listed.url.params.get_list("expand[]") == ["data.customer", "data.discounts", "data.items.data.discounts"]
    assert all(path.count(".") < 4 for path in listed.url.params.get_list("expand[]"))
    assert listed.headers["stripe-version"] == "2026-06-24.dahlia"
    assert listed.headers["authorization"] == "Bearer rk_test_canary"
    assert coupon.url.params.get_list("expand[]") == ["applies_to", "currency_options"]
    assert products.url.params.get_list("ids[]") == ["prod_1"]


@pytest.mark.parametrize(
    ("key", "status", "mrr", "requested", "ended"),
    [
        pytest.param("sub_past_due", "past_due", 3600, None, None, id="past due counts, less a fifth for ever"),
        pytest.param("sub_trial", "trialing", 0, None, None, id="a trial does not"),
        pytest.param("sub_ending", "active", 4500, 1768000000, None, id="about to end, and still paying"),
        pytest.param("sub_gone", "canceled", 0, 1768000000, 1769904000, id="asked for first, ended later"),
        pytest.param("sub_dunned", "canceled", 0, None, 1769904000, id="a payment that failed is nobody's request"),
        pytest.param("sub_never", "canceled", 0, None, 1767308400, id="incomplete_expired is canceled, by nobody"),
        pytest.param("sub_paused", "paused", 0, None, None, id="collection paused, though called active"),
        pytest.param("sub_trial_over", "paused", 0, None, None, id="a trial that ended without a card"),
    ],
)
def test_says_where_a_subscription_stands(
    subscribed: Any, api: Any, key: str, status: str, mrr: int, requested: int | None, ended: int | None
) -> None:
    """Quirks 10 and 13."""
    row = rows(stream(api, "subscriptions"), subscribed)[key]

    assert row["status"] == status
    assert row["mrr"] == Money(mrr, "USD")
    assert row["cancel_requested_at"] == (at(requested) if requested else None)
    assert row["ended_at"] == (at(ended) if ended else None)


def test_gives_every_column_of_a_subscription(subscribed: Any, api: Any) -> None:
    row = rows(stream(api, "subscriptions"), subscribed)["sub_trial"]

    assert row == {
        "status": "trialing", "plan": "Team", "amount": Money(4500, "USD"), "currency": "USD", "interval": "month",
        "interval_count": 1, "quantity": 3, "mrr": Money(0, "USD"), "started_at": at(1767225600),
        "trial_ends_at": at(1769817600), "cancel_requested_at": None, "ended_at": None,
    }  # fmt: skip


def test_a_paused_collection_counts_where_the_settings_say_so(subscribed: Any, api: Any) -> None:
    """Quirk 10."""
    row = rows(stream(api, "subscriptions", paused_collection_counts=True), subscribed)["sub_paused"]

    assert (row["status"], row["mrr"]) == ("active", Money(4500, "USD"))


def test_a_subscription_is_one_customers(subscribed: Any, api: Any) -> None:
    """The user id in its metadata may be another person's of the same customer; it joins nobody."""
    of = stream(api, "subscriptions")

    assert set(of.identifiers) == {"customer_id"}
    assert {pick(record, of.identifiers["customer_id"]) for record in subscribed} == {"cus_1"}
    assert all(record["customer"] == "cus_1" for record in subscribed)  # not the whole customer that was expanded


@pytest.mark.parametrize(
    ("price", "plan"),
    [
        ({"nickname": "Team, monthly", "lookup_key": "team_m"}, "Team, monthly"),
        ({"nickname": None, "lookup_key": "team_m"}, "team_m"),
        ({"nickname": None, "lookup_key": None}, "Team"),
        ({"nickname": None, "lookup_key": None, "product": {"id": "prod_1", "name": None}}, "price_1"),
    ],
    ids=["nickname", "look-up key", "product", "nothing"],
)
def test_names_a_plan(subscribed: Any, api: Any, price: dict[str, Any], plan: str) -> None:
    record = subscribed[1]
    item = record["items"]["data"][0]
    named = record | {"items": {"data": [item | {"price": item["price"] | price}]}}

    assert rows(stream(api, "subscriptions"), [named])["sub_trial"]["plan"] == plan


def test_a_status_that_nobody_knows_is_no_guess(subscribed: Any, api: Any) -> None:
    with pytest.raises(KeyError):
        rows(stream(api, "subscriptions"), [subscribed[0] | {"status": "resting"}])


@pytest.fixture
def invoiced(respx_mock: Any, payload: Payload, api: Any) -> Any:
    respx_mock.get(f"{BASE}/invoices").mock(return_value=payload("invoices"))
    respx_mock.get(f"{BASE}/refunds").mock(return_value=payload("refunds"))
    respx_mock.get(f"{BASE}/credit_notes").mock(return_value=payload("credit_notes"))
    (page,) = stream(api, "invoices").pull(api, None, None)
    return page.records


@pytest.mark.parametrize(
    ("key", "amount", "refunded", "status", "paid_at"),
    [
        pytest.param("in_refunded", 4500, 1500, "paid", 1769907600, id="succeeded refunds only"),
        pytest.param("in_whole", 4500, 0, "paid", 1769907600, id="nothing given back"),
        pytest.param("in_credited", 4500, 1500, "paid", 1769907600, id="a credit note and its refund are one, a void one none"),
        pytest.param("in_open", 0, 0, "open", None, id="nothing paid yet"),
    ],
)
def test_an_invoice_is_a_payment(
    invoiced: Any, api: Any, key: str, amount: int, refunded: int, status: str, paid_at: int | None
) -> None:
    """Quirks 15 and 16."""
    row = rows(stream(api, "invoices"), invoiced)[key]

    assert row == {
        "amount": Money(amount, "USD"),
        "refunded": Money(refunded, "USD"),
        "currency": "USD",
        "status": status,
        "paid_at": at(paid_at) if paid_at else None,
    }


def test_drafts_and_void_invoices_are_kept_but_no_payments(invoiced: Any, api: Any) -> None:
    assert {"in_draft", "in_void"} == {record["id"] for record in invoiced} - set(rows(stream(api, "invoices"), invoiced))


def test_an_invoice_is_kept_without_its_lines(invoiced: Any) -> None:
    assert all("lines" not in record and "payments" not in record for record in invoiced)
    assert invoiced[0]["parent"]["subscription_details"]["subscription"] == "sub_past_due"


def test_a_customer_is_a_person(respx_mock: Any, payload: Payload, api: Any) -> None:
    respx_mock.get(f"{BASE}/customers").mock(return_value=payload("customers"))
    of = stream(api, "customers")
    (page,) = of.pull(api, None, None)
    values = {column: pick(page.records[0], where) for column, where in of.fields.items()}

    assert values == {
        "email": "Ann@Example.com", "phone": "+46700000000", "country": "SE", "language": "sv", "created_at": at(1767225600),
    }  # fmt: skip
    assert {kind: pick(page.records[0], where) for kind, where in of.identifiers.items()} == {
        "customer_id": "cus_1", "user_id": "42", "email": "Ann@Example.com",
    }  # fmt: skip


def test_an_address_is_not_unique_and_not_always_there(respx_mock: Any, payload: Payload, api: Any) -> None:
    """Quirk 17: the id is the key; two customers with one address stay two records."""
    respx_mock.get(f"{BASE}/customers").mock(return_value=payload("customers"))
    of = stream(api, "customers")
    (page,) = of.pull(api, None, None)

    assert [pick(record, of.key) for record in page.records] == ["cus_1", "cus_2", "cus_3"]
    assert [pick(record, of.identifiers["email"]) for record in page.records] == ["Ann@Example.com", "Ann@Example.com", None]


def test_the_metadata_key_of_the_user_id_is_a_setting(respx_mock: Any, payload: Payload, api: Any) -> None:
    respx_mock.get(f"{BASE}/customers").mock(return_value=payload("customers"))
    of = stream(api, "customers", user_id_metadata="account")
    (page,) = of.pull(api, None, None)

    assert pick(page.records[0], of.identifiers["user_id"]) == "7"


def test_believes_of_an_event_only_whose_it_is(respx_mock: Any, payload: Payload, api: Any) -> None:
    """Quirk 2: the feed shows the address as it was, in the shape of another version; the object is asked for."""
    feed = respx_mock.get(f"{BASE}/events").mock(return_value=payload("events"))
    respx_mock.get(f"{BASE}/customers/cus_1").mock(return_value=payload("customer"))
    respx_mock.get(f"{BASE}/customers/cus_9").mock(return_value=payload("customer_deleted"))

    first, last = stream(api, "customers").pull(api, datetime(2026, 3, 2, 11, 50, tzinfo=UTC), None)

    assert [record["email"] for record in first.records] == ["new@example.com"]
    assert first.deleted == ["cus_9"]  # Quirk 5
    assert [call.request.url.path for call in respx_mock.calls][1:] == ["/v1/customers/cus_1", "/v1/customers/cus_9"]
    query = feed.calls[0].request.url.params
    assert query.get_list("types[]") == ["customer.created", "customer.updated", "customer.deleted"]
    assert query["created[gte]"] == str(int(datetime(2026, 3, 2, 11, 50, tzinfo=UTC).timestamp()))
    assert last.resume is None


def test_test_data_never_mixes_with_live(respx_mock: Any, payload: Payload, fake_api: Callable[..., Any]) -> None:
    from core.errors import ProtocolError

    respx_mock.get(f"{BASE}/customers").mock(return_value=payload("customers"))
    api = fake_api("stripe", {**SETTINGS, "key": "rk_live_canary"})

    with pytest.raises(ProtocolError, match="other mode"):
        list(stream(api, "customers").pull(api, None, None))

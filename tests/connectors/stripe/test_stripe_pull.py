"""Whole and incremental pulls of a living account: nothing is lost, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from stripe_rows import NOON, customers, invoices, subscriptions

from connectors.stripe.feed import MAX_TYPES
from connectors.stripe.sources import CUSTOMERS, INVOICES, SUBSCRIPTIONS
from core.contract import Fault, Money, Page
from core.errors import ProtocolError, RejectedError

Pulled = Callable[..., list[Page]]
SINCE = NOON - timedelta(minutes=10)
"""What the core hands over after a pull at noon: the cursor less the lookback."""


def ids(pages: list[Page]) -> list[str]:
    return [record["id"] for page in pages for record in page.records]


def row(of: Any, page: Page, at: int = 0) -> dict[str, Any]:
    (made,) = of.rows(page.records[at])
    return dict(made.values)


# everything, as a list


def test_pulls_everything_newest_first(account: Any, sandbox: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(250))

    pages = pulled(account, "customers")

    assert [len(page.records) for page in pages] == [100, 100, 50]
    assert ids(pages) == [f"cus_{i}" for i in range(250, 0, -1)]
    assert {page.cursor for page in pages} == {NOON}
    assert all(page.whole for page in pages)
    assert pages[-1].resume is None
    assert sandbox.requests == {"GET /customers": 3}


def test_an_account_without_anything_is_complete(account: Any, pulled: Pulled) -> None:
    for name in ("customers", "subscriptions", "invoices"):
        (page,) = pulled(account, name)

        assert (page.records, page.cursor, page.resume) == ([], NOON, None)


def test_canceled_subscriptions_are_pulled_too(account: Any, sandbox: Any, pulled: Pulled) -> None:
    """Quirk 8."""
    sandbox.load("customers", customers(2))
    sandbox.load("subscriptions", subscriptions(2, status="canceled"))

    assert ids(pulled(account, "subscriptions")) == ["sub_2", "sub_1"]


def test_goes_on_where_it_broke_with_the_time_at_which_it_began(
    account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled
) -> None:
    """What changed while the pull was broken must be asked of the feed, so the checkpoint is the first beginning."""
    sandbox.load("customers", customers(250))
    broken = stream(account, "customers").pull(account, None, None)
    first = next(broken)
    broken.close()
    clock.advance(timedelta(hours=3))

    rest = pulled(account, "customers", None, first.resume)

    assert ids([first, *rest]) == [f"cus_{i}" for i in range(250, 0, -1)]
    assert {page.cursor for page in rest} == {NOON}


@pytest.mark.parametrize("token", ["list:1", "1:2", "x:2:cus_1", "1:2:", "#"])
def test_a_resume_token_of_another_making_starts_over(account: Any, sandbox: Any, pulled: Pulled, token: str) -> None:
    sandbox.load("customers", customers(2))

    pages = pulled(account, "customers", None, token)

    assert (ids(pages), {page.cursor for page in pages}) == (["cus_2", "cus_1"], {NOON})


def test_a_resume_token_of_last_month_is_worth_nothing(
    account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled
) -> None:
    sandbox.load("customers", customers(150))
    token = next(stream(account, "customers").pull(account, None, None)).resume
    clock.advance(timedelta(days=29, seconds=1))

    pages = pulled(account, "customers", None, token)

    assert len(ids(pages)) == 150
    assert {page.cursor for page in pages} == {clock()}


def test_an_anchor_that_was_deleted_does_no_harm(account: Any, sandbox: Any, stream: Any, pulled: Pulled) -> None:
    """Quirk 4: the list goes on from the second of the row that is gone; those of the same second are not lost."""
    same = NOON - timedelta(days=300) + timedelta(hours=150)
    sandbox.load("customers", customers(250))
    sandbox.load("customers", [{"id": "cus_twin", "email": "twin@example.com", "created_at": same}])
    first = next(stream(account, "customers").pull(account, None, None))
    sandbox.delete("customers", [first.records[-1]["id"]])

    rest = pulled(account, "customers", None, first.resume)

    assert set(ids([first, *rest])) == {f"cus_{i}" for i in range(1, 251)} | {"cus_twin"}
    assert sandbox.requests["GET /customers"] == 4


def test_another_refusal_of_a_list_is_not_swallowed(account: Any, sandbox: Any, stream: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(150))
    token = next(stream(account, "customers").pull(account, None, None)).resume
    sandbox.faults.append((400, {}, {"error": {"type": "invalid_request_error", "code": "parameter_unknown"}}))

    with pytest.raises(RejectedError, match="parameter_unknown"):
        pulled(account, "customers", None, token)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"object": "list", "has_more": True, "data": []}, id="no rows, and more of them"),
        pytest.param({"object": "list", "has_more": False}, id="no data"),
        pytest.param({"object": "list", "has_more": False, "data": [{"email": "a@example.com"}]}, id="a row without an id"),
        pytest.param(["cus_1"], id="no object"),
    ],
)
def test_an_answer_that_is_no_list_stops_the_stream(account: Any, sandbox: Any, pulled: Pulled, body: Any) -> None:
    sandbox.faults.append((200, {}, body))

    with pytest.raises(ProtocolError):
        pulled(account, "customers")


def test_the_same_page_twice_stops_the_stream(account: Any, sandbox: Any, pulled: Pulled) -> None:
    page = {
        "object": "list",
        "has_more": True,
        "data": [{"id": "cus_1", "object": "customer", "created": 1, "livemode": False}],
    }
    sandbox.faults.extend([(200, {}, page), (200, {}, page)])

    with pytest.raises(ProtocolError, match="nothing further"):
        pulled(account, "customers")


def test_a_record_that_lacks_something_is_refused_and_the_rest_goes_on(
    account: Any, sandbox: Any, stream: Any, pulled: Pulled
) -> None:
    sandbox.load("customers", customers(3))
    sandbox.load("subscriptions", subscriptions(3))
    del sandbox.state.objects["subscriptions"]["sub_2"]["currency"]

    (page,) = pulled(account, "subscriptions")

    assert [record["id"] for record in page.records] == ["sub_3", "sub_1", "sub_2"]
    assert page.records[2] == {"id": "sub_2", "status": "unreadable"}
    for name in ("subscriptions", "invoices"):
        of = stream(account, name)
        with pytest.raises(KeyError):
            list(of.rows(page.records[2]))


def test_start_bounds_what_happened_and_not_what_is(sandbox_api: Any, sandbox: Any, pulled: Pulled) -> None:
    """Invoices are history; a subscription of three years ago is somebody's plan today."""
    sandbox.load("customers", customers(2))
    sandbox.load("subscriptions", subscriptions(2))
    sandbox.load("invoices", invoices(2))
    sandbox.load("invoices", [{"id": "in_new", "customer": "cus_1", "amount_paid": 1, "created_at": NOON - timedelta(days=1)}])
    api = sandbox_api("stripe", sandbox, start="2026-02-01")

    assert ids(pulled(api, "invoices")) == ["in_new"]
    assert ids(pulled(api, "subscriptions")) == ["sub_2", "sub_1"]

    sandbox.load("invoices", [{"id": "in_1", "refunded": 100}])
    assert ids(pulled(api, "invoices", SINCE)) == []  # else a later whole pull would find it vanished


# what changed, by the feed


def test_nothing_changed_costs_one_request(account: Any, sandbox: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(3))

    (page,) = pulled(account, "customers", SINCE)

    assert (page.records, page.cursor, page.whole) == ([], NOON, False)
    assert sandbox.requests == {"GET /events": 1}


def test_asks_once_for_each_that_changed_oldest_change_first(account: Any, sandbox: Any, clock: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(5))
    pulled(account, "customers")
    for id in ("cus_4", "cus_2", "cus_4", "cus_1"):
        clock.advance(timedelta(minutes=1))
        sandbox.load("customers", [{"id": id, "email": f"{id}.{clock():%M}@example.com"}])
    sandbox.requests.clear()

    pages = pulled(account, "customers", SINCE)

    assert ids(pages) == ["cus_2", "cus_4", "cus_1"]
    assert pages[-1].cursor == clock()
    assert sandbox.requests == {"GET /events": 1, "GET /customers/{id}": 3}


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten a page, so that a few rows are many pages."""
    monkeypatch.setattr("connectors.stripe.feed.PAGE_SIZE", 10)
    monkeypatch.setattr("connectors.stripe.lists.PAGE_SIZE", 10)


@pytest.mark.usefixtures("small_pages")
def test_pages_the_feed_to_its_end(account: Any, sandbox: Any, clock: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(23))
    pulled(account, "customers")
    clock.advance(timedelta(minutes=5))
    sandbox.load("customers", [{"id": f"cus_{i}", "name": "New"} for i in range(1, 24)])
    sandbox.requests.clear()

    pages = pulled(account, "customers", SINCE)

    assert [len(page.records) for page in pages] == [10, 10, 3, 0]
    assert len({page.resume for page in pages}) == 4
    assert {record["name"] for page in pages for record in page.records} == {"New"}
    assert sandbox.requests["GET /events"] == 3


@pytest.mark.usefixtures("small_pages")
def test_a_broken_reading_of_the_feed_goes_on(account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(23))
    pulled(account, "customers")
    for i in range(1, 24):
        clock.advance(timedelta(seconds=1))
        sandbox.load("customers", [{"id": f"cus_{i}", "name": "New"}])
    began = clock()
    broken = stream(account, "customers").pull(account, SINCE, None)
    first = next(broken)
    broken.close()
    clock.advance(timedelta(hours=1))
    sandbox.requests.clear()

    rest = pulled(account, "customers", SINCE, first.resume)

    assert set(ids([first, *rest])) == {f"cus_{i}" for i in range(1, 24)}
    assert {page.cursor for page in rest} == {began}
    assert sandbox.requests["GET /customers/{id}"] == 14  # the last of the first page again, the rest once


def test_a_deleted_customer_is_told(account: Any, sandbox: Any, clock: Any, pulled: Pulled) -> None:
    """Quirk 5: it answers 200 with a stub; its subscriptions end, and stay."""
    sandbox.load("customers", customers(2))
    sandbox.load("subscriptions", subscriptions(2))
    clock.advance(timedelta(minutes=1))
    sandbox.delete("customers", ["cus_1"])

    first, _ = pulled(account, "customers", SINCE)
    assert (list(first.records), list(first.deleted)) == ([], ["cus_1"])

    ended, _ = pulled(account, "subscriptions", SINCE)
    assert [(record["id"], record["status"]) for record in ended.records] == [("sub_1", "canceled")]
    assert list(ended.deleted) == []


def test_a_deleted_draft_is_told(account: Any, sandbox: Any, clock: Any, pulled: Pulled) -> None:
    """Quirk 5, the other way: a draft that is gone answers 404."""
    sandbox.load("customers", customers(1))
    sandbox.load("invoices", invoices(1, status="draft", amount_paid=0))
    clock.advance(timedelta(minutes=1))
    sandbox.delete("invoices", ["in_1"])

    first, _ = pulled(account, "invoices", SINCE)

    assert list(first.deleted) == ["in_1"]


def test_a_404_that_is_not_the_vendors_word_deletes_nobody(account: Any, sandbox: Any, clock: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(1))
    pulled(account, "customers")
    clock.advance(timedelta(minutes=1))
    sandbox.load("customers", [{"id": "cus_1", "name": "New"}])
    account.served.faults = lambda method, path, number: _not_here() if path.startswith("/customers/") else None

    with pytest.raises(RejectedError):
        pulled(account, "customers", SINCE)


def _not_here() -> Fault:
    return Fault(404, {"content-type": "text/html"}, b"<html>no route</html>")


def test_a_checkpoint_that_the_feed_has_forgotten_means_everything(
    account: Any, sandbox: Any, clock: Any, pulled: Pulled
) -> None:
    """Quirk 3: at 29 days, for the feed keeps 30; whole, so what was deleted meanwhile is found missing."""
    sandbox.load("customers", customers(3))
    pulled(account, "customers")
    clock.advance(timedelta(days=29))

    assert not any(page.whole for page in pulled(account, "customers", NOON))

    clock.advance(timedelta(seconds=1))
    (page,) = pulled(account, "customers", NOON)
    assert (page.whole, page.cursor, len(page.records)) == (True, clock(), 3)


def test_the_feed_is_asked_for_few_enough_types() -> None:
    """At most 20 names, all of them exact; never invoice.upcoming, whose invoice does not exist."""
    for source in (CUSTOMERS, SUBSCRIPTIONS, INVOICES):
        assert 0 < len(source.types) <= MAX_TYPES
        assert len(set(source.types)) == len(source.types)
        assert not any("*" in type for type in source.types)
        assert "invoice.upcoming" not in source.types


# subscriptions rest on prices, products, coupons and customers


def test_a_product_that_is_renamed_renames_the_plan(
    account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled
) -> None:
    sandbox.load("customers", customers(3))
    sandbox.load("subscriptions", subscriptions(2))
    sandbox.load("subscriptions", [next(subscriptions(1, plan="Solo")) | {"id": "sub_solo"}])
    clock.advance(timedelta(minutes=1))
    sandbox.put("products", {**sandbox.state.objects["products"]["prod_team"], "name": "Squad"}, "product.updated")

    first, _ = pulled(account, "subscriptions", SINCE)

    assert sorted(record["id"] for record in first.records) == ["sub_1", "sub_2"]
    assert {row(stream(account, "subscriptions"), first, i)["plan"] for i in range(2)} == {"Squad"}


def test_a_price_that_is_renamed_renames_the_plan(account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(1))
    sandbox.load("subscriptions", subscriptions(1))
    (price,) = sandbox.state.objects["prices"].values()
    clock.advance(timedelta(minutes=1))
    sandbox.put("prices", {**price, "nickname": "Team 2026"}, "price.updated")
    sandbox.state.objects["subscriptions"]["sub_1"]["items"]["data"][0]["price"]["nickname"] = "Team 2026"

    first, _ = pulled(account, "subscriptions", SINCE)

    assert row(stream(account, "subscriptions"), first)["plan"] == "Team 2026"


def test_a_customers_own_discount_touches_its_subscriptions(
    account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled
) -> None:
    """Quirk 12: an event of a discount without a subscription is the customer's."""
    sandbox.load("customers", customers(2))
    sandbox.load("subscriptions", subscriptions(2))
    sandbox.put("coupons", {"id": "HALF", "duration": "forever", "percent_off": 50.0, "amount_off": None, "currency": None})
    discount = {"id": "di_x", "object": "discount", "customer": "cus_1", "subscription": None, "end": None,
                "source": {"type": "coupon", "coupon": "HALF"}}  # fmt: skip
    sandbox.state.objects["customers"]["cus_1"]["discount"] = discount
    clock.advance(timedelta(minutes=1))
    sandbox.state.emit("customer.discount.created", discount)

    first, _ = pulled(account, "subscriptions", SINCE)

    assert ids([first]) == ["sub_1"]
    assert row(stream(account, "subscriptions"), first)["mrr"] == Money(2250, "EUR")


def test_more_items_than_are_shown_are_fetched(account: Any, sandbox: Any, stream: Any, pulled: Pulled) -> None:
    """Quirk 7: a subscription shows ten; three more are 3 x 15.00 EUR a month."""
    sandbox.load("customers", customers(1))
    sandbox.load("subscriptions", subscriptions(1, quantity=1))
    items = sandbox.state.objects["subscriptions"]["sub_1"]["items"]["data"]
    for i in range(12):
        made = {**items[0], "id": f"si_{i}", "livemode": False}
        items.append(made)
        sandbox.put("subscription_items", made)

    (page,) = pulled(account, "subscriptions")

    assert len(page.records[0]["items"]["data"]) == 13
    assert row(stream(account, "subscriptions"), page)["mrr"] == Money(13 * 1500, "EUR")
    assert sandbox.requests["GET /subscription_items"] == 1


def test_tiers_are_fetched_apart_once_a_price(account: Any, sandbox: Any, stream: Any, pulled: Pulled) -> None:
    """Quirk 6: data.items.data.price.tiers is one level too deep."""
    sandbox.load("customers", customers(3))
    sandbox.load("subscriptions", subscriptions(3, quantity=12))
    (price,) = sandbox.state.objects["prices"].values()
    tiers = [
        {"up_to": 10, "unit_amount": 1000, "unit_amount_decimal": "1000", "flat_amount": None},
        {"up_to": None, "unit_amount": 500, "unit_amount_decimal": "500", "flat_amount": None},
    ]
    tiered = {"billing_scheme": "tiered", "tiers_mode": "graduated", "unit_amount": None, "unit_amount_decimal": None}
    price |= {**tiered, "tiers": tiers}
    for subscription in sandbox.state.objects["subscriptions"].values():
        subscription["items"]["data"][0]["price"] |= tiered

    (page,) = pulled(account, "subscriptions")

    assert row(stream(account, "subscriptions"), page)["mrr"] == Money(11000, "EUR")
    assert sandbox.requests["GET /prices/{id}"] == 1


def test_a_price_of_several_currencies_is_read_in_the_subscriptions(
    account: Any, sandbox: Any, stream: Any, pulled: Pulled
) -> None:
    """Quirk 11."""
    sandbox.load("customers", customers(1))
    sandbox.load("subscriptions", subscriptions(1, quantity=1))
    (price,) = sandbox.state.objects["prices"].values()
    price["currency_options"] = {"sek": {"unit_amount": 17000, "unit_amount_decimal": "17000"}}
    sandbox.state.objects["subscriptions"]["sub_1"]["currency"] = "sek"

    (page,) = pulled(account, "subscriptions")

    assert row(stream(account, "subscriptions"), page)["mrr"] == Money(17000, "SEK")


def test_a_coupon_that_was_deleted_takes_nothing_off(account: Any, sandbox: Any, stream: Any, pulled: Pulled) -> None:
    """Quirk 14."""
    sandbox.load("customers", customers(1))
    sandbox.load("subscriptions", subscriptions(1, discount_percent=20))
    (page,) = pulled(account, "subscriptions")
    assert row(stream(account, "subscriptions"), page)["mrr"] == Money(3600, "EUR")
    sandbox.state.objects["coupons"].clear()

    (page,) = pulled(account, "subscriptions")

    assert row(stream(account, "subscriptions"), page)["mrr"] == Money(4500, "EUR")


# invoices rest on refunds and credit notes


def test_a_refund_touches_its_invoice(account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled) -> None:
    """Quirk 16: neither the refund nor its charge names the invoice; their payment does."""
    sandbox.load("customers", customers(3))
    sandbox.load("invoices", invoices(3))
    pulled(account, "invoices")
    clock.advance(timedelta(minutes=1))
    sandbox.load("invoices", [{"id": "in_2", "refunded": 1200}])
    sandbox.requests.clear()

    first, _ = pulled(account, "invoices", SINCE)

    assert ids([first]) == ["in_2"]
    assert row(stream(account, "invoices"), first)["refunded"] == Money(1200, "EUR")
    assert sandbox.requests == {
        "GET /events": 1, "GET /invoice_payments": 1, "GET /invoices/{id}": 1, "GET /refunds": 1,
    }  # fmt: skip


def test_refunds_of_new_invoices_are_read_as_one_list(account: Any, sandbox: Any, clock: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(30))
    clock.advance(timedelta(minutes=1))
    sandbox.load(
        "invoices", [{"id": f"in_{i}", "customer": f"cus_{i}", "amount_paid": 100, "created_at": clock()} for i in range(30)]
    )
    sandbox.load("invoices", [{"id": "in_3", "refunded": 40}])

    first, _ = pulled(account, "invoices", SINCE)

    refunded = {record["id"]: record["refunded"] for record in first.records}
    assert (len(refunded), refunded["in_3"], sum(refunded.values())) == (30, 40, 40)
    assert sandbox.requests["GET /refunds"] == 1


def test_refunds_are_read_no_further_back_than_the_invoices(account: Any, sandbox: Any, pulled: Pulled) -> None:
    """The two lists are walked side by side, newest first; each refund is found whatever its page."""
    sandbox.load("customers", customers(250))
    sandbox.load("invoices", invoices(250, refunded=100))

    pages = pulled(account, "invoices")

    assert {record["refunded"] for page in pages for record in page.records} == {100}
    assert sandbox.requests["GET /refunds"] == 3


def test_a_credit_note_touches_its_invoice(account: Any, sandbox: Any, clock: Any, stream: Any, pulled: Pulled) -> None:
    """Quirk 15."""
    sandbox.load("customers", customers(1))
    sandbox.load("invoices", invoices(1, refunded=500))
    pulled(account, "invoices")
    clock.advance(timedelta(minutes=1))
    sandbox.state.objects["invoices"]["in_1"]["post_payment_credit_notes_amount"] = 800
    refunds = [{"amount_refunded": 500, "refund": "re_in_1_0", "type": "refund"}]
    note = {
        "id": "cn_1",
        "object": "credit_note",
        "invoice": "in_1",
        "status": "issued",
        "post_payment_amount": 800,
        "refunds": refunds,
    }
    sandbox.put("credit_notes", note, "credit_note.created")

    first, _ = pulled(account, "invoices", SINCE)

    assert row(stream(account, "invoices"), first)["refunded"] == Money(800, "EUR")


def test_one_payment_of_two_invoices_gives_back_no_more_than_each_took(account: Any, sandbox: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(2))
    sandbox.load("invoices", invoices(2))
    sandbox.load("invoices", [{"id": "in_1", "refunded": 4500}])
    second = sandbox.state.payments_of["in_2"]["inpay_in_2"]
    second |= {"payment": {"type": "payment_intent", "payment_intent": "pi_in_1"}, "amount_paid": 1000}

    (page,) = pulled(account, "invoices")

    assert [record["refunded"] for record in page.records] == [1000, 4500]


def test_more_payments_than_are_shown_are_fetched(account: Any, sandbox: Any, pulled: Pulled) -> None:
    sandbox.load("customers", customers(1))
    sandbox.load("invoices", invoices(1, amount_paid=12_000, refunded=700))
    payment = sandbox.state.payments_of["in_1"].pop("inpay_in_1")
    for i in range(11):
        other = {"type": "payment_intent", "payment_intent": f"pi_part_{i}"}
        sandbox.put("invoice_payments", payment | {"id": f"inpay_{i}", "amount_paid": 1000, "payment": other})
    sandbox.put("invoice_payments", payment)

    (page,) = pulled(account, "invoices")

    assert page.records[0]["refunded"] == 700
    assert sandbox.requests["GET /invoice_payments"] == 1


def test_a_thousand_records_cost_few_requests(account: Any, sandbox: Any, pulled: Pulled) -> None:
    """The request budget: ten lists a thousand records, and what each stream looks up once."""
    sandbox.load("customers", customers(1000))
    sandbox.load("subscriptions", subscriptions(1000, discount_percent=10))
    sandbox.load("invoices", invoices(1000))

    for name in ("customers", "subscriptions", "invoices"):
        pulled(account, name)

    assert sandbox.requests == {
        "GET /customers": 10,
        "GET /subscriptions": 10, "GET /products": 1, "GET /coupons/{id}": 1,
        "GET /invoices": 10, "GET /refunds": 1,
    }  # fmt: skip
    assert not sandbox.writes


@pytest.mark.parametrize("name", ["customers", "subscriptions", "invoices"])
@pytest.mark.parametrize("cursor", [None, SINCE], ids=["whole", "feed"])
def test_refused_at_any_request_and_resumed_is_as_if_nothing_had_been(
    account: Any,
    sandbox: Any,
    clock: Any,
    stream: Any,
    pulled: Pulled,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    cursor: datetime | None,
) -> None:
    """The pages before the refusal and those after the resume hold what one undisturbed pull holds, under one checkpoint."""
    monkeypatch.setattr("connectors.stripe.feed.PAGE_SIZE", 2)
    monkeypatch.setattr("connectors.stripe.lists.PAGE_SIZE", 2)
    sandbox.load("customers", customers(5))
    sandbox.load("subscriptions", subscriptions(5, discount_percent=10))
    sandbox.load("invoices", invoices(5, refunded=10))
    pulled(account, "customers")  # from here on the sandbox's events are dated now
    clock.advance(timedelta(minutes=1))
    sandbox.load("customers", [{"id": f"cus_{i}", "name": "New"} for i in range(2, 5)])
    sandbox.load("subscriptions", [{"id": f"sub_{i}", "quantity": 4} for i in range(2, 5)])
    sandbox.load("invoices", [{"id": f"in_{i}", "refunded": 20} for i in range(2, 5)])
    sandbox.requests.clear()
    whole = pulled(account, name, cursor)
    wanted = {record["id"]: record for page in whole for record in page.records}
    total = sandbox.requests.total()
    assert total > 1

    for number in range(1, total + 1):
        taken = _until_refused(account, stream(account, name).pull(account, cursor, None), number)
        token = taken[-1].resume if taken else None
        rest = pulled(account, name, cursor, token)

        found = {record["id"]: record for page in [*taken, *rest] for record in page.records}
        assert found == wanted
        assert {page.cursor for page in [*taken, *rest]} == {clock()}


def _until_refused(account: Any, pages: Iterator[Page], number: int) -> list[Page]:
    """Return the pages that come before request *number* is refused."""
    first = account.served.count
    answer = Fault(400, {"content-type": "application/json"}, b'{"error": {"type": "api_error", "code": "made_up"}}')
    account.served.faults = lambda method, path, count: answer if count - first == number else None
    taken: list[Page] = []
    try:
        with pytest.raises(RejectedError):
            for page in pages:
                taken.append(page)  # noqa: PERF402 - what came before the error is what is wanted
    finally:
        account.served.faults = None
    return taken

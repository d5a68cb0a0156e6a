"""The sandbox is as unkind as the vendor: each unkindness that the connector must live with is really there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stripe_rows import NOON, customers, invoices, subscriptions

from connectors.stripe.sandbox import StripeSandbox
from core.sandbox import serve

VERSION = {"Stripe-Version": "2026-06-24.dahlia"}


def client(served: Any, key: str | None = None, **headers: str) -> httpx.Client:
    auth = {"Authorization": f"Bearer {key or served.sandbox.key}"}
    return httpx.Client(base_url=served.base_url, headers={**VERSION, **auth, **headers})


@pytest.fixture
def http(sandbox: StripeSandbox) -> Iterator[httpx.Client]:
    with serve({"stripe": sandbox}) as served, client(served["stripe"]) as opened:
        yield opened


@pytest.fixture
def writable(clock: Any) -> Iterator[httpx.Client]:
    sandbox = StripeSandbox(now=clock, key="sk_test_sandbox", rate_factor=None)
    sandbox.load("customers", customers(1))
    with serve({"stripe": sandbox}) as served, client(served["stripe"]) as opened:
        yield opened


def code(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error.get("code"), error.get("param")


def test_gives_ten_unless_asked_and_never_more_than_a_hundred(http: httpx.Client, sandbox: StripeSandbox) -> None:
    sandbox.load("customers", customers(120))

    assert len(http.get("/customers").json()["data"]) == 10
    assert len(http.get("/customers", params={"limit": 100}).json()["data"]) == 100
    assert code(http.get("/customers", params={"limit": 101})) == (400, "parameter_invalid_integer", "limit")


@pytest.mark.parametrize(
    ("path", "params", "refusal"),
    [
        pytest.param("/customers", {"updated[gte]": 1}, (400, "parameter_unknown", "updated[gte]"), id="no updated filter"),
        pytest.param("/customers", {"starting_after": "cus_x"}, (400, "resource_missing", "starting_after"), id="anchor gone"),
        pytest.param("/customers/cus_x", {}, (404, "resource_missing", "id"), id="nobody of that id"),
        pytest.param("/subscriptions", {"expand[]": "data.items.data.price.tiers"},
                     (400, "property_expansion_max_depth", "expand"), id="too deep"),
        pytest.param("/events", {"types[]": ["a"] * 21}, (400, None, "types"), id="too many types"),
        pytest.param("/events", {"types[]": ["a"], "type": "b"}, (400, None, "type"), id="type and types"),
        pytest.param("/subscription_items", {}, (400, "parameter_missing", "subscription"), id="items of nobody"),
        pytest.param("/subscriptions", {"status": "odd"}, (400, None, "status"), id="no such status"),
        pytest.param("/nowhere", {}, (404, None, None), id="no such path"),
    ],
)  # fmt: skip
def test_refuses(http: httpx.Client, sandbox: StripeSandbox, path: str, params: Any, refusal: Any) -> None:
    sandbox.load("customers", customers(1))
    sandbox.load("subscriptions", subscriptions(1))
    sandbox.state.emit("customer.updated", sandbox.state.objects["customers"]["cus_1"])

    assert code(http.get(path, params=params)) == refusal


def test_wants_its_key_and_the_permission(sandbox: StripeSandbox) -> None:
    sandbox.denied = {"refunds"}
    with serve({"stripe": sandbox}) as served:
        with client(served["stripe"], "rk_test_wrong") as wrong:
            assert wrong.get("/customers").status_code == 401
        with client(served["stripe"]) as right:
            assert right.get("/refunds").status_code == 403
            assert "rak_refund_read" in right.get("/refunds").json()["error"]["message"]
            assert right.get("/account").status_code == 403
            assert right.post("/customers/cus_1", data={"name": "x"}).status_code == 403
        basic = httpx.BasicAuth(sandbox.key, "")
        assert httpx.get(served["stripe"].base_url + "/customers", auth=basic, headers=VERSION).status_code == 200


@pytest.mark.usefixtures("seconds")
def test_keeps_the_vendors_rate_and_says_which() -> None:
    sandbox = StripeSandbox(rate_factor=0.2)  # five a second
    with serve({"stripe": sandbox}) as served, client(served["stripe"]) as http:
        answers = [http.get("/customers") for _ in range(8)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert answers[-1].headers["stripe-rate-limited-reason"] in {"global-rate", "endpoint-rate"}
    assert "retry-after" not in answers[-1].headers


def test_hides_canceled_subscriptions_unless_asked(http: httpx.Client, sandbox: StripeSandbox) -> None:
    sandbox.load("subscriptions", [*subscriptions(2), {"id": "sub_2", "status": "canceled"}])

    def shown(**params: str) -> list[str]:
        return [row["id"] for row in http.get("/subscriptions", params=params).json()["data"]]

    assert (shown(), shown(status="all"), shown(status="ended")) == (["sub_1"], ["sub_2", "sub_1"], ["sub_2"])


def test_filters_as_the_vendor_does(http: httpx.Client, sandbox: StripeSandbox) -> None:
    """An address is compared case and all; one type of event may end in an asterisk; what is active is a word."""
    http.get("/customers")
    sandbox.load("customers", [{"id": "cus_a", "email": "Ann@Example.com"}])
    sandbox.load("subscriptions", [{"id": "sub_a", "customer": "cus_a", "unit_amount": 900}])

    def found(path: str, **params: str) -> int:
        return len(http.get(path, params=params).json()["data"])

    assert (1, 0) == (found("/customers", email="Ann@Example.com"), found("/customers", email="ann@example.com"))
    assert (2, 1, 0) == tuple(found("/events", type=of) for of in ("customer.*", "customer.created", "invoice.*"))
    assert (1, 0) == (found("/prices", active="true"), found("/prices", active="false"))


def test_forgets_events_after_thirty_days(http: httpx.Client, sandbox: StripeSandbox, clock: Any) -> None:
    clock.advance(timedelta(seconds=1))
    http.get("/customers")
    sandbox.load("customers", customers(1))
    clock.advance(timedelta(days=30))
    assert len(http.get("/events").json()["data"]) == 1

    clock.advance(timedelta(seconds=1))
    assert http.get("/events").json()["data"] == []


def test_history_is_dated_as_its_rows_say(http: httpx.Client, sandbox: StripeSandbox) -> None:
    """What was there before anybody asked left its events when it happened, not when the sandbox was filled."""
    sandbox.load("customers", customers(1))
    sandbox.load("customers", [{"id": "cus_new", "created_at": NOON - timedelta(days=2)}])

    (event,) = http.get("/events").json()["data"]

    assert event["created"] == int((NOON - timedelta(days=2)).timestamp())


def test_events_show_objects_as_they_were_long_ago(http: httpx.Client, sandbox: StripeSandbox) -> None:
    http.get("/events")
    sandbox.load("customers", customers(1))
    sandbox.load("subscriptions", subscriptions(1))
    sandbox.load("invoices", invoices(1))

    shown = {event["data"]["object"]["object"]: event["data"]["object"] for event in http.get("/events").json()["data"]}

    assert "items" not in shown["subscription"]
    assert "status_transitions" not in shown["invoice"]
    assert shown["customer"]["metadata"] == {}


def test_answers_in_that_shape_to_whoever_names_no_version(sandbox: StripeSandbox) -> None:
    sandbox.load("subscriptions", subscriptions(1))
    with serve({"stripe": sandbox}) as served, client(served["stripe"], **{"Stripe-Version": "2014-06-17"}) as old:
        (row,) = old.get("/subscriptions").json()["data"]

    assert "items" not in row


def test_an_unchanged_row_leaves_no_event(http: httpx.Client, sandbox: StripeSandbox) -> None:
    http.get("/events")
    for _ in range(2):
        sandbox.load("customers", customers(1))
        sandbox.load("subscriptions", subscriptions(1, discount_percent=5))
        sandbox.load("invoices", invoices(1, refunded=5))

    types = [event["type"] for event in http.get("/events", params={"limit": 100}).json()["data"]]

    assert sorted(types) == [
        "charge.refunded", "customer.created", "customer.subscription.created", "invoice.created", "invoice.paid",
        "refund.created",
    ]  # fmt: skip


def test_a_row_may_leave_out_what_stays(sandbox: StripeSandbox) -> None:
    sandbox.load("subscriptions", subscriptions(1, discount_percent=5))
    sandbox.load("subscriptions", [{"id": "sub_1", "cancel_at_period_end": True, "cancel_requested_at": NOON}])
    made = sandbox.state.objects["subscriptions"]["sub_1"]

    assert (made["customer"], made["cancel_at_period_end"], len(made["discounts"])) == ("cus_1", True, 1)
    assert made["canceled_at"] == int(NOON.timestamp())


def test_amounts_of_isk_have_two_decimals_that_the_currency_lacks(sandbox: StripeSandbox) -> None:
    """Quirk 9."""
    sandbox.load("invoices", invoices(1, currency="ISK", amount_paid=990))

    assert sandbox.state.objects["invoices"]["in_1"]["amount_paid"] == 99_000


def test_knows_no_merging_and_no_people(sandbox: StripeSandbox) -> None:
    for act in (lambda: sandbox.merge("customers", "cus_1", "cus_2"), lambda: sandbox.load("people", [])):
        with pytest.raises(KeyError):
            act()


def test_takes_forms_and_answers_a_repeated_key_the_same(writable: httpx.Client) -> None:
    change = {"metadata[plan]": "pro", "email": "new@example.com"}
    first = writable.post("/customers/cus_1", data=change, headers={"Idempotency-Key": "k1"})
    writable.post("/customers/cus_1", data={"metadata[plan]": ""})
    again = writable.post("/customers/cus_1", data=change, headers={"Idempotency-Key": "k1"})
    other = writable.post("/customers/cus_1", data={"name": "x"}, headers={"Idempotency-Key": "k1"})

    assert first.json()["metadata"] == {"user_id": "1", "plan": "pro"}
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json()["error"]["type"] == "idempotency_error"
    assert writable.get("/customers/cus_1").json()["metadata"] == {"user_id": "1"}  # the repeat was not carried out
    assert writable.post("/customers/cus_1", json={"name": "x"}).status_code == 400


def test_a_deleted_customer_answers_as_a_stub(writable: httpx.Client) -> None:
    stub = {"id": "cus_1", "object": "customer", "deleted": True}

    assert writable.delete("/customers/cus_1").json() == stub
    assert writable.get("/customers/cus_1").json() == stub
    assert writable.get("/customers").json()["data"] == []

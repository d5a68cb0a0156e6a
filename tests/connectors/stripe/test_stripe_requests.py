"""
Every kind of request that the connector makes, held against the vendor's published document.

The document is of 2022 (version 2020-08-27); what the pinned version changed is named in `SINCE_THEN`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
from stripe_rows import NOON, customers, invoices, subscriptions
from support.openapi import load_document, validate_request

from connectors.stripe import check

SINCE_THEN = {
    "/v1/account": "left out of the document kept here",
    "/v1/credit_notes": "left out of the document kept here",
    "/v1/invoice_payments": "made by 2025-03-31.basil, when an invoice lost its charge and its payment intent",
}
"""Paths that the document lacks, and why."""


class Sent(NamedTuple):
    method: str
    path: str
    query: list[tuple[str, str]]
    body: bytes
    headers: dict[str, str]


@pytest.fixture
def sent(account: Any, sandbox: Any, clock: Any, pulled: Callable[..., Any]) -> list[Sent]:
    """What a life of pulls sends: everything, then the feed after all sorts of changes, then `check`."""
    log: list[Sent] = []
    inner = sandbox.app

    async def record(scope: Any, receive: Any, send: Any) -> None:
        body = b""

        async def noted() -> Any:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        await inner(scope, noted, send)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        log.append(Sent(scope["method"], scope["path"], parse_qsl(scope["query_string"].decode()), body, headers))

    sandbox.app = record
    sandbox.load("customers", customers(120))
    sandbox.load("subscriptions", subscriptions(3, discount_percent=10))
    sandbox.load("invoices", invoices(3, refunded=10))
    tiered = sandbox.state.objects["prices"]["price_team_1500_eur_1month"]
    tiered |= {"billing_scheme": "tiered", "tiers": [{"up_to": None, "unit_amount": 5}]}
    sandbox.state.objects["subscriptions"]["sub_1"]["items"]["data"][0]["price"] |= {"billing_scheme": "tiered"}
    items = sandbox.state.objects["subscriptions"]["sub_2"]["items"]["data"]
    items.extend({**items[0], "id": f"si_{i}"} for i in range(10))
    sandbox.state.objects["invoices"]["in_3"]["post_payment_credit_notes_amount"] = 10
    names = ("customers", "subscriptions", "invoices")
    for name in names:
        pulled(account, name)
    clock.advance(timedelta(minutes=1))
    sandbox.load("customers", [{"id": "cus_1", "name": "New"}])
    sandbox.delete("customers", ["cus_2"])
    sandbox.load("invoices", [{"id": "in_1", "refunded": 20}])
    sandbox.put("products", {**sandbox.state.objects["products"]["prod_team"], "name": "Squad"}, "product.updated")
    discount = {"id": "di_x", "object": "discount", "customer": "cus_3", "subscription": None}
    sandbox.state.emit("customer.discount.deleted", discount)
    for name in names:
        pulled(account, name, NOON - timedelta(minutes=10))
    list(check(account))
    return log


def test_every_request_is_as_the_vendors_document_says(sent: list[Sent]) -> None:
    document = load_document("stripe.json")
    problems: dict[str, list[str]] = {}
    for request in sent:
        if request.path not in SINCE_THEN:
            content_type = request.headers.get("content-type")
            found = validate_request(document, request.method, request.path, request.query, request.body or None, content_type)
            if found:
                problems[f"{request.method} {request.path}"] = found

    assert problems == {}


def test_the_named_differences_are_all_needed(sent: list[Sent]) -> None:
    document = load_document("stripe.json")

    asked = {request.path for request in sent}
    assert set(SINCE_THEN) <= asked
    assert not any(path in document["paths"] for path in SINCE_THEN)


def test_the_life_of_pulls_asks_all_that_the_connector_can(sent: list[Sent]) -> None:
    kinds = {"/".join(request.path.split("/")[2:3]) + ("/{id}" if request.path.count("/") > 2 else "") for request in sent}

    assert kinds == {
        "customers", "customers/{id}", "subscriptions", "subscriptions/{id}", "subscription_items", "invoices", "invoices/{id}",
        "invoice_payments", "refunds", "credit_notes", "prices", "prices/{id}", "products", "coupons", "coupons/{id}", "events",
        "account",
    }  # fmt: skip


def test_nothing_is_ever_written(sent: list[Sent]) -> None:
    assert {request.method for request in sent} == {"GET"}
    assert not any(request.body for request in sent)


def test_every_request_names_the_version_and_carries_the_key(sent: list[Sent]) -> None:
    assert {request.headers["stripe-version"] for request in sent} == {"2026-06-24.dahlia"}
    assert {request.headers["authorization"] for request in sent} == {"Bearer rk_test_sandbox"}


def test_no_expansion_is_deeper_than_four(sent: list[Sent]) -> None:
    """Quirk 6."""
    paths = {value for request in sent for name, value in request.query if name == "expand[]"}

    assert paths
    assert all(len(path.split(".")) <= 4 for path in paths)


def test_lists_are_asked_for_a_hundred_at_a_time(sent: list[Sent]) -> None:
    limits = {value for request in sent for name, value in request.query if name == "limit"}

    assert limits == {"100", "1"}  # 1: the steps of check

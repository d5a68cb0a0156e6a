"""The three streams as `feed` sees them: where they are, which events touch them, what completes a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.stripe.catalogue import Catalogue
from connectors.stripe.feed import Finisher, Source, Touch
from connectors.stripe.lists import walk
from connectors.stripe.mapping import kept
from connectors.stripe.refunds import Refunds
from core.contract import Api


def _object(event: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = event["data"]["object"]
    return found


def _itself(event: Mapping[str, Any]) -> Touch | None:
    found = _object(event)
    return Touch(found["object"], found["id"]) if "id" in found else None


def _nothing(api: Api, touch: Touch) -> Iterator[str]:
    return iter(())


CUSTOMERS = Source(
    "/customers",
    kind="customer",
    types=("customer.created", "customer.updated", "customer.deleted"),
    touched=_itself,
    resting_on=_nothing,
)


def _touched_subscription(event: Mapping[str, Any]) -> Touch | None:
    """Return the subscription; the price or product that it is named by; for a customer's own discount, the customer."""
    found = _object(event)
    if found["object"] != "discount":
        return _itself(event)
    if found.get("subscription"):
        return Touch("subscription", found["subscription"])
    return Touch("customer", found["customer"]) if found.get("customer") else None


def _subscriptions_on(api: Api, touch: Touch) -> Iterator[str]:
    match touch.kind:
        case "customer" | "price":
            for chunk in walk(api, "/subscriptions", {"status": "all", touch.kind: touch.id}):
                yield from (row["id"] for row in chunk.rows)
        case "product":
            for chunk in walk(api, "/prices", {"product": touch.id}):
                for price in chunk.rows:
                    yield from _subscriptions_on(api, Touch("price", price["id"]))


SUBSCRIPTIONS = Source(
    "/subscriptions",
    kind="subscription",
    params={"status": "all"},  # Quirk 8: the default list hides the canceled ones
    expand=("customer", "discounts", "items.data.discounts"),
    types=(
        "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
        "customer.subscription.paused", "customer.subscription.resumed", "customer.subscription.trial_will_end",
        "customer.subscription.pending_update_applied", "customer.subscription.pending_update_expired",
        "customer.discount.created", "customer.discount.updated", "customer.discount.deleted",
        "price.updated", "product.updated",
    ),
    touched=_touched_subscription,
    resting_on=_subscriptions_on,
    finisher=lambda api, whole: Catalogue(api),
)  # fmt: skip


def _touched_invoice(event: Mapping[str, Any]) -> Touch | None:
    """Return the invoice, or the payment that a refund is of: neither a refund nor a charge names its invoice (Quirk 16)."""
    found = _object(event)
    match found["object"]:
        case "credit_note":
            return Touch("invoice", found["invoice"])
        case "charge" | "refund":
            return Touch("payment_intent", found["payment_intent"]) if found.get("payment_intent") else None
        case _:
            return _itself(event)


def _invoices_on(api: Api, touch: Touch) -> Iterator[str]:
    query = {"payment[type]": "payment_intent", "payment[payment_intent]": touch.id}
    for chunk in walk(api, "/invoice_payments", query):
        yield from (row["invoice"] for row in chunk.rows)


class _Invoices(Finisher):
    def __init__(self, api: Api, whole: bool) -> None:
        self.refunds = Refunds(api, whole=whole)

    def one(self, record: dict[str, Any]) -> dict[str, Any]:
        return kept(record, self.refunds.of(record))


INVOICES = Source(
    "/invoices",
    kind="invoice",
    expand=("payments",),
    types=(
        "invoice.created", "invoice.updated", "invoice.deleted", "invoice.finalized", "invoice.paid",
        "invoice.payment_succeeded", "invoice.payment_failed", "invoice.voided", "invoice.marked_uncollectible",
        "charge.refunded", "charge.refund.updated", "refund.created", "refund.updated", "refund.failed",
        "credit_note.created", "credit_note.updated", "credit_note.voided",
    ),  # not invoice.upcoming, whose invoice is stored nowhere
    touched=_touched_invoice,
    resting_on=_invoices_on,
    finisher=_Invoices,
    since_start=True,
)  # fmt: skip

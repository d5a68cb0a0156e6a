"""
Stripe's objects as canonical rows. Pure: the record in, plain values out; what the record lacks was fetched by `catalogue` and
`refunds` before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.stripe.money import money
from connectors.stripe.mrr import lines, main_line, monthly_value
from core.contract import Kind, Row

STATUSES = {
    "trialing": "trialing",
    "active": "active",
    "past_due": "past_due",
    "unpaid": "unpaid",
    "incomplete": "incomplete",
    "incomplete_expired": "canceled",  # its first payment never came; it is as gone as a canceled one
    "paused": "paused",
    "canceled": "canceled",
}

COLLECTING = frozenset({"trialing", "active", "past_due"})
INVOLUNTARY = frozenset({"payment_failed", "payment_disputed", "canceled_by_retention_policy"})
NOT_A_PAYMENT = frozenset({"draft", "void"})

INVOICE_KEYS = (
    "id", "customer", "customer_email", "number", "status", "currency", "total", "subtotal", "total_excluding_tax",
    "amount_due", "amount_paid", "amount_remaining", "amount_paid_off_stripe", "billing_reason", "collection_method", "created",
    "effective_at", "period_start", "period_end", "status_transitions", "parent", "post_payment_credit_notes_amount",
    "pre_payment_credit_notes_amount", "metadata", "livemode",
)  # fmt: skip
"""What is kept of an invoice: the lines and the texts printed on it are not."""


def at(seconds: object) -> datetime | None:
    """Return the time of *seconds* since 1970; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(int(str(seconds)), UTC)


def language(customer: Mapping[str, Any]) -> str | None:
    """Return the language of the customer's first preferred locale (`sv-SE` is Swedish)."""
    locales = customer.get("preferred_locales") or [None]
    return str(locales[0]).split("-")[0] if locales[0] else None


def subscription_row(record: Mapping[str, Any], *, paused_counts: bool) -> Iterator[Row]:
    """Yield the one row of a subscription."""
    status = STATUSES[record["status"]]
    if record.get("pause_collection") and status in COLLECTING and not paused_counts:
        status = "paused"  # Quirk 10: Stripe goes on calling it active
    values: dict[str, object] = {
        "status": status,
        "currency": record["currency"].upper(),
        "started_at": at(record.get("start_date") or record["created"]),
        "trial_ends_at": at(record.get("trial_end")),
        "cancel_requested_at": at(_cancel_requested(record)),
        "ended_at": at(record.get("ended_at") or (record.get("canceled_at") if status == "canceled" else None)),
        "mrr": money(monthly_value({**record, "status": status}), record["currency"]),
    }
    if found := lines(record):
        main = main_line(found)
        recurring = main.item["price"]["recurring"]
        amount = sum(line.amount for line in found if line.months == main.months)
        values |= {
            "amount": money(amount, record["currency"]),
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count") or 1,
            "quantity": main.item["quantity"],
            "plan": plan_name(main.item["price"]),
        }
    elif items := record["items"]["data"]:
        values["plan"] = plan_name(items[0]["price"])
    yield Row(Kind.SUBSCRIPTION, record["id"], values)


def _cancel_requested(record: Mapping[str, Any]) -> int | None:
    """
    Return when somebody asked to cancel: `canceled_at` (Quirk 13). A payment that failed for good is nobody's request.

    One that was given its end when it was made may lack the time; it was asked for then.
    """
    if (record.get("cancellation_details") or {}).get("reason") in INVOLUNTARY:
        return None
    if record.get("cancel_at_period_end") or record.get("cancel_at"):
        return record.get("canceled_at") or int(record["created"])
    return record.get("canceled_at") if record["status"] == "canceled" else None


def plan_name(price: Mapping[str, Any]) -> str:
    """Return what people call the price: its nickname, its look-up key, its product's name, else its id."""
    product = price.get("product")
    name = product.get("name") if isinstance(product, Mapping) else None
    return str(price.get("nickname") or price.get("lookup_key") or name or price["id"])


def payment_row(record: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the row of an invoice, none for one that asks for no money (draft, void)."""
    if record["status"] in NOT_A_PAYMENT:
        return
    currency = record["currency"]
    values: dict[str, object] = {
        "amount": money(record["amount_paid"], currency),
        "refunded": money(min(record["refunded"], record["amount_paid"]), currency),
        "currency": currency.upper(),
        "status": record["status"],
        "paid_at": at((record.get("status_transitions") or {}).get("paid_at")),
    }
    yield Row(Kind.PAYMENT, record["id"], values)


def kept(invoice: Mapping[str, Any], refunded: int) -> dict[str, Any]:
    """Return the invoice's record: what is kept of it, and what was given back, in the API's smallest unit."""
    return {key: invoice[key] for key in INVOICE_KEYS if key in invoice} | {"refunded": refunded}

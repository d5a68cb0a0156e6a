"""The kinds of objects that the sandbox holds, and how an API version of many years ago shows them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

KINDS = (
    "customers", "subscriptions", "subscription_items", "invoices", "invoice_payments", "refunds", "credit_notes", "prices",
    "products", "coupons", "events",
)  # fmt: skip


def old_shape(subject: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *subject* as an API version of many years ago has it.

    Whoever believes it finds no items, no status transitions, no amounts by their present names.
    """
    made = copy.deepcopy(dict(subject))
    match made["object"]:
        case "subscription":
            item = made.pop("items")["data"][0]
            made["plan"] = {"id": item["price"]["id"], "amount": item["price"].get("unit_amount")}
            made |= {
                "quantity": item["quantity"],
                "start": made.pop("start_date"),
                "current_period_end": item["current_period_end"],
            }
            made["discount"] = next(iter(made.pop("discounts")), None)
        case "invoice":
            made |= {"date": made.pop("created"), "paid": made.pop("status") == "paid", "subscription": None}
            for name in ("status_transitions", "amount_paid", "parent"):
                made.pop(name, None)
        case "customer":
            made |= {"account_balance": 0, "metadata": {}, "sources": {"data": []}}
            made.pop("address", None)
    return made

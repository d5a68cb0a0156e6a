"""
What the sandbox's account holds: objects in the pinned version's shape, made from the demo's neutral rows, and the events that
each change leaves. How it is asked for is in `sandbox`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.stripe.sandbox_shapes import KINDS, old_shape

RETENTION = timedelta(days=30)
TWO_DECIMALS_IN_THE_API = {"isk", "ugx"}  # though the currencies have none
ONGOING = {"trialing", "active", "past_due", "unpaid", "incomplete", "paused"}


class State:
    """Objects by kind and id, in the order they were made; what was deleted; the events."""

    def __init__(self, now: Callable[[], datetime], *, livemode: bool) -> None:
        self.now = now
        self.livemode = livemode
        self.objects: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.deleted: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.served = False
        """Whether anybody has asked yet: what is loaded before that is the account's history, dated as its rows say."""
        self.payments_of: dict[str, dict[str, dict[str, Any]]] = {}
        """By the invoice that they paid."""
        self._order: dict[str, int] = {}

    def put(self, kind: str, made: dict[str, Any], *events: str, at: datetime | None = None) -> None:
        """Keep *made*; where it is new or another than before, leave an event of each of the types."""
        id = str(made["id"])
        made = {"livemode": self.livemode, **made}
        if self.objects[kind].get(id) == made:
            return
        self.objects[kind][id] = made
        self._order.setdefault(id, len(self._order))
        if kind == "invoice_payments":
            self.payments_of.setdefault(made["invoice"], {})[id] = made
        for event in events:
            self.emit(event, made, at=at)

    def emit(self, type: str, subject: Mapping[str, Any], *, at: datetime | None = None) -> None:
        """Leave an event, its object as the account's own (old) version of the API renders it."""
        number = len(self._order)
        created = at if at is not None and not self.served else self.now()
        event: dict[str, Any] = {
            "id": f"evt_{number:08}",
            "object": "event",
            "api_version": "2014-06-17",
            "created": min(int(created.timestamp()), int(self.now().timestamp())),
            "type": type,
            "livemode": self.livemode,
            "data": {"object": old_shape(subject)},
        }
        self.objects["events"][event["id"]] = event
        self._order[event["id"]] = number

    def newest_first(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind as every list gives them; events only as long as they are kept."""
        found = list(self.objects[kind].values())
        if kind == "events":
            oldest = int((self.now() - RETENTION).timestamp())
            found = [event for event in found if event["created"] >= oldest]
        return sorted(found, key=lambda item: (item["created"], self._order[item["id"]]), reverse=True)

    # the neutral rows of the demo's world

    def merged(self, what: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row with what earlier ones of its id said."""
        known = self.rows.setdefault((what, str(row["id"])), {})
        known |= row
        return known

    def load_customer(self, row: Mapping[str, Any]) -> None:
        row = self.merged("customers", row)
        new = row["id"] not in self.objects["customers"]
        made = {
            **self._common("customer", row),
            "email": row.get("email"),
            "name": row.get("name"),
            "phone": None,
            "address": {"country": row["country"]} if row.get("country") else None,
            "preferred_locales": [],
            "metadata": {"user_id": str(row["user_id"])} if row.get("user_id") else {},
            "discount": None,
            "delinquent": False,
        }
        self.deleted["customers"].discard(row["id"])
        self.put(
            "customers", made, "customer.created" if new else "customer.updated", at=row.get("created_at") if new else None
        )

    def load_subscription(self, row: Mapping[str, Any]) -> None:
        row = self.merged("subscriptions", row)
        before = self.objects["subscriptions"].get(row["id"])
        made = self._subscription(row, self._price(row))
        if before is None:
            event = "customer.subscription.created"
        elif made["status"] == "canceled" != before["status"]:
            event = "customer.subscription.deleted"
        else:
            event = "customer.subscription.updated"
        for item in made["items"]["data"]:
            self.put("subscription_items", item)
        began = row.get("created_at") or row.get("started_at")
        self.put("subscriptions", made, event, at=began if before is None else None)

    def _subscription(self, row: Mapping[str, Any], price: Mapping[str, Any]) -> dict[str, Any]:
        id, status = row["id"], row.get("status", "active")
        started = int((row.get("started_at") or row.get("created_at") or self.now()).timestamp())
        ended = _seconds(row.get("ended_at")) or (_seconds(self.now()) if status == "canceled" else None)
        if ended and not row.get("ended_at"):
            ended = (self.objects["subscriptions"].get(id) or {}).get("ended_at") or ended
        ending = bool(row.get("cancel_at_period_end")) and status in ONGOING
        asked = _seconds(row.get("cancel_requested_at")) or ended or (_seconds(self.now()) if ending else None)
        percent = row.get("discount_percent")
        return {
            **self._common("subscription", row, started),
            "customer": row["customer"],
            "status": status,
            "currency": price["currency"],
            "start_date": started,
            "trial_start": started if row.get("trial_ends_at") else None,
            "trial_end": _seconds(row.get("trial_ends_at")),
            "cancel_at_period_end": ending,
            "cancel_at": None,
            "canceled_at": asked if ending or ended else None,
            "ended_at": ended,
            "pause_collection": None,
            "collection_method": "charge_automatically",
            "metadata": {},
            "cancellation_details": {"reason": "cancellation_requested" if ending or ended else None},
            "discounts": [self._discount(f"di_{id}", percent, row["customer"], id)] if percent else [],
            "items": {"object": "list", "has_more": False, "data": [self._item(row, price, started)]},
        }

    def _item(self, row: Mapping[str, Any], price: Mapping[str, Any], started: int) -> dict[str, Any]:
        """Return the one line of a subscription: so many of one price."""
        return {
            "id": f"si_{row['id']}",
            "object": "subscription_item",
            "created": started,
            "subscription": row["id"],
            "quantity": int(row.get("quantity") or 1),
            "current_period_start": started,
            "current_period_end": started + 2_592_000,
            "discounts": [],
            "price": dict(price),
        }

    def _price(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the price of a row's terms; by the month it has only its product's name, by the year one of its own."""
        currency = str(row.get("currency", "EUR")).lower()
        interval, count = row.get("interval", "month"), int(row.get("interval_count") or 1)
        amount = int(row.get("unit_amount") or 0) * (100 if currency in TWO_DECIMALS_IN_THE_API else 1)
        plan = str(row.get("plan") or "standard")
        slug = re.sub(r"\W+", "_", plan.lower())
        self.put("products", {"id": f"prod_{slug}", "object": "product", "created": 1, "name": plan, "active": True})
        price = {
            "id": f"price_{slug}_{amount}_{currency}_{count}{interval}",
            "object": "price",
            "created": 1,
            "active": True,
            "type": "recurring",
            "billing_scheme": "per_unit",
            "currency": currency,
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
            "product": f"prod_{slug}",
            "nickname": plan if interval == "year" else None,
            "lookup_key": None,
            "tiers_mode": None,
            "transform_quantity": None,
            "recurring": {"interval": interval, "interval_count": count, "usage_type": "licensed", "meter": None},
        }
        self.put("prices", price)
        return self.objects["prices"][str(price["id"])]

    def _discount(self, id: str, percent: object, customer: str, subscription: str) -> dict[str, Any]:
        coupon = f"forever_{percent}".replace(".", "_")
        number = float(str(percent))
        self.put(
            "coupons",
            {"id": coupon, "object": "coupon", "created": 1, "duration": "forever", "percent_off": number, "amount_off": None,
             "currency": None},
        )  # fmt: skip
        source = {"type": "coupon", "coupon": coupon}
        return {
            "id": id,
            "object": "discount",
            "customer": customer,
            "subscription": subscription,
            "end": None,
            "source": source,
        }

    def load_invoice(self, row: Mapping[str, Any]) -> None:
        row = self.merged("invoices", row)
        id, status = row["id"], row.get("status", "paid")
        currency = str(row.get("currency", "EUR")).lower()
        factor = 100 if currency in TWO_DECIMALS_IN_THE_API else 1
        paid = int(row.get("amount_paid") or 0) * factor
        paid_at = row.get("paid_at") or (row.get("created_at") if status == "paid" else None)
        made = {
            **self._common("invoice", row),
            "customer": row["customer"],
            "number": f"N-{id}",
            "status": status,
            "currency": currency,
            "total": paid,
            "amount_due": paid,
            "amount_paid": paid,
            "amount_remaining": 0,
            "status_transitions": {"paid_at": _seconds(paid_at)},
            "parent": {"type": "subscription_details", "subscription_details": {"subscription": row.get("subscription")}},
            "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0,
            "metadata": {},
            "lines": {"object": "list", "has_more": False, "data": []},
        }
        new = id not in self.objects["invoices"]
        event = "invoice.paid" if status == "paid" else "invoice.voided" if status == "void" else "invoice.updated"
        self.put(
            "invoices",
            made,
            *(["invoice.created"] if new else []),
            event,
            at=(paid_at or row.get("created_at")) if new else None,
        )
        if paid:
            self._pay(id, paid, made["created"])
        self._refund(id, int(row.get("refunded") or 0) * factor, made)

    def _pay(self, invoice: str, paid: int, created: int) -> None:
        payment = {
            "id": f"inpay_{invoice}",
            "object": "invoice_payment",
            "created": created,
            "invoice": invoice,
            "amount_paid": paid,
            "status": "paid",
            "payment": {"type": "payment_intent", "payment_intent": f"pi_{invoice}"},
        }
        self.put("invoice_payments", payment)

    def _refund(self, invoice: str, wanted: int, made: Mapping[str, Any]) -> None:
        """Make the refund that brings the invoice's to *wanted*; what was given back is never taken again."""
        mine = [refund for refund in self.objects["refunds"].values() if refund["payment_intent"] == f"pi_{invoice}"]
        missing = wanted - sum(refund["amount"] for refund in mine)
        if missing <= 0:
            return
        at = self.now() if self.served else datetime.fromtimestamp(made["created"], self.now().tzinfo)
        charge = {"id": f"ch_{invoice}", "object": "charge", "payment_intent": f"pi_{invoice}", "refunded": True}
        refund = {
            "id": f"re_{invoice}_{len(mine)}",
            "object": "refund",
            "created": int(at.timestamp()),
            "amount": missing,
            "currency": made["currency"],
            "status": "succeeded",
            "payment_intent": f"pi_{invoice}",
            "charge": charge["id"],
        }
        self.put("refunds", refund, "refund.created", at=at)
        self.emit("charge.refunded", charge, at=at)

    def delete_customer(self, id: str) -> None:
        """Delete a customer: what it subscribed to ends at once, and it answers to its id as a stub."""
        for subscription in self.objects["subscriptions"].values():
            if subscription["customer"] == id and subscription["status"] in ONGOING:
                self.load_subscription({"id": subscription["id"], "status": "canceled", "ended_at": self.now()})
        customer = self.objects["customers"].pop(id)
        self.deleted["customers"].add(id)
        self.emit("customer.deleted", customer)

    def delete_invoice(self, id: str) -> None:
        """Delete a draft; any other invoice can only be voided."""
        if self.objects["invoices"][id]["status"] == "draft":
            invoice = self.objects["invoices"].pop(id)
            self.emit("invoice.deleted", invoice)
        else:
            self.load_invoice({"id": id, "status": "void"})

    def _common(self, object: str, row: Mapping[str, Any], created: int | None = None) -> dict[str, Any]:
        known = next((kind[row["id"]] for kind in self.objects.values() if row["id"] in kind), None)
        at = _seconds(row.get("created_at")) or (known or {}).get("created") or created or _seconds(self.now())
        return {"id": row["id"], "object": object, "created": at, "livemode": self.livemode}


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at is not None else None

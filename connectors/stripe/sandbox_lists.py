"""How the sandbox lists and expands: the paging, filters and refusals that all of Stripe's lists have in common."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from connectors.stripe.sandbox_state import State

MAX_DEPTH = 4
EMBEDDED = 10
"""The rows that a list inside an object shows."""
RANGES: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}
STATUSES = {
    "all",
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "paused",
    "incomplete",
    "incomplete_expired",
    "canceled",
    "ended",
}
FILTERS: dict[str, tuple[str, ...]] = {
    "customers": ("email",),
    "subscriptions": ("customer", "price", "status"),
    "subscription_items": ("subscription",),
    "invoices": ("customer", "status", "subscription"),
    "invoice_payments": ("invoice", "payment[type]", "payment[payment_intent]"),
    "refunds": ("charge", "payment_intent"),
    "credit_notes": ("invoice",),
    "prices": ("active", "product"),
    "products": ("active", "ids[]"),
    "coupons": (),
    "events": ("type", "types[]"),
}
EXPANDABLE: dict[str, set[str]] = {
    "customer": {"subscriptions"},
    "subscription": {"customer", "discounts", "items.data.discounts", "items.data.price.product"},
    "subscription_item": {"discounts"},
    "invoice": {"payments", "customer"},
    "price": {"tiers", "product", "currency_options"},
    "coupon": {"applies_to", "currency_options"},
}


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """An answer with an error in it."""

    def __init__(
        self, status: int, code: str | None, message: str, *, param: str | None = None, type: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.status = status
        named = {"type": type, "code": code, "message": message, "param": param}
        self.error = {name: value for name, value in named.items() if value is not None}


def listed(state: State, kind: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return one page of a list."""
    one = dict(query)
    several: dict[str, list[str]] = {}
    for name, value in query:
        several.setdefault(name, []).append(value)
    _known(kind, one)
    limit = _whole(one.get("limit", "10"), "limit")
    if not 1 <= limit <= 100:
        raise Refused(400, "parameter_invalid_integer", "Invalid integer: limit is between 1 and 100", param="limit")
    rows = [row for row in state.newest_first(kind) if _matches(kind, row, one, several)]
    for name, bound in one.items():
        if name.startswith("created["):
            within = RANGES[name[8:-1]]
            rows = [row for row in rows if within(row["created"], _whole(bound, name))]
    if after := one.get("starting_after"):
        ids = [row["id"] for row in rows]
        if after not in ids:
            raise Refused(400, "resource_missing", "No such object", param="starting_after")
        rows = rows[ids.index(after) + 1 :]
    expand = [_below_data(value) for value in several.get("expand[]", [])]
    page = [expanded(state, row, expand, depth=1) for row in rows[:limit]]
    return {"object": "list", "url": f"/v1/{kind}", "has_more": len(rows) > limit, "data": page}


def _known(kind: str, query: Mapping[str, str]) -> None:
    allowed = {"limit", "starting_after", "expand[]", *FILTERS[kind], *(f"created[{name}]" for name in RANGES)}
    for name in query:
        if name not in allowed:
            raise Refused(400, "parameter_unknown", f"Received unknown parameter: {name}", param=name)
    if kind == "subscription_items" and "subscription" not in query:
        raise Refused(400, "parameter_missing", "Missing required param: subscription.", param="subscription")
    if kind == "products" and "ids[]" in query and "starting_after" in query:
        raise Refused(400, None, "ids cannot be used with starting_after", param="ids")


def _matches(kind: str, row: Mapping[str, Any], one: Mapping[str, str], several: Mapping[str, list[str]]) -> bool:
    match kind:
        case "events":
            types = several.get("types[]", [])
            if len(types) > 20:
                raise Refused(400, None, "Invalid array: types has at most 20 elements", param="types")
            if types and "type" in one:
                raise Refused(400, None, "You may only specify one of these parameters: type, types.", param="type")
            return row["type"] in types if types else fnmatchcase(row["type"], one.get("type", "*"))
        case "subscriptions":
            return _status_matches(row["status"], one.get("status")) and _of(row, one)
        case "products":
            return "ids[]" not in several or row["id"] in several["ids[]"]
        case "invoice_payments":
            payment = one.get("payment[payment_intent]")
            return (payment is None or row["payment"].get("payment_intent") == payment) and _equal(row, one, "invoice")
    return _equal(row, one, *FILTERS[kind])


def _of(row: Mapping[str, Any], one: Mapping[str, str]) -> bool:
    price = one.get("price")
    return _equal(row, one, "customer") and (
        price is None or any(item["price"]["id"] == price for item in row["items"]["data"])
    )


def _status_matches(status: str, asked: str | None) -> bool:
    if asked is not None and asked not in STATUSES:
        raise Refused(400, None, "Invalid status", param="status")
    match asked:
        case "all":
            return True
        case None:  # the default hides what has ended
            return status not in {"canceled", "incomplete_expired"}
        case "ended":
            return status in {"canceled", "incomplete_expired"}
    return status == asked


def _equal(row: Mapping[str, Any], one: Mapping[str, str], *names: str) -> bool:
    """Whether all of *names* that were asked for are the same, case and all; booleans are words."""
    return all(name not in one or _spoken(row.get(name)) == one[name] for name in names)


def _spoken(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(text: str, param: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused(400, "parameter_invalid_integer", "Invalid integer", param=param) from None


def _below_data(path: str) -> str:
    if not path.startswith("data."):
        raise Refused(400, None, f"This property cannot be expanded ({path}).", param="expand")
    return path.removeprefix("data.")


def expanded(state: State, found: Mapping[str, Any], expand: Sequence[str], *, depth: int = 0) -> dict[str, Any]:
    """Return the object as a reader gets it: with what was asked to be expanded, and without what must be."""
    kind = found["object"]
    for path in expand:
        if depth + path.count(".") + 1 > MAX_DEPTH:
            raise Refused(
                400, "property_expansion_max_depth", "You cannot expand more than 4 levels of a property.", param="expand"
            )
        # currency_options is keyed by currency: currency_options.sek.tiers
        plain = "tiers" if path.startswith("currency_options.") and path.endswith(".tiers") else path
        if plain not in EXPANDABLE.get(kind, set()):
            raise Refused(400, None, f"This property cannot be expanded ({path}).", param="expand")
    made = copy.deepcopy(dict(found))
    match kind:
        case "subscription":
            _subscription(state, made, expand)
        case "invoice":
            if "payments" in expand:
                rows = list(state.payments_of.get(made["id"], {}).values())
                made["payments"] = {"object": "list", "has_more": len(rows) > EMBEDDED, "data": rows[:EMBEDDED]}
        case "price":
            _price(made, expand)
        case "coupon":
            for name in ("applies_to", "currency_options"):
                if name not in expand:
                    made.pop(name, None)
        case "subscription_item":
            _price(made["price"], ())
            if "discounts" not in expand:
                made["discounts"] = [discount["id"] for discount in made["discounts"]]
    return made


def _subscription(state: State, made: dict[str, Any], expand: Sequence[str]) -> None:
    if "discounts" not in expand:
        made["discounts"] = [discount["id"] for discount in made["discounts"]]
    items = made["items"]["data"]
    made["items"] = {"object": "list", "has_more": len(items) > EMBEDDED, "data": items[:EMBEDDED]}
    for item in made["items"]["data"]:
        _price(item["price"], ())
        if "items.data.discounts" not in expand:
            item["discounts"] = [discount["id"] for discount in item["discounts"]]
    if "customer" in expand:
        stub = {"id": made["customer"], "object": "customer", "deleted": True}
        made["customer"] = copy.deepcopy(state.objects["customers"].get(made["customer"], stub))


def _price(price: dict[str, Any], expand: Sequence[str]) -> None:
    """Take away what a price shows only when asked."""
    if "tiers" not in expand:
        price.pop("tiers", None)
    if "currency_options" not in expand:
        price.pop("currency_options", None)
    for currency, terms in (price.get("currency_options") or {}).items():
        if f"currency_options.{currency}.tiers" not in expand:
            terms.pop("tiers", None)

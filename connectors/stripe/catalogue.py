"""
Completes subscriptions with what a list of them cannot carry: expansion ends at the fourth level (Quirk 6), items at the tenth.

Made anew for each pull, so a price or coupon is asked for once a pull.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.stripe.feed import Finisher
from connectors.stripe.lists import PAGE_SIZE, fetch, walk
from core.contract import Api

MAX_KEPT = 20_000
"""How many prices, products and coupons are remembered; accounts that make one for each customer have many."""


class Catalogue(Finisher):
    """Prices with tiers, names of products, coupons: looked up when first met."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._prices: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._names: dict[str, str | None] = {}
        self._coupons: dict[str, Mapping[str, Any] | None] = {}

    def one(self, subscription: dict[str, Any]) -> dict[str, Any]:
        """Return *subscription* with all items, priced in its currency, coupons for their ids and the customer as an id."""
        items = subscription["items"]
        if items.get("has_more"):  # Quirk 7
            items = {"data": self._all_items(subscription["id"])}
        data = [self._item(item, subscription["currency"]) for item in items["data"]]
        customer = subscription["customer"]
        own = customer.get("discount") if isinstance(customer, Mapping) else None
        return subscription | {
            "items": {"data": data},
            "discounts": self._discounts(subscription.get("discounts")),
            "customer": customer["id"] if isinstance(customer, Mapping) else customer,
            "customer_discount": next(iter(self._discounts([own])), None) if own else None,
        }

    def page(self, subscriptions: Sequence[dict[str, Any]]) -> None:
        """Put the product's name where a price has none of its own, all of a page in one request."""
        prices = [item["price"] for subscription in subscriptions for item in subscription["items"]["data"]]
        unnamed = [price for price in prices if not price.get("nickname") and not price.get("lookup_key")]
        wanted = list(dict.fromkeys(price["product"] for price in unnamed if isinstance(price.get("product"), str)))
        missing = [product for product in wanted if product not in self._names]
        for start in range(0, len(missing), PAGE_SIZE):
            asked = missing[start : start + PAGE_SIZE]
            body = next(walk(self.api, "/products", {"ids[]": asked}, windows=False))
            self._names |= dict.fromkeys(asked) | {product["id"]: product.get("name") for product in body.rows}
        for price in unnamed:
            if isinstance(price.get("product"), str):
                price["product"] = {"id": price["product"], "name": self._names.get(price["product"])}
        _forget(self._names)

    def _all_items(self, subscription: str) -> list[dict[str, Any]]:
        query = {"subscription": subscription, "expand[]": ["data.discounts"]}
        return [row for chunk in walk(self.api, "/subscription_items", query, windows=False) for row in chunk.rows]

    def _item(self, item: dict[str, Any], currency: str) -> dict[str, Any]:
        price = dict(item["price"])
        if price.get("billing_scheme") == "tiered" or price["currency"] != currency:
            price |= self._terms(price, currency)
        return item | {"price": price, "discounts": self._discounts(item.get("discounts"))}

    def _terms(self, price: Mapping[str, Any], currency: str) -> Mapping[str, Any]:
        """Return what the list leaves out of a price: its tiers, and its amounts in *currency*."""
        key = (price["id"], currency)
        if key not in self._prices:
            expand = ["tiers"] if price.get("billing_scheme") == "tiered" else []
            if price["currency"] != currency:  # Quirk 11
                expand += ["currency_options", *(f"currency_options.{currency}.{part}" for part in expand)]
            whole = fetch(self.api, "/prices", price["id"], tuple(expand)) or {}
            options = {currency: (whole.get("currency_options") or {}).get(currency)}
            self._prices[key] = {"tiers": whole.get("tiers"), "currency_options": options if options[currency] else None}
            _forget(self._prices)
        return self._prices[key]

    def _discounts(self, discounts: Iterable[Any] | None) -> list[dict[str, Any]]:
        """Return the discounts with their coupons; those that are still ids (an event's, a schedule's) say nothing and go."""
        return [self._discount(discount) for discount in discounts or () if isinstance(discount, Mapping)]

    def _discount(self, discount: Mapping[str, Any]) -> dict[str, Any]:
        coupon = (discount.get("source") or {}).get("coupon")
        id = coupon["id"] if isinstance(coupon, Mapping) else coupon
        return {"id": discount["id"], "end": discount.get("end"), "source": {"type": "coupon", "coupon": self._coupon(id)}}

    def _coupon(self, id: str | None) -> Mapping[str, Any] | None:
        """Return the coupon; None where it was deleted: what it takes off is then not to be had (Quirk 14)."""
        if id is None:
            return None
        if id not in self._coupons:
            whole = fetch(self.api, "/coupons", id, ("applies_to", "currency_options"))
            keep = ("id", "duration", "percent_off", "amount_off", "currency", "applies_to", "currency_options")
            self._coupons[id] = {key: whole.get(key) for key in keep} if whole else None
            _forget(self._coupons)
        return self._coupons[id]


def _forget(kept: dict[Any, Any]) -> None:
    """Drop the oldest half when there are too many: asking again costs a request, remembering all costs memory."""
    if len(kept) > MAX_KEPT:
        for key in list(kept)[: MAX_KEPT // 2]:
            del kept[key]

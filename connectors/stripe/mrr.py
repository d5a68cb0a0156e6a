"""
What a subscription is worth a month, by Stripe's own definition of MRR (docs.stripe.com/billing/subscriptions/analytics).

Pure and exact: fractions from the vendor's decimal texts to the one rounding at the end (`money`). It takes the subscription as
`catalogue` completed it: all items, tiers where a price has them, coupons in place of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import Any

MONTHS = {"day": Fraction(12, 365), "week": Fraction(12, 52), "month": Fraction(1), "year": Fraction(12)}
"""How long an interval is in months, as Stripe's analytics count it."""

COUNTED = frozenset({"active", "past_due"})
"""The statuses whose subscriptions have MRR; a trial and an unpaid one have none."""


@dataclass(frozen=True, slots=True)
class Line:
    """One licensed item of a subscription, before discounts."""

    item: Mapping[str, Any]
    amount: Fraction
    """What each of its periods costs, in the API's smallest unit."""
    _: KW_ONLY
    months: Fraction
    """Its period."""

    @property
    def monthly(self) -> Fraction:
        return self.amount / self.months


def lines(subscription: Mapping[str, Any]) -> list[Line]:
    """
    Return the items that have a price of their own: metered ones do not.

    Raises:
        ValueError: a price is in another currency than the subscription and has no terms for it, or its tiers are missing.
    """
    found = []
    for item in subscription["items"]["data"]:
        price = item["price"]
        recurring = price.get("recurring")
        if not recurring or recurring.get("usage_type") == "metered" or item.get("quantity") is None:
            continue
        amount = period_amount(price, item["quantity"], subscription["currency"])
        months = MONTHS[recurring["interval"]] * (recurring.get("interval_count") or 1)
        found.append(Line(item, amount, months=months))
    return found


def period_amount(price: Mapping[str, Any], quantity: int, currency: str) -> Fraction:
    """Return what *quantity* of *price* costs each period in *currency*: per unit, by package, by volume or graduated."""
    terms: Mapping[str, Any] = price
    if price["currency"] != currency:  # Quirk 11: the price shows its default currency, not the subscription's
        options = (price.get("currency_options") or {}).get(currency)
        if options is None:
            raise ValueError(f"price {price['id']} has no terms in {currency}")
        terms = options
    if price.get("billing_scheme") == "tiered":
        tiers = terms.get("tiers")
        if not tiers:
            raise ValueError(f"price {price['id']} came without its tiers")
        return _graduated(tiers, quantity) if price.get("tiers_mode") == "graduated" else _volume(tiers, quantity)
    return _decimal(terms, "unit_amount") * _packages(quantity, price.get("transform_quantity"))


def _packages(quantity: int, transform: Mapping[str, Any] | None) -> int:
    if not transform:
        return quantity
    whole, rest = divmod(quantity, transform["divide_by"])
    return int(whole) + (1 if rest and transform["round"] == "up" else 0)


def _volume(tiers: Sequence[Mapping[str, Any]], quantity: int) -> Fraction:
    """The whole quantity at the price of the tier that it falls into."""
    tier = next(tier for tier in tiers if tier["up_to"] is None or quantity <= tier["up_to"])
    return _decimal(tier, "unit_amount") * quantity + _decimal(tier, "flat_amount")


def _graduated(tiers: Sequence[Mapping[str, Any]], quantity: int) -> Fraction:
    """Each slice of the quantity at its own tier's price, with the flat fee of each tier reached."""
    total, below = Fraction(0), 0
    for tier in tiers:
        upper = quantity if tier["up_to"] is None else min(quantity, tier["up_to"])
        total += _decimal(tier, "unit_amount") * (upper - below) + _decimal(tier, "flat_amount")
        below = upper
        if below >= quantity:
            break
    return total


def _decimal(terms: Mapping[str, Any], name: str) -> Fraction:
    """Return `name_decimal` (a text; the integer beside it is null for fractions of a cent), else `name`, else 0."""
    text = terms.get(f"{name}_decimal")
    return Fraction(str(text if text is not None else terms.get(name) or 0))


def monthly_value(subscription: Mapping[str, Any]) -> Fraction:
    """Return the MRR in the API's smallest unit, unrounded: nothing unless the subscription is active or past due."""
    if subscription["status"] not in COUNTED:
        return Fraction(0)
    found = lines(subscription)
    currency = subscription["currency"]
    values = [_less(line, line.item.get("discounts") or (), currency) for line in found]
    # UNCONFIRMED for flexible billing mode: the customer's own discount counts where the subscription has none
    discounts = subscription.get("discounts") or [d for d in (subscription.get("customer_discount"),) if d]
    months = main_line(found).months if found else Fraction(1)
    for coupon in _forever(discounts):
        products = (coupon.get("applies_to") or {}).get("products")
        at = [i for i, line in enumerate(found) if not products or _product(line) in products]
        before = sum((values[i] for i in at), Fraction(0))
        if before:
            share = _after(coupon, before, months, currency) / before
            for i in at:
                values[i] *= share
    return sum(values, Fraction(0))


def _less(line: Line, discounts: Iterable[Mapping[str, Any]], currency: str) -> Fraction:
    value = line.monthly
    for coupon in _forever(discounts):
        value = _after(coupon, value, line.months, currency)
    return value


def _forever(discounts: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Return the coupons that count: `once` and `repeating` ones do not reduce MRR (Quirk 12)."""
    coupons = ((discount.get("source") or {}).get("coupon") for discount in discounts)
    return [coupon for coupon in coupons if isinstance(coupon, Mapping) and coupon.get("duration") == "forever"]


def _after(coupon: Mapping[str, Any], value: Fraction, months: Fraction, currency: str) -> Fraction:
    """Return what *value* a month comes to with *coupon*, which takes its amount off once in each period; never below 0."""
    if coupon.get("percent_off") is not None:
        return value * (1 - Fraction(str(coupon["percent_off"])) / 100)
    off = coupon.get("amount_off") if coupon.get("currency") == currency else None
    if off is None:
        off = ((coupon.get("currency_options") or {}).get(currency) or {}).get("amount_off")
    return max(Fraction(0), value - Fraction(off or 0) / months)


def main_line(found: Sequence[Line]) -> Line:
    """Return the line that a subscription of several is spoken of by: the dearest a month, the first of equals."""
    return max(found, key=lambda line: line.monthly)


def _product(line: Line) -> str | None:
    product = line.item["price"].get("product")
    return product.get("id") if isinstance(product, Mapping) else product

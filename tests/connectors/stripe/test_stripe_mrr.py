"""What a subscription is worth a month: tables of cases, each with what it shows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from connectors.stripe.money import money
from connectors.stripe.mrr import lines, main_line, monthly_value, period_amount

TIERS = [
    {"up_to": 10, "unit_amount": 1000, "unit_amount_decimal": "1000", "flat_amount": None},
    {"up_to": 20, "unit_amount": 800, "unit_amount_decimal": "800", "flat_amount": 500},
    {"up_to": None, "unit_amount": None, "unit_amount_decimal": "600.5", "flat_amount": 0},
]


def price(amount: object = 1500, interval: str = "month", count: int = 1, **more: Any) -> dict[str, Any]:
    made = {
        "id": "price_1",
        "currency": "eur",
        "billing_scheme": "per_unit",
        "unit_amount": amount if isinstance(amount, int) else None,
        "unit_amount_decimal": str(amount),
        "transform_quantity": None,
        "tiers_mode": None,
        "product": "prod_1",
        "recurring": {"interval": interval, "interval_count": count, "usage_type": "licensed"},
    }
    return made | more


def item(of: dict[str, Any], quantity: int | None = 1, discounts: list[Any] | None = None) -> dict[str, Any]:
    return {"id": "si_1", "quantity": quantity, "price": of, "discounts": discounts or []}


def subscription(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {"id": "sub_1", "status": "active", "currency": "eur", "items": {"data": list(items)}, "discounts": []}
    return made | more


def off(duration: str = "forever", **terms: Any) -> dict[str, Any]:
    terms = {"percent_off": None, "amount_off": None, "currency": None, **terms}
    return {"id": "di_1", "source": {"type": "coupon", "coupon": {"id": "c", "duration": duration, **terms}}}


METERED = price() | {"recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered"}}
TIERED = {"billing_scheme": "tiered", "tiers": TIERS, "unit_amount": None, "unit_amount_decimal": None}


@pytest.mark.parametrize(
    ("of", "monthly"),
    [
        pytest.param(subscription(item(price(), 3)), 4500, id="by the month"),
        pytest.param(subscription(item(price(12000, "year"))), 1000, id="by the year"),
        pytest.param(subscription(item(price(10000, "year"))), Fraction(10000, 12), id="a year that does not divide"),
        pytest.param(subscription(item(price(3000, "month", 3))), 1000, id="by the quarter"),
        pytest.param(subscription(item(price(24000, "year", 2))), 1000, id="every two years"),
        pytest.param(subscription(item(price(1200, "week"))), 5200, id="by the week is 52 a year"),
        pytest.param(subscription(item(price(1200, "week", 2))), 2600, id="by the fortnight"),
        pytest.param(subscription(item(price(1200, "day"))), 36500, id="by the day is 365 a year"),
        pytest.param(subscription(item(price("0.5"), 7)), Fraction(7, 2), id="fractions of a cent are not rounded yet"),
        pytest.param(subscription(item(price(), None)), 0, id="no quantity"),
        pytest.param(subscription(item(METERED, 5)), 0, id="metered"),
        pytest.param(subscription(item(price(0))), 0, id="free"),
        pytest.param(subscription(item(price(500)), item(price(12000, "year"))), 1500, id="items of two intervals"),
        pytest.param(
            subscription(item(price(1000, transform_quantity={"divide_by": 10, "round": "up"}), 21)), 3000, id="packages, up"
        ),
        pytest.param(
            subscription(item(price(1000, transform_quantity={"divide_by": 10, "round": "down"}), 29)),
            2000,
            id="packages, down",
        ),
        pytest.param(subscription(item(price(**TIERED, tiers_mode="volume"), 10)), 10000, id="volume, last of a tier"),
        pytest.param(subscription(item(price(**TIERED, tiers_mode="volume"), 11)), 9300, id="volume, first of the next"),
        pytest.param(subscription(item(price(**TIERED, tiers_mode="volume"), 100)), 60050, id="volume, the open tier"),
        pytest.param(subscription(item(price(**TIERED, tiers_mode="graduated"), 5)), 5000, id="graduated, first tier"),
        pytest.param(subscription(item(price(**TIERED, tiers_mode="graduated"), 15)), 14500, id="graduated, a flat fee"),
        pytest.param(
            subscription(item(price(**TIERED, tiers_mode="graduated"), 22)), 10000 + 8500 + 1201, id="graduated, all tiers"
        ),
    ],
)
def test_normalises_a_price_to_the_month(of: dict[str, Any], monthly: int | Fraction) -> None:
    assert monthly == monthly_value(of)


@pytest.mark.parametrize(
    ("of", "monthly"),
    [
        pytest.param(subscription(item(price()), discounts=[off(percent_off=20)]), 1200, id="percent"),
        pytest.param(subscription(item(price()), discounts=[off(percent_off=33.5)]), Fraction("997.5"), id="a half percent"),
        pytest.param(subscription(item(price()), discounts=[off(amount_off=500, currency="eur")]), 1000, id="amount"),
        pytest.param(subscription(item(price()), discounts=[off(amount_off=9999, currency="eur")]), 0, id="never below zero"),
        pytest.param(
            subscription(item(price(12000, "year")), discounts=[off(amount_off=1200, currency="eur")]), 900,
            id="an amount is taken off once a period",
        ),
        pytest.param(
            subscription(item(price()), discounts=[off(amount_off=500, currency="usd")]), 1500, id="another currency's amount"
        ),
        pytest.param(
            subscription(
                item(price()),
                discounts=[off(amount_off=500, currency="usd", currency_options={"eur": {"amount_off": 400}})],
            ),
            1100, id="a coupon with terms in several currencies",
        ),
        pytest.param(subscription(item(price()), discounts=[off("once", percent_off=100)]), 1500, id="once"),
        pytest.param(subscription(item(price()), discounts=[off("repeating", percent_off=50)]), 1500, id="for some months"),
        pytest.param(
            subscription(item(price(), 1, [off(percent_off=50)]), discounts=[off(amount_off=250, currency="eur")]), 500,
            id="the item's before the subscription's",
        ),
        pytest.param(
            subscription(item(price(1000)), item(price(1000, product="prod_2")), discounts=[
                off(percent_off=50, applies_to={"products": ["prod_2"]})]), 1500, id="for one product only",
        ),
        pytest.param(
            subscription(item(price(1000)), item(price(1000)), discounts=[off(percent_off=10), off(percent_off=10)]), 1620,
            id="one after the other",
        ),
        pytest.param(
            subscription(item(price()), customer_discount=off(percent_off=10)), 1350, id="else the customer's"
        ),
        pytest.param(
            subscription(item(price()), discounts=[off(percent_off=20)], customer_discount=off(percent_off=90)), 1200,
            id="the subscription's goes before the customer's",
        ),
        pytest.param(
            subscription(item(price()), discounts=[{"id": "di_1", "source": {"type": "coupon", "coupon": None}}]), 1500,
            id="a coupon that was deleted",
        ),
    ],
)  # fmt: skip
def test_only_coupons_for_ever_reduce_it(of: dict[str, Any], monthly: int | Fraction) -> None:
    assert monthly == monthly_value(of)


@pytest.mark.parametrize(
    ("status", "monthly"),
    [("active", 1500), ("past_due", 1500), ("trialing", 0), ("unpaid", 0), ("canceled", 0), ("incomplete", 0), ("paused", 0)],
)
def test_counts_what_is_active_or_past_due(status: str, monthly: int) -> None:
    assert monthly == monthly_value(subscription(item(price()), status=status))


def test_a_price_shows_its_default_currency_and_not_the_subscriptions() -> None:
    """Quirk 11: 15 dollars are 170 kronor by the price's own table, not 15 kronor."""
    options = {"currency_options": {"sek": {"unit_amount": 17000, "unit_amount_decimal": "17000"}}}
    of = price(1500, **options) | {"currency": "usd"}

    assert period_amount(of, 1, "sek") == 17000
    with pytest.raises(ValueError, match="no terms in nok"):
        period_amount(of, 1, "nok")


def test_tiers_that_are_missing_are_no_price_of_zero() -> None:
    """Quirk 6: a list cannot be asked for them, so a careless reading finds everybody on a tiered price unpaying."""
    with pytest.raises(ValueError, match="without its tiers"):
        monthly_value(subscription(item(price(**TIERED | {"tiers": None}), 5)))


def test_speaks_of_several_items_by_the_dearest() -> None:
    of = subscription(item(price(500) | {"id": "price_base"}), item(price(400) | {"id": "price_seat"}, 25))

    assert main_line(lines(of)).item["price"]["id"] == "price_seat"


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        pytest.param(1500, "eur", 1500, id="two decimals"),
        pytest.param(1500, "jpy", 1500, id="none"),
        pytest.param(1500, "bhd", 1500, id="three"),
        pytest.param(500, "ugx", 5, id="UGX has two in the API and none of its own"),
        pytest.param(150000, "isk", 1500, id="so has ISK"),
        pytest.param(1500, "huf", 1500, id="HUF has two in both"),
        pytest.param(Fraction(5, 2), "eur", 2, id="half to even, down"),
        pytest.param(Fraction(7, 2), "eur", 4, id="half to even, up"),
        pytest.param(Fraction(10000, 12), "eur", 833, id="rounded once, at the end"),
    ],
)
def test_amounts_become_iso_minor_units(amount: int | Fraction, currency: str, minor: int) -> None:
    """Quirk 9."""
    made = money(amount, currency)

    assert (minor, currency.upper()) == (made.minor, made.currency)

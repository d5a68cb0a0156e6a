"""
Stripe's amounts as the hub's: integers in the currency's ISO minor unit.

The two agree but for a few currencies, where Stripe keeps decimals that the currency does not have.
"""

from __future__ import annotations

from fractions import Fraction

from core.contract import Money, minor_digits

# docs.stripe.com/currencies#zero-decimal and #three-decimal; every other currency has two decimals in the API,
# ISK and UGX too (Quirk 9)
ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def api_digits(currency: str) -> int:
    """Return how many decimals an amount of *currency* has in the API."""
    code = currency.lower()
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def money(amount: int | Fraction, currency: str) -> Money:
    """Return *amount*, in the API's smallest unit, as money: rounded once, here, half to even."""
    shift = minor_digits(currency) - api_digits(currency)
    return Money(round(Fraction(amount) * Fraction(10) ** shift), currency.upper())

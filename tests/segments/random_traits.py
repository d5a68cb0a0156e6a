"""Random computed values: expressions of numbers and texts, traits that name each other, and conditions on them."""

from __future__ import annotations

from hypothesis import strategies as st

from core.config.model import Place, Trait

PLACE = Place("tagalong.toml", 9, "traits")

NUMBERS = (
    "mrr", "ltv", "payments", "seats", "nps", "crm.score", "crm.tags", "company.employees", 'count("Order")',
    'count("Page Viewed", last="30d")', 'sum("Order", "ms")', 'avg("Page Viewed", "ms")', 'max("Order", "ms")',
    'days_active("Order", last="60d")', "days_since(created_at)", 'days_since(last_time("Order"))', "days_since(last_paid_at)",
    "days_since(crm.iso)", 'answer("Onboarding", "size")', "percentile(mrr)", 'percentile(count("Order"))', 'bucket("t")', "3",
    "0.5", "0",
)  # fmt: skip
TEXTS = (
    '"big"',
    '"Pro"',
    "plan",
    "lifecycle_stage",
    "country",
    "crm.stage",
    "subscription_status",
    'field("crm.contacts", "$city")',
)
TRUTHS = (
    "paying", 'did("Order", last="30d")', "not paying", "crm.vip", "crm.score > 4", 'segment("base")',
    'partition("p") == "high"',
    'partition("p") in ["some", "rest"]', "exists(mrr)", "missing(nps)", "percentile(mrr) >= 50", 'country == "SE"',
    "top(mrr, 2)", 'answer("Onboarding", "role") == "a"', 'last_event("Order", ms=5)', 'changed(country, last="30d")',
    'regularly("Order", 1, of=4, every="7d")', 'crm.contacts.tags.contains("a")', "mrr > crm.score", 'segment("hidden")',
)  # fmt: skip
TRAITS = ("number", "score", "share", "tier", "recency", "quintile", "value")
"""What the traits of a case are called; later ones name earlier ones."""


@st.composite
def numbers(draw: st.DrawFn, depth: int = 2, traits: tuple[str, ...] = ()) -> str:
    """Return an expression that is a number."""
    if depth == 0:
        return draw(st.sampled_from((*NUMBERS, *traits)))
    a, b = draw(numbers(depth - 1, traits)), draw(numbers(depth - 1, traits))
    truth = draw(st.sampled_from(TRUTHS))
    return draw(
        st.sampled_from(
            (
                f"({a} + {b})",
                f"({a} - {b})",
                f"({a} * {b})",
                f"({a} / ({b} - 1.25))",
                f"({a} / nps)",
                f"-({a})",
                f"min({a}, {b}, 5 + mrr * 0)",
                f"max({a}, {b} + 0 * seats)",
                f"coalesce({a}, mrr, {b})",
                f"coalesce(crm.score, {a})",
                f"round({a} / seats)",
                f"round({a} * 0.25, 1)",
                f"({a} if {truth} else {b})",
                f"(10 * ({truth}) + {a})",
                f"(({truth}) + ({draw(st.sampled_from(TRUTHS))}))",
            )
        )
    )


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Return an expression that is a text of somebody's."""
    a, b, truth = draw(st.sampled_from(TEXTS)), draw(st.sampled_from(TEXTS[2:])), draw(st.sampled_from(TRUTHS))
    return draw(
        st.sampled_from(
            (f"({a} + {b})", f"coalesce({b}, {a})", f"({a} if {truth} else {b})", f"(plan + ({a} if {truth} else {b}))")
        )
    )


@st.composite
def traits_of(draw: st.DrawFn) -> dict[str, str]:
    """Return the traits of a case that are expressions."""
    first = draw(numbers(1)) + " + 0 * count('Order')"
    return {
        "number": first,
        "score": draw(numbers(2, ("number",))) + " + days_active('Order')",
        "share": f"({draw(numbers(1, ('number', 'score')))}) / (number + mrr)",
        "tier": draw(texts()),
    }


BUILT_IN = {
    "recency": Trait("recency", built_in="recency", place=PLACE),
    "quintile": Trait("quintile", built_in="monetary_quintile", place=PLACE),
    "value": Trait("value", built_in="lifetime_value", gross_margin=0.8, expected_months=30, place=PLACE),
}
"""The others."""


@st.composite
def trait_atoms(draw: st.DrawFn) -> str:
    """Return a condition on a computed value."""
    n, order = draw(st.sampled_from((0, 1, 3, 5, 20, 50))), draw(st.sampled_from(("==", "!=", "<", "<=", ">", ">=")))
    somebody = "({} + 0 * count('Order'))".format  # what is made of constants alone is refused
    value = draw(st.sampled_from(TRAITS[:3] + TRAITS[4:]) | numbers(1, TRAITS[:3]).map(somebody))
    text = draw(st.sampled_from(("Pro", "big", "pro", "a", "SE", "lead")))
    other = draw(st.sampled_from(TRAITS[:3]))
    return draw(
        st.sampled_from(
            (
                f"{value} {order} {n}",
                f"{value} {order} {n}",
                f"0 < {value} <= {n}",
                f"exists({value})" if value in TRAITS else f"{value} {order} {other}",
                f"missing({value})" if value in TRAITS else f"{other} {order} {value}",
                f"{value} {order} crm.score",
                f"number in [0, 1, {n}]",
                f"percentile({other}) {order} {n}",
                f"top({other}, {1 + n // 20})",
                f'tier == "{text}"',
                f'tier != "{text}"',
                f'tier.contains("{text[:1]}")',
                f'tier in ["{text}", "big"]',
                "exists(tier)",
                f"quintile {order} {n % 6}",
            )
        )
    )

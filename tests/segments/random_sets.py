"""Random expressions of ranks, lists, history, queries and the company."""

from __future__ import annotations

from hypothesis import strategies as st
from reference_sets import QUERIES

RANKED = (
    "mrr", "ltv", "crm.score", "crm.tags", "seats", "nps", "company.employees", "created_at", 'count("Order", last="30d")',
    'sum("Page Viewed", "ms")', 'max("Order", "ms")', 'first_time("Order")', 'answer("Onboarding", "size", any=True)',
    'bucket("b")',
)  # fmt: skip
OF_COMPANY = (
    "company.employees > 4", "company.country == \"SE\"", "paying", "not paying", "mrr > 5", 'plan != "pro"', "missing(seats)",
    "percentile(company.employees) >= 50", "top(mrr, 1)", "top(company.employees, 2)", 'bucket("c") < 0.5',
    "changed(company.employees)", 'changed(subscription_status, to="canceled", last="30d")', 'in_list("accounts.csv")',
    "company.employees > seats", 'segment("big")', 'subscription_status == "canceled"',
)  # fmt: skip
FILES = {
    "vip.csv": "E-mail;Name\nP0@example.com;x\n p3@example.com;y\n",
    "ids.csv": "profile_id,user_id\n2,\n,u1\n",
    "accounts.csv": "company_id\n1\n3\n",
}


@st.composite
def set_atoms(draw: st.DrawFn) -> str:
    value, n = draw(st.sampled_from(RANKED)), draw(st.sampled_from((0, 20, 25, 50, 75, 100)))
    order, days = draw(st.sampled_from(("==", "!=", "<", "<=", ">", ">="))), draw(st.sampled_from((1, 7, 30, 60)))
    window = draw(
        st.sampled_from(("", f', last="{days}d"', f', between_ago=("{days + 5}d", "{days}d")', ', since="2026-03-01"'))
    )
    to = draw(st.sampled_from(("", ', to="SE"', ', from_="NO"', ', to=["SE", "NO"], from_="Norway"')))
    text = draw(st.sampled_from(("pro", "Pro", "lead", "customer")))
    status = draw(st.sampled_from(("active", "canceled")))
    return draw(
        st.sampled_from(
            (
                f"percentile({value}) {order} {n}",
                f"percentile({value}) {order} {n}",
                f"exists(percentile({value}))",
                "percentile(mrr) > percentile(ltv)",
                f"top({value}, {1 + n // 25})",
                f"top({value}, 2)",
                f'bucket("{text}") {order} 0.{days}',
                f'bucket("{text}") < bucket("other")',
                'in_list("vip.csv")',
                'in_list("ids.csv")',
                f"changed(country{to}{window})",
                f'changed(lifecycle_stage, to="{text}"{window})',
                f'changed(lifecycle_stage, from_="{text}"{window})',
                f"changed(company.employees{window})",
                f"changed(company.employees, to=[1, 2, 3]{window})",
                f'changed(subscription_status, to="{status}"{window})',
                f'sql("{draw(st.sampled_from(list(QUERIES)))}")',
                'segment("accounts")',
                'segment("big")',
                'any_user(did("Order"))',
                'all_users(not did("Order"))',
                "no_user(paying)",
            )
        )
    )


@st.composite
def company_texts(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """An expression about a company."""
    parts = draw(st.lists(st.sampled_from(OF_COMPANY) | quantified(inner), min_size=1, max_size=3))
    return draw(st.sampled_from((" and ", " or ", " and not "))).join(f"({part})" for part in parts)


def quantified(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What any, all or none of the company's users are."""
    return st.builds("{}({})".format, st.sampled_from(("any_user", "all_users", "no_user")), inner)

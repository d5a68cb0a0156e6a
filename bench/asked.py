"""Segments to ask of the made-up people of `world`: of every family of words, in turn, with numbers by chance."""

from __future__ import annotations

import random
from typing import Literal

PATHS = ("/", "/pricing", "/docs", "/blog", "/features", "/signup", "/help", "/about")
COUNTRIES = ("SE", "NO", "DK", "FI", "DE", "GB", "US", "NL", "FR", "ES")
_TEMPLATES = (
    'count("Page Viewed", path="{path}", last="{days}d") >= 3',
    'count("Logged In", last="{days}d") >= {n} and not paying',
    'did("Signed Up", last="{days}d") and not did("Project Launched")',
    'did("Project Launched") and did("Team Invited") and not did("Task Created") and country in ["SE", "FI", "DK", "NO"]',
    'days_active("Logged In", last="{days}d") >= {n}',
    'sum("Order Completed", "amount", last="{days}d") > {n}00',
    "mrr > {n}0 and company.employees >= {days}",
    'plan == "pro" and subscription_status != "canceled" and seats > {n}',
    'nps >= {n} and country == "{country}"',
    'answer("Onboarding", "role") != "Student" and within_last(created_at, "{days}d")',
    'count("Task Created", last="{days}d") < 2 and paying',
    "ltv > {n}000 or arr > {n}00",
    'crm.lifecyclestage == "customer" and language == "sv"',
    'email.endswith("@team{n}.example.com") and not answered("Onboarding")',
    'more_than_ago(first_time("Logged In"), "{days}d") and count("Report Exported", format="pdf") > {n}',
    'count("Task Created", last="{days}d") > count("Logged In", last="{days}d")',
    'distinct("Page Viewed", "path", last="{days}d") >= {n}',
    'did("Page Viewed", where=path.startswith("/pri") and ms > {n}00, last="{days}d")',
    "crm.score > {n}0 and exists(company.industry)",
    'did("Order Completed", between_ago=("180d", "{days}d")) and not did("Order Completed", last="{days}d")',
    'sequence("Page Viewed", "Order Completed", within="{days}d")',
    'sequence("Signed Up", without("Project Launched"), within="{n}d")',
    'sequence("Page Viewed", "Page Viewed", within="{n}d", same="path")',
    'sequence("Logged In", "Page Viewed", without("Order Completed"), "Task Created", within="{days}d")',
    'avg("Order Completed", "amount") > {n}0 * 5 and max("Order Completed", "amount", last="{days}d") > 300',
    'median("Page Viewed", "ms") > {n}00',
    'last_event("Page Viewed", path="{path}")',
    'regularly("Logged In", 3, of=4, every="{n}d")',
    'stopped("Logged In", "{days}d") or restarted("Task Created", "{days}d")',
    'more_than_ago(last_time("Logged In"), "{days}d") and within_next(trial_ends_at, "{n}d")',
    'days_since(last_time("Task Created")) > {days}',
    'changed(country, to="{country}", last="{days}d")',
    'in_list("vip.csv") and bucket("half {n}") < 0.5',
    '10 * did("Project Launched", last="{days}d") + min(count("Logged In", last="{days}d"), 5) + crm.score / 20 > {n}',
    'did("Page Viewed", during=previous("month"), path="{path}") and not segment("s3")',
    'days_active("Logged In", during=this("month")) >= {n}',
)
_OWN_ZONE = "during=this("
"""Segments with this are asked on each person's own calendar."""


def zone_of(text: str) -> Literal["person"] | None:
    """Return the zone of a segment: each person's own, or the workspace's."""
    return "person" if _OWN_ZONE in text else None


def segment_texts(count: int, seed: int = 1) -> list[str]:
    """Return *count* segments of all families, no two alike."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        template = _TEMPLATES[len(found) % len(_TEMPLATES)]
        text = template.format(
            path=chance.choice(PATHS),
            days=chance.randrange(7, 120),
            n=chance.randrange(1, 9),
            country=chance.choice(COUNTRIES),
        )
        found[text if text not in found else f"({text}) or mrr > {chance.randrange(10_000)}"] = None
    return list(found)


def whole_texts() -> dict[str, str]:
    """Return segments of the words that are evaluated whole each time."""
    return {
        "percentile": "percentile(mrr) >= 80",
        "top": 'top(count("Logged In", last="30d"), 1000)',
        "sql": "sql(\"select profile_id from answers where kind = 'score' and number >= 9\")",
        "any_user": 'any_user(did("Project Launched", last="30d"))',
        "all_users": "all_users(exists(country))",
    }

"""For each word of the language segments that use it: in a living world some are true of somebody and false of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.segments.tree import How
from core.segments.words import CALLS, NAMES
from core.segments.words.reference import SECTIONS

PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "and": ('exists(country) and did("Order")',),
    "or": ('country == "SE" or past_due',),
    "not": ('not did("Order")',),
    "==": ('plan == "pro"', 'lifecycle_stage == "lead"', "crm.score == 5", 'country == "SE"'),
    "!=": ('country != "SE"',),
    "<": ("crm.score < 6",),
    "<=": ("2 <= crm.score <= 8",),
    ">": ("crm.score > 6",),
    ">=": ("nps >= 5", "crm.score >= 6"),
    "in": ('country in ["SE", "Norway"]',),
    "not in": ('country not in ["SE"]',),
    ".contains": ('lifecycle_stage.contains("a")',),
    ".startswith": ('did("Page Viewed", where=path.startswith("/"))',),
    ".endswith": ('email.endswith("1@example.com")', 'lifecycle_stage.endswith("d")'),
    ".matches": ('email.matches("p[0-2]@")',),
    "email": ('email.startswith("p1@")', 'email.startswith("p2@")'),
    "user_id": ("exists(user_id)", 'user_id == "u1"'),
    "first_name": ('first_name == "Ann"',),
    "last_name": ("missing(last_name)",),
    "phone": ("exists(phone)",),
    "country": ('country == "Sverige"',),
    "language": ('language == "sv"',),
    "timezone": ('timezone == "Asia/Tokyo"',),
    "job_title": ('job_title.contains("market")',),
    "created_at": ('created_at > date("2026-02-20")',),
    "lifecycle_stage": ("exists(lifecycle_stage)",),
    "owner": ('owner == "Eva"',),
    "company": ("company.employees >= 5", 'company.country == "SE"'),
    "CONNECTION": ("crm.contacts.score > 5", "crm.vip"),
    "field": ('exists(field("crm.contacts", "$city"))',),
    "prop": ('did("Page Viewed", where=prop("path") == "/pricing")', 'did("Page Viewed", where=exists(prop("path")))'),
    "exists": ("exists(crm.score)",),
    "missing": ("missing(crm.score)",),
    "date": ('crm.seen_at >= date("2026-03-01")',),
    "within_last": ('within_last(crm.seen_at, "30d")',),
    "more_than_ago": ('more_than_ago(crm.seen_at, "14d")',),
    "within_next": ('within_next(trial_ends_at, "2d")', 'within_next(crm.seen_at, "2d")', 'within_next(created_at, "2d")'),
    "between_ago": ('between_ago(crm.seen_at, "60d", "7d")', 'did("Order", between_ago=("40d", "5d"))'),
    "during": ('during(crm.seen_at, previous("month"))', 'did("Order", during=previous("month"))'),
    "this": ('did("Order", during=this("month"))',),
    "previous": ('during(created_at, previous("month"))',),
    "did": ('did("Signed Up")',),
    "count": ('count("Page Viewed") >= 2',),
    "days_active": ('days_active("Page Viewed", last="60d") >= 2',),
    "distinct": ('distinct("Page Viewed", "path") >= 1',),
    "sum": ('sum("Order", "ms") > 4',),
    "avg": ('avg("Order", "ms") > 4',),
    "median": ('median("Page Viewed", "ms") > 4',),
    "first_time": ('more_than_ago(first_time("Signed Up"), "30d")',),
    "last_time": ('more_than_ago(last_time("Page Viewed"), "7d")',),
    "last_event": ('last_event("Order", where=exists(path))',),
    "regularly": ('regularly("Page Viewed", 2, of=4, every="14d")', 'regularly("Order", 1, of=4, every="7d")'),
    "stopped": ('stopped("Page Viewed", "14d")', 'stopped("Order", "30d")', 'stopped("Signed Up", "20d")'),
    "restarted": ('restarted("Page Viewed", "7d")', 'restarted("Order", "14d")', 'restarted("Signed Up", "10d")'),
    "sequence": ('sequence("Page Viewed", "Order")', 'sequence("Signed Up", did("Page Viewed"), within="30d")'),
    "without": ('sequence("Page Viewed", without("Order"), within="3d")',),
    "last": ('did("Order", last="30d")',),
    "since": ('did("Order", since="2026-03-01")',),
    "until": ('did("Order", until="2026-03-01")',),
    "PROPERTY": ('did("Page Viewed", trial=True)', 'did("Order", path=["/pricing", "a", "pro"])'),
    "where": ('did("Page Viewed", where=ms > 2 or exists(path))',),
    "source": ('did("Order", source="web")',),
    "paying": ("paying",),
    "plan": ('plan in ["pro", "lead", "a"]', "exists(plan)"),
    "plan_interval": ('plan_interval == "month"', 'plan_interval == "year"'),
    "subscription_status": ('subscription_status in ["trialing", "canceled"]', 'subscription_status == "active"'),
    "mrr": ("mrr >= 1", "mrr < 5", "exists(mrr)"),
    "arr": ("arr > 10", "arr < 60"),
    "ltv": ("ltv > 5",),
    "payments": ("payments >= 1",),
    "first_paid_at": ('within_last(first_paid_at, "60d")',),
    "last_paid_at": ('more_than_ago(last_paid_at, "3d")',),
    "trial_ends_at": ("exists(trial_ends_at)",),
    "canceled_at": ("exists(canceled_at)",),
    "past_due": ("past_due",),
    "seats": ("seats >= 3",),
    "nps": ("exists(nps)", "nps >= 4"),
    "csat": ("exists(csat)", "csat >= 3"),
    "answered": ('answered("Onboarding")',),
    "answer": ('exists(answer("Onboarding", "role"))', 'exists(answer("Onboarding", "size", any=True))'),
    "segment": ('segment("base") and not paying',),
    "partition": ('partition("p") == "high"', 'partition("p") == "rest"'),
    "in_list": ('in_list("vip.csv")',),
    "sql": ("sql(\"select id from profiles where country = 'SE'\")",),
    "percentile": ("percentile(crm.score) >= 50",),
    "top": ("top(crm.score, 2)",),
    "bucket": ('bucket("spring") < 0.5',),
    "changed": ("changed(country)", "changed(lifecycle_stage)", "changed(subscription_status)"),
    "any_user": ('any_user(did("Order"))', "any_user(crm.score > 5)"),
    "all_users": ("all_users(exists(user_id))", 'all_users(did("Order"))'),
    "no_user": ('no_user(did("Order"))',),
    "+": ('count("Order") + count("Page Viewed") >= 3',),
    "-": ('count("Page Viewed") - count("Order") > 0',),
    "*": ('10 * did("Signed Up") + 2 * count("Order") >= 4',),
    "/": ('count("Page Viewed") / crm.score > 0.2',),
    "if": ("(2 * crm.score if crm.vip else crm.score) > 6",),
    "min": ('min(count("Order"), 5) >= 2', 'min("Order", "ms") > 1'),
    "max": ('max("Order", "ms") >= 5', "max(crm.score, 5) == 5"),
    "coalesce": ("coalesce(crm.score, 0) < 6",),
    "round": ("round(crm.score / 3) >= 2",),
    "days_since": ("days_since(crm.seen_at) >= 20",),
}
"""By the word as the reference page has it."""
TEXTS: Final = tuple(dict.fromkeys(text for texts in PHRASES.values() for text in texts))


def demanded() -> frozenset[str]:
    """Return every word of the language, by the tables that the language itself and its reference page are made of."""
    page = {entry.word for section in SECTIONS for entry in section.entries}
    return frozenset({*page, *NAMES, *CALLS, *(f".{how}" for how in How)})


def counts(inside: Mapping[str, int], outside: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return for each word how often its segments held somebody, and how often somebody was left out, from counts by text."""
    return {
        word: (sum(inside.get(text, 0) for text in texts), sum(outside.get(text, 0) for text in texts))
        for word, texts in PHRASES.items()
    }

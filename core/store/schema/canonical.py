"""The canonical kinds and columns that segments speak of, whichever vendor they came from, and the table of each."""

from __future__ import annotations

from typing import Final

from core.contract import Kind

CANONICAL: Final[dict[Kind, dict[str, str]]] = {
    Kind.PROFILE: {
        "email": "text",
        "first_name": "text",
        "last_name": "text",
        "phone": "text",
        "country": "country",
        "language": "language",
        "timezone": "text",
        "job_title": "text",
        "created_at": "time",
        "lifecycle_stage": "text",
        "owner": "text",
    },
    Kind.COMPANY: {
        "name": "text",
        "domain": "text",
        "industry": "text",
        "employees": "integer",
        "revenue": "number",
        "country": "country",
        "created_at": "time",
    },
    Kind.SUBSCRIPTION: {
        "status": "text",
        "plan": "text",
        "amount": "money",
        "currency": "text",
        "interval": "text",
        "interval_count": "integer",
        "quantity": "integer",
        "mrr": "money",
        "started_at": "time",
        "trial_ends_at": "time",
        "cancel_requested_at": "time",
        "ended_at": "time",
    },
    Kind.PAYMENT: {"amount": "money", "refunded": "money", "currency": "text", "status": "text", "paid_at": "time"},
    Kind.ANSWER: {
        "survey": "text",
        "question": "text",
        "kind": "text",
        "choice": "json",
        "text": "text",
        "number": "number",
        "answered_at": "time",
        "measure": "text",  # nps or csat, where the vendor says so itself; else the question's name tells, or the survey's
    },
    Kind.EVENT: {"name": "text", "time": "time", "properties": "json"},
    Kind.DEAL: {"stage": "text", "won": "boolean", "amount": "money", "currency": "text", "closed_at": "time"},
    Kind.TICKET: {"status": "text", "priority": "text", "score": "number", "opened_at": "time", "closed_at": "time"},
    Kind.CONSENT: {"channel": "text", "state": "text", "at": "time"},
}
"""Canonical columns of each kind and their types: text, integer, number, boolean, time, country, language, money, json."""

TABLES: Final[dict[Kind, str]] = {
    Kind.PROFILE: "profile_rows",
    Kind.COMPANY: "company_rows",
    Kind.SUBSCRIPTION: "subscriptions",
    Kind.PAYMENT: "payments",
    Kind.ANSWER: "answers",
    Kind.EVENT: "events",
    Kind.DEAL: "deals",
    Kind.TICKET: "tickets",
    Kind.CONSENT: "consents",
}
"""
The canonical table of each kind. All but `events` have: id, stream_id, key, record_key (the landing row it came from),
subject_id, profile_id, company_id, deleted_at, and the columns of CANONICAL.
"""

SQL_TYPES: Final = {
    "text": "TEXT",
    "country": "TEXT",
    "language": "TEXT",
    "json": "TEXT",
    "number": "REAL",
    "integer": "INTEGER",
    "boolean": "INTEGER",
    "time": "INTEGER",
    "money": "INTEGER",
}

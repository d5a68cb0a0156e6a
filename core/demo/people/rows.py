"""
The world as each tool has it: its own ids, its own spelling, its own letter case.

Most give the neutral rows that sandboxes are loaded with; `accounts`, `usage` and `scores` are lines of the product's files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.demo.people.model import Answer, Person, World
from core.demo.people.names import LANGUAGE, SPELLINGS

Rows = Iterator[Mapping[str, Any]]


def _spelled(address: str, number: int) -> str:
    """Return *address* as somebody typed it."""
    return (address, address, address.title(), address.upper())[number % 4]


def contacts(people: list[Person]) -> Rows:
    """People as the CRM has them."""
    for person in people:
        if person.contact_id:
            yield {
                "id": person.contact_id,
                "email": _spelled(person.email, person.number),
                "first_name": person.first_name,
                "last_name": person.last_name,
                "country": SPELLINGS[person.country][person.number % 5],
                "language": LANGUAGE[person.country],
                "job_title": person.role,
                "company_id": person.shop.id if person.shop else None,
                "additional_emails": list(person.other_emails),
                "lifecycle_stage": "customer" if person.subscription else "lead",
                "created_at": person.created_at,
            }


def companies(world: World) -> Rows:
    """Shops as the CRM has them."""
    for shop in world.shops:
        yield {
            "id": shop.id, "name": shop.name, "domain": shop.domain, "industry": shop.industry, "employees": shop.employees,
            "country": SPELLINGS[shop.country][0], "created_at": shop.created_at,
        }  # fmt: skip


def customers(people: list[Person]) -> Rows:
    """People as the billing tool has them."""
    for person in people:
        if person.customer_id and person.billing_email:
            yield {
                "id": person.customer_id,
                "email": _spelled(person.billing_email, person.number + 1),
                "name": f"{person.first_name} {person.last_name}",
                "user_id": person.user_id,
                "country": person.country,
                "created_at": person.created_at,
            }


def subscriptions(people: list[Person]) -> Rows:
    """What they pay for, as the billing tool has it."""
    for person in people:
        bill = person.subscription
        if bill and person.customer_id:
            yield {
                "id": bill.id, "customer": person.customer_id, "status": bill.status, "plan": bill.plan,
                "unit_amount": bill.unit_amount, "currency": bill.currency, "interval": bill.interval, "interval_count": 1,
                "quantity": bill.quantity, "discount_percent": bill.discount_percent, "started_at": bill.started_at,
                "trial_ends_at": bill.trial_ends_at, "cancel_requested_at": bill.cancel_requested_at,
                "cancel_at_period_end": bool(bill.cancel_requested_at and not bill.ended_at), "ended_at": bill.ended_at,
                "created_at": bill.started_at,
            }  # fmt: skip


def invoices(people: list[Person]) -> Rows:
    """What they were billed."""
    for person in people:
        for invoice in person.invoices:
            yield {
                "id": invoice.id, "customer": person.customer_id,
                "subscription": person.subscription and person.subscription.id,
                "status": "paid" if invoice.paid else "open", "amount_paid": invoice.amount if invoice.paid else 0,
                "refunded": invoice.refunded, "currency": invoice.currency, "created_at": invoice.created_at,
                "paid_at": invoice.created_at if invoice.paid else None,
            }  # fmt: skip


def members(people: list[Person]) -> Rows:
    """People as the e-mail tool has them."""
    for person in people:
        if person.member_email:
            yield {
                "id": _spelled(person.member_email, person.number + 2),
                "email": _spelled(person.member_email, person.number + 2),
                "first_name": person.first_name,
                "last_name": person.last_name,
                "language": LANGUAGE[person.country],
                "status": person.member_status,
            }


SURVEY = "NPS"
QUESTION = "How likely are you to recommend us?"


def surveys(world: World) -> Rows:
    """The one survey that people are asked."""
    yield {
        "id": "nps", "title": SURVEY, "created_at": world.shops[0].created_at if world.shops else world.now,
        "questions": [{"id": "score", "text": QUESTION, "kind": "nps", "choices": []}],
    }  # fmt: skip


def responses(people: list[Person]) -> Rows:
    """What they answered, as the survey tool has it."""
    for person, id_, answer in _answers(people):
        yield {
            "id": id_, "survey": "nps", "user_id": person.user_id, "email": person.product_email,
            "answers": {"score": answer.score}, "submitted_at": answer.at,
        }  # fmt: skip


def _answers(people: list[Person]) -> Iterator[tuple[Person, str, Answer]]:
    for person in people:
        for number, answer in enumerate(person.answers if person.user_id else ()):
            yield person, f"r-{person.user_id}{f'-{number}' if number else ''}", answer


def users(people: list[Person]) -> Rows:
    """People as the analytics tool has them."""
    for person in people:
        if person.user_id:
            yield {
                "id": person.user_id, "email": person.product_email, "first_name": person.first_name,
                "last_name": person.last_name, "country": person.country, "created_at": person.created_at,
            }  # fmt: skip


def events(people: list[Person]) -> Rows:
    """What they did, as the analytics tool has it."""
    for person in people:
        for did in person.did:
            yield {"id": did.id, "user_id": person.user_id, "name": did.name, "at": did.at, "properties": did.properties}


def accounts(people: list[Person]) -> Rows:
    """Lines of the product's `accounts.csv`."""
    for person in people:
        if person.user_id and person.product_email:
            yield {
                "account_id": person.user_id,
                "owner_email": f" {_spelled(person.product_email, person.number + 3)}",
                "country": SPELLINGS[person.country][(person.number + 2) % 5],
                "account_name": person.shop.name if person.shop else "Nordkart",
                "account_domain": person.shop.domain if person.shop else "",
                "seats": person.number % 7 + 1,
            }


def usage(people: list[Person]) -> Rows:
    """Lines of the product's `usage.jsonl`."""
    for person in people:
        for did in person.did:
            yield {"event_id": did.id, "user": person.user_id, "event": did.name, "at": did.at.isoformat(), **did.properties}


def scores(people: list[Person]) -> Rows:
    """Lines of the survey's `nps.csv`."""
    for person, id_, answer in _answers(people):
        yield {
            "response_id": id_, "user_id": person.user_id, "survey": SURVEY, "question": QUESTION, "kind": "score",
            "score": answer.score, "answered_at": answer.at.isoformat(),
        }  # fmt: skip

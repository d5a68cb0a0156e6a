"""
Who belongs where, worked out from the people themselves.

It speaks of the same segments as the demo's config, in plain Python: the demo fails when the two disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.demo.people.model import Person, Subscription, World
from core.demo.people.names import NORDIC, RATES

MONTH = timedelta(days=30)
ZONE = ZoneInfo("Europe/Stockholm")
"""The workspace's: a day is a day there."""


def mrr(bill: Subscription | None) -> Decimal:
    """Return what *bill* brings in a month, in euros; nothing unless it is active or past due."""
    if bill is None or bill.status not in ("active", "past_due"):
        return Decimal(0)
    amount = Decimal(bill.unit_amount * bill.quantity * (100 - bill.discount_percent)) / 100
    monthly = (amount / 12 if bill.interval == "year" else amount).quantize(Decimal(1))
    return monthly * Decimal(str(RATES[bill.currency])) / 100


@dataclass(slots=True)
class Facts:
    """What is true of one person at one moment."""

    person: Person
    bills: list[Subscription]
    as_of: datetime

    @property
    def mrr(self) -> Decimal:
        return sum((mrr(bill) for bill in self.bills), Decimal(0))

    @property
    def nps(self) -> int | None:
        return next((answer.score for answer in reversed(self.person.answers) if answer.at <= self.as_of), None)

    def has(self, status: str) -> bool:
        return any(bill.status == status for bill in self.bills)

    def times(self, name: str, *, last: timedelta | None = None, path: str | None = None) -> list[datetime]:
        return [
            did.at
            for did in self.person.did
            if did.name == name
            and did.at <= self.as_of
            and (last is None or did.at > self.as_of - last)
            and (path is None or did.properties.get("path") == path)
        ]


SEGMENTS: dict[str, Callable[[Facts], bool]] = {
    "pricing_regulars": lambda f: len(f.times("Page Viewed", last=MONTH, path="/pricing")) >= 3 and f.mrr == 0,
    "stuck_in_setup": lambda f: (
        bool(f.times("Payment Set Up")) and not f.times("Order Received") and f.person.country in NORDIC
    ),
    "paying_nordics": lambda f: f.mrr > 0 and f.person.country in NORDIC,
    "expansion_ready": lambda f: (
        f.mrr >= 100 and len({at.astimezone(ZONE).date() for at in f.times("Order Received", last=MONTH)}) >= 3
    ),
    "payment_failing": lambda f: f.has("past_due"),
}
PARTITIONS: dict[str, dict[str, Callable[[Facts], bool]]] = {
    "lifecycle": {
        "trial": lambda f: f.has("trialing"),
        "at_risk": lambda f: f.mrr > 0 and not f.times("Order Received", last=MONTH),
        "active": lambda f: f.mrr > 0,
        "churned": lambda f: f.has("canceled"),
    },
    "nps": {
        "promoter": lambda f: f.nps is not None and f.nps >= 9,
        "passive": lambda f: f.nps is not None and f.nps >= 7,
        "detractor": lambda f: f.nps is not None,
    },
}


@dataclass(slots=True)
class Truth:
    """For each set name (`segment.x`, `partition.x.group`), the persons who are in it."""

    sets: dict[str, list[Person]] = field(default_factory=dict)


def truth(world: World, as_of: datetime) -> Truth:
    """Return who is in each set at *as_of*; staff are in none."""
    bills: dict[str, list[Subscription]] = {}
    for person in world.people:
        if person.subscription and person.shop:
            bills.setdefault(person.shop.id, []).append(person.subscription)
    result = Truth({f"segment.{name}": [] for name in SEGMENTS})
    for name, groups in PARTITIONS.items():
        result.sets |= {f"partition.{name}.{group}": [] for group in groups}
    for person in world.people:
        if person.staff or not person.known:
            continue
        facts = Facts(person, bills.get(person.shop.id, []) if person.shop else [], as_of)
        for name, rule in SEGMENTS.items():
            if rule(facts):
                result.sets[f"segment.{name}"].append(person)
        for name, groups in PARTITIONS.items():
            group = next((group for group, rule in groups.items() if rule(facts)), None)
            if group:
                result.sets[f"partition.{name}.{group}"].append(person)
    return result


@dataclass(slots=True)
class Expected:
    """What a destination must hold after a sync, and whom the hub must have skipped, by reason."""

    members: set[str]
    skips: dict[str, set[str]]
    """Reason to the persons' winning addresses."""


def expected_tag(world: World, wanted: list[Person], before: set[str]) -> Expected:
    """
    Return what a tag of the e-mail tool must hold, given what it held *before*.

    Nobody who said no is added; somebody who says no later stays while the segment holds, since a tag is no consent.
    """
    member = {p.member_email.lower(): p for p in world.people if p.member_email}
    outcome = Expected(set(), {"consent": set(), "not_found": set()})
    for person in wanted:
        address = person.address.lower()
        if address in before and address in member:
            outcome.members.add(address)
        elif person.member_status in ("unsubscribed", "cleaned") and person.member_email in _addresses(person):
            outcome.skips["consent"].add(address)
        elif address not in member:
            outcome.skips["not_found"].add(address)
        else:
            outcome.members.add(address)
    return outcome


def _addresses(person: Person) -> set[str | None]:
    """Return the addresses that tie the tools' records of *person* together: one who moved on has left the old one behind."""
    crm = {person.email, *person.other_emails} if person.contact_id else set()
    return crm | {person.address, person.product_email, person.billing_email}


def expected_list(wanted: list[Person]) -> Expected:
    """Return what a list of the CRM must hold: the contacts of those whom the CRM knows."""
    outcome = Expected(set(), {"not_found": set()})
    for person in wanted:
        if person.contact_id:
            outcome.members.add(person.contact_id)
        else:
            outcome.skips["not_found"].add(person.address.lower())
    return outcome

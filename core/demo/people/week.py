"""Seven days of other people's lives: they sign up, sell, stop paying, unsubscribe, change address, are merged and deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from core.demo.people import changes
from core.demo.people.make import add_shop, subscribe
from core.demo.people.model import Did, Invoice, Person, World

WEEK = timedelta(days=7)


@dataclass(slots=True)
class Week:
    """What happened, for those who must tell the tools."""

    new: list[Person] = field(default_factory=list)
    activated: list[Person] = field(default_factory=list)
    churned: list[Person] = field(default_factory=list)
    failing: list[Person] = field(default_factory=list)
    unsubscribed: list[Person] = field(default_factory=list)
    moved: list[tuple[Person, str, str | None]] = field(default_factory=list)
    """Person, the old address, and the e-mail tool's old address where it followed."""
    merged: list[tuple[Person, str]] = field(default_factory=list)
    """Winner, and the CRM id of the loser."""
    deleted: list[str] = field(default_factory=list)
    """CRM ids."""


def live_a_week(world: World, *, seed: int = 8, merges: bool = True) -> Week:
    """Move *world* a week on and return what happened; *merges* is whether its CRM shows them."""
    random = Random(seed)  # noqa: S311 - made-up people need no secrecy
    week = Week()
    world.now += WEEK
    everyone = [person for person in world.people if not person.staff]
    for _ in range(12):
        week.new += add_shop(world, random, since=world.now - WEEK)
    week.activated = _activate(world, random, everyone)
    week.churned = _churn(world, random, everyone)
    week.failing = _fail(world, random, everyone)
    for person in random.sample([p for p in everyone if p.member_status == "subscribed" and p.member_email], 18):
        person.member_status = "unsubscribed"
        week.unsubscribed.append(person)
    week.moved = _move(random, everyone)
    week.merged = _merge(world, random, everyone) if merges else []
    week.deleted = _delete(world, random, everyone)
    return week


def _activate(world: World, random: Random, everyone: list[Person]) -> list[Person]:
    sleepers = [p for p in everyone if p.user_id and not any(d.name == "Order Received" for d in p.did)]
    chosen = random.sample(sleepers, 40)
    for person in chosen:
        at = world.now - timedelta(days=random.uniform(0.5, 6))
        person.did.append(Did(f"ev-{world.number()}", "Order Received", at, {"amount": random.randint(100, 900) / 10}))
    for person in random.sample(sleepers, 30):
        for _ in range(3):
            at = world.now - timedelta(days=random.uniform(0.5, 6))
            person.did.append(Did(f"ev-{world.number()}", "Page Viewed", at, {"path": "/pricing"}))
    return chosen


def _churn(world: World, random: Random, everyone: list[Person]) -> list[Person]:
    chosen = random.sample([p for p in everyone if p.subscription and p.subscription.status == "active"], 14)
    for person in chosen:
        assert person.subscription is not None
        person.subscription.status = "canceled"
        person.subscription.cancel_requested_at = person.subscription.ended_at = world.now - timedelta(
            days=random.uniform(1, 6)
        )
    trials = [p for p in everyone if p.subscription and p.subscription.status == "trialing"]
    for person in random.sample(trials, min(10, len(trials))):
        assert person.subscription is not None
        person.subscription.status, person.subscription.trial_ends_at = "active", world.now - timedelta(days=1)
    served = {p.shop.id for p in everyone if p.shop and p.subscription}
    free = {p.shop.id: p for p in everyone if p.shop and p.contact_id and p.shop.id not in served}
    for person in random.sample(list(free.values()), 6):
        subscribe(world, random, person, status="trialing")
    return chosen


def _fail(world: World, random: Random, everyone: list[Person]) -> list[Person]:
    chosen = random.sample([p for p in everyone if p.subscription and p.subscription.status == "active"], 8)
    for person in chosen:
        assert person.subscription is not None
        person.subscription.status = "past_due"
        bill = person.subscription
        invoice = Invoice(f"in_{world.number():08d}", bill.unit_amount, bill.currency, world.now - timedelta(days=1), False)
        person.invoices.append(invoice)
    return chosen


def _move(random: Random, everyone: list[Person]) -> list[tuple[Person, str, str | None]]:
    moved: list[tuple[Person, str, str | None]] = []
    for person in random.sample(changes.settled(everyone), 14):
        old, person.email = person.email, f"new.{person.email}"
        followed = random.random() < 0.7
        if followed:
            person.member_email = person.email
        if person.product_email:
            person.product_email = person.email
        moved.append((person, old, old if followed else None))
    return moved


def _merge(world: World, random: Random, everyone: list[Person]) -> list[tuple[Person, str]]:
    pairs: list[tuple[Person, Person]] = []
    for winner, loser in changes.mergeable(everyone):
        if all(winner is not other and winner is not gone for other, gone in pairs):
            pairs.append((winner, loser))
    return [(winner, changes.merge(world, winner, loser)) for winner, loser in random.sample(pairs, 7)]


def _delete(world: World, random: Random, everyone: list[Person]) -> list[str]:
    gone: list[str] = []
    alone = changes.alone(world, everyone)
    for person in random.sample(alone, min(9, len(alone))):
        assert person.contact_id is not None
        gone.append(person.contact_id)
        person.contact_id = None
        world.people.remove(person)
    return gone

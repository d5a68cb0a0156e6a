"""
An hour or two of other people's lives: what `core.demo.people.week` does in seven days, a few at a time, as long as wanted.

What is true afterwards is `core.demo.people.truth`'s to say. *pinned* persons stay who and where they are (somebody put them
into lists by hand), though what they do and pay may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from random import Random

from core.demo.people import changes
from core.demo.people.make import add_shop, subscribe
from core.demo.people.model import Answer, Did, Invoice, Person, World


def live_a_while(world: World, random: Random, span: timedelta, *, pinned: set[int], merges: bool = True) -> Mapping[str, str]:
    """
    Move *world* on by *span* and return which contacts the CRM merged: loser's id to winner's.

    Whoever takes back a refusal is *pinned* from then on: nobody could tell of a yes whose record was gone before it was seen.
    """
    world.now += span
    everyone = [person for person in world.people if not person.staff]
    free = [person for person in everyone if person.number not in pinned]
    if random.random() < 0.7:
        for person in add_shop(world, random, since=world.now - span):
            for answer in person.answers:
                answer.at = world.now - span / 2  # a survey tool tells of new answers, not of old ones by new people
    _use(world, random, everyone, span)
    _pay(world, random, everyone, span)
    for person in _some(random, [p for p in free if p.member_status == "subscribed" and p.member_email], 3):
        person.member_status = "unsubscribed"
    refused = [p for p in everyone if p.member_status == "unsubscribed" and p.member_email == p.email and p.user_id]
    for person in _some(random, [p for p in refused if not p.email.startswith("new.")], 1):
        person.member_status = "subscribed"  # they changed their mind
        pinned.add(person.number)
    free = [person for person in free if person.number not in pinned]
    _move(random, free)
    merged = _merge(world, random, free) if merges else {}
    _delete(world, random, free)
    return merged


def _some(random: Random, among: list[Person], most: int) -> list[Person]:
    return random.sample(among, min(random.randint(0, most), len(among)))


def _use(world: World, random: Random, everyone: list[Person], span: timedelta) -> None:
    users = [person for person in everyone if person.user_id]

    def did(person: Person, name: str, **properties: object) -> None:
        at = world.now - span * random.uniform(0.1, 0.9)
        person.did.append(Did(f"ev-{world.number()}", name, at, properties))

    for person in _some(random, [p for p in users if not any(d.name == "Order Received" for d in p.did)], 5):
        did(person, "Order Received", amount=random.randint(100, 900) / 10)
    for person in _some(random, users, 5):
        for _ in range(3):
            did(person, "Page Viewed", path="/pricing")
    for person in _some(random, [p for p in users if not any(d.name == "Payment Set Up" for d in p.did)], 3):
        did(person, "Payment Set Up", provider="card")
    for person in _some(random, users, 4):
        person.answers.append(Answer(random.choice((3, 7, 9)), world.now - span / 2))


def _pay(world: World, random: Random, everyone: list[Person], span: timedelta) -> None:
    def paying(*statuses: str) -> list[Person]:
        return [p for p in everyone if p.subscription and p.subscription.status in statuses]

    for person in _some(random, paying("active", "past_due"), 2):
        bill = person.subscription
        assert bill is not None
        bill.status, bill.cancel_requested_at, bill.ended_at = "canceled", world.now - span / 2, world.now - span / 2
    for person in _some(random, paying("trialing"), 3):
        assert person.subscription is not None
        person.subscription.status, person.subscription.trial_ends_at = "active", world.now - span / 2
    for person in _some(random, paying("active"), 2):
        bill = person.subscription
        assert bill is not None
        bill.status = "past_due"
        at = world.now - span / 2
        person.invoices.append(Invoice(f"in_{world.number():08d}", bill.unit_amount, bill.currency, at, paid=False))
    for person in _some(random, paying("past_due"), 2):
        assert person.subscription is not None
        person.subscription.status = "active"
    served = {p.shop.id for p in everyone if p.shop and p.subscription}
    shops = {p.shop.id: p for p in everyone if p.shop and p.contact_id and p.shop.id not in served}
    for person in _some(random, list(shops.values()), 3):
        subscribe(world, random, person, status="trialing")


def _move(random: Random, free: list[Person]) -> None:
    for person in _some(random, changes.settled(free), 2):
        person.email = f"new.{person.email}"
        if random.random() < 0.7:
            person.member_email = person.email
        if person.product_email:
            person.product_email = person.email


def _merge(world: World, random: Random, free: list[Person]) -> dict[str, str]:
    pairs = [(winner, loser) for winner, loser in changes.mergeable(free) if winner.member_status == "subscribed"]
    chosen = random.sample(pairs, min(random.randint(0, 1), len(pairs)))
    return {changes.merge(world, winner, loser): str(winner.contact_id) for winner, loser in chosen}


def _delete(world: World, random: Random, free: list[Person]) -> None:
    for person in _some(random, changes.alone(world, free), 1):
        person.contact_id = None
        world.people.remove(person)

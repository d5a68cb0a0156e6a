"""Makes the world: about 2,000 people in 650 shops, spread over the tools unevenly and spelled differently in each."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from core.demo.people.model import Answer, Did, Invoice, Person, Shop, Subscription, World
from core.demo.people.names import CURRENCY, FIRST, INDUSTRIES, LAST, ROLES, ascii_name

PLANS = {"Starter": 1900, "Growth": 7900, "Scale": 24900}
"""Price of a month in cents of a euro; other currencies are rounder and dearer in figures."""
FACTOR = {"EUR": 1, "SEK": 11, "NOK": 11, "DKK": 7}
STATUSES = ("trialing", "active", "active", "active", "active", "active", "past_due", "canceled", "canceled")


def make_world(now: datetime, *, people: int = 2000, seed: int = 7, several_addresses: bool = True) -> World:
    """
    Return a world in which it is *now*; the same *seed* gives the same people.

    *several_addresses* is whether its CRM can know one person by several.
    """
    random = Random(seed)  # noqa: S311 - made-up people need no secrecy
    world = World(now, several_addresses=several_addresses)
    while len(world.people) < people * 0.94:
        add_shop(world, random)
    while len(world.people) < people - 12:
        add_reader(world, random)
    for _ in range(12):
        add_staff(world, random)
    return world


def add_shop(world: World, random: Random, *, since: datetime | None = None) -> list[Person]:
    """Add a shop with one to five people, of whom the first pays; they do nothing in the product before *since*."""
    number = world.number()
    country = random.choices(list(FIRST), weights=(34, 20, 16, 14, 4, 12))[0]
    age = timedelta(days=random.randint(20, 700))
    shop = Shop(
        id=str(900_000 + number),
        name=f"{random.choice(LAST[country])} {random.choice(INDUSTRIES)} {number}",
        domain=f"shop{number}.example.com",
        country=country,
        industry=random.choice(INDUSTRIES),
        employees=random.randint(1, 80),
        created_at=world.now - age,
    )
    world.shops.append(shop)
    people = [add_person(world, random, shop) for _ in range(random.choices((1, 2, 3, 4, 5), weights=(20, 25, 25, 20, 10))[0])]
    if random.random() < 0.62:
        subscribe(world, random, people[0])
    for person in people:
        if person.user_id:
            live(world, random, person, since=since or shop.created_at)
    return people


def add_person(world: World, random: Random, shop: Shop) -> Person:
    """Add one person of *shop*; at least one tool knows them."""
    number = world.number()
    first, last = random.choice(FIRST[shop.country]), random.choice(LAST[shop.country])
    address = f"{ascii_name(first)}.{ascii_name(last)}{number}@{shop.domain}"
    person = Person(number, first, last, shop.country, random.choice(ROLES), shop, address, created_at=shop.created_at)
    if random.random() < 0.86:
        person.contact_id = str(100_000 + number)
        if random.random() < 0.06 and world.several_addresses:
            person.other_emails = [f"{ascii_name(first)}{number}@old.example.com"]
        if random.random() < 0.03:
            person.merged_contacts = [str(500_000 + number)]
    if random.random() < 0.78 or not person.contact_id:
        person.user_id = f"u-{number}"
        person.product_email = person.other_emails[0] if person.other_emails else address
    if random.random() < 0.8:
        # some signed up for the newsletter with an address that only another tool ties to them
        person.member_email = person.other_emails[0] if person.other_emails and random.random() < 0.5 else address
        person.member_status = random.choices(
            ("subscribed", "unsubscribed", "cleaned", "transactional"), weights=(84, 9, 2, 5)
        )[0]
    if person.user_id and random.random() < 0.3:
        score = random.choice((2, 5, 6, 7, 8, 8, 9, 9, 10))
        person.answers.append(Answer(score, world.now - timedelta(days=random.randint(1, 60))))
    world.people.append(person)
    return person


def add_reader(world: World, random: Random) -> Person:
    """Add somebody whom only the e-mail tool knows."""
    number = world.number()
    country = random.choice(list(FIRST))
    first, last = random.choice(FIRST[country]), random.choice(LAST[country])
    address = f"{ascii_name(first)}.{number}@readers.example.com"
    person = Person(
        number, first, last, country, "", None, address, member_email=address, created_at=world.now - timedelta(days=40)
    )
    world.people.append(person)
    return person


def add_staff(world: World, random: Random) -> Person:
    """Add one of Nordkart's own, who use the product all day and must stay out of everything."""
    number = world.number()
    first, last = random.choice(FIRST["SE"]), random.choice(LAST["SE"])
    address = f"{ascii_name(first)}.{number}@staff.example.com"
    person = Person(number, first, last, "SE", "Support", None, address, staff=True, created_at=world.now - timedelta(days=400))
    person.contact_id, person.user_id = str(100_000 + number), f"u-{number}"
    person.product_email = person.member_email = address
    world.people.append(person)
    live(world, random, person, since=world.now - timedelta(days=300))
    return person


def subscribe(world: World, random: Random, person: Person, *, status: str | None = None) -> None:
    """Give *person* a customer record, a subscription and its invoices in the billing tool."""
    number = world.number()
    plan = random.choice(list(PLANS))
    currency = CURRENCY[person.country]
    interval = random.choices(("month", "year"), weights=(75, 25))[0]
    amount = PLANS[plan] * FACTOR[currency] * (10 if interval == "year" else 1)
    status = status or random.choice(STATUSES)
    begun = world.now - timedelta(days=random.randint(2, 12) if status == "trialing" else random.randint(15, 400))
    person.customer_id = f"cus_{number:08d}"
    person.billing_email = (
        person.email if random.random() < 0.9 or not person.user_id else f"billing{number}@{person.email.split('@')[1]}"
    )
    person.subscription = Subscription(
        id=f"sub_{number:08d}",
        plan=plan,
        status=status,
        unit_amount=amount,
        currency=currency,
        interval=interval,
        quantity=random.choices((1, 2, 5), weights=(80, 15, 5))[0],
        discount_percent=random.choices((0, 20, 100), weights=(85, 13, 2))[0],
        started_at=begun,
        trial_ends_at=begun + timedelta(days=14) if status == "trialing" else None,
        ended_at=world.now - timedelta(days=random.randint(1, 60)) if status == "canceled" else None,
    )
    if person.subscription.ended_at:
        person.subscription.started_at = min(begun, person.subscription.ended_at - timedelta(days=20))
    if status == "active" and random.random() < 0.06:
        person.subscription.cancel_requested_at = world.now - timedelta(days=3)
    if status != "trialing":
        at = person.subscription.started_at
        for _ in range(random.randint(1, 3)):
            refunded = amount if random.random() < 0.03 else 0
            person.invoices.append(Invoice(f"in_{world.number():08d}", amount, currency, at, True, refunded))
            at += timedelta(days=5)
        if status == "past_due":
            person.invoices.append(Invoice(f"in_{world.number():08d}", amount, currency, world.now - timedelta(days=2), False))


def live(world: World, random: Random, person: Person, *, since: datetime) -> None:
    """Let *person* use the product from *since* until now: some set a shop up, some sell, some only look at prices."""
    days = max(1, (world.now - since).days)

    def did(name: str, days_ago: float, **properties: object) -> None:
        at = world.now - timedelta(days=days_ago, seconds=random.randint(0, 3000))
        person.did.append(Did(f"ev-{world.number()}", name, max(at, since), properties))

    did("Signed Up", days)
    if random.random() < 0.75:
        did("Store Created", days * 0.95, theme=random.choice(("Fjord", "Skog", "Hav")))
        if random.random() < 0.7:
            did("Payment Set Up", days * 0.9, provider=random.choice(("card", "invoice", "wallet")))
            if random.random() < 0.65:
                for _ in range(random.randint(1, 9)):
                    did("Order Received", random.uniform(0.2, min(days, 60)), amount=random.randint(100, 9000) / 10)
    for _ in range(random.choice((0, 0, 1, 2, 4, 6))):
        path = random.choice(("/pricing", "/pricing", "/docs", "/themes"))
        did("Page Viewed", random.uniform(0.1, min(days, 50)), path=path)

"""Who there is: shops, people, their subscriptions and what they did. Plain mutable values; the world lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Subscription:
    """What a shop pays for."""

    id: str
    plan: str
    status: str
    unit_amount: int
    """Minor units of *currency*, for one *interval_count* of *interval*, for one seat, before the discount."""
    currency: str
    interval: str
    quantity: int
    discount_percent: int
    started_at: datetime
    trial_ends_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(slots=True)
class Invoice:
    """A bill, paid or not."""

    id: str
    amount: int
    currency: str
    created_at: datetime
    paid: bool
    refunded: int = 0


@dataclass(slots=True)
class Did:
    """Something that a person did in the product."""

    id: str
    name: str
    at: datetime
    properties: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What somebody answered to the survey once."""

    score: int
    at: datetime


@dataclass(slots=True)
class Shop:
    """A customer company; *subscription* is its own, whoever of its people pays."""

    id: str
    name: str
    domain: str
    country: str
    industry: str
    employees: int
    created_at: datetime


@dataclass(slots=True)
class Person:
    """
    One person, and under which id and address each tool knows them; None where a tool does not.

    Two CRM records of one human are two persons here until the CRM merges them: nobody could know before.
    """

    number: int
    first_name: str
    last_name: str
    country: str
    role: str
    shop: Shop | None
    email: str
    """The one they use for work; the CRM's."""
    staff: bool = False
    contact_id: str | None = None
    other_emails: list[str] = field(default_factory=list)
    user_id: str | None = None
    product_email: str | None = None
    customer_id: str | None = None
    billing_email: str | None = None
    member_email: str | None = None
    member_status: str = "subscribed"
    subscription: Subscription | None = None
    invoices: list[Invoice] = field(default_factory=list)
    did: list[Did] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    """Oldest first."""
    created_at: datetime | None = None
    merged_contacts: list[str] = field(default_factory=list)
    """CRM ids that were merged into *contact_id*."""

    @property
    def address(self) -> str:
        """The address that wins: the CRM's, else the billing tool's, else the product's, else the e-mail tool's."""
        if self.contact_id:
            return self.email
        return self.billing_email or self.product_email or self.member_email or self.email

    @property
    def known(self) -> bool:
        """Whether any tool still knows the person."""
        return any((self.contact_id, self.user_id, self.customer_id, self.member_email))


@dataclass(slots=True)
class World:
    """Everybody, and the time it is there."""

    now: datetime
    shops: list[Shop] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    several_addresses: bool = True
    serial: int = 0

    def number(self) -> int:
        """Return the next number of anything."""
        self.serial += 1
        return self.serial

"""
What can change the answer of a leaf: whose rows it reads, and which times the clock goes past.

Only leaves of which all is known here are brought up to date; whatever else there is in a tree (a word, or a field of a node,
that came later) is evaluated whole. So is what does not hang on one person's rows alone: ranks, lists, queries, other people.
A computed value reaches as far as all that is in it. Days that are counted go on for everybody once a day: they are followed
where they are compared with numbers, for then it is a time that an edge goes past.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Final

from core.segments.calendar import DAY_US
from core.segments.incremental_known import Whole, check, constants_of, fixed, moving
from core.segments.tree import (
    And,
    Answer,
    Answered,
    Billing,
    CompanyField,
    Compare,
    Condition,
    Did,
    Exists,
    In,
    Matches,
    Not,
    Or,
    ProfileField,
    Score,
    SourceField,
    Test,
    Value,
    values_of,
)
from core.segments.tree_constants import CONSTANTS, PERSON, Ago, Edge, Literal, personal
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Sequence, Window
from core.segments.tree_sets import OF_SUBSCRIPTION, Bucket, Changed
from core.segments.tree_traits import Arithmetic, Chosen, DaysSince, Member, Picked, Rounded, Trait, Truth, terms_in
from core.segments.vocabulary import PAYMENT_WORDS

MOST_PERIODS: Final = 60
FARTHEST_DAYS: Final = 10_000_000
"""No time is as many days away."""

_COMPUTED: Final = (Arithmetic, Picked, Rounded, Chosen, Truth, Trait)
_FUNCTIONS: Final = frozenset(
    {"count", "days_active", "distinct", "sum", "avg", "min", "max", "median", "first_time", "last_time", "periods"}
)
_BILLING: Final = frozenset(
    {
        "paying", "plan", "plan_interval", "subscription_status", "mrr", "arr", "ltv", "trial_ends_at", "canceled_at",
        "past_due", "seats", "payments", "first_paid_at", "last_paid_at",
    }
)  # fmt: skip


class Rows(Enum):
    """Rows with a time of their own, which the clock makes seen or forgotten."""

    ANSWERS = "answers"
    SUBSCRIPTIONS = "subscriptions"
    PAYMENTS = "payments"


@dataclass(frozen=True, slots=True)
class History:
    """The changes of a canonical field."""

    of: str
    """profile, company or subscription."""
    field: str


Subject = str | Rows | History | Value
"""What has a time: events of a name, rows of a kind, changes of a field, or a value of people."""


@dataclass(frozen=True, slots=True)
class Passing:
    """Who has such a time between where *edge* stood and where it stands now may have another answer."""

    subject: Subject
    edge: Ago | Edge


@dataclass(frozen=True, slots=True)
class Reach:
    """What can change a leaf's answer."""

    events: frozenset[str] = frozenset()
    """Names of events."""
    _: KW_ONLY
    people: bool = False
    """The person's own fields and records."""
    companies: bool = False
    """The company's, and its rows."""
    money: bool = False
    """What a currency is worth at the clock."""
    passing: frozenset[Passing] = frozenset()
    landed: frozenset[SourceField] = frozenset()
    """Fields of vendors, whose tables and types are the store's."""
    history: bool = False
    """What a field was before."""


NOW: Final = Ago(0)


def reach(leaf: object) -> Reach | None:
    """Return what can change the answer of *leaf*; None where it must be evaluated whole, or is no leaf."""
    reading = _Reading()
    try:
        reading.leaf(leaf)
    except Whole:
        return None
    return Reach(
        frozenset(reading.events),
        people=reading.people,
        companies=reading.companies,
        money=reading.money,
        passing=frozenset(reading.passing),
        landed=frozenset(reading.landed),
        history=reading.history,
    )


class _Reading:
    """A leaf being read."""

    def __init__(self) -> None:
        self.events: set[str] = set()
        self.people = self.companies = self.money = self.history = False
        self.passing: set[Passing] = set()
        self.landed: set[SourceField] = set()

    def leaf(self, node: object) -> None:
        check(node)
        match node:
            case Did():
                self.event_set(node.events)
            case LastEvent():
                self.event_set(node.events)
                fixed(node.test)
            case Sequence():
                self.sequence(node)
            case Answered():
                self.people = True
                self.window(node.window, Rows.ANSWERS)
            case Compare() | In() | Exists() | Matches():
                self.test(node)
            case Changed():
                self.changed(node)
            case _:
                raise Whole

    def changed(self, node: Changed) -> None:
        """Read what a field was: it is noted with the field itself, in one transaction."""
        self.value(node.value)
        if any(moving(constant) or personal(constant) for constant in (*node.to, *node.before)):
            raise Whole
        self.people = self.history = True
        match node.value:
            case ProfileField(name=name):
                self.window(node.window, History("profile", name))
            case CompanyField(name=name):
                self.window(node.window, History("company", name))
            case billing:
                self.window(node.window, History("subscription", OF_SUBSCRIPTION[billing.word]))

    def test(self, node: Test) -> None:
        values = values_of(node)
        for value in values:
            if (item := _counted_from(value)) is not None:
                self.days(item, node)
            else:
                self.value(value)
        if len(values) > 1:  # joined to the profiles, so whoever comes or goes counts
            self.people = True
        for constant in constants_of(node):
            self.people |= personal(constant)  # whose zone may become another
            if moving(constant):
                if any(isinstance(value, _COMPUTED) for value in values):
                    raise Whole  # whose time passed would have to be found among everybody's
                self.passing |= {Passing(value, constant) for value in values}  # type: ignore[arg-type]  # moving

    def value(self, value: Value) -> None:
        check(value)
        match value:
            case ProfileField() | Bucket():
                self.people = True
            case CompanyField():
                self.people = self.companies = True
            case SourceField():
                self.people = True
                self.landed.add(value)
            case Aggregate():
                self.aggregate(value)
            case Billing() if value.word in _BILLING:
                self.people = self.companies = self.money = True
                self.passing.add(Passing(Rows.PAYMENTS if value.word in PAYMENT_WORDS else Rows.SUBSCRIPTIONS, NOW))
            case Score() | Answer():
                self.people = True
                self.passing.add(Passing(Rows.ANSWERS, NOW))
            case _ if isinstance(value, _COMPUTED):
                self.computed(value)
            case _:
                raise Whole

    def days(self, item: Value, node: Test) -> None:
        """Read days since a time that are compared with numbers: each number is an edge that times go past."""
        times = item.items if isinstance(item, Picked) else (item,)
        check(item)
        self.people = True
        for time in times:
            if isinstance(time, (*_COMPUTED, DaysSince, *CONSTANTS)):
                raise Whole
            self.value(time)
        if isinstance(node, Matches) or (not isinstance(node, Exists) and len(values_of(node)) > 1):
            raise Whole
        for constant in constants_of(node):
            if not isinstance(constant, Literal) or isinstance(constant.value, str):
                raise Whole
            if abs(constant.value) < FARTHEST_DAYS:
                edges = {math.ceil(constant.value), math.floor(constant.value) + 1}
                self.passing |= {Passing(time, Ago(days * DAY_US)) for time in times for days in edges}  # type: ignore[arg-type]

    def computed(self, value: Value) -> None:
        self.people = True  # everybody has a row of it
        for term in terms_in(value):
            if not isinstance(term, CONSTANTS):
                self.value(term)
            elif moving(term):
                raise Whole
        if isinstance(value, Chosen | Truth):
            self.condition(value.condition)

    def condition(self, node: Condition) -> None:
        """Read a condition that stands in a computed value."""
        check(node)
        match node:
            case And() | Or():
                for item in node.items:
                    self.condition(item)
            case Not():
                self.condition(node.item)
            case Member():
                self.people = True
                self.condition(node.condition)
            case _:
                self.leaf(node)

    def aggregate(self, value: Aggregate) -> None:
        if value.function.value not in _FUNCTIONS:
            raise Whole
        self.people |= value.zone == PERSON
        self.event_set(value.events)
        if value.function is Function.PERIODS:
            after = value.events.window.after
            if after is None or not value.every_us or after.us > MOST_PERIODS * value.every_us:
                raise Whole
            self.passing |= {
                Passing(value.events.name, Ago(n * value.every_us)) for n in range(1, after.us // value.every_us + 1)
            }

    def sequence(self, node: Sequence) -> None:
        for step in node.steps:
            check(step)
            self.event_set(step.events)
            if node.within_us is not None:  # by then it is known what did not follow
                self.passing.add(Passing(step.events.name, Ago(node.within_us)))

    def event_set(self, events: EventSet) -> None:
        check(events)
        self.events.add(events.name)
        self.window(events.window, events.name)
        if events.filter is not None:
            fixed(events.filter)

    def window(self, window: Window, subject: str | Rows | History) -> None:
        check(window)
        self.passing.add(Passing(subject, window.upto or NOW))
        for bound in (window.after, window.since, window.until):
            self.people |= personal(bound)
            if bound is not None and moving(bound):
                self.passing.add(Passing(subject, bound))  # type: ignore[arg-type]  # moving


def _counted_from(value: Value) -> Value | None:
    """Return the time that a value is the days since, by whatever names."""
    while isinstance(value, Trait):
        value = value.value
    return value.item if isinstance(value, DaysSince) else None  # type: ignore[return-value]  # a constant is told apart

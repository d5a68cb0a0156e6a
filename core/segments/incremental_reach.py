"""
What can change the answer of a leaf: whose rows it reads, and which times the clock goes past.

Only leaves of which all is known here are brought up to date; whatever else there is in a tree (a word, or a field of a node,
that came later) is evaluated whole. So is what does not hang on one person's rows alone: ranks, lists, queries, other people;
and days that are counted, since everybody's count goes on once a day. A computed value reaches as far as all that is in it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Final

from core.segments import tree as t
from core.segments.tree_events import PERSON, Edge, LastEvent, Sequence, Step, personal
from core.segments.tree_sets import Bucket
from core.segments.tree_traits import Arithmetic, Chosen, Member, Picked, Rounded, Trait, Truth, terms_in
from core.segments.vocabulary import PAYMENT_WORDS

MOST_PERIODS: Final = 60

_KNOWN: Final[dict[type, frozenset[str]]] = {
    t.Did: frozenset({"events"}),
    t.Answered: frozenset({"survey", "window"}),
    t.Compare: frozenset({"terms", "ops"}),
    t.In: frozenset({"value", "options"}),
    t.Exists: frozenset({"value"}),
    t.Matches: frozenset({"value", "how", "text", "case"}),
    t.EventSet: frozenset({"name", "window", "filter", "source"}),
    t.Window: frozenset({"after", "upto", "since", "until"}),
    t.Property: frozenset({"name", "type"}),
    t.Aggregate: frozenset({"function", "events", "of", "zone", "every_us"}),
    t.ProfileField: frozenset({"name", "type"}),
    t.CompanyField: frozenset({"name", "type"}),
    t.SourceField: frozenset({"connection", "stream", "field", "type"}),
    t.Billing: frozenset({"word", "type"}),
    t.Score: frozenset({"word"}),
    t.Answer: frozenset({"survey", "question", "every", "type"}),
    Bucket: frozenset({"salt", "type"}),
    t.And: frozenset({"items"}),
    t.Or: frozenset({"items"}),
    t.Not: frozenset({"item"}),
    LastEvent: frozenset({"events", "test"}),
    Sequence: frozenset({"steps", "within_us", "start_last", "same"}),
    Step: frozenset({"events", "absent"}),
    Arithmetic: frozenset({"sign", "left", "right", "type"}),
    Picked: frozenset({"pick", "items", "type"}),
    Rounded: frozenset({"item", "digits", "type"}),
    Chosen: frozenset({"condition", "then", "otherwise", "type"}),
    Truth: frozenset({"condition", "type"}),
    Trait: frozenset({"name", "digest", "type", "value"}),
    Member: frozenset({"name", "digest", "anonymous", "condition"}),
}
"""The nodes and fields that are read here; a field that is not may hold nothing but its default."""
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


Subject = str | Rows | t.Value
"""What has a time: events of a name, rows of a kind, or a value of people."""


@dataclass(frozen=True, slots=True)
class Passing:
    """Who has such a time between where *edge* stood and where it stands now may have another answer."""

    subject: Subject
    edge: t.Ago | Edge


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
    landed: frozenset[t.SourceField] = frozenset()
    """Fields of vendors, whose tables and types are the store's."""


class Whole(Exception):  # noqa: N818 - an answer, not a failure
    """There is something in the leaf that is not known here."""


NOW: Final = t.Ago(0)


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
    )


class _Reading:
    """A leaf being read."""

    def __init__(self) -> None:
        self.events: set[str] = set()
        self.people = self.companies = self.money = False
        self.passing: set[Passing] = set()
        self.landed: set[t.SourceField] = set()

    def leaf(self, node: object) -> None:
        _check(node)
        match node:
            case t.Did():
                self.event_set(node.events)
            case LastEvent():
                self.event_set(node.events)
                fixed(node.test)
            case Sequence():
                self.sequence(node)
            case t.Answered():
                self.people = True
                self.window(node.window, Rows.ANSWERS)
            case t.Compare() | t.In() | t.Exists() | t.Matches():
                self.test(node)
            case _:
                raise Whole

    def test(self, node: t.Test) -> None:
        values = t.values_of(node)
        for value in values:
            self.value(value)
        if len(values) > 1:  # joined to the profiles, so whoever comes or goes counts
            self.people = True
        for constant in constants_of(node):
            if moving(constant):
                if any(isinstance(value, _COMPUTED) for value in values):
                    raise Whole  # whose time passed would have to be found among everybody's
                self.passing |= {Passing(value, constant) for value in values}  # type: ignore[arg-type]  # moving

    def value(self, value: t.Value) -> None:
        _check(value)
        match value:
            case t.ProfileField() | Bucket():
                self.people = True
            case t.CompanyField():
                self.people = self.companies = True
            case t.SourceField():
                self.people = True
                self.landed.add(value)
            case t.Aggregate():
                self.aggregate(value)
            case t.Billing() if value.word in _BILLING:
                self.people = self.companies = self.money = True
                self.passing.add(Passing(Rows.PAYMENTS if value.word in PAYMENT_WORDS else Rows.SUBSCRIPTIONS, NOW))
            case t.Score() | t.Answer():
                self.people = True
                self.passing.add(Passing(Rows.ANSWERS, NOW))
            case _ if isinstance(value, _COMPUTED):
                self.computed(value)
            case _:
                raise Whole

    def computed(self, value: t.Value) -> None:
        self.people = True  # everybody has a row of it
        for term in terms_in(value):
            if not isinstance(term, t.CONSTANTS):
                self.value(term)
            elif moving(term):
                raise Whole
        if isinstance(value, Chosen | Truth):
            self.condition(value.condition)

    def condition(self, node: t.Condition) -> None:
        """Read a condition that stands in a computed value."""
        _check(node)
        match node:
            case t.And() | t.Or():
                for item in node.items:
                    self.condition(item)
            case t.Not():
                self.condition(node.item)
            case Member():
                self.people = True
                self.condition(node.condition)
            case _:
                self.leaf(node)

    def aggregate(self, value: t.Aggregate) -> None:
        if value.zone == PERSON or value.function.value not in _FUNCTIONS:
            raise Whole
        self.event_set(value.events)
        if value.function is t.Function.PERIODS:
            after = value.events.window.after
            if after is None or not value.every_us or after.us > MOST_PERIODS * value.every_us:
                raise Whole
            self.passing |= {
                Passing(value.events.name, t.Ago(n * value.every_us)) for n in range(1, after.us // value.every_us + 1)
            }

    def sequence(self, node: Sequence) -> None:
        for step in node.steps:
            _check(step)
            self.event_set(step.events)
            if node.within_us is not None:  # by then it is known what did not follow
                self.passing.add(Passing(step.events.name, t.Ago(node.within_us)))

    def event_set(self, events: t.EventSet) -> None:
        _check(events)
        self.events.add(events.name)
        self.window(events.window, events.name)
        if events.filter is not None:
            fixed(events.filter)

    def window(self, window: t.Window, subject: str | Rows) -> None:
        _check(window)
        self.passing.add(Passing(subject, window.upto or NOW))
        for bound in (window.after, window.since, window.until):
            if bound is not None and moving(bound):
                self.passing.add(Passing(subject, bound))  # type: ignore[arg-type]  # moving


def _check(node: object) -> None:
    """Raise Whole where *node* is of a kind, or holds something, that is not known here."""
    known = _KNOWN.get(type(node))
    if known is None:
        raise Whole
    for field in dataclasses.fields(node):  # type: ignore[arg-type]  # they are all dataclasses
        if field.name not in known and getattr(node, field.name) != field.default:
            raise Whole


def moving(constant: object) -> bool:
    """Return whether a constant stands elsewhere when the clock goes on; Whole where that differs from person to person."""
    match constant:
        case t.Literal() | t.Moment():
            return False
        case t.Ago():
            return True
        case Edge() if not personal(constant):
            return True
        case _:
            raise Whole


def constants_of(node: t.Test) -> list[object]:
    """Return the constants that a test compares with."""
    match node:
        case t.Compare():
            return [term for term in node.terms if isinstance(term, t.CONSTANTS)]
        case t.In():
            return list(node.options)
        case _:
            return []


def fixed(node: t.Condition) -> None:
    """Raise Whole unless a filter of events says the same of an event at any time."""
    for part in t.walk(node):
        _check(part)
        if isinstance(part, t.Compare | t.In | t.Exists | t.Matches):
            for value in t.values_of(part):
                if not isinstance(value, t.Property):
                    raise Whole
                _check(value)
            if any(moving(constant) for constant in constants_of(part)):
                raise Whole
        elif not isinstance(part, t.And | t.Or | t.Not):
            raise Whole

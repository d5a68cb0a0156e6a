"""
The typed tree of an expression: plain frozen values, equal when they ask the same, so that a leaf is computed once.

Nothing here knows text, SQL or the store. Constants stand for themselves; `Ago` is resolved by the run's one clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Final

from core.segments.tree_events import Edge, LastEvent, OwnMoment, Sequence
from core.segments.tree_sets import Bucket, Changed, CompanyIn, FromSql, InList, Percentile, Top, Users
from core.segments.tree_traits import Computed, Member


class Type(StrEnum):
    """What a value is; ANY is settled by what it is compared with."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    COUNTRY = "country"
    LANGUAGE = "language"
    ANY = "any"


TEXT_LIKE: Final = frozenset({Type.TEXT, Type.COUNTRY, Type.LANGUAGE, Type.ANY})


# --- constants -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, number or boolean as written (countries, languages and addresses normalised)."""

    value: str | float
    type: Type


@dataclass(frozen=True, slots=True)
class Moment:
    """A fixed point in time: `date("2026-01-01")` in the segment's zone."""

    at_us: int

    @property
    def type(self) -> Type:
        return Type.TIME


@dataclass(frozen=True, slots=True)
class Ago:
    """A point in time relative to the run's clock; negative is ahead."""

    us: int

    @property
    def type(self) -> Type:
        return Type.TIME


Constant = Literal | Moment | Ago | Edge | OwnMoment
CONSTANTS: Final = (Literal, Moment, Ago, Edge, OwnMoment)


# --- events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """
    The span that events are counted in; nothing after the run's clock is ever seen.

    Rolling bounds are (after, upto]; calendar ones are [since, until), `during` being two edges.
    """

    after: Ago | None = None
    upto: Ago | None = None
    since: Moment | Edge | OwnMoment | None = None
    until: Moment | Edge | OwnMoment | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the event at hand, inside `where=`."""

    name: str
    type: Type = Type.ANY


@dataclass(frozen=True, slots=True)
class EventSet:
    """Events of one name, in a window, that pass a filter, from one connection or any."""

    name: str
    _: KW_ONLY
    window: Window = Window()
    filter: Condition | None = None
    source: str | None = None


# --- values of a person --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProfileField:
    """A canonical field of the person."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class CompanyField:
    """A canonical field of the person's company."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class SourceField:
    """A vendor's own field; the person has one value for each record in the stream, and any may match."""

    connection: str
    stream: str
    field: str
    type: Type = Type.ANY

    @property
    def text(self) -> str:
        return f"{self.connection}.{self.stream}.{self.field}"


class Function(StrEnum):
    """What is made of a set of events."""

    COUNT = "count"
    DAYS_ACTIVE = "days_active"
    DISTINCT = "distinct"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"
    FIRST_TIME = "first_time"
    LAST_TIME = "last_time"
    PERIODS = "periods"
    """In how many of the last periods of one length there is such an event: what `regularly` compares."""


ZERO_WHEN_NONE: Final = frozenset({Function.COUNT, Function.DAYS_ACTIVE, Function.DISTINCT, Function.SUM, Function.PERIODS})
"""Of people without such events these are 0; the others are missing."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A number (or the first time) made of a person's events."""

    function: Function
    events: EventSet
    _: KW_ONLY
    of: str | None = None
    """The property that is looked at."""
    zone: str | None = None
    """For days_active: whose calendar."""
    every_us: int | None = None
    """For periods: how long each is, the first ending now. The window is all of them."""

    @property
    def type(self) -> Type:
        return Type.TIME if self.function in (Function.FIRST_TIME, Function.LAST_TIME) else Type.NUMBER


@dataclass(frozen=True, slots=True)
class Billing:
    """A billing word: of the person's company where there is one, else their own."""

    word: str
    type: Type


@dataclass(frozen=True, slots=True)
class Score:
    """`nps` or `csat`: the latest score."""

    word: str

    @property
    def type(self) -> Type:
        return Type.NUMBER


@dataclass(frozen=True, slots=True)
class Answer:
    """The latest answer to a question (or every one, with *every*); a multiple choice has one value for each label chosen."""

    survey: str
    question: str
    every: bool = False
    type: Type = Type.ANY


Value = (
    ProfileField | CompanyField | SourceField | Aggregate | Billing | Score | Answer | Property | Percentile | Bucket | Computed
)
Term = Value | Constant


# --- conditions ----------------------------------------------------------------------------------------------------


class Op(StrEnum):
    """Comparisons that a missing value fails; `!=` is `Not` of EQ."""

    EQ = "=="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain `terms[0] ops[0] terms[1] ops[1] ...`; of a field with several values, one of them must satisfy it all."""

    terms: tuple[Term, ...]
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class In:
    """One of the values is one of the options."""

    value: Value
    options: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a value."""

    value: Value


class How(StrEnum):
    """The ways to look into a text."""

    CONTAINS = "contains"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"
    MATCHES = "matches"


@dataclass(frozen=True, slots=True)
class Matches:
    """One of the texts contains, starts with, ends with, or is matched somewhere by a pattern."""

    value: Value
    how: How
    text: str
    case: bool = False


@dataclass(frozen=True, slots=True)
class Did:
    """There is such an event."""

    events: EventSet


@dataclass(frozen=True, slots=True)
class Answered:
    """There is an answer to the survey in the window."""

    survey: str
    window: Window = Window()


@dataclass(frozen=True, slots=True)
class InSegment:
    """Member of another segment, as that one sees it (its universe, without the workspace's exclude)."""

    name: str


@dataclass(frozen=True, slots=True)
class InGroup:
    """Falls into one of the groups of a partition."""

    partition: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class And:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    item: Condition


Test = Compare | In | Exists | Matches
"""A condition on values."""
Leaf = Test | Did | LastEvent | Sequence | Answered | Top | InList | Changed | FromSql | Member
"""What compiles to one query."""
Condition = Leaf | InSegment | InGroup | And | Or | Not | Users | CompanyIn


def children(node: Condition) -> tuple[Condition, ...]:
    """Return the conditions directly under *node*."""
    match node:
        case And() | Or():
            return node.items
        case Not() | Users():
            return (node.item,)
        case _:
            return ()


def walk(node: Condition) -> Iterator[Condition]:
    """Yield *node* and all conditions under it, without recursion; not those inside `where=`."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def values_of(node: Condition) -> tuple[Value, ...]:
    """Return the values that a test looks at, each once, in order."""
    match node:
        case Compare():
            found = [term for term in node.terms if not isinstance(term, CONSTANTS)]
            return tuple(dict.fromkeys(found))
        case In() | Exists() | Matches() | Top() | Changed():
            return (node.value,)
        case _:
            return ()

"""
The typed tree of an expression: plain frozen values, equal when they ask the same, so that a leaf is computed once.

Nothing here knows text, SQL or the store. Here are the values of a person and the conditions on them; constants, events, sets
and computed values have modules of their own, `tree_...`. Constants stand for themselves; `Ago` is resolved by the run's one
clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from core.segments.tree_constants import CONSTANTS, Constant, Type
from core.segments.tree_events import ANY_TIME, Aggregate, EventSet, LastEvent, Property, Sequence, Window
from core.segments.tree_sets import Bucket, Changed, CompanyIn, FromSql, InList, Percentile, Top, Users
from core.segments.tree_traits import Computed, Member

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
    window: Window = ANY_TIME


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

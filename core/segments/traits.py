"""
The traits of a config, read as they are named: each becomes a value whose parts all stand in it, segments and groups too.

So a computed value hangs on nothing outside itself but the data: it is computed once however many ask it, and whatever changes
in the config changes its hash. A circle is an error where it closes.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from core.errors import Problem
from core.segments.language import ExpressionError, parse
from core.segments.traits_errors import BrokenTrait, Circle, TraitError
from core.segments.tree import And, Condition, InGroup, InSegment, Not, Or, Value
from core.segments.tree_constants import Type
from core.segments.tree_sets import CompanyIn, FromSql, Users
from core.segments.tree_traits import Member, Trait, parts_of

if TYPE_CHECKING:
    from core.config.model import Config, Partition, Place
    from core.config.model import Trait as TraitConfig
    from core.segments.reader import Reader, Scope
    from core.segments.vocabulary import Vocabulary

MAX_NAMED: Final = 200
"""Traits and sets inside one trait, each counted as often as it stands there: beyond it a query grows too long."""
MAX_DEEP: Final = 80
"""Parts in each other, through all traits."""

Zone = ZoneInfo | Literal["person"] | None
Scopes = Callable[[Zone, str, bool], "Scope"]
"""Where an expression of a zone stands, what it is about, and whether people without an address are among them."""


@dataclass(frozen=True, slots=True)
class TraitDefinition:
    """One trait of the config, checked."""

    name: str
    value: Trait
    _: KW_ONLY
    title: str
    place: Place
    rests_on: frozenset[str] = frozenset()
    """The streams that can feed it, and those that join people."""
    unseen: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Book:
    """The traits, read when they are first named."""

    config: Config
    scopes: Scopes
    """Where the texts that it reads stand."""
    _made: dict[tuple[str, str], Trait] = field(default_factory=dict)
    _members: dict[tuple[str, str], Member] = field(default_factory=dict)
    _under: list[str] = field(default_factory=list)
    _weights: dict[str, int] = field(default_factory=dict)
    """By digest: how many traits and sets it is long, each counted as often as it stands there."""
    _depths: dict[str, int] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.config.traits

    def __iter__(self) -> Iterator[str]:
        return iter(self.config.traits)

    def trait(self, reader: Reader, node: ast.expr, name: str) -> Trait:
        """Return the trait *name*, which *node* names."""
        of = reader.scope.of
        if (name, of) not in self._made:
            self._no_circle(reader, node, f"trait.{name}")
            try:
                self._made[name, of] = self.read(name, of)
            except ExpressionError as error:
                raise BrokenTrait(f"the trait {name} cannot be read: {error.message}", reader.parsed.column(node)) from error
        return self._made[name, of]

    def read(self, name: str, of: str = "person") -> Trait:
        """Return the trait *name*; ExpressionError with a column of the text that is wrong."""
        from core.segments.traits_config import value_of

        config = self.config.traits[name]
        self._under.append(f"trait.{name}")
        try:
            value = value_of(config, lambda text: self._expression(text, config, of))
            weight, deep = self._weight(value), self._deep(value)
        except RecursionError as error:
            raise _too_much(name, f"deeper than {MAX_DEEP}") from error
        finally:
            self._under.pop()
        if weight > MAX_NAMED or deep > MAX_DEEP:
            raise _too_much(name, f"deeper than {MAX_DEEP}" if deep > MAX_DEEP else f"of more than {MAX_NAMED} others")
        type_ = Type.TEXT if value.type in (Type.COUNTRY, Type.LANGUAGE) else value.type
        digest = hashlib.sha256(repr(value).encode()).hexdigest()[:16]
        self._weights[digest], self._depths[digest] = weight, deep
        return Trait(name, digest, type_, value=value)

    def _weight(self, node: Value | Condition) -> int:
        inner = [part for part in parts_of(node, but=(Trait, Member)) if isinstance(part, Trait | Member)]
        return 1 + sum(self._weights[part.digest] for part in inner)

    def _deep(self, node: object) -> int:
        """Return how many parts stand in each other, those of traits and sets too."""
        if isinstance(node, Trait | Member):
            return 1 + self._depths[node.digest]
        if isinstance(node, tuple):
            return max(map(self._deep, node), default=0)
        return 1 + max(self._deep(getattr(node, f.name)) for f in fields(node)) if is_dataclass(node) else 0

    def _expression(self, text: str, config: TraitConfig, of: str) -> Reader:
        from core.segments.reader import Reader

        scope = self.scopes(config.timezone, of, False)
        return Reader(parse(text), replace(scope, book=self))

    def _no_circle(self, reader: Reader, node: ast.expr, name: str) -> None:
        if name in self._under:
            raise Circle((*self._under[self._under.index(name) :], name), reader.parsed.column(node))

    # --- sets ------------------------------------------------------------------------------------------------------

    def member(self, reader: Reader, node: ast.expr, name: str) -> Member:
        """Return membership of the set `segment.NAME` or `partition.NAME.GROUP` with all that it asks."""
        of = reader.scope.of
        if (name, of) not in self._members:
            whole = ".".join(name.split(".")[:2])
            self._no_circle(reader, node, whole)
            self._under.append(whole)
            try:
                condition, anonymous = self._asked(reader, node, name, of)
            finally:
                self._under.pop()
            digest = hashlib.sha256(repr((anonymous, condition)).encode()).hexdigest()[:16]
            self._weights[digest], self._depths[digest] = self._weight(condition), self._deep(condition)
            self._members[name, of] = Member(name, digest, anonymous, condition)
        return self._members[name, of]

    def _asked(self, reader: Reader, node: ast.expr, name: str, of: str) -> tuple[Condition, bool]:
        kind, _, rest = name.partition(".")
        if kind == "segment":
            segment = self.config.segments[rest]
            return self._condition(reader, node, segment.where, segment.timezone, of, segment.anonymous), segment.anonymous
        partition = self.config.partitions[rest.partition(".")[0]]
        return self._group(reader, node, partition, rest.partition(".")[2], of), partition.anonymous

    def _group(self, reader: Reader, node: ast.expr, partition: Partition, group: str, of: str) -> Condition:
        earlier = [name for name in partition.groups if name != group]
        if group in partition.groups:
            earlier = list(partition.groups)[: list(partition.groups).index(group)]

        def asked(name: str) -> Condition:
            text = partition.groups[name]
            return self._condition(reader, node, text, partition.timezone, of, partition.anonymous)

        parts = [asked(group)] if group in partition.groups else []
        return And((*parts, *(Not(asked(name)) for name in earlier)))

    def _condition(
        self, reader: Reader, node: ast.expr, text: str, zone: Zone, of: str, anonymous: bool
    ) -> Condition:  # fmt: skip
        from core.segments.reader import Reader as Inner

        column = reader.parsed.column(node)
        try:
            inner = Inner(parse(text), replace(self.scopes(zone, of, anonymous), book=self))
            condition = inner.condition(inner.parsed.root)
        except Circle as error:
            raise Circle(error.names, column) from error
        except ExpressionError as error:
            raise BrokenTrait(f"a segment that is named cannot be read: {error.message}", column) from error
        try:
            return closed(inner, inner.parsed.root, condition)
        except Circle as error:
            raise Circle(error.names, column) from error
        except ExpressionError as error:
            raise reader.error(node, error.message, error.remedy) from error


def trait_problems(book: Book, vocabulary: Vocabulary) -> list[Problem]:
    """Return what is wrong in the traits of a config, each problem once."""
    from core.segments.words import CALLS, NAMES

    found: list[Problem] = []
    told: dict[object, TraitError] = {}
    for name, trait in book.config.traits.items():
        place = trait.place
        taken = "a word of segments" if name in NAMES or name in CALLS else "a connection"
        if name in NAMES or name in CALLS or name in vocabulary.connections:
            found.append(Problem(f"{name} is {taken} already", place.file, place.line, place.key, remedy="call it otherwise"))
            continue
        try:
            book.read(name)
        except TraitError as error:
            told.setdefault(*_root(error))
    for one in told.values():
        place = book.config.traits[one.trait].place
        found.append(one.problem(one.text, file=place.file, line=place.line, key=f"{place.key}.{one.key}"))
    return found


def _too_much(name: str, how: str) -> TraitError:
    return TraitError(ExpressionError(f"is made {how}", 0, "name fewer traits and segments in it"), name, name, "value")


def _root(error: TraitError) -> tuple[object, TraitError]:
    """Return the error where it stands, of however many traits that one by one name the wrong one, and what tells it apart."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TraitError):
            error = cause
        if isinstance(cause, Circle):
            return frozenset(cause.names), error
        cause = cause.__cause__
    return (error.trait, error.key, error.column), error


def closed(reader: Reader, node: ast.expr, condition: Condition) -> Condition:
    """Return *condition* with the sets that it names written out."""
    match condition:
        case And():
            return And(tuple(closed(reader, node, item) for item in condition.items))
        case Or():
            return Or(tuple(closed(reader, node, item) for item in condition.items))
        case Not():
            return Not(closed(reader, node, condition.item))
        case InSegment():
            return _member(reader, node, f"segment.{condition.name}")
        case InGroup():
            found = tuple(_member(reader, node, f"partition.{condition.partition}.{group}") for group in condition.groups)
            return found[0] if len(found) == 1 else Or(found)
        case Users() | CompanyIn() | FromSql():
            word = "sql(...)" if isinstance(condition, FromSql) else "a condition on the company's other users"
            raise reader.error(node, f"{word} cannot stand in a computed value", "ask it beside the value: ... and ...")
        case _:
            return condition


def _member(reader: Reader, node: ast.expr, name: str) -> Member:
    assert reader.scope.book is not None  # whoever reads segments and partitions has one
    return reader.scope.book.member(reader, node, name)

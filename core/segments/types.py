"""
What may be compared with what: one rule for comparisons, lists and texts. Countries, languages and addresses are normalised
here, so that equal things are equal.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Protocol

from core.segments.language import ExpressionError
from core.segments.tree import Answer, Billing, CompanyField, Condition, ProfileField, Score, SourceField, Term, Value
from core.segments.tree_constants import CONSTANTS, Constant, Literal, Type
from core.segments.tree_events import Aggregate, Property
from core.segments.tree_sets import Bucket, Percentile
from core.segments.tree_traits import COMPUTED

VALUES: Final = (
    ProfileField, CompanyField, SourceField, Aggregate, Billing, Score, Answer, Property, Percentile, Bucket, *COMPUTED,
)  # fmt: skip
MAX_PATTERN: Final = 1_000
MAX_CLASSES: Final = 20
"""Of `\\p{...}` in a pattern: each is hundreds of ranges."""
MAX_STEPS: Final = 25_000
"""What the patterns of one expression may come to, compiled."""
_TEXTS: Final = frozenset({Type.TEXT, Type.COUNTRY, Type.LANGUAGE})


@dataclass(frozen=True, slots=True)
class Groups:
    """`partition("p")` while it waits to be compared."""

    partition: str
    names: tuple[str, ...]


Read = Condition | Value | Constant | Groups
"""Whatever a piece of text can be."""


class Points(Protocol):
    """What can point at a place in the text."""

    def error(self, node: ast.AST, message: str, remedy: str | None = None) -> ExpressionError: ...


class CallLike(Protocol):
    """What the reader needs of a call (`words.call.Call`)."""

    def text(self, index: int, what: str) -> str: ...
    def flag(self, name: str) -> bool: ...
    def end(self, positional: int) -> None: ...
    def argument(self, index: int, what: str) -> ast.expr: ...


def as_value(term: Term) -> Value:
    """Narrow a term that is known to be a value."""
    assert not isinstance(term, CONSTANTS)  # a mistake of ours, never of the text
    return term


def as_constant(term: Term) -> Constant:
    """Narrow a term that is known to be a constant."""
    assert isinstance(term, CONSTANTS)  # a mistake of ours, never of the text
    return term


def settled(value: Value, type_: Type) -> Value:
    """Return *value* with its type settled, where it was open."""
    if isinstance(value, SourceField | Answer | Property) and value.type is Type.ANY:
        return replace(value, type=type_)
    return value


def agree(reader: Points, nodes: Sequence[ast.expr], terms: Sequence[Term], *, ordered: bool) -> tuple[tuple[Term, ...], Type]:
    """Return *terms* with one type settled for all, or fail at the one that does not fit."""
    if all(isinstance(term, CONSTANTS) for term in terms):
        raise reader.error(nodes[0], "says nothing about anybody", "compare with a field")
    goal = _goal(terms, ordered)
    if ordered and goal in _TEXTS | {Type.BOOLEAN}:
        raise reader.error(nodes[0], f"a {'text' if goal in _TEXTS else goal} has no order", "write == or in")
    found = [_fitted(reader, node, term, goal) for node, term in zip(nodes, terms, strict=True)]
    names = [term for term in found if isinstance(term, ProfileField | CompanyField)]
    special = next((t.type for t in names if t.type in (Type.COUNTRY, Type.LANGUAGE)), None)
    address = any(isinstance(t, ProfileField) and t.name == "email" for t in names)
    if special is not None or address:
        found = [_normal(reader, node, term, special) for node, term in zip(nodes, found, strict=True)]
    return tuple(found), goal


def _goal(terms: Sequence[Term], ordered: bool) -> Type:
    """Settle the common type: that of a value if one has one, else that of a constant."""
    values = [t.type for t in terms if not isinstance(t, CONSTANTS)]
    constants = [t.type for t in terms if isinstance(t, CONSTANTS)]
    if Type.TIME in constants and Type.TEXT in values:
        texts = [t for t in terms if isinstance(t, SourceField) and t.type is Type.TEXT]
        if texts and set(values) <= {Type.TEXT, Type.TIME, Type.ANY} and len(texts) == values.count(Type.TEXT):
            return Type.TIME  # a vendor's ISO text, read as a time
    for type_ in [*values, *constants]:
        if type_ is not Type.ANY:
            return Type.TEXT if type_ in _TEXTS else type_
    return Type.NUMBER if ordered else Type.TEXT


def _fitted(reader: Points, node: ast.expr, term: Term, goal: Type) -> Term:
    type_ = Type.TEXT if term.type in _TEXTS else term.type
    if type_ == goal:
        return term
    if isinstance(term, Answer) and term.type is Type.ANY and goal is Type.TIME:
        raise reader.error(node, "an answer is no time")
    if isinstance(term, SourceField | Answer | Property) and term.type is Type.ANY:
        return replace(term, type=goal)
    if isinstance(term, SourceField) and type_ is Type.TEXT and goal is Type.TIME:
        return replace(term, type=goal)
    remedy = None
    if goal is Type.TIME:
        remedy = 'write date("2026-01-31"), or within_last(x, "30d")'
    elif type_ is Type.TEXT and goal is Type.NUMBER:
        remedy = "write the number without quotes"
    elif goal is Type.TEXT:
        remedy = "write it in quotes"
    raise reader.error(node, f"is a {type_} where a {goal} is compared", remedy)


def _normal(reader: Points, node: ast.expr, term: Term, special: Type | None) -> Term:
    if not isinstance(term, Literal) or not isinstance(term.value, str):
        return term
    if special is None:
        return replace(term, value=unicodedata.normalize("NFC", term.value.strip()).lower())
    from core.normalise import country, language  # the libraries behind it are slow to import

    code = country(term.value) if special is Type.COUNTRY else language(term.value)
    if code is None:
        raise reader.error(node, f"no {special} is called {term.value[:40]!r}", 'write its name or its code, as in "SE"')
    return replace(term, value=code)


@lru_cache(maxsize=256)
def compiled(pattern: str, case: bool) -> Any:
    """Return *pattern* compiled by the linear-time engine; ValueError with what is wrong in it."""
    import re2

    options = re2.Options()
    options.case_sensitive = case
    options.log_errors = False
    options.max_mem = 2**20  # what is larger is refused sooner
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise ValueError(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) from error


def pattern_problem(pattern: str, case: bool) -> str | None:
    """Return why *pattern* is too long or no regular expression of the engine, or None."""
    if not pattern:
        return "an empty pattern is in every text"
    if len(pattern) > MAX_PATTERN:
        return f"a pattern longer than {MAX_PATTERN} characters"
    if pattern.lower().count("\\p") > MAX_CLASSES:
        return f"a pattern with more than {MAX_CLASSES} classes such as \\p{{L}}"
    try:
        compiled(pattern, case)
    except ValueError as error:
        return f"not a pattern: {error}"
    return None

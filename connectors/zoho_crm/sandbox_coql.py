"""As much of COQL as the sandbox needs: one module, conditions nested in pairs, an order by id, a limit. Refuses all else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.zoho_crm.sandbox_form import refused

MAX_VALUES: Final = 100
MAX_ROWS: Final = 2_000
MAX_CRITERIA: Final = 25
_TOKEN: Final = re.compile(r"\s*('(?:[^']|'')*'|[A-Za-z_][\w.]*|\d+|>=|<=|!=|[(),=<>])")
_QUERY: Final = re.compile(
    r"select (?P<columns>[\w, .]+?) from (?P<module>\w+) where (?P<where>.+?)"
    r"(?: order by (?P<order>\w+) (?P<way>asc|desc))?(?: limit (?P<offset>\d+), (?P<count>\d+))?",
    re.IGNORECASE | re.DOTALL,
)
Values = Mapping[str, Any]
Condition = Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was understood."""

    module: str
    columns: tuple[str, ...]
    holds: Condition
    names: frozenset[str]
    """Fields that its conditions speak of."""
    offset: int
    count: int

    @property
    def credits(self) -> int:
        return 1 if self.count <= 200 else 2 if self.count <= 1_000 else 3


def parse(text: str, *, ignore_case: bool) -> Query:
    """Return what *text* asks for; a refusal in the vendor's form for what it does not understand."""
    found = _QUERY.fullmatch(text.strip())
    if found is None or found["order"] not in (None, "id"):
        raise refused(400, "SYNTAX_ERROR", "error occurred while parsing the query")
    count = int(found["count"] or 200)
    if count > MAX_ROWS:
        raise refused(400, "LIMIT_EXCEEDED", "limit exceeded")
    parser = _Parser(found["where"], ignore_case)
    holds = parser.condition()
    if parser.left or parser.criteria > MAX_CRITERIA:
        raise refused(400, "SYNTAX_ERROR", "error occurred while parsing the query")
    columns = tuple(name.strip() for name in found["columns"].split(","))
    return Query(found["module"], columns, holds, frozenset(parser.names), int(found["offset"] or 0), count)


class _Parser:
    """Recursive descent; `(a or b or c)` is refused, `((a or b) or c)` is not."""

    def __init__(self, text: str, ignore_case: bool) -> None:
        self.left = _tokens(text)
        self.names: set[str] = set()
        self.criteria = 0
        self._fold: Callable[[Any], Any] = (lambda v: v.lower() if isinstance(v, str) else v) if ignore_case else lambda v: v

    def condition(self) -> Condition:
        if self._peek() != "(":
            return self._comparison()
        self._take("(")
        first = self.condition()
        word = self._peek().lower()
        if word not in ("and", "or"):
            self._take(")")
            return first
        self.left.pop(0)
        second = self.condition()
        self._take(")")  # a third one would stand here
        return (lambda v: first(v) and second(v)) if word == "and" else (lambda v: first(v) or second(v))

    def _comparison(self) -> Condition:
        name, how = self._next(), self._next().lower()
        self.names.add(name)
        self.criteria += 1
        fold = self._fold
        if how == "in":
            wanted = {fold(value) for value in self._list()}
            return lambda v: fold(v.get(name)) in wanted
        value = fold(_value(self._next()))
        if how == "=":
            return lambda v: bool(fold(v.get(name)) == value)
        raise refused(400, "INVALID_QUERY", "invalid operator found")

    def _list(self) -> list[Any]:
        self._take("(")
        values = [_value(self._next())]
        while self._peek() == ",":
            self._take(",")
            values.append(_value(self._next()))
        self._take(")")
        if len(values) > MAX_VALUES:
            raise refused(400, "LIMIT_EXCEEDED", "in operator value limit exceeded")
        return values

    def _peek(self) -> str:
        return self.left[0] if self.left else ""

    def _next(self) -> str:
        if not self.left:
            raise refused(400, "SYNTAX_ERROR", "missing clause")
        return self.left.pop(0)

    def _take(self, token: str) -> None:
        if self._next() != token:
            raise refused(400, "SYNTAX_ERROR", "error occurred while parsing the query")


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise refused(400, "SYNTAX_ERROR", "error occurred while parsing the query")
        tokens.append(found[1])
        at = found.end()
    return tokens


def _value(token: str) -> Any:
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    return {"true": True, "false": False}.get(token.lower(), token)

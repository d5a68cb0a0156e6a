"""
The part of SOQL that the sandbox understands: SELECT fields FROM object WHERE conditions ORDER BY fields LIMIT n.

Comparisons of text are without case, as at the vendor; a time literal is not quoted, and what is quoted is no time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

Record = Mapping[str, Any]
Test = Callable[[Record], bool]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))|(?P<day>\d{4}-\d\d-\d\d)"
    r"|(?P<number>\d+)|(?P<sign>>=|<=|!=|[=<>(),])|(?P<word>[A-Za-z_]\w*))"
)
_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, ">": lambda a, b: a is not None and a > b,
    ">=": lambda a, b: a is not None and a >= b, "<": lambda a, b: a is not None and a < b,
    "<=": lambda a, b: a is not None and a <= b,
}  # fmt: skip


class MalformedError(Exception):
    """Not a query that the vendor would take."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query read; field names as they were written."""

    fields: tuple[str, ...]
    sobject: str
    named: frozenset[str]
    """All fields that it speaks of."""
    test: Test
    order: tuple[str, ...]
    limit: int | None


def parse(soql: str) -> Query:
    """Read *soql*; MalformedError where it is none, or more than is understood here."""
    return _Parser(soql).query()


def plain(value: Any) -> Any:
    """Return a value as comparisons see it: text without case."""
    return value.lower() if isinstance(value, str) else value


class _Parser:
    def __init__(self, soql: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        soql = soql.strip()
        while at < len(soql):
            found = _TOKEN.match(soql, at)
            if found is None or found.lastgroup is None:
                raise MalformedError(f"unexpected token at {at}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self.at = 0
        self.named: set[str] = set()

    def query(self) -> Query:
        self._word("SELECT")
        fields = self._names()
        self._word("FROM")
        sobject = self._name()
        test: Test = self._either() if self._takes("WHERE") else lambda _record: True
        order: tuple[str, ...] = ()
        if self._takes("ORDER"):
            self._word("BY")
            order = self._names()
        limit = int(self._next("number")) if self._takes("LIMIT") else None
        if self.at != len(self.tokens):
            raise MalformedError("unexpected token after the query")
        return Query(fields, sobject, frozenset((*fields, *order, *self.named)), test, order, limit)

    def _either(self) -> Test:
        tests = [self._both()]
        while self._takes("OR"):
            tests.append(self._both())
        return lambda record: any(test(record) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._takes("AND"):
            tests.append(self._one())
        return lambda record: all(test(record) for test in tests)

    def _one(self) -> Test:
        if self._takes("("):
            test = self._either()
            self._word(")")
            return test
        field = self._name()
        self.named.add(field)
        if self._takes("IN"):
            self._word("(")
            values = {plain(self._value())}
            while self._takes(","):
                values.add(plain(self._value()))
            self._word(")")
            return lambda record: plain(record.get(field)) in values
        compare, value = _SIGNS.get(self._next("sign")), plain(self._value())
        if compare is None:
            raise MalformedError("no comparison")
        return lambda record: compare(plain(record.get(field)), value)

    def _value(self) -> Any:
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        self.at += 1
        match kind:
            case "text":
                return re.sub(r"\\(.)", r"\1", text[1:-1])
            case "time":
                return datetime.fromisoformat(text).astimezone(UTC)
            case "number":
                return int(text)
            case "word" if text.lower() in ("true", "false", "null"):
                return {"true": True, "false": False, "null": None}[text.lower()]
            case _:
                raise MalformedError(f"no value: {text}")

    def _names(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._takes(","):
            names.append(self._name())
        return tuple(names)

    def _name(self) -> str:
        return self._next("word")

    def _next(self, kind: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            raise MalformedError(f"expecting a {kind}")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def _takes(self, text: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at][0] != "text" and self.tokens[self.at][1].upper() == text:
            self.at += 1
            return True
        return False

    def _word(self, text: str) -> None:
        if not self._takes(text):
            raise MalformedError(f"expecting {text}")

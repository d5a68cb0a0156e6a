"""The arguments of a called word: taken one by one, each checked where it stands, and nothing left over."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from core.clock import MICROSECOND
from core.durations import parse_duration
from core.segments.language import ExpressionError
from core.segments.tree_constants import Ago, Edge, Moment, OwnMoment
from core.segments.tree_events import Window

if TYPE_CHECKING:
    from core.segments.reader import Reader


class Call:
    """One call of a word."""

    def __init__(self, reader: Reader, node: ast.Call, word: str) -> None:
        self.reader = reader
        self.node = node
        self.word = word
        self.named: dict[str, ast.expr] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.error(keyword.value, "** is not in the language")
            if keyword.arg in self.named:
                raise self.error(keyword.value, f"{keyword.arg} is given twice")
            self.named[keyword.arg] = keyword.value

    def error(self, node: ast.AST, message: str, remedy: str | None = None) -> ExpressionError:
        """Return the error that points at *node*."""
        return self.reader.error(node, message, remedy)

    def argument(self, index: int, what: str) -> ast.expr:
        """Return the positional argument."""
        if index >= len(self.node.args):
            raise self.error(self.node, f"{self.word} needs {what}")
        return self.node.args[index]

    def text(self, index: int, what: str) -> str:
        """Return a positional text."""
        return self.text_of(self.argument(index, what), what)

    def text_of(self, node: ast.expr, what: str) -> str:
        """Return the text that *node* is."""
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise self.error(node, f"{what} is needed here, in quotes")
        return node.value

    def duration(self, index: int) -> int:
        """Return a positional duration in microseconds."""
        return self.duration_of(self.argument(index, 'a duration such as "30d"'))

    def duration_of(self, node: ast.expr) -> int:
        """Return the duration that *node* is, in microseconds."""
        text = self.text_of(node, 'a duration such as "30d"')
        try:
            us = parse_duration(text) // MICROSECOND
        except ValueError as error:
            raise self.error(node, str(error)) from error
        if us == 0:
            raise self.error(node, "a duration of nothing")
        return us

    def flag(self, name: str) -> bool:
        """Take a named True or False; False where it is not given."""
        node = self.named.pop(name, None)
        if node is None:
            return False
        if not isinstance(node, ast.Constant) or not isinstance(node.value, bool):
            raise self.error(node, f"{name} is True or False")
        return node.value

    def window(self) -> Window:
        """Take the named arguments that say in which span."""
        given = [name for name in ("last", "between_ago") if name in self.named]
        if len(given) == 2:
            raise self.error(self.named["between_ago"], "last and between_ago exclude each other")
        after = upto = None
        if last := self.named.pop("last", None):
            after = Ago(self.duration_of(last))
        if span := self.named.pop("between_ago", None):
            after, upto = self._span(span)
        return Window(after, upto, *self._calendar())

    def _calendar(self) -> tuple[Moment | Edge | OwnMoment | None, Moment | Edge | OwnMoment | None]:
        from core.segments.words.time import period_of

        if during := self.named.pop("during", None):
            if both := self.named.keys() & {"since", "until"}:
                raise self.error(self.named[min(both)], f"during and {min(both)} exclude each other")
            return period_of(self, during)
        since, until = self._moment("since"), self._moment("until")
        match since, until:
            case Moment(), Moment():
                wrong = since.at_us >= until.at_us
            case OwnMoment(), OwnMoment():
                wrong = since.local >= until.local
            case _:
                wrong = False
        if wrong:
            raise self.error(self.node, "until is not after since")
        return since, until

    def _span(self, node: ast.expr) -> tuple[Ago, Ago]:
        if not isinstance(node, ast.Tuple | ast.List) or len(node.elts) != 2:
            raise self.error(node, "two durations are needed here", 'write between_ago=("60d", "30d")')
        return self.span_of(node.elts[0], node.elts[1])

    def span_of(self, first: ast.expr, second: ast.expr) -> tuple[Ago, Ago]:
        """Return the bounds of a span that lies between two durations ago."""
        start, end = self.duration_of(first), self.duration_of(second)
        if start <= end:
            raise self.error(first, "the longer duration comes first", 'as in ("60d", "30d")')
        return Ago(start), Ago(end)

    def _moment(self, name: str) -> Moment | OwnMoment | None:
        from core.segments.words.time import moment_of

        node = self.named.pop(name, None)
        if node is None:
            return None
        if isinstance(node, ast.Constant):
            return moment_of(self, node)
        found = self.reader.read(node)
        if not isinstance(found, Moment | OwnMoment):
            raise self.error(node, f"{name} needs a date", f'write {name}=date("2026-01-31")')
        return found

    def end(self, positional: int) -> None:
        """Fail if more was given than was taken."""
        if len(self.node.args) > positional:
            raise self.error(self.node.args[positional], f"{self.word} takes {positional} here, not {len(self.node.args)}")
        for name, node in self.named.items():
            raise self.error(node, f"{self.word} has no {name}=")

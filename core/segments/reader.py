"""
Checked syntax to typed tree: names and boolean operators. Comparisons are in `comparisons`, called words in `words`.

The reader knows one expression and the `Scope` it stands in; inside `where=` the scope is an event and bare names are its
properties.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core.config.names import suggest
from core.segments import types
from core.segments.comparisons import comparison
from core.segments.language import ExpressionError, Parsed, parse
from core.segments.tree import And, Compare, Condition, How, Matches, Not, Op, Or, Term, Value
from core.segments.tree_constants import CONSTANTS, TEXT_LIKE, Constant, Literal, Type
from core.segments.tree_events import Property
from core.segments.types import Groups, Read
from core.segments.vocabulary import Vocabulary

if TYPE_CHECKING:
    from core.segments.traits import Book


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: what it may name, and its zone."""

    vocabulary: Vocabulary
    zone: ZoneInfo
    _: KW_ONLY
    segments: frozenset[str] = frozenset()
    partitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of: str = "person"
    """What the expression is about: a person, or a company."""
    anonymous: bool = False
    """Whether people without an e-mail or a user id may be members."""
    company_segments: frozenset[str] = frozenset()
    """Those of *segments* whose members are companies."""
    folder: Path | None = None
    """Where files are read from; nothing outside it is."""
    event: str | None = None
    """Inside `where=`: the event whose properties bare names are."""
    personal: bool = False
    """Whether the calendar is each person's own; *zone* is then that of people without one."""
    first_day: int = 0
    """The weekday that weeks begin with, Monday 0."""
    book: Book | None = None
    """The traits of the config, and what segments ask where a computed value names them."""


def read(text: str, scope: Scope) -> Condition:
    """Return the typed tree of *text*; ExpressionError otherwise."""
    parsed = parse(text)
    return Reader(parsed, scope).condition(parsed.root)


class Reader:
    """One expression being read."""

    def __init__(self, parsed: Parsed, scope: Scope) -> None:
        self.parsed = parsed
        self.scope = scope

    def error(self, node: ast.AST, message: str, remedy: str | None = None) -> ExpressionError:
        """Return the error that points at *node*."""
        return ExpressionError(message, self.parsed.column(node), remedy)

    def condition(self, node: ast.expr) -> Condition:
        """Read *node* as something true or false of a person (or an event)."""
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return And(tuple(self.condition(value) for value in values))
            case ast.BoolOp(values=values):
                return Or(tuple(self.condition(value) for value in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.condition(operand))
            case ast.Compare():
                return comparison(self, node)
        found = self.read(node)
        if isinstance(found, Groups):
            raise self.error(node, "a partition is compared with a group", f'write partition("{found.partition}") == "..."')
        if isinstance(found, CONSTANTS):
            raise self.error(node, "says nothing about anybody", "compare it with a field")
        if isinstance(found, types.VALUES):
            if found.type not in (Type.BOOLEAN, Type.ANY):
                raise self.error(node, f"is a {found.type}, not true or false", "compare it: == > < in, or exists(...)")
            return Compare((types.settled(found, Type.BOOLEAN), Literal(True, Type.BOOLEAN)), (Op.EQ,))
        return found

    def read(self, node: ast.expr) -> Read:
        """Read *node* as whatever it is."""
        match node:
            case ast.Constant() | ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
                return self._literal(node)
            case ast.BinOp() | ast.IfExp() | ast.UnaryOp(op=ast.USub()):
                from core.segments.words.traits import computed  # it reads through this module

                return computed(self, node)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute():
                return self._path(node)
            case ast.Call():
                return self._call(node)
            case ast.List() | ast.Tuple():
                raise self.error(node, "a list stands only after `in`")
            case _:
                return self.condition(node)

    def term(self, node: ast.expr) -> Term:
        """Read *node* as a value or a constant."""
        found = self.read(node)
        if isinstance(found, CONSTANTS + types.VALUES):
            return found
        raise self.error(node, "is true or false, not a value to compare")

    def value(self, node: ast.expr) -> Value:
        """Read *node* as a value that people (or events) have."""
        found = self.read(node)
        if isinstance(found, types.VALUES):
            return found
        raise self.error(node, "a field or another value is needed here")

    def literals(self, node: ast.expr) -> tuple[Constant, ...]:
        """Read *node* as a list of constants."""
        if not isinstance(node, ast.List | ast.Tuple):
            raise self.error(node, "`in` needs a list", 'write x in ["a", "b"], or x.contains("a") to look into a text')
        found = []
        for item in node.elts:
            constant = self.read(item)
            if not isinstance(constant, CONSTANTS):
                raise self.error(item, "only texts, numbers and dates can stand in a list")
            found.append(constant)
        if not found:
            raise self.error(node, "an empty list matches nobody")
        return tuple(found)

    # --- names -----------------------------------------------------------------------------------------------------

    def _literal(self, node: ast.expr) -> Literal:
        sign, inner = 1, node
        if isinstance(node, ast.UnaryOp):
            sign, inner = -1, node.operand
        if isinstance(inner, ast.Constant):
            match inner.value:
                case bool() as flag if sign == 1:
                    return Literal(flag, Type.BOOLEAN)
                case str() as text if sign == 1:
                    return Literal(text, Type.TEXT)
                case int() | float() as number if not isinstance(number, bool):
                    return Literal(sign * number, Type.NUMBER)
        raise self.error(node, "only a number can have a minus")

    def _name(self, node: ast.expr, name: str) -> Read:
        from core.segments.words import CALLS, NAMES  # they read through this module
        from core.segments.words.company import refuse_of_person

        if self.scope.event is not None:
            return Property(name)
        if name in NAMES:
            refuse_of_person(self, node, name)
            return NAMES[name](self, node, name)
        if self.scope.book is not None and name in self.scope.book:
            refuse_of_person(self, node, name)
            return self.scope.book.trait(self, node, name)
        if name in CALLS:
            raise self.error(node, f"{name} is asked with parentheses", f"write {name}(...)")
        if name in self.scope.vocabulary.connections:
            raise self.error(node, f"{name} is a connection", f"name a field of it: {name}.something")
        if name in self.scope.segments:
            raise self.error(node, f"{name} is a segment", f'write segment("{name}")')
        if name in self.scope.partitions:
            raise self.error(node, f"{name} is a partition", f'write partition("{name}") == "..."')
        known = [*NAMES, *CALLS, *self.scope.vocabulary.connections, *self.scope.segments, *(self.scope.book or ())]
        raise self.error(node, f"{name} is not a known word", suggest(name, known))

    def _path(self, node: ast.Attribute) -> Value:
        from core.segments.words.company import refuse_of_person
        from core.segments.words.fields import company_field, source_field

        steps: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            steps.append(base.attr)
            base = base.value
        steps.reverse()
        if not isinstance(base, ast.Name):
            raise self.error(node, "only a name can stand before a dot")
        if self.scope.event is not None:
            raise self.error(node, "a dot is not read inside where=", f'write prop("{".".join([base.id, *steps])}")')
        if base.id == "company":
            return company_field(self, node, ".".join(steps))
        if base.id in self.scope.vocabulary.connections:
            refuse_of_person(self, node, ".".join([base.id, *steps]))
            return source_field(self, node, base.id, steps)
        raise self.error(
            base, f"{base.id} is not a connection", suggest(base.id, ["company", *self.scope.vocabulary.connections])
        )

    def _call(self, node: ast.Call) -> Read:
        from core.segments.words import CALLS
        from core.segments.words.call import Call
        from core.segments.words.company import refuse_of_person

        match node.func:
            case ast.Name(id=name):
                if name in CALLS:
                    refuse_of_person(self, node, name)
                    return CALLS[name](Call(self, node, name))
                raise self.error(node.func, f"{name}(...) is not a known word", suggest(name, CALLS))
            case ast.Attribute(value=inner, attr=how):
                if how not in list(How):
                    raise self.error(node, f".{how}(...) is not a known word", suggest(how, list(How)))
                return self._look_into(Call(self, node, f".{how}"), inner, How(how))
            case _:
                raise self.error(node, "only a word can be asked with parentheses")

    def _look_into(self, call: types.CallLike, inner: ast.expr, how: How) -> Matches:
        value = self.value(inner)
        if value.type not in TEXT_LIKE:
            raise self.error(inner, f"is a {value.type}, not a text")
        text = call.text(0, "the text to look for")
        case = call.flag("case")
        call.end(1)
        if how is How.MATCHES:
            pattern = call.argument(0, "the pattern")
            if problem := types.pattern_problem(text, case):
                raise self.error(pattern, problem)
            self.parsed.spend(pattern, "steps of patterns", types.MAX_STEPS, types.compiled(text, case).programsize)
        elif not text:
            raise self.error(call.argument(0, "the text to look for"), "an empty text is in every text", "write exists(...)")
        return Matches(types.settled(value, Type.TEXT), how, text, case)


def inside(reader: Reader, event: str) -> Reader:
    """Return a reader of the same text whose names are properties of *event*."""
    return Reader(reader.parsed, replace(reader.scope, event=event))

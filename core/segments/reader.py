"""
Checked syntax to typed tree: names, comparisons and boolean operators. What each called word means is in `words`.

The reader knows one expression and the `Scope` it stands in; inside `where=` the scope is an event and bare names are its
properties.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

from core.config.names import suggest
from core.segments import types
from core.segments.language import ExpressionError, Parsed, parse
from core.segments.tree import (
    TEXT_LIKE,
    Ago,
    And,
    Compare,
    Condition,
    Constant,
    How,
    In,
    InGroup,
    Literal,
    Matches,
    Moment,
    Not,
    Op,
    Or,
    Property,
    Term,
    Type,
    Value,
)  # fmt: skip
from core.segments.vocabulary import Vocabulary

_OPS: Final[dict[type[ast.cmpop], Op]] = {
    ast.Eq: Op.EQ, ast.NotEq: Op.EQ, ast.Lt: Op.LT, ast.LtE: Op.LE, ast.Gt: Op.GT, ast.GtE: Op.GE,
}  # fmt: skip
_CONSTANT = (Literal, Moment, Ago)
_VALUE = types.VALUES
NOT_YET: Final = frozenset({
    "regularly", "stopped", "restarted", "sequence", "without", "last_event", "median", "percentile", "top", "bucket",
    "in_list", "sql", "any_user", "all_users", "no_user", "during", "this", "previous", "changed", "round", "coalesce",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: what it may name, and its zone."""

    vocabulary: Vocabulary
    zone: ZoneInfo
    _: KW_ONLY
    segments: frozenset[str] = frozenset()
    partitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    event: str | None = None
    """Inside `where=`: the event whose properties bare names are."""


@dataclass(frozen=True, slots=True)
class Groups:
    """`partition("p")` while it waits to be compared."""

    partition: str
    names: tuple[str, ...]


Read = Condition | Value | Constant | Groups


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
                return self._comparison(node)
        found = self.read(node)
        if isinstance(found, Groups):
            raise self.error(node, "a partition is compared with a group", f'write partition("{found.partition}") == "..."')
        if isinstance(found, _CONSTANT):
            raise self.error(node, "says nothing about anybody", "compare it with a field")
        if isinstance(found, _VALUE):
            if found.type not in (Type.BOOLEAN, Type.ANY):
                raise self.error(node, f"is a {found.type}, not true or false", "compare it: == > < in, or exists(...)")
            return Compare((types.settled(found, Type.BOOLEAN), Literal(True, Type.BOOLEAN)), (Op.EQ,))
        return found

    def read(self, node: ast.expr) -> Read:
        """Read *node* as whatever it is."""
        match node:
            case ast.Constant() | ast.UnaryOp(op=ast.USub()):
                return self._literal(node)
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
        if isinstance(found, _CONSTANT + _VALUE):
            return found
        raise self.error(node, "is true or false, not a value to compare")

    def value(self, node: ast.expr) -> Value:
        """Read *node* as a value that people (or events) have."""
        found = self.read(node)
        if isinstance(found, _VALUE):
            return found
        raise self.error(node, "a field or another value is needed here")

    def literals(self, node: ast.expr) -> tuple[Constant, ...]:
        """Read *node* as a list of constants."""
        if not isinstance(node, ast.List | ast.Tuple):
            raise self.error(node, "`in` needs a list", 'write x in ["a", "b"], or x.contains("a") to look into a text')
        found = []
        for item in node.elts:
            constant = self.read(item)
            if not isinstance(constant, _CONSTANT):
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

        if self.scope.event is not None:
            return Property(name)
        if name in NAMES:
            return NAMES[name](self, node, name)
        self._refuse_not_yet(node, name)
        if name in CALLS:
            raise self.error(node, f"{name} is asked with parentheses", f"write {name}(...)")
        if name in self.scope.vocabulary.connections:
            raise self.error(node, f"{name} is a connection", f"name a field of it: {name}.something")
        if name in self.scope.segments:
            raise self.error(node, f"{name} is a segment", f'write segment("{name}")')
        if name in self.scope.partitions:
            raise self.error(node, f"{name} is a partition", f'write partition("{name}") == "..."')
        known = [*NAMES, *CALLS, *self.scope.vocabulary.connections, *self.scope.segments]
        raise self.error(node, f"{name} is not a known word", suggest(name, known))

    def _path(self, node: ast.Attribute) -> Value:
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
            return source_field(self, node, base.id, steps)
        raise self.error(
            base, f"{base.id} is not a connection", suggest(base.id, ["company", *self.scope.vocabulary.connections])
        )

    def _call(self, node: ast.Call) -> Read:
        from core.segments.words import CALLS
        from core.segments.words.call import Call

        match node.func:
            case ast.Name(id=name):
                if name in CALLS:
                    return CALLS[name](Call(self, node, name))
                self._refuse_not_yet(node.func, name)
                raise self.error(node.func, f"{name}(...) is not a known word", suggest(name, CALLS))
            case ast.Attribute(value=inner, attr=how):
                if how not in list(How):
                    raise self.error(node, f".{how}(...) is not a known word", suggest(how, list(How)))
                return self._look_into(Call(self, node, f".{how}"), inner, How(how))
            case _:
                raise self.error(node, "only a word can be asked with parentheses")

    def _refuse_not_yet(self, node: ast.AST, name: str) -> None:
        if name in NOT_YET:
            raise self.error(node, f"{name} is not in this version", "the other words of the language are")

    def _look_into(self, call: types.CallLike, inner: ast.expr, how: How) -> Matches:
        value = self.value(inner)
        if value.type not in TEXT_LIKE:
            raise self.error(inner, f"is a {value.type}, not a text")
        text = call.text(0, "the text to look for")
        case = call.flag("case")
        call.end(1)
        if how is How.MATCHES:
            if problem := types.pattern_problem(text):
                raise self.error(call.argument(0, "the pattern"), problem)
        elif not text:
            raise self.error(call.argument(0, "the text to look for"), "an empty text is in every text", "write exists(...)")
        return Matches(types.settled(value, Type.TEXT), how, text, case)

    # --- comparisons -----------------------------------------------------------------------------------------------

    def _comparison(self, node: ast.Compare) -> Condition:
        nodes = [node.left, *node.comparators]
        read = [None if isinstance(n, ast.List | ast.Tuple) else self.read(n) for n in nodes]
        parts: list[Condition] = []
        at = 0
        while at < len(node.ops):
            op = node.ops[at]
            left, right = read[at], read[at + 1]
            if left is None:
                raise self.error(nodes[at], "a list stands only after `in`")
            if isinstance(left, Groups) or isinstance(op, ast.In | ast.NotIn) or isinstance(right, Groups):
                parts.append(self._member(nodes[at : at + 2], op, left, right))
                at += 1
                continue
            if isinstance(op, ast.NotEq):
                parts.append(Not(self._run(nodes[at : at + 2], [left, right], [Op.EQ])))
                at += 1
                continue
            end = at + 1
            while end < len(node.ops) and isinstance(node.ops[end], ast.Eq | ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                end += 1
            parts.append(self._run(nodes[at : end + 1], read[at : end + 1], [_OPS[type(o)] for o in node.ops[at:end]]))
            at = end
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _member(self, nodes: list[ast.expr], op: ast.cmpop, left: Read, right: Read | None) -> Condition:
        """Read `x in [...]`, and every comparison of a partition."""
        negative = isinstance(op, ast.NotIn | ast.NotEq)
        found: Condition
        if isinstance(right, Groups) and not isinstance(left, Groups):
            nodes, left, right = [nodes[1], nodes[0]], right, left
        if isinstance(left, Groups):
            if not isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                raise self.error(nodes[0], "groups have no order", "write == or in")
            options = self.literals(nodes[1]) if right is None else (right,)
            found = InGroup(left.partition, tuple(self._group(nodes[1], left, option) for option in options))
        elif right is not None:
            self.literals(nodes[1])
            raise AssertionError("a list was read as a term")
        elif isinstance(left, _VALUE):
            constants = self.literals(nodes[1])
            terms, _ = types.agree(self, [nodes[0], *[nodes[1]] * len(constants)], [left, *constants], ordered=False)
            found = In(types.as_value(terms[0]), tuple(types.as_constant(term) for term in terms[1:]))
        else:
            raise self.error(nodes[0], "a field or another value is needed before `in`")
        return Not(found) if negative else found

    def _group(self, node: ast.expr, groups: Groups, option: object) -> str:
        if not isinstance(option, Literal) or not isinstance(option.value, str):
            raise self.error(node, "a partition is compared with the name of a group")
        if option.value not in groups.names:
            raise self.error(node, f"{groups.partition} has no group {option.value}", suggest(option.value, groups.names))
        return option.value

    def _run(self, nodes: list[ast.expr], read: list[Read | None], ops: list[Op]) -> Condition:
        """Read `a < b <= c`: one condition, so that one and the same record must satisfy it."""
        for node, item in zip(nodes, read, strict=True):
            if item is None:
                raise self.error(node, "a list stands only after `in`", "write x in [...]")
            if isinstance(item, Groups):
                raise self.error(node, "a partition is compared with a group only")
        if len(read) == 2 and ops == [Op.EQ]:  # did(...) == True
            for cond, flag in ((read[0], read[1]), (read[1], read[0])):
                if not isinstance(cond, _VALUE + _CONSTANT) and isinstance(flag, Literal) and isinstance(flag.value, bool):
                    return cond if flag.value else Not(cond)  # type: ignore[return-value,arg-type]  # neither value nor group
        terms: list[Term] = []
        for node, item in zip(nodes, read, strict=True):
            if not isinstance(item, _VALUE + _CONSTANT):
                raise self.error(node, "is true or false, not a value to compare")
            terms.append(item)
        agreed, _ = types.agree(self, nodes, terms, ordered=any(op is not Op.EQ for op in ops))
        return Compare(agreed, tuple(ops))


def inside(reader: Reader, event: str) -> Reader:
    """Return a reader of the same text whose names are properties of *event*."""
    return Reader(reader.parsed, replace(reader.scope, event=event))

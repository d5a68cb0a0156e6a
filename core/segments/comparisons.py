"""
Comparisons: chains, lists, and the groups of a partition.

A run of `<`, `<=`, `==` is one condition, so that one and the same record must satisfy it all; `!=` and `not in` are
complements.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from core.config.names import suggest
from core.segments import types
from core.segments.tree import And, Compare, Condition, In, InGroup, Not, Op, Term
from core.segments.tree_constants import CONSTANTS, Literal
from core.segments.types import Groups, Read

if TYPE_CHECKING:
    from core.segments.reader import Reader

_OPS: Final[dict[type[ast.cmpop], Op]] = {
    ast.Eq: Op.EQ, ast.NotEq: Op.EQ, ast.Lt: Op.LT, ast.LtE: Op.LE, ast.Gt: Op.GT, ast.GtE: Op.GE,
}  # fmt: skip


def comparison(reader: Reader, node: ast.Compare) -> Condition:
    nodes = [node.left, *node.comparators]
    read = [None if isinstance(n, ast.List | ast.Tuple) else reader.read(n) for n in nodes]
    parts: list[Condition] = []
    at = 0
    while at < len(node.ops):
        op = node.ops[at]
        left, right = read[at], read[at + 1]
        if left is None:
            raise reader.error(nodes[at], "a list stands only after `in`")
        if isinstance(left, Groups) or isinstance(op, ast.In | ast.NotIn) or isinstance(right, Groups):
            parts.append(_member(reader, nodes[at : at + 2], op, left, right))
            at += 1
            continue
        if isinstance(op, ast.NotEq):
            parts.append(Not(_run(reader, nodes[at : at + 2], [left, right], [Op.EQ])))
            at += 1
            continue
        end = at + 1
        while end < len(node.ops) and isinstance(node.ops[end], ast.Eq | ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            end += 1
        parts.append(_run(reader, nodes[at : end + 1], read[at : end + 1], [_OPS[type(o)] for o in node.ops[at:end]]))
        at = end
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _member(reader: Reader, nodes: list[ast.expr], op: ast.cmpop, left: Read, right: Read | None) -> Condition:
    """Read `x in [...]`, and every comparison of a partition."""
    negative = isinstance(op, ast.NotIn | ast.NotEq)
    found: Condition
    if isinstance(right, Groups) and not isinstance(left, Groups):
        nodes, left, right = [nodes[1], nodes[0]], right, left
    if isinstance(left, Groups):
        if not isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            raise reader.error(nodes[0], "groups have no order", "write == or in")
        options = reader.literals(nodes[1]) if right is None else (right,)
        found = InGroup(left.partition, tuple(_group(reader, nodes[1], left, option) for option in options))
    elif right is not None:
        reader.literals(nodes[1])
        raise AssertionError("a list was read as a term")
    elif isinstance(left, types.VALUES):
        constants = reader.literals(nodes[1])
        terms, _ = types.agree(reader, [nodes[0], *[nodes[1]] * len(constants)], [left, *constants], ordered=False)
        found = In(types.as_value(terms[0]), tuple(types.as_constant(term) for term in terms[1:]))
    else:
        raise reader.error(nodes[0], "a field or another value is needed before `in`")
    return Not(found) if negative else found


def _group(reader: Reader, node: ast.expr, groups: Groups, option: object) -> str:
    if not isinstance(option, Literal) or not isinstance(option.value, str):
        raise reader.error(node, "a partition is compared with the name of a group")
    if option.value not in groups.names:
        raise reader.error(node, f"{groups.partition} has no group {option.value}", suggest(option.value, groups.names))
    return option.value


def _run(reader: Reader, nodes: list[ast.expr], read: list[Read | None], ops: list[Op]) -> Condition:
    """Read `a < b <= c`: one condition, so that one and the same record must satisfy it."""
    for node, item in zip(nodes, read, strict=True):
        if item is None:
            raise reader.error(node, "a list stands only after `in`", "write x in [...]")
        if isinstance(item, Groups):
            raise reader.error(node, "a partition is compared with a group only")
    if len(read) == 2 and ops == [Op.EQ]:  # did(...) == True
        for cond, flag in ((read[0], read[1]), (read[1], read[0])):
            if not isinstance(cond, types.VALUES + CONSTANTS) and isinstance(flag, Literal) and isinstance(flag.value, bool):
                return cond if flag.value else Not(cond)  # type: ignore[return-value,arg-type]  # neither value nor group
    terms: list[Term] = []
    for node, item in zip(nodes, read, strict=True):
        if not isinstance(item, types.VALUES + CONSTANTS):
            raise reader.error(node, "is true or false, not a value to compare")
        terms.append(item)
    agreed, _ = types.agree(reader, nodes, terms, ordered=any(op is not Op.EQ for op in ops))
    return Compare(agreed, tuple(ops))

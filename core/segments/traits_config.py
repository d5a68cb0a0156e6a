"""
What a `[traits.NAME]` table says, as one value: an expression, weighted rules, or a formula that is built in.

A formula is text in the language itself, so that it can be read in the docs and be copied into a config to be changed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from core.segments import types
from core.segments.language import ExpressionError
from core.segments.traits_errors import TraitError
from core.segments.tree import Term, Value
from core.segments.tree_constants import CONSTANTS, Literal, Type
from core.segments.tree_traits import Arithmetic, Pick, Picked, Sign, Truth

if TYPE_CHECKING:
    from core.config.model import Rule, Trait
    from core.segments.reader import Reader

DAYS_A_MONTH: Final = 30.4375
EXPECTED_MONTHS: Final = 24
FORMULAS: Final = {
    "recency": "days_since(last_paid_at)",
    "frequency": "coalesce(payments, 0)",
    "monetary": "coalesce(ltv, 0)",
    "lifetime_value": "({revenue}) * {expected_months} * {gross_margin}",
}
"""What each is where payments are looked at."""
OF_EVENTS: Final = {
    "recency": "days_since(last_time({event}{window}))",
    "frequency": "count({event}{window})",
    "monetary": "sum({event}, {amount}{window})",
}
"""The same of an event, with `event` (and `amount`, and `window`)."""
RANKED: Final = {"recency": "-{text}", "frequency": "payments", "monetary": "ltv"}
RANKED_OF_EVENTS: Final = {
    "recency": "-{text}",
    "frequency": "{text} / did({event}{window})",
    "monetary": "{text} / did({event}{window})",
}
"""
What a quintile ranks, of those alone who ever paid, or did it: what is divided by 0 is missing.

The fewer days ago the better.
"""
REVENUE: Final = f"ltv / max(days_since(first_paid_at) / {DAYS_A_MONTH}, 1)"
"""The average revenue a month, of payments; a first month counts as a whole one."""
QUINTILE: Final = (
    "1 + (percentile({of}) >= 20) + (percentile({of}) >= 40) + (percentile({of}) >= 60) + (percentile({of}) >= 80)"
    " + 0 * percentile({of})"
)
"""5 is the best fifth; nobody without a value has one."""
BUILT_IN: Final = (*FORMULAS, "recency_quintile", "frequency_quintile", "monetary_quintile")


Readers = Callable[[str], "Reader"]
"""A reader of a text, where the trait stands."""


def formula(trait: Trait) -> str:
    """Return the text of a trait that is built in, its settings filled in."""
    assert trait.built_in is not None
    name, ending, _ = trait.built_in.partition("_quintile")
    settings = {
        "event": repr(trait.event or ""),
        "amount": repr(trait.amount or ""),
        "window": f", last={trait.window!r}" if trait.window else "",
        "revenue": trait.revenue or REVENUE,
        "expected_months": f"{trait.expected_months or EXPECTED_MONTHS:g}",
        "gross_margin": f"{1 if trait.gross_margin is None else trait.gross_margin:g}",
    }
    text = (OF_EVENTS if trait.event else FORMULAS)[name].format(**settings)
    if not ending:
        return text
    return QUINTILE.format(of=(RANKED_OF_EVENTS if trait.event else RANKED)[name].format(text=text, **settings))


def value_of(trait: Trait, readers: Readers) -> Value:
    """Return what *trait* is made of; TraitError with the text that is wrong."""
    if trait.built_in is not None:
        return _value(trait.name, formula(trait), "built_in", readers)
    if trait.value is not None:
        return _value(trait.name, trait.value, "value", readers)
    return _clamped(trait, _sum([_rule(trait.name, rule, n, readers) for n, rule in enumerate(trait.rules)]))


def _value(trait: str, text: str, key: str, readers: Readers) -> Value:
    try:
        reader = readers(text)
        root = reader.parsed.root
        found = operand(reader, root)
        if isinstance(found, CONSTANTS):
            raise reader.error(root, "says nothing about anybody", "name a field or an event")
        value = types.settled(types.as_value(found), Type.TEXT)
        if value.type is Type.TIME:
            raise reader.error(root, "is a time, and a trait is a number or a text", "write days_since(x)")
    except ExpressionError as error:
        raise TraitError(error, trait, text, key) from error
    return value


def operand(reader: Reader, node: ast.expr) -> Term:
    from core.segments.words.traits import operand as read  # it reads through the modules that read this one

    return read(reader, node)


def _rule(trait: str, rule: Rule, number: int, readers: Readers) -> Term:
    """Return what a rule adds: its points where it holds, or for each of what it counts."""
    from core.segments.words.traits import as_number

    text, key = (rule.when, "when") if rule.when is not None else (str(rule.each), "each")
    points = Literal(float(rule.points), Type.NUMBER)
    try:
        reader = readers(text)
        root = reader.parsed.root
        if rule.when is not None:
            from core.segments.traits import closed

            return Arithmetic(Sign.TIMES, points, Truth(closed(reader, root, reader.condition(root)), Type.NUMBER), Type.NUMBER)
        each = as_number(reader, root, operand(reader, root))
        there = Picked(Pick.COALESCE, (each, Literal(0.0, Type.NUMBER)), Type.NUMBER)
        return Arithmetic(Sign.TIMES, points, there, Type.NUMBER)
    except ExpressionError as error:
        raise TraitError(error, trait, text, f"rules.{number}.{key}") from error


def _sum(terms: Sequence[Term]) -> Term:
    """Return the sum, in halves: a long row of rules is not deep."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return Arithmetic(Sign.PLUS, _sum(terms[:half]), _sum(terms[half:]), Type.NUMBER)


def _clamped(trait: Trait, value: Term) -> Value:
    if trait.least is not None:
        value = Picked(Pick.MAX, (value, Literal(float(trait.least), Type.NUMBER)), Type.NUMBER)
    if trait.most is not None:
        value = Picked(Pick.MIN, (value, Literal(float(trait.most), Type.NUMBER)), Type.NUMBER)
    return types.as_value(value)

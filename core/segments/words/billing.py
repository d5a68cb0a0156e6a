"""Billing words: of the person's company where there is one, else their own."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from core.contract import Kind
from core.segments.tree import Billing, Compare, Literal, Op, Type
from core.segments.vocabulary import BILLING_WORDS

if TYPE_CHECKING:
    from core.segments.reader import Reader


def kind_of(word: str) -> Kind:
    """Return what a word is made of."""
    return Kind.PAYMENT if word == "ltv" else Kind.SUBSCRIPTION


def billing_word(reader: Reader, node: ast.expr, word: str) -> Billing | Compare:
    """`mrr`, `plan`; `paying` and `past_due` are conditions, so that nobody lacks them: `paying == False` is `not paying`."""
    if not reader.scope.vocabulary.feeding(kind_of(word)):
        raise reader.error(
            node, f"no configured stream brings {kind_of(word)}s, which {word} is made of", "add a billing connection"
        )
    value = Billing(word, BILLING_WORDS[word])
    return value if value.type is not Type.BOOLEAN else Compare((value, Literal(True, Type.BOOLEAN)), (Op.EQ,))

"""Billing words: of the person's company where there is one, else their own."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from core.contract import Kind
from core.segments.tree import Billing, Compare, Op
from core.segments.tree_constants import Literal, Type
from core.segments.vocabulary import BILLING_WORDS, PAYMENT_WORDS
from core.segments.words.entry import Entry

if TYPE_CHECKING:
    from core.segments.reader import Reader


def kind_of(word: str) -> Kind:
    """Return what a word is made of."""
    return Kind.PAYMENT if word in PAYMENT_WORDS else Kind.SUBSCRIPTION


def billing_word(reader: Reader, node: ast.expr, word: str) -> Billing | Compare:
    """`mrr`, `plan`; `paying` and `past_due` are conditions, so that nobody lacks them: `paying == False` is `not paying`."""
    if not reader.scope.vocabulary.feeding(kind_of(word)):
        raise reader.error(
            node, f"no configured stream brings {kind_of(word)}s, which {word} is made of", "add a billing connection"
        )
    value = Billing(word, BILLING_WORDS[word])
    return value if value.type is not Type.BOOLEAN else Compare((value, Literal(True, Type.BOOLEAN)), (Op.EQ,))


ENTRIES: Final = (
    Entry("paying", "paying", "Has a subscription that is active or past due and brings money.", 'paying and country == "SE"'),
    Entry("plan", "plan", "The plan of the principal subscription.", 'plan in ["team", "business"]'),
    Entry("plan_interval", "plan_interval", "How often it is paid: month or year.", 'plan_interval == "month"'),
    Entry(
        "subscription_status",
        "subscription_status",
        "trialing, active, past_due, unpaid, incomplete, paused or canceled.",
        'subscription_status == "trialing"',
    ),
    Entry("mrr", "mrr", "Revenue a month of all subscriptions in force, in the workspace's currency.", "mrr >= 500"),
    Entry("arr", "arr", "Twelve times `mrr`.", "arr > 10000"),
    Entry("ltv", "ltv", "All that was paid, less what was refunded.", "ltv > 5000"),
    Entry("payments", "payments", "How many payments were made.", "payments >= 12"),
    Entry("first_paid_at", "first_paid_at", "When the first payment was made.", 'within_last(first_paid_at, "30d")'),
    Entry("last_paid_at", "last_paid_at", "When the last payment was made.", 'more_than_ago(last_paid_at, "40d")'),
    Entry(
        "trial_ends_at",
        "trial_ends_at",
        "When the trial of the principal subscription ends.",
        'within_next(trial_ends_at, "3d")',
    ),
    Entry(
        "canceled_at",
        "canceled_at",
        "When the principal subscription was asked to end, else when it ended.",
        'within_last(canceled_at, "90d")',
    ),
    Entry("past_due", "past_due", "A subscription has a payment that is due and not made.", "past_due"),
    Entry("seats", "seats", "The quantity of the principal subscription.", "seats >= 10"),
)

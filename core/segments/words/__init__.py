"""
The words of the language by family: how each is written and what tree it gives. A new word is one function and one line here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from core.segments.vocabulary import BILLING_WORDS, PROFILE_FIELDS, SCORE_WORDS
from core.segments.words import billing, company, events, fields, history, ranks, sequences, sets, surveys, time, traits

if TYPE_CHECKING:
    from core.segments.reader import Reader
    from core.segments.types import Read
    from core.segments.words.call import Call

NAMES: Final[dict[str, Callable[[Reader, ast.expr, str], Read]]] = {
    **dict.fromkeys(PROFILE_FIELDS, fields.profile_field),
    **dict.fromkeys(BILLING_WORDS, billing.billing_word),
    **dict.fromkeys(SCORE_WORDS, surveys.score_word),
}
"""Words that stand alone."""

CALLS: Final[dict[str, Callable[[Call], Read]]] = {
    "field": fields.field,
    "prop": fields.prop,
    "exists": fields.exists,
    "missing": fields.missing,
    "date": time.date_,
    "within_last": time.within_last,
    "more_than_ago": time.more_than_ago,
    "within_next": time.within_next,
    "between_ago": time.between_ago,
    "during": time.during,
    "this": time.period,
    "previous": time.period,
    "did": events.did,
    "count": events.aggregate,
    "days_active": events.aggregate,
    "first_time": events.aggregate,
    "last_time": events.aggregate,
    "distinct": events.of_property,
    "sum": events.of_property,
    "avg": events.of_property,
    "min": traits.least_or_most,
    "max": traits.least_or_most,
    "coalesce": traits.coalesce,
    "round": traits.rounded,
    "days_since": traits.days_since,
    "median": events.of_property,
    "last_event": events.last_event,
    "regularly": events.regularly,
    "stopped": events.stopped,
    "restarted": events.restarted,
    "sequence": sequences.sequence,
    "without": sequences.without,
    "answered": surveys.answered,
    "answer": surveys.answer,
    "segment": sets.segment,
    "partition": sets.partition,
    "in_list": sets.in_list,
    "sql": sets.sql,
    "percentile": ranks.percentile,
    "top": ranks.top,
    "bucket": ranks.bucket,
    "changed": history.changed,
    "any_user": company.users,
    "all_users": company.users,
    "no_user": company.users,
}
"""Words that are asked with parentheses."""

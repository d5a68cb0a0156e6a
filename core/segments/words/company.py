"""Words of the company: what any, all or none of its users are or did; and what may be said in a segment of companies."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.segments.tree_sets import Quantifier, Users
from core.segments.vocabulary import BILLING_WORDS
from core.segments.words.entry import Entry
from core.segments.words.ranks import of_people

if TYPE_CHECKING:
    from core.segments.reader import Reader
    from core.segments.words.call import Call

OF_COMPANIES: Final = {
    *("exists", "missing", "date", "within_last", "more_than_ago", "within_next", "between_ago", "during", "this", "previous"),
    *("round", "coalesce", "days_since", "segment", "in_list", "sql", "percentile", "top", "bucket", "changed"),
    *("any_user", "all_users", "no_user"),
    *BILLING_WORDS,
}
"""Words that can be asked of a company itself."""


def refuse_of_person(reader: Reader, node: ast.AST, word: str) -> None:
    """Fail where *word* is about a person and the segment is of companies."""
    if reader.scope.of == "company" and reader.scope.event is None and not (word in OF_COMPANIES or _of_numbers(node, word)):
        raise reader.error(
            node, f"{word} is about a person, and this segment is of companies", "ask it of its users: any_user(...)"
        )


def _of_numbers(node: ast.AST, word: str) -> bool:
    """Return whether it is the smallest or largest of some values, not of a property of events."""
    named = (
        isinstance(node, ast.Call)
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )
    return word in ("min", "max") and not named


def users(call: Call) -> Users:
    """
    `any_user(did("Invited"))`, `all_users(...)`, `no_user(...)`: of the person's company, the person among them.

    Its users are its live profiles of the universe. Over nobody `all_users` is false and `no_user` true.
    """
    from core.segments.reader import Reader

    of_people(call)
    node = call.argument(0, "what is asked of a user")
    inner = Reader(call.reader.parsed, replace(call.reader.scope, of="person"))
    item = inner.condition(node)
    call.end(1)
    return Users(Quantifier(call.word), item, anonymous=call.reader.scope.anonymous)


ENTRIES: Final = (
    Entry(
        "any_user",
        "any_user(CONDITION)",
        "Some user of the person's company, the person among them, is so.",
        'any_user(did("Order"))',
    ),
    Entry(
        "all_users", "all_users(CONDITION)", "Each of them is; false of a company without users.", "all_users(exists(user_id))"
    ),
    Entry("no_user", "no_user(CONDITION)", "None of them is.", 'no_user(did("Page Viewed", last="30d"))'),
)

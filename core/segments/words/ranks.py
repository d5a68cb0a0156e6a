"""Words of rank and chance: where a value stands among everybody's, who has the largest, and a bucket that never moves."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from core.segments import types
from core.segments.tree import Value
from core.segments.tree_constants import Type
from core.segments.tree_sets import Bucket, Percentile, Top
from core.segments.words.entry import Entry

if TYPE_CHECKING:
    from core.segments.words.call import Call

MAX_TOP: Final = 10_000_000


def percentile(call: Call) -> Percentile:
    """`percentile(mrr) >= 80`: SQL's percent_rank times 100 among the people of the universe who have a value."""
    value = _ranked(call, "a number, as mrr")
    call.end(1)
    return Percentile(value, Type.NUMBER, anonymous=call.reader.scope.anonymous)


def top(call: Call) -> Top:
    """`top(mrr, 100)`: the hundred people with the largest value; of equals the lower profile id comes first."""
    value = _ranked(call, "a number, as mrr")
    node = call.argument(1, "how many people")
    count = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MAX_TOP:
        raise call.error(node, f"how many is a whole number from 1 to {MAX_TOP:,}", "write top(mrr, 100)")
    call.end(2)
    return Top(value, count, anonymous=call.reader.scope.anonymous)


def bucket(call: Call) -> Bucket:
    """`bucket("salt") < 0.1`: a tenth of the people, always the same; `< 0.2` is those and as many more."""
    of_people(call)
    node = call.argument(0, "a salt, in quotes")
    salt = call.text_of(node, "a salt")
    if not salt:
        raise call.error(node, "an empty salt", 'name what it is for, as bucket("spring campaign")')
    call.end(1)
    return Bucket(salt, Type.NUMBER)


def of_people(call: Call) -> None:
    """Fail inside `where=`, which speaks of one event."""
    if call.reader.scope.event is not None:
        raise call.error(call.node, f"{call.word} is about a person, and where= about an event")


def _ranked(call: Call, what: str) -> Value:
    """Return the first argument, which has an order: a number or a time."""
    of_people(call)
    node = call.argument(0, what)
    value = call.reader.value(node)
    if isinstance(value, Percentile):
        raise call.error(node, "a rank of a rank says no more than the rank", "rank the value itself")
    value = types.settled(value, Type.NUMBER)  # an open one is taken for a number
    if value.type not in (Type.NUMBER, Type.TIME):
        raise call.error(node, f"is a {value.type}, which has no rank", "a number or a time has one")
    return value


ENTRIES: Final = (
    Entry("percentile", "percentile(x)", "SQL's percent_rank times 100 among all who have a value.", "percentile(mrr) >= 80"),
    Entry(
        "top", "top(x, N)", "The N people with the largest value; of equals the lower profile id comes first.", "top(mrr, 100)"
    ),
    Entry(
        "bucket",
        "bucket(SALT)",
        "A number from 0 to 1 by chance that never changes for a person and a salt.",
        'bucket("spring campaign") < 0.1',
    ),
)

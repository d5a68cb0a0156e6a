"""Words of history: what a canonical field was before it became what it is."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from core.config.names import suggest
from core.segments import types
from core.segments.tree import Billing, CompanyField, ProfileField
from core.segments.tree_constants import Constant, Literal, Moment
from core.segments.tree_sets import OF_SUBSCRIPTION, Changed
from core.segments.words.entry import Entry
from core.segments.words.ranks import of_people

if TYPE_CHECKING:
    from core.segments.words.call import Call


def changed(call: Call) -> Changed:
    """`changed(lifecycle_stage, to="customer", last="30d")`; `from_=` for what it was before, a list for any of several."""
    of_people(call)
    node = call.argument(0, "a field, as lifecycle_stage")
    found = call.reader.read(node)
    if isinstance(found, Billing) and found.word not in OF_SUBSCRIPTION:
        remedy = f"changes are kept of {', '.join(OF_SUBSCRIPTION)}"
        raise call.error(node, f"no history is kept of {found.word}", remedy)
    if not isinstance(found, ProfileField | CompanyField | Billing):
        remedy = "canonical fields have one: country, company.employees, plan"
        raise call.error(node, "no history is kept of this", remedy)
    to, before = _constants(call, node, found, "to"), _constants(call, node, found, "from_")
    window = call.window()
    if wrong := next(iter(call.named), None):
        known = ["to", "from_", "last", "between_ago", "since", "until", "during"]
        raise call.error(call.named[wrong], f"changed has no {wrong}=", suggest(wrong, known))
    call.end(1)
    return Changed(found, to, before, window)


def _constants(call: Call, field: ast.expr, value: ProfileField | CompanyField | Billing, name: str) -> tuple[Constant, ...]:
    """Take `to=` or `from_=`: one value of the field, or a list of them."""
    node = call.named.pop(name, None)
    if node is None:
        return ()
    listed = isinstance(node, ast.List | ast.Tuple)
    constants = call.reader.literals(node) if listed else (call.reader.term(node),)
    if not all(isinstance(constant, Literal | Moment) for constant in constants):
        raise call.error(node, f"{name}= needs a text, a number or a date")
    terms, _ = types.agree(call, [field, *[node] * len(constants)], [value, *constants], ordered=False)
    return tuple(types.as_constant(term) for term in terms[1:])


ENTRIES: Final = (
    Entry(
        "changed",
        "changed(FIELD, from_=VALUE, to=VALUE, ...)",
        "A canonical field changed; either value may be left out or be a list.",
        'changed(lifecycle_stage, to="customer", last="30d")',
        window=True,
    ),
)

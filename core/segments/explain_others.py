"""
Conditions that hang on other people: ranks, what a company's users do, a query of the user's own.

They cannot be told by looking at one person, so they are evaluated as sets of their own, over everybody, before the rest of an
explanation hides the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core.clock import from_us
from core.segments.definitions import Definitions, SetDefinition
from core.segments.evaluate import evaluate
from core.segments.explain_sources import Asked, raw_values
from core.segments.explain_texts import Texts, parts
from core.segments.explain_tree import branches, leaves_of, sets_in
from core.segments.facts import Facts, LeafFailed
from core.segments.tree import Condition, values_of
from core.segments.tree_sets import CompanyIn, FromSql, Percentile, Top, Users
from core.store import Store

OF_EVERYBODY: Final = (Percentile, Top, FromSql, Users, CompanyIn)


@dataclass(frozen=True, slots=True)
class Others:
    """What was found out over everybody, of one person."""

    said: dict[Any, bool | LeafFailed] = field(default_factory=dict)
    values: dict[Any, list[Any]] = field(default_factory=dict)
    companies: dict[tuple[str, Any], bool] = field(default_factory=dict)
    """By segment of companies: what each of its conditions says of this one's company."""
    today: frozenset[str] = frozenset()
    """What was answered from today's value."""


def of_everybody(
    store: Store, definitions: Definitions, conditions: Iterable[Condition], profile_id: int, facts: Facts
) -> Others:
    """Return what the leaves of *conditions* that hang on other people say of this one, and what is seen at them."""
    leaves = {leaf for condition in conditions for leaf in leaves_of(condition) if hangs_on_others(leaf)}
    if not leaves:
        return Others()
    pattern = next(iter(definitions.sets.values()))
    made = {f"leaf.{n}": leaf for n, leaf in enumerate(leaves)}
    sets = dict(definitions.sets) | {
        name: SetDefinition(
            name, leaf, title=name, place=pattern.place, anonymous=True, refers=frozenset(sets_in(leaf)), definition=name
        )
        for name, leaf in made.items()
    }
    of_companies = _of_companies(definitions, leaves)
    sets |= {name: one for name, (_, one) in of_companies.items()}
    whole = replace(definitions, sets=sets, order=(*definitions.order, *made, *of_companies), exclude=None)
    found = evaluate(store, whole, as_of=from_us(facts.as_of_us), names=[*made, *of_companies])
    row = store.conn.execute("SELECT coalesce(company_id, 0) FROM profiles WHERE id = ?", (profile_id,)).fetchone()
    company_id = row[0] if row else 0
    companies = {
        (segment, one.condition): company_id in found.sets[name]
        for name, (segment, one) in of_companies.items()
        if name in found.sets
    }
    said = {
        leaf: LeafFailed(found.failed[name]) if name in found.failed else profile_id in found.sets[name]
        for name, leaf in made.items()
    }
    asked = Asked(profile_id, None, facts, Texts())
    values = {value: raw_values(value, asked) for leaf in leaves for value in values_of(leaf) if hangs_on_others(value)}
    return Others(said, values, companies, frozenset(text for texts in found.approximate.values() for text in texts))


def _of_companies(definitions: Definitions, leaves: Iterable[Any]) -> dict[str, tuple[str, SetDefinition]]:
    """Return a set of companies for each condition of the segments of companies that *leaves* name."""
    found: dict[str, tuple[str, SetDefinition]] = {}
    for leaf in leaves:
        if isinstance(leaf, CompanyIn):
            of = definitions.sets[f"segment.{leaf.name}"]
            for condition in branches(of.condition):
                name = f"company.{len(found)}"
                refers = frozenset(sets_in(condition))
                one = replace(of, name=name, condition=condition, refers=refers, definition=name)
                found[name] = (leaf.name, one)
    return found


def hangs_on_others(node: Any) -> bool:
    """Return whether *node* cannot be told by looking at one person."""
    return any(isinstance(part, OF_EVERYBODY) for part in parts(node))

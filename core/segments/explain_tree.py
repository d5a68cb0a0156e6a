"""
One person while nobody else is seen: what each condition says of them, at any time, and the tree of that in the config's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from core.segments.compile import compile_leaf
from core.segments.definitions import Definitions
from core.segments.explain_changes import later
from core.segments.explain_sources import Asked
from core.segments.explain_texts import Texts, parts, texts_of
from core.segments.explain_values import Seen, seen_at
from core.segments.facts import Facts, LeafFailed
from core.segments.tree import (
    And,
    Billing,
    CompanyField,
    Compare,
    Condition,
    Exists,
    In,
    InGroup,
    InSegment,
    Matches,
    Not,
    Or,
    values_of,
)  # fmt: skip
from core.segments.tree_sets import CompanyIn

if TYPE_CHECKING:
    from core.segments.explain_others import Others

_BRANCHES: Final = (And, Or, Not, InSegment, InGroup)


@dataclass(frozen=True, slots=True)
class Next:
    """When something changes if nothing new comes in; *holds* is None where it may change then, and may not."""

    at: datetime
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """One condition of one person."""

    kind: str
    """all, any, not, segment, partition, company, leaf."""
    text: str
    holds: bool | None
    """None where it cannot be told."""
    _: KW_ONLY
    seen: tuple[Seen, ...] = ()
    next: Next | None = None
    children: tuple[Node, ...] = ()
    reason: str = ""
    """Why it cannot be told."""
    condition: Any = field(default=None, compare=False, repr=False)
    """What it is a node of."""


def leaves_of(condition: Condition) -> Iterator[Any]:
    """Yield what is asked of the store in *condition*, and the sets that it names."""
    stack: list[Any] = [condition]
    while stack:
        node = stack.pop()
        match node:
            case And() | Or():
                stack.extend(reversed(node.items))
            case Not():
                stack.append(node.item)
            case _:
                yield node


def sets_in(condition: Any) -> Iterator[str]:
    """Yield the sets that *condition* names, wherever in it."""
    for part in parts(condition):
        match part:
            case InSegment() | CompanyIn():
                yield f"segment.{part.name}"
            case InGroup():
                yield from (f"partition.{part.partition}.{group}" for group in part.groups)


def branches(condition: Condition) -> Iterator[Any]:
    """Yield *condition* and what it joins by and, or, not."""
    yield condition
    match condition:
        case And() | Or():
            for item in condition.items:
                yield from branches(item)
        case Not():
            yield from branches(condition.item)


def condition_of(definitions: Definitions, name: str) -> Condition:
    """Return what is asked of a person for the set *name*; of companies, whether theirs is in it."""
    one = definitions.sets[name]
    return one.condition if one.of != "company" else CompanyIn(name.partition(".")[2])


def groups_of(definitions: Definitions, partition: str) -> list[str]:
    """Return the groups of a partition in order, the one for the rest last."""
    of = definitions.config.partitions[partition]
    return [*of.groups, *([of.otherwise] if of.otherwise and of.otherwise not in of.groups else [])]


def earlier_groups(definitions: Definitions, partition: str, group: str) -> list[str]:
    """Return the groups that come first, and so take whom both would have."""
    groups = groups_of(definitions, partition)
    return groups[: groups.index(group)]


@dataclass(slots=True)
class Person:
    """One person while nobody else is seen."""

    definitions: Definitions
    facts: Facts
    profile_id: int
    others: Others
    asked: Asked = field(init=False)
    names: dict[int, str] = field(init=False)
    said: dict[tuple[Any, int], bool] = field(default_factory=dict)
    live: bool = False
    known: bool = False

    def __post_init__(self) -> None:
        conn = self.facts.conn
        rows = conn.execute("SELECT live, company_id, email, user_id, created_at FROM profiles").fetchone()
        live, company_id, email, user_id, created_at = rows or (0, None, None, None, None)
        self.live = bool(live) and not (self.facts.past and created_at is not None and created_at > self.facts.as_of_us)
        self.known = email is not None or user_id is not None
        streams = "SELECT s.id, c.name || '.' || s.name FROM streams s JOIN connections c ON c.id = s.connection_id"
        self.asked = Asked(self.profile_id, company_id, self.facts, Texts(), dict(conn.execute(streams).fetchall()))
        self.asked.known = self.others.values
        self.asked.holds = lambda condition: self.holds(condition, self.facts.as_of_us)

    # --- true or false -------------------------------------------------------------------------------------------------

    def member(self, name: str, at_us: int) -> bool:
        """Return whether they are in the set, `exclude` left aside."""
        one = self.definitions.sets[name]
        there = self.live and (self.known or one.anonymous or one.of == "company")
        return self.holds(condition_of(self.definitions, name), at_us) and there

    def holds(self, node: Any, at_us: int) -> bool:
        """Return what a condition says of them at a time; LeafFailed where it cannot be told."""
        match node:
            case And():
                return all(self._all_told(node.items, at_us))
            case Or():
                return any(self._all_told(node.items, at_us))
            case Not():
                return self.live and not self.holds(node.item, at_us)
            case InSegment():
                return self.member(f"segment.{node.name}", at_us)
            case InGroup():
                told = [self.member(f"partition.{node.partition}.{group}", at_us) for group in node.groups]
                return any(told)
        if node in self.others.said:
            found = self.others.said[node]
            if isinstance(found, LeafFailed):
                raise found
            return found
        if (node, at_us) not in self.said:
            self.said[node, at_us] = self._ask(node, at_us)
        return self.said[node, at_us]

    def _all_told(self, items: tuple[Condition, ...], at_us: int) -> list[bool]:
        """Return what each says: one that cannot be told is an end to it, also where the others would decide."""
        return [self.holds(item, at_us) for item in items]

    def _ask(self, leaf: Any, at_us: int) -> bool:
        facts = self.facts if at_us == self.facts.as_of_us else later(self.facts, at_us)
        query = compile_leaf(leaf, facts)
        text = f"WITH asked(id) AS ({query.sql.text}) SELECT EXISTS (SELECT 1 FROM asked WHERE id = ?)"
        (found,) = facts.conn.execute(text, (*query.sql.params, self.profile_id)).fetchone()
        return self.live and bool(found) != query.complement

    # --- the tree ------------------------------------------------------------------------------------------------------

    def set_node(self, name: str) -> Node:
        """Return the tree of a set, in the words that its config has for it."""
        own, texts = texts_of(self.definitions, name)
        self.asked.texts.conditions |= texts.conditions
        self.asked.texts.values |= texts.values
        kind, _, rest = name.partition(".")
        condition = condition_of(self.definitions, name)
        if isinstance(condition, CompanyIn) and self.definitions.sets[name].of == "company":
            inner = self._company_node(condition, self.definitions.sets[name].condition)
            return Node("company", "their company", self._told(condition)[0], children=(inner,), condition=condition)
        if kind == "segment":
            return self.node(condition)
        partition, _, group = rest.partition(".")
        if own is not None and self.definitions.config.partitions[partition].otherwise == group:
            return self.node(condition)
        children = [] if own is None else [self.node(own)]
        for other in earlier_groups(self.definitions, partition, group):
            found, its = texts_of(self.definitions, f"partition.{partition}.{other}")
            self.asked.texts.conditions |= its.conditions
            self.asked.texts.values |= its.values
            if found is not None:
                inner = self.node(found)
                holds = None if inner.holds is None else self.live and not inner.holds
                children.append(Node("not", f"not in {other}", holds, children=(inner,), condition=Not(found)))
        if len(children) == 1:
            return children[0]
        return Node("all", "all of", self._told(condition)[0], children=tuple(children), condition=condition)

    def node(self, condition: Any) -> Node:
        """Return a condition as a node; one that was written as one word is a leaf, whatever it is made of."""
        texts = self.asked.texts
        holds, reason = self._told(condition)
        match condition:
            case And() | Or() if any(item in texts.conditions for item in condition.items):
                kind, word = ("all", "all of") if isinstance(condition, And) else ("any", "any of")
                return Node(
                    kind, word, holds, children=tuple(map(self.node, condition.items)), reason=reason, condition=condition
                )
            case Not() if condition.item in texts.conditions:
                return Node("not", "not", holds, children=(self.node(condition.item),), reason=reason, condition=condition)
            case CompanyIn():
                inner = self.set_node(f"segment.{condition.name}")
                return Node("segment", texts.of(condition), holds, children=(inner,), reason=reason, condition=condition)
            case InSegment():
                inner = self.set_node(f"segment.{condition.name}")
                return Node("segment", texts.of(condition), holds, children=(inner,), reason=reason, condition=condition)
            case InGroup():
                return self._group_node(condition, holds, reason)
        seen: tuple[Seen, ...] = ()
        try:
            under = [condition] if not isinstance(condition, _BRANCHES) else list(leaves_of(condition))
            seen = tuple(dict.fromkeys(one for leaf in under for one in self._seen(leaf)))
        except LeafFailed as error:
            reason = reason or str(error)
        return Node("leaf", texts.of(condition), holds, seen=seen, reason=reason, condition=condition)

    def _company_node(self, of: CompanyIn, condition: Any) -> Node:
        """Return a condition on the person's company as a node, with values where a person has the same ones."""
        texts, holds = self.asked.texts, self.others.companies.get((of.name, condition))
        match condition:
            case And() | Or() if any(item in texts.conditions for item in condition.items):
                kind, word, items = "all", "all of", condition.items
                if isinstance(condition, Or):
                    kind, word = "any", "any of"
            case Not() if condition.item in texts.conditions:
                kind, word, items = "not", "not", (condition.item,)
            case _:
                seen = self._seen(condition) if self._of_their_company(condition) else ()
                return Node("leaf", texts.of(condition), holds, seen=seen, condition=of)
        return Node(kind, word, holds, children=tuple(self._company_node(of, item) for item in items), condition=of)

    def _of_their_company(self, condition: Any) -> bool:
        """Return whether what a condition looks at is their company's, whoever is asked: its fields, and its bills."""
        values = values_of(condition) if isinstance(condition, Compare | In | Exists | Matches) else ()
        own = (CompanyField, Billing) if self.facts.billing_of == "company" else (CompanyField,)
        return bool(values) and all(isinstance(value, own) for value in values)

    def _seen(self, leaf: Any) -> tuple[Seen, ...]:
        return seen_at(leaf, self.asked)

    def _group_node(self, condition: InGroup, holds: bool | None, reason: str) -> Node:
        at, partition = self.facts.as_of_us, condition.partition
        try:
            mine = tuple(g for g in groups_of(self.definitions, partition) if self.member(f"partition.{partition}.{g}", at))
        except LeafFailed:
            mine = ()
        seen = Seen(f'partition("{condition.partition}")', mine)
        return Node("partition", self.asked.texts.of(condition), holds, seen=(seen,), reason=reason, condition=condition)

    def _told(self, condition: Any) -> tuple[bool | None, str]:
        try:
            return self.holds(condition, self.facts.as_of_us), ""
        except LeafFailed as error:
            return None, str(error)

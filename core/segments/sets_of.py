"""In which sets one person is now, asked of that person alone: quick in any store, also inside a transaction."""

from __future__ import annotations

from datetime import datetime

from core.clock import to_us
from core.segments import dialect
from core.segments.definitions import Definitions
from core.segments.evaluate import read_facts
from core.segments.explain_others import Others, hangs_on_others
from core.segments.explain_person import alone
from core.segments.explain_tree import Person, condition_of, leaves_of
from core.segments.facts import LeafFailed
from core.store import Store


def sets_of(store: Store, definitions: Definitions, profile_id: int, *, as_of: datetime) -> tuple[list[str], list[str]]:
    """
    Return the sets of people that *profile_id* is in, and those of which only a look at everybody could tell.

    `exclude` counts as in a run. Ranks, SQL and what a company's other users do are the latter.
    """
    names = [name for name, one in definitions.sets.items() if one.of != "company"]
    far = {name for name in names if _hangs_on_others(definitions, name)}
    if definitions.exclude in far:
        return [], names
    dialect.register(store.conn)
    facts = read_facts(store, definitions, to_us(as_of))
    near = [name for name in names if name not in far]
    found: list[str] = []
    with alone(store.conn, profile_id, [condition_of(definitions, name) for name in near], facts):
        person = Person(definitions, facts, profile_id, Others())
        for name in near:
            try:
                out = definitions.exclude not in (None, name) and person.member(str(definitions.exclude), facts.as_of_us)
                if person.member(name, facts.as_of_us) and not out:
                    found.append(name)
            except LeafFailed:
                far.add(name)
    return found, sorted(far)


def _hangs_on_others(definitions: Definitions, name: str) -> bool:
    stack, done = [name], set[str]()
    while stack:
        one = stack.pop()
        if one in done:
            continue
        done.add(one)
        if definitions.sets[one].of == "company" or any(map(hangs_on_others, leaves_of(condition_of(definitions, one)))):
            return True
        stack.extend(definitions.sets[one].refers)
    return False

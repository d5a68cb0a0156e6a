"""
Holds what the hub did against what is true: the sandboxes' own lists, and the skips that the plan reports.

Addresses are compared in lower case; a CRM list by contact id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.demo.config import TITLES, TO_CRM, TO_MAIL
from core.demo.people.model import World
from core.demo.people.truth import PARTITIONS, Expected, expected_list, expected_tag, truth

Lists = Mapping[str, Mapping[str, frozenset[str]]]
"""Members by connection and name of the list."""


@dataclass(frozen=True, slots=True)
class Target:
    """One audience of the demo: where it is, what it is called, and the set that it shows."""

    connection: str
    audience: str
    sync: str
    set_name: str


def targets() -> list[Target]:
    """Return every audience that the demo's config pushes to."""
    found = [Target("mail", TITLES[name], f"{name}_to_mail", f"segment.{name}") for name in TO_MAIL]
    found += [Target("crm", TITLES[name], f"{name}_to_crm", f"segment.{name}") for name in TO_CRM]
    for partition, connection, title in (("lifecycle", "crm", "Lifecycle: {}"), ("nps", "mail", "NPS {}")):
        for group in PARTITIONS[partition]:
            sync = f"{partition}_to_{connection}.{group}"
            found.append(Target(connection, title.format(group), sync, f"partition.{partition}.{group}"))
    return found


@dataclass(slots=True)
class Comparison:
    """Each target with the members that are right, and what is wrong, in words."""

    members: dict[Target, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def compare(
    world: World,
    as_of: datetime,
    lists: Lists,
    before: Lists,
    skips: Mapping[str, Mapping[str, set[str]]],
) -> Comparison:
    """
    Compare the sandboxes' *lists* (by connection, then name) and the hub's *skips* (by sync target, then reason: winning
    addresses) with the truth at *as_of*; *before* is what the lists held before the sync.
    """
    result = Comparison()
    sets = truth(world, as_of).sets
    for target in targets():
        wanted = sets[target.set_name]
        held = {member.lower() for member in before.get(target.connection, {}).get(target.audience, frozenset())}
        expected = expected_list(wanted) if target.connection == "crm" else expected_tag(world, wanted, held)
        there = {member.lower() for member in lists[target.connection].get(target.audience, frozenset())}
        result.members[target] = len(there)
        result.wrong += _differences(target, expected, there, skips.get(target.sync, {}))
    return result


def _differences(target: Target, expected: Expected, there: set[str], skips: Mapping[str, set[str]]) -> list[str]:
    wrong = []
    if expected.members != there:
        missing, extra = len(expected.members - there), len(there - expected.members)
        wrong.append(f"{target.connection} {target.audience!r}: {missing} missing, {extra} too many")
    for reason in expected.skips.keys() | skips.keys():
        right, told = expected.skips.get(reason, set()), skips.get(reason, set())
        if right != told:
            wrong.append(
                f"{target.sync}: skipped for {reason}: {len(right - told)} not reported, {len(told - right)} reported wrongly"
            )
    return wrong

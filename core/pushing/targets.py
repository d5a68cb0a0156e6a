"""
What a sync is aimed at: one audience for a segment, one for each group of a partition.

Also what the config's words for an audience come down to, so that a changed word is told from a changed title.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, fields, is_dataclass
from datetime import timedelta
from typing import Any, Final

from core.config.model import Config, Partition, SyncConfig
from core.contract import Audience
from core.registry import Connector
from core.segments.definitions import Definitions
from core.segments.tree import And, Condition, InGroup, InSegment, Not, Or
from core.segments.tree_constants import Ago
from core.segments.tree_sets import CompanyIn, Quantifier, Users

GROUP: Final = "{group}"
TITLED: Final = "\x1ftitle"
"""Ends the target of an audience whose name is only the title's: a new title changes nothing at the vendor."""
DAY: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Target:
    """One audience that a sync fills from one set."""

    sync: SyncConfig
    label: str
    """`SYNC`, or `SYNC.GROUP`."""
    _: KW_ONLY
    set_name: str
    audience: Audience
    """The connector's class with the sync's params."""
    name: str
    """What the audience is called, `{group}` filled in."""
    target: str
    """Connection, kind and name as the config has them, casefolded: another one is a retarget."""

    @property
    def connection(self) -> str:
        return self.sync.to


def sync_of(label: str | None, config: Config) -> str | None:
    """Return the sync that a label (`SYNC`, `SYNC.GROUP`) is of; None where the config has no such audience any more."""
    if label is None:
        return None
    name, _, group = label.partition(".")
    sync = config.syncs.get(name)
    if sync is None or bool(group) != (sync.partition is not None):
        return None
    partition = config.partitions[sync.partition] if sync.partition else None
    there = partition is None or group in partition.groups or group == partition.otherwise
    return name if there else None


def sets_of(sync: SyncConfig, config: Config) -> list[str]:
    """Return the names of the sets that *sync* pushes, a partition's in the order of its groups."""
    if sync.segment is not None:
        return [f"segment.{sync.segment}"]
    partition = config.partitions[str(sync.partition)]
    return [f"partition.{partition.name}.{group}" for group in groups_of(partition)]


def groups_of(partition: Partition) -> list[str]:
    """Return the groups of a partition, the one for the rest last."""
    return list(dict.fromkeys((*partition.groups, *([partition.otherwise] if partition.otherwise else []))))


def targets_of(sync: SyncConfig, config: Config, connector: Connector) -> list[Target]:
    """Return the audiences of *sync*, a partition's in the order of its groups."""
    made = connector.audiences[sync.audience_kind]
    audience = made(made.Params.model_validate(dict(sync.params)))
    sets: list[tuple[str, str, str, str | None]]
    if sync.segment is not None:
        sets = [(sync.name, f"segment.{sync.segment}", sync.audience_name, config.segments[sync.segment].title)]
    else:
        partition = config.partitions[str(sync.partition)]
        groups = groups_of(partition)
        titled = sync.audience_name == f"{partition.title}: {GROUP}"
        names = {group: sync.audience_name.replace(GROUP, group) for group in groups}
        sets = [
            (f"{sync.name}.{group}", f"partition.{partition.name}.{group}", name, name if titled else None)
            for group, name in names.items()
        ]
    return [
        Target(sync, label, set_name=set_name, audience=audience, name=name, target=_spelled(sync, label, name, title))
        for label, set_name, name, title in sets
    ]


def _spelled(sync: SyncConfig, label: str, name: str, title: str | None) -> str:
    # a titled one is known by its sync and group, for two syncs of one title are refused anyway
    spelled = f"{label}{TITLED}" if name == title else name
    return f"{sync.to}:{sync.audience_kind}:{spelled.strip().casefold()}"


def same_target(bound: str | None, name: str, target: Target) -> bool:
    """Return whether the config still names what it named when *bound* was written, under *name*."""
    if bound is None or bound == target.target:
        return True
    # spelled out now what was the title's then, or the other way round: the same audience all the same
    where = f"{target.sync.to}:{target.sync.audience_kind}:"
    return bound.startswith(where) and name.strip().casefold() == target.name.strip().casefold()


def spoken(target: str, name: str) -> str:
    """Return a target as a person would say it."""
    connection, kind, _ = target.split(":", 2)
    return f"the {kind} {name!r} at {connection}"


@dataclass(frozen=True, slots=True)
class Turnover:
    """Which share of a set its moving windows exchange by themselves in 24 hours: 1 for `last="24h"`, 1/30 for `last="30d"`."""

    most: float = 0.0
    """By the narrowest window, whatever else there is in the text; infinite under a `not`, for it is others who turn over."""
    least: float = 0.0
    """By every way into the set: 0 for `country == "SE" or did(E, last="24h")`, for Swedes are not in motion."""


def turnover(definitions: Definitions, set_name: str) -> Turnover:
    """Return how fast a set moves by the clock alone."""
    return _moves(definitions.sets[set_name].condition, definitions)


def _moves(node: Condition, definitions: Definitions, negated: bool = False) -> Turnover:
    match node:
        case Not():
            return _moves(node.item, definitions, not negated)
        case And() | Or():
            parts = [_moves(item, definitions, negated) for item in node.items]
            every_way = isinstance(node, Or) is not negated
        case Users():
            return _moves(node.item, definitions, negated is not (node.quantifier is Quantifier.NO))
        case InSegment() | CompanyIn():
            return _moves(definitions.sets[f"segment.{node.name}"].condition, definitions, negated)
        case InGroup():
            groups = [definitions.sets[f"partition.{node.partition}.{group}"] for group in node.groups]
            parts = [_moves(group.condition, definitions, negated) for group in groups]
            every_way = not negated
        case _:
            spans = [abs(ago.us) for ago in _agos(node) if ago.us]
            share = min(1.0, DAY / timedelta(microseconds=min(spans))) if spans else 0.0
            return Turnover(math.inf if share and negated else share, share)
    chosen = min if every_way else max
    return Turnover(max((part.most for part in parts), default=0.0), chosen((part.least for part in parts), default=0.0))


def _agos(node: Any) -> list[Ago]:
    if isinstance(node, Ago):
        return [node]
    if is_dataclass(node):
        return [ago for f in fields(node) for ago in _agos(getattr(node, f.name))]
    if isinstance(node, (tuple, list, frozenset)):
        return [ago for part in node for ago in _agos(part)]
    return []

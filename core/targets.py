"""
What a sync is aimed at: one audience for a segment, one for each group of a partition.

Also what the config's words for an audience come down to, so that a changed word is told from a changed title.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields, is_dataclass
from datetime import timedelta
from typing import Any, Final

from core.config.model import Config, SyncConfig
from core.contract import Audience
from core.registry import Connector
from core.segments.definitions import Definitions
from core.segments.tree import Ago

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


def targets_of(sync: SyncConfig, config: Config, connector: Connector) -> list[Target]:
    """Return the audiences of *sync*, a partition's in the order of its groups."""
    made = connector.audiences[sync.audience_kind]
    audience = made(made.Params.model_validate(dict(sync.params)))
    sets: list[tuple[str, str, str, str | None]]
    if sync.segment is not None:
        sets = [(sync.name, f"segment.{sync.segment}", sync.audience_name, config.segments[sync.segment].title)]
    else:
        partition = config.partitions[str(sync.partition)]
        groups = dict.fromkeys((*partition.groups, *([partition.otherwise] if partition.otherwise else [])))
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


def turnover(definitions: Definitions, set_name: str) -> float:
    """Return the share of a set that its narrowest moving window exchanges by itself in 24 hours; 0 where nothing moves."""
    todo, seen = [set_name], set[str]()
    narrowest: int | None = None
    while todo:
        name = todo.pop()
        if name in seen or name not in definitions.sets:
            continue
        seen.add(name)
        definition = definitions.sets[name]
        todo += definition.refers
        spans = [abs(ago.us) for ago in _agos(definition.condition) if ago.us]
        narrowest = min([*spans, *([narrowest] if narrowest is not None else [])], default=None)
    return 0.0 if narrowest is None else min(1.0, DAY / timedelta(microseconds=narrowest))


def _agos(node: Any) -> list[Ago]:
    if isinstance(node, Ago):
        return [node]
    if is_dataclass(node):
        return [ago for f in fields(node) for ago in _agos(getattr(node, f.name))]
    if isinstance(node, (tuple, list, frozenset)):
        return [ago for part in node for ago in _agos(part)]
    return []

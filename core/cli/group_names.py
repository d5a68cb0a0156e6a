"""What NAME speaks of where a segment, a partition or one of its groups is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.config.model import Config


def sets_of(name: str, config: Config) -> list[str]:
    """
    Return the names of the sets that *name* speaks of: one, or those of all groups of a partition.

    What tables of segments print (`segment.NAME`, `partition.NAME.GROUP`) is understood as well.
    """
    from core.config.names import suggest

    kind, _, rest = name.partition(".")
    if kind in ("segment", "partition") and kind not in config.partitions and rest:
        name = rest
    if name in config.segments:
        return [f"segment.{name}"]
    partition, _, group = name.partition(".")
    if partition not in config.partitions:
        raise click.UsageError(
            f"there is no segment or partition {name!r}; {suggest(name, [*config.segments, *config.partitions])}"
        )
    groups = groups_of(partition, config)
    if group and group not in groups:
        raise click.UsageError(f"the partition {partition} has no group {group!r}; {suggest(group, groups)}")
    return [f"partition.{partition}.{one}" for one in groups if group in ("", one)]


def groups_of(name: str, config: Config) -> list[str]:
    """Return the groups of a partition in order, the one for the rest last."""
    partition = config.partitions[name]
    rest = partition.otherwise if partition.otherwise not in partition.groups else None
    return [*partition.groups, *([rest] if rest else [])]

"""Orphans: audiences that hold members of ours, or may, and that no sync of the config fills any more."""

from __future__ import annotations

import sqlite3

from core.config.model import Config
from core.config.names import suggest
from core.errors import ConfigError, Problem
from core.pushing.targets import GROUP, groups_of, sync_of
from core.store import audiences
from core.store.audiences import AudienceRow


def label_of(row: AudienceRow) -> str:
    """Return what a person calls an audience that is retired."""
    # one that its sync was turned away from has no label any more, and goes by its name
    return row.label or row.name


def retired(conn: sqlite3.Connection, config: Config) -> list[AudienceRow]:
    """Return the audiences that hold members of ours, or may, and that no sync of the config fills any more."""
    found = []
    for row in audiences.audiences(conn):
        if sync_of(row.label, config) is None:
            stands = audiences.standing(conn, row.id)
            if stands.owned or stands.waiting:  # whoever was sent with a batch that nobody answered may be there
                found.append(row)
    return found


def chosen(conn: sqlite3.Connection, config: Config, name: str) -> list[AudienceRow]:
    """
    Return the retired audiences called *name*: a sync with all its groups, one group, or an audience without a sync.

    Raises:
        ConfigError: it is not retired, or there is none.
    """
    rows = retired(conn, config)
    # an audience without a sync goes by its name alone, and by no empty one: `retire "$SYNC"` names nothing
    found = [row for row in rows if name == label_of(row) or (row.label and row.label.partition(".")[0] == name)]
    if name in config.syncs and (called := [row for row in found if row.label is None]):
        found = called  # no sync's any more, though one has the name that it has
    elif name in config.syncs:
        groups = ", ".join(sorted(row.label for row in found if row.label is not None))
        remedy = f"name the group: {groups}" if groups else "take it out of the config first, or `tagalong pause` it"
        raise ConfigError(Problem(f"the sync {name} is in the config, so it is not retired", remedy=remedy))
    if not found:
        there = suggest(name, {label_of(row) for row in rows}, none="nothing is retired")
        raise ConfigError(Problem(f"there is no retired sync {name!r}; {there}", remedy="`tagalong retire` lists them"))
    for row in found:
        heir = _heir(conn, config, row)
        if heir is not None:
            said = f"the {row.kind} {row.name!r} is not retired: the sync {heir} is to fill it, and takes over who is in it"
            raise ConfigError(Problem(said, remedy=f"run `tagalong sync {heir}`, or let it name another"))
    return found


def _heir(conn: sqlite3.Connection, config: Config, row: AudienceRow) -> str | None:
    """Return the sync that names the audience and does not fill it yet: its next run, or its approval, takes it over."""
    for sync in config.syncs.values():
        if (sync.to, sync.audience_kind) != (row.connection, row.kind):
            continue
        groups = [""] if sync.partition is None else groups_of(config.partitions[sync.partition])
        for group in groups:
            label = f"{sync.name}.{group}" if sync.partition is not None else sync.name
            name = sync.audience_name.replace(GROUP, group)
            fills = [bound.name for bound in audiences.bound_to(conn, label)]
            if _same(name, row.name) and not any(_same(name, one) for one in fills):
                return sync.name
    return None


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()

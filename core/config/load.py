"""
The config: text and environment in, plain values (`model`) out, or every problem at once.

No secret is resolved and nobody is asked: that happens when a connection is opened. The expressions of segments are compiled
by `core.segments.definitions`, which knows the words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.config.alerts import read_alerts
from core.config.connections import read_connections
from core.config.document import NAMED, TOP, Places, read_document
from core.config.model import DEFAULT_PRIORITY, Config, Partition, Segment, Workspace
from core.config.names import name_problem, suggest
from core.config.problems import Problems
from core.config.retention import RetentionTable, retention
from core.config.syncs import Known, read_syncs
from core.config.tables import PartitionTable, SegmentTable, WorkspaceTable
from core.config.traits import read_traits
from core.config.whereabouts import workspace_of
from core.contract import Category
from core.errors import ConfigError

MAX_GROUP_NAME = 100


def load_config(path: Path, environ: Mapping[str, str] = os.environ, *, text: str | None = None) -> Config:
    """
    Return the config at *path*; ConfigError with all problems, each with file, line, key and the nearest valid name.

    With *text* it is the config that would be there if the file held that.
    """
    document = read_document(path, environ, text=text)
    data, problems = document.data, Problems(document.places, document.problems)
    for key in data.keys() - set(TOP):
        problems.say((key,), "unknown table or key", suggest(key, TOP))
    connections, connectors = read_connections(data.get("connections", {}), problems)
    segments = _segments(data.get("segments", {}), problems)
    partitions = _partitions(data.get("partitions", {}), problems)
    traits = read_traits(data.get("traits", {}), problems)
    workspace = _workspace(data.get("workspace", {}), path, data, problems)
    known = Known(connections, connectors, segments, partitions, {name: _names(data.get(name)) for name in NAMED})
    syncs = read_syncs(data.get("syncs", []), known, problems)
    alerts = read_alerts(data.get("alerts", {}), problems)
    problems.done()
    if workspace is None:
        raise AssertionError("a workspace without problems is there")
    return Config(
        path.absolute(), workspace, connections=connections, segments=segments, partitions=partitions, traits=traits,
        syncs=syncs, alerts=alerts,
    )  # fmt: skip


def database_of(path: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the database is, whatever else is wrong with the config at *path*; ConfigError where that cannot be told."""
    try:
        document = read_document(path, environ)
        places, table = document.places, document.data.get("workspace", {})
    except ConfigError:
        table = workspace_of(path, environ)
        if table is None:
            raise
        places = Places(str(path), {})
    name = table.get("database", WorkspaceTable.model_fields["database"].default) if isinstance(table, Mapping) else None
    if not isinstance(name, str):
        problems = Problems(places)
        problems.say(("workspace", "database"), "must be text, in quotes")
        problems.done()
    return _database(path, str(name))


def _database(path: Path, name: str) -> Path:
    return path.absolute().parent / Path(name).expanduser()


def _names(table: object) -> frozenset[str]:
    return frozenset(table) if isinstance(table, Mapping) else frozenset()


def _workspace(table: object, path: Path, data: Mapping[str, Any], problems: Problems) -> Workspace | None:
    at = ("workspace",)
    read = problems.validate(WorkspaceTable, table, at)
    if read is None:
        return None
    database = _database(path, read.database)
    if not read.database.strip() or database.is_dir():
        said = "is a folder" if read.database.strip() else "is empty"
        problems.say((*at, "database"), said, "name the file that is to hold the store, as 'tagalong.db'")
    known = _names(data.get("segments"))
    if read.exclude is not None and read.exclude not in known:
        problems.say((*at, "exclude"), f"there is no segment {read.exclude!r}", suggest(read.exclude, known))
    return Workspace(
        database,
        timezone=read.timezone,
        currency=read.currency,
        exclude=read.exclude,
        billing_of=read.billing_of,
        priority=_priority(read.priority, data.get("connections"), problems),
        rates=read.rates,
        week_start=read.week_start,
        stale_after=read.stale_after,
        consent=read.consent,
        tokens=read.tokens,
        retention=retention(read.retention or RetentionTable()),
    )


def _priority(names: list[str] | None, connections: object, problems: Problems) -> tuple[Category | str, ...]:
    if names is None:
        return DEFAULT_PRIORITY
    configured = _names(connections)
    categories = {category.value: category for category in Category}
    for index, name in enumerate(names):
        if name not in categories and name not in configured:
            remedy = suggest(name, [*categories, *configured])
            problems.say(("workspace", "priority", index), f"{name!r} is no category and no connection", remedy)
    chosen: list[Category | str] = [name if name in configured else categories.get(name, name) for name in dict.fromkeys(names)]
    return (*chosen, *(category for category in DEFAULT_PRIORITY if category not in chosen))


def _segments(tables: object, problems: Problems) -> dict[str, Segment]:
    segments = {}
    for name, table in _named(tables, "segments", problems):
        read = problems.validate(SegmentTable, table, ("segments", name))
        if read is not None and read.of == "company" and read.tz == "person":
            problems.say(("segments", name, "tz"), "companies have no clock of their own", "name a zone, or leave it out")
        if read is not None and _expression(read.where, ("segments", name, "where"), problems):
            segments[name] = Segment(
                name,
                read.where,
                place=replace(problems.places.find(("segments", name, "where")), key=f"segments.{name}"),
                title=read.title or _titled(name),
                of=read.of,
                anonymous=read.anonymous,
                timezone=read.tz,
            )
    return segments


def _partitions(tables: object, problems: Problems) -> dict[str, Partition]:
    partitions = {}
    for name, table in _named(tables, "partitions", problems):
        at = ("partitions", name)
        read = problems.validate(PartitionTable, table, at)
        if read is None:
            continue
        if not read.groups:
            problems.say((*at, "groups"), "has no group", 'write groups = { name = "expression" }')
        for group, where in read.groups.items():
            _group_name(group, (*at, "groups", group), problems)
            _expression(where, (*at, "groups", group), problems)
        if read.otherwise is not None:
            _group_name(read.otherwise, (*at, "else"), problems)
            if read.otherwise in read.groups:
                problems.say((*at, "else"), f"{read.otherwise!r} is a group already")
        partitions[name] = Partition(
            name,
            read.groups,
            place=replace(problems.places.find((*at, "groups")), key=f"partitions.{name}"),
            title=read.title or _titled(name),
            otherwise=read.otherwise,
            anonymous=read.anonymous,
            timezone=read.tz,
        )
    return partitions


def _named(tables: object, what: str, problems: Problems) -> list[tuple[str, object]]:
    if not isinstance(tables, Mapping):
        problems.say((what,), "must be a table")
        return []
    for name in tables:
        if wrong := name_problem(name):
            problems.say((what, name), f"{name!r} cannot be the name of a {what[:-1]}", wrong)
    return list(tables.items())


def _expression(where: str, at: tuple[str, ...], problems: Problems) -> bool:
    if not where.strip():
        problems.say(at, "is empty", "write an expression, as 'country == \"SE\"'")
    return bool(where.strip())


def _group_name(group: str, at: tuple[str, ...], problems: Problems) -> None:
    if not group.strip() or len(group) > MAX_GROUP_NAME or not group.isprintable():
        problems.say(at, f"the name of a group is 1 to {MAX_GROUP_NAME} printable characters")


def _titled(name: str) -> str:
    return name.replace("_", " ").capitalize()

"""`[connections.*]`: the keys that all have, and the connector's own against its Settings; no secret is resolved."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from core.config.identifiers import check_identifiers
from core.config.locate import Path
from core.config.model import ConnectionConfig
from core.config.names import name_problem, nearest, suggest
from core.config.problems import Problems
from core.config.secrets import FORMS, provisional_settings, reference, secret_paths, without_secrets
from core.config.tables import ConnectionTable
from core.contract import Category, Kind, Settings, Stream
from core.errors import ConfigError
from core.registry import Connector, connector_names, load_connector

_SHELL = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)\}?")
COMMON = tuple(ConnectionTable.model_fields)
RESERVED = {"company": "company.* are the fields of a person's company", "all": "`pause --all` speaks of everything"}


def read_connections(tables: object, problems: Problems) -> tuple[dict[str, ConnectionConfig], dict[str, Connector]]:
    """Return the connections, and the connector of each, by name; those with problems are left out."""
    if not isinstance(tables, Mapping):
        problems.say(("connections",), "must be a table")
        return {}, {}
    connections, connectors = {}, {}
    for name, table in tables.items():
        found = _read(name, table, tables.keys(), problems)
        if found is not None:
            connections[name], connectors[name] = found
    return connections, connectors


def _read(name: str, table: object, names: Collection[str], problems: Problems) -> tuple[ConnectionConfig, Connector] | None:
    at: Path = ("connections", name)
    before = len(problems)
    wrong = name_problem(name) or RESERVED.get(name)
    if wrong:
        problems.say(at, f"{name!r} cannot be the name of a connection", wrong)
    if not isinstance(table, Mapping):
        problems.say(at, "must be a table")
        return None
    connector = _connector(table.get("connector"), at, problems)
    # a table of streams is a setting of those connectors that have one
    has_table = connector is not None and "streams" in connector.settings_model.model_fields
    own_streams = has_table and isinstance(table.get("streams"), Mapping)
    common = {key: table[key] for key in COMMON if key in table and not (key == "streams" and own_streams)}
    own = {key: value for key, value in table.items() if key not in common}
    basics = problems.validate(ConnectionTable, common, at)
    if connector is None:
        _guess_keys(own, at, problems)
        return None
    settings = _settings(connector, own, at, problems)
    if basics is None:
        return None
    if settings is not None:
        streams = _check_streams(connector, settings, basics, at, problems)
        check_identifiers(streams, own, at, names, problems)
    if len(problems) > before:
        return None
    connection = ConnectionConfig(
        name,
        basics.connector,
        place=problems.places.find(at),
        schedule=basics.schedule,
        streams=None if basics.streams is None else tuple(basics.streams),
        stale_after=basics.stale_after,
        full_every=basics.full_every,
        reserve=float(basics.reserve.rstrip("%")) / 100,
        enabled=basics.enabled,
        settings=own,
    )
    return connection, connector


def _guess_keys(own: Mapping[str, Any], at: Path, problems: Problems) -> None:
    """Without a connector nobody knows its keys; but one that is nearly a common key is surely meant to be that."""
    for key in own:
        if nearest(key, COMMON):
            problems.say((*at, key), "unknown key", suggest(key, COMMON))


def _connector(name: object, at: Path, problems: Problems) -> Connector | None:
    if not isinstance(name, str):
        return None  # already complained of
    if name not in connector_names():
        problems.say((*at, "connector"), f"there is no connector {name!r}", suggest(name, connector_names()))
        return None
    try:
        return load_connector(name)
    except ConfigError as error:
        for problem in error.problems:
            problems.say((*at, "connector"), problem.message, problem.remedy)
        return None
    except Exception as error:  # a connector from elsewhere may fail in any way
        problems.say((*at, "connector"), f"the connector {name} cannot be loaded ({type(error).__name__})")
        return None


def _settings(connector: Connector, own: Mapping[str, Any], at: Path, problems: Problems) -> Settings | None:
    """Validate the connector's own keys; None where something is wrong, or only a secret can tell."""
    model = connector.settings_model
    wrong = [path for path in secret_paths(model, own) if not _is_secret(_value(own, path))]
    for path in wrong:
        problems.say((*at, *path), "is no secret", FORMS)
    for path in secret_paths(model, own):
        if variable := _SHELL.fullmatch(str(_value(own, path))):
            problems.say((*at, *path), "is the name of a variable, and no shell reads it", f'write {{ env = "{variable[1]}" }}')
    data, stood_in = without_secrets(model, own)
    before = len(problems)
    settings = problems.validate(model, data, at, also=COMMON, ignore=[*stood_in, *wrong])
    return settings if settings is not None or wrong or len(problems) > before else provisional_settings(model, own)


def _is_secret(value: object) -> bool:
    return isinstance(value, str) or reference(value) is not None


def _value(data: Any, path: Path) -> object:
    for step in path:
        data = data[step]
    return data


def _check_streams(
    connector: Connector, settings: Settings, basics: ConnectionTable, at: Path, problems: Problems
) -> list[Stream]:
    """Check the names of *basics* and what its streams need; return those that are pulled."""
    try:
        streams = connector.streams(settings)
    except ValueError as error:
        problems.say(at, str(error))
        return []
    for index, name in enumerate(basics.streams or ()):
        if name not in streams:
            problems.say((*at, "streams", index), f"{connector.name} has no stream {name!r}", suggest(name, streams))
    pulled = [stream for name, stream in streams.items() if basics.streams is None or name in basics.streams]
    events = [stream.name for stream in pulled if stream.kind is Kind.EVENT]
    if events and settings.start is None and connector.manifest.category is not Category.FILE:
        remedy = "say how far back the first pull goes, as start = 2026-01-01"
        problems.say((*at, "start"), f"is required, since {', '.join(events)} brings events", remedy)
    return pulled

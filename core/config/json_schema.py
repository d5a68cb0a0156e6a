"""
The JSON Schema of the whole file, from the tables' models and every connector's Settings and audiences, so editors complete it.

It describes the text that a person writes: a secret may be a reference, and what may come from the environment is not required.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from core.config.names import NAME
from core.config.secrets import secret_paths
from core.config.tables import AlertTable, ConnectionTable, PartitionTable, SegmentTable, SyncTable, WorkspaceTable
from core.config.traits import RuleTable, TraitTable
from core.durations import spell_duration
from core.registry import Connector, connector_names, load_connector

TABLES = (WorkspaceTable, ConnectionTable, SegmentTable, PartitionTable, TraitTable, RuleTable, SyncTable, AlertTable)
SECRET: dict[str, Any] = {
    "description": 'A secret: text, { env = "NAME" } or { file = "PATH" }.',
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"], "additionalProperties": False},
        {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": False},
    ],
}


class _Spelled(GenerateJsonSchema):
    """Writes a default as a person would: an editor completes what the loader takes."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        shape = super().default_schema(schema)
        default = schema.get("default")
        if isinstance(default, timedelta) and shape.get("format") != "duration":  # that format is ISO 8601's own
            shape["default"] = spell_duration(default)
        return shape


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a config file."""
    connectors = [load_connector(name) for name in connector_names()]
    models: dict[type[BaseModel], None] = dict.fromkeys([*TABLES, *(c.settings_model for c in connectors)])
    models |= dict.fromkeys(audience.Params for c in connectors for audience in c.audiences.values())
    refs, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/$defs/{model}", schema_generator=_Spelled
    )
    shapes = _with_secrets(definitions.get("$defs", {}))
    named = {model: shapes[refs[model, "validation"]["$ref"].rsplit("/", 1)[1]] for model in models}
    for model in (c.settings_model for c in connectors):
        required = set(named[model].get("required", ())) - _secret_keys(model)
        named[model] = {**named[model], "required": sorted(required)}
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "Tagalong's config file",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "include": {"description": "Files with more tables, globs allowed.", "type": "array", "items": {"type": "string"}},
            "workspace": named[WorkspaceTable],
            "connections": _by_name([_connection(c, named) for c in connectors]),
            "segments": _by_name([named[SegmentTable]]),
            "partitions": _by_name([named[PartitionTable]]),
            "traits": _by_name([named[TraitTable]]),
            "alerts": _by_name([named[AlertTable]]),
            "syncs": {"type": "array", "items": _sync(connectors, named)},
        },
        "$defs": shapes,
    }


def _by_name(options: list[dict[str, Any]]) -> dict[str, Any]:
    pattern = f"^{NAME.pattern}$"
    shape = options[0] if len(options) == 1 else {"oneOf": options}
    return {"type": "object", "patternProperties": {pattern: shape}, "additionalProperties": False}


def _connection(connector: Connector, named: Mapping[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    common, own = named[ConnectionTable], named[connector.settings_model]
    settings = {key: shape for key, shape in own["properties"].items() if key not in connector.settings_model.unused}
    properties = {**settings, **common["properties"], "connector": {"const": connector.name}}
    if "streams" in own["properties"]:  # a list of names, or the connector's own table of streams
        properties["streams"] = {"anyOf": [common["properties"]["streams"], own["properties"]["streams"]]}
    return {
        "title": connector.manifest.title,
        "type": "object",
        "properties": properties,
        "required": sorted({"connector", *own.get("required", ())}),
        "additionalProperties": False,
    }


def _sync(connectors: Iterable[Connector], named: Mapping[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    common = named[SyncTable]
    own: dict[str, Any] = {}
    for params in {audience.Params: None for c in connectors for audience in c.audiences.values()}:
        for key, shape in named[params].get("properties", {}).items():
            same = own.setdefault(key, shape) == shape
            own[key] = shape if same else {"anyOf": [own[key], shape]}
    return {**common, "properties": {**own, **common["properties"]}}


def _secret_keys(model: type[BaseModel]) -> set[str]:
    return {str(path[0]) for path in secret_paths(model, dict.fromkeys(f.alias or n for n, f in model.model_fields.items()))}


def _with_secrets(shape: Any) -> Any:
    """Put the three forms of a secret wherever pydantic wrote a password."""
    match shape:
        case {"format": "password", "type": "string", **rest}:
            kept = {key: value for key, value in rest.items() if key in ("title", "default")}
            return {**kept, **SECRET, "description": f"{rest.get('description', '')} {SECRET['description']}".strip()}
        case dict():
            return {key: _with_secrets(inner) for key, inner in shape.items()}
        case list():
            return [_with_secrets(inner) for inner in shape]
        case _:
            return shape

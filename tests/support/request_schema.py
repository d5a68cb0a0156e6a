"""What OpenAPI adds to JSON Schema where a schema is of a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import ValidationError, validators


@lru_cache
def request_validator(base: Any, *, strict: bool) -> Any:
    """Return *base* with what OpenAPI says of requests: nullable, readOnly, and (strict) nothing that is not named."""

    def kind(checker: Any, types: Any, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        if instance is None and (schema.get("nullable") or schema.get("x-nullable")):
            return
        if types != "file":
            yield from base.VALIDATORS["type"](checker, types, instance, schema)

    def enum(checker: Any, values: Any, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        if not (instance is None and (schema.get("nullable") or schema.get("x-nullable"))):
            yield from base.VALIDATORS["enum"](checker, values, instance, schema)

    def required(checker: Any, names: Any, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        if not isinstance(names, list):
            return
        properties = schema.get("properties", {})
        asked = [name for name in names if not properties.get(name, {}).get("readOnly")]
        yield from base.VALIDATORS["required"](checker, asked, instance, schema)

    def read_only(checker: Any, flag: Any, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        if flag:
            yield ValidationError("is read-only")

    def properties(checker: Any, named: Any, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        yield from base.VALIDATORS["properties"](checker, named, instance, schema)
        combined = schema.keys() & {"additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf"}
        if strict and named and not combined and isinstance(instance, Mapping):
            yield from (ValidationError(f"{name!r} is not in the schema") for name in instance if name not in named)

    return validators.extend(
        base,
        {"type": kind, "enum": enum, "required": required, "readOnly": read_only, "properties": properties},
    )

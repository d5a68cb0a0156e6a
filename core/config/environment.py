"""
Settings of named tables from the environment: `TAGALONG_CONNECTIONS__CRM__TOKEN` is `[connections.crm] token`.

pydantic-settings reads and merges them over what the files say. Arrays (`[[syncs]]`) and `include` stay in the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from core.config.locate import Path
from core.config.names import suggest
from core.errors import ConfigError, Problem

PREFIX = "TAGALONG_"
DELIMITER = "__"
TABLES = ("workspace", "connections", "segments", "partitions", "traits", "alerts")


class EnvText(str):
    """Text that came from the environment, where everything is text; so "false" may stand for false there."""

    __slots__ = ()


class _Tables(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="ignore")

    workspace: dict[str, Any] = {}
    connections: dict[str, Any] = {}
    segments: dict[str, Any] = {}
    partitions: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    alerts: dict[str, Any] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class _Environment(EnvSettingsSource):
    """Reads a mapping that is handed in, and decodes only what looks like a JSON object or array: a token may be digits."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = {name.lower(): EnvText(value) for name, value in environ.items() if name.upper().startswith(PREFIX)}
        super().__init__(_Tables)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self.environ

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if not value.lstrip().startswith(("{", "[")):
            raise ValueError("not JSON")
        return super().decode_complex_value(field_name, field, value)


def overlay(document: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[Path, str]]:
    """
    Put the environment's settings over *document*.

    Returns:
        the merged document, and the variable that each overriding key came from, by path.
    Raises:
        ConfigError: a variable that looks like a setting and names no table.
    """
    variables: dict[Path, str] = {_path(name): name for name in environ if _is_setting(name)}
    unknown = [(path, name) for path, name in variables.items() if path[0] not in TABLES]
    if unknown:
        raise ConfigError(
            *(
                Problem(f"no table {path[0]!r} can be set from the environment", key=name, remedy=suggest(str(path[0]), TABLES))
                for path, name in unknown
            )
        )
    tables = {name: document[name] for name in TABLES if isinstance(document.get(name), dict)}
    if not variables:
        return dict(document), {}
    together = _merge(tables, _Environment(environ)())
    # a wrong type in the file stays, to be complained of
    return {**document, **{name: t for name, t in together.items() if name in tables or name not in document}}, variables


def _is_setting(name: str) -> bool:
    return name.upper().startswith(PREFIX) and DELIMITER in name


def _path(name: str) -> tuple[str, ...]:
    return tuple(name[len(PREFIX) :].lower().split(DELIMITER))


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged

"""
Secrets: found in a connector's Settings by type, kept as references until the connection is opened, resolved here.

A `SecretStr` is written as text, `{ env = "NAME" }` or `{ file = "PATH" }`. Nothing in here logs or shows a value.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from core.config.environment import EnvText
from core.config.locate import Path as KeyPath
from core.config.model import Config, ConnectionConfig, Place
from core.config.names import suggest
from core.contract import Settings
from core.errors import ConfigError, Problem
from core.registry import Connector, load_connector

FORMS = 'a secret is text, { env = "NAME" } or { file = "PATH" }'
MAX_SECRET_BYTES = 65_536
_UNKNOWN = "not-resolved-yet"


def secret_paths(model: type[BaseModel], data: Mapping[str, Any], at: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every value of *data* that *model* takes as a secret."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in data:
            yield from _within(field.annotation, data[key], (*at, key))


def _within(annotation: Any, value: Any, at: KeyPath) -> Iterator[KeyPath]:
    origin, args = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        yield at
    elif origin in (Union, UnionType):
        yield from dict.fromkeys(found for arg in args for found in _within(arg, value, at))
    elif origin is Annotated:
        yield from _within(args[0], value, at)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, Mapping):
        yield from secret_paths(annotation, value, at)
    elif isinstance(value, Mapping) and len(args) == 2:
        for key, inner in value.items():
            yield from _within(args[1], inner, (*at, key))
    elif isinstance(value, list) and args:
        for index, inner in enumerate(value):
            yield from _within(args[0], inner, (*at, index))


def reference(value: object) -> tuple[str, str] | None:
    """Return ("env", name) or ("file", path) for a reference, None for anything else."""
    if isinstance(value, Mapping) and len(value) == 1:
        (how, where), *_ = value.items()
        if how in ("env", "file") and isinstance(where, str) and where:
            return how, where
    return None


def without_secrets(model: type[BaseModel], data: Mapping[str, Any]) -> tuple[dict[str, Any], set[KeyPath]]:
    """Return *data* with a stand-in for each reference, so that it can be validated, and where these are."""
    stood_in: set[KeyPath] = set()

    def stand_in(value: object, at: KeyPath) -> object:
        if reference(value) is None:
            return value
        stood_in.add(at)
        return _UNKNOWN

    return _replaced(model, data, stand_in), stood_in


def provisional_settings(model: type[Settings], data: Mapping[str, Any]) -> Settings:
    """
    Return the settings with stand-ins for secrets that are references: enough to ask a connector for its streams.

    A connector may judge a secret by its text (a data centre in a key), and a stand-in fails that; then each of the other keys
    is read by itself. *data* must have passed `load_config`.
    """
    values, stood_in = without_secrets(model, data)
    try:
        return model.model_validate(values)
    except ValidationError:
        if not stood_in:
            raise
    judged = {path[0] for path in stood_in}
    read: dict[str, Any] = {
        name: SecretStr(_UNKNOWN) if name in judged else TypeAdapter[Any](field.annotation or Any).validate_python(values[name])
        for name, field in model.model_fields.items()
        if name in values
    }
    return model.model_construct(None, **read)


def _replaced(model: type[BaseModel], data: Mapping[str, Any], change: Callable[[object, KeyPath], object]) -> dict[str, Any]:
    copy: dict[str, Any] = _copied(data)
    for at in secret_paths(model, data):
        holder: Any = copy
        for step in at[:-1]:
            holder = holder[step]
        holder[at[-1]] = change(holder[at[-1]], at)
    return copy


def _copied(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _copied(inner) for key, inner in value.items()}
        case list():
            return [_copied(inner) for inner in value]
        case _:
            return value


def resolve_settings(
    connector: Connector, connection: ConnectionConfig, folder: Path, environ: Mapping[str, str] = os.environ
) -> Settings:
    """
    Return the connector's settings with every secret in place. *folder* is the config's: paths are relative to it.

    Raises:
        ConfigError: a variable that is not set, a file that cannot be read, or a secret that the connector will not have.
    """
    problems: list[Problem] = []

    def resolve(value: object, at: KeyPath) -> object:
        found = reference(value)
        if found is None:
            return value
        try:
            return _resolved(*found, folder, environ)
        except ConfigError as error:
            problems.extend(_placed(connection, at, problem.message, problem.remedy) for problem in error.problems)
            return _UNKNOWN

    data = _replaced(connector.settings_model, connection.settings, resolve)
    if problems:
        raise ConfigError(*problems)
    try:
        return connector.settings_model.model_validate(data)
    except ValidationError as error:  # its text would show the value
        raise ConfigError(*(_placed(connection, tuple(e["loc"]), _said(e["msg"])) for e in error.errors())) from None


def resolve_secret(value: object, folder: Path, environ: Mapping[str, str] = os.environ) -> str:
    """
    Return the text that *value*, a secret as the config has it, stands for.

    Raises:
        ConfigError: a variable that is not set, a file that cannot be read.
    """
    found = reference(value)
    return str(value) if found is None else _resolved(*found, folder, environ)


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _placed(connection: ConnectionConfig, at: KeyPath, message: str, remedy: str | None = None) -> Problem:
    key = ".".join(["connections", connection.name, *map(str, at)])
    return Problem(message, file=connection.place.file, line=connection.place.line, key=key, remedy=remedy)


def _resolved(how: str, where: str, folder: Path, environ: Mapping[str, str]) -> str:
    if how == "env":
        value = environ.get(where, "").strip("\r\n")
        if not value:
            state = "empty" if where in environ else "not set"
            near = suggest(where, (n for n in environ if n.startswith(where[:3])), none="") if state == "not set" else ""
            hint = f"; {near}" if near.startswith("did you mean") else ""
            remedy = f"set {where} and try again{hint}"
            raise ConfigError(Problem(f"the environment variable {where} is {state}", remedy=remedy))
        return value
    path = folder / Path(where).expanduser()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        raise ConfigError(Problem(f"the file {path} cannot be read ({error.strerror})")) from error
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(f"the file {path} is not text")) from error
    if not text or len(content) > MAX_SECRET_BYTES:
        raise ConfigError(Problem(f"the file {path} is {'too long for a secret' if text else 'empty'}"))
    return text


def exposed_secrets(config: Config) -> list[Place]:
    """Return the secrets that are written out in a config file which others than its owner may read."""
    exposed = []
    for connection in config.connections.values():
        if not _open_to_others(Path(connection.place.file)):
            continue
        model = load_connector(connection.connector).settings_model
        for at in secret_paths(model, connection.settings):
            value: Any = connection.settings
            for step in at:
                value = value[step]
            if isinstance(value, str) and not isinstance(value, EnvText):
                key = ".".join(["connections", connection.name, *map(str, at)])
                exposed.append(Place(connection.place.file, connection.place.line, key))
    for alert in config.alerts.values():
        if _open_to_others(Path(alert.place.file)):
            written = {"url": alert.url, "secret": alert.secret}
            exposed += [
                Place(alert.place.file, alert.place.line, f"alerts.{alert.name}.{key}")
                for key, value in written.items()
                if isinstance(value, str) and not isinstance(value, EnvText)
            ]
    return exposed


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False

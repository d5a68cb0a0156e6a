"""The JSON Schema accepts what loads and refuses what does not, as far as a schema can see it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from globex_config import SOUND
from jsonschema import Draft202012Validator

from core.config.json_schema import config_schema

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return config_schema()


def _errors(schema: dict[str, Any], text: str) -> list[str]:
    document = _plain(tomllib.loads(text))
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(document)]


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case str() | bool() | int() | float():
            return value
        case _:  # TOML's dates are text to JSON
            return str(value)


def test_it_is_a_schema_that_takes_the_example(schema: dict[str, Any]) -> None:
    """What editors complete is what the hub reads."""
    Draft202012Validator.check_schema(schema)

    assert [] == _errors(schema, EXAMPLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[segmnts.x]\nwhere = 'y'\n", "$"),
        ("[segments.x]\n", "$.segments.x"),
        ("[segments.x]\nwhere = 'y'\nanonymus = true\n", "$.segments.x"),
        ("[segments.X]\nwhere = 'y'\n", "$.segments"),
        ("[connections.a]\nconnector = 'globx'\n", "$.connections.a"),
        ("[connections.a]\nconnector = 'globex'\ntoken = { enw = 'X' }\n", "$.connections.a"),
        ("[connections.a]\nconnector = 'globex'\nregion = 'mars'\n", "$.connections.a"),
        ("[[syncs]]\nsegment = 'x'\n", "$.syncs[0]"),
        ("[[syncs]]\nto = 'x'\nguard = { adds = 'many' }\n", "$.syncs[0].guard"),
    ],
)
def test_it_refuses_what_is_wrong(text: str, path: str) -> None:
    """Unknown keys, wrong types and missing ones, in the core's tables and in a connector's."""
    assert [path] == _errors(config_schema(), text)


def test_a_secret_may_come_from_the_environment() -> None:
    """So an editor does not ask for it."""
    without = SOUND.replace('token = { env = "GLOBEX_TOKEN" }\n', "")

    assert [] == _errors(config_schema(), SOUND)
    assert [] == _errors(config_schema(), without)


def test_every_default_fits_its_own_schema(schema: dict[str, Any]) -> None:
    """An editor that completes a default completes what the loader takes."""
    found = list(_defaults(schema, "$"))
    resolved = {"$defs": schema["$defs"]}

    assert ("$.workspace.stale_after", "1d") in [(path, shape["default"]) for path, shape in found]
    assert [] == [
        (path, shape["default"])
        for path, shape in found
        if not Draft202012Validator({**resolved, **shape}).is_valid(shape["default"])
    ]


def _defaults(shape: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield everything that has a default, by where it stands."""
    match shape:
        case dict():
            if "default" in shape:
                yield path, shape
            for key, inner in shape.items():
                yield from _defaults(inner, path if key == "properties" else f"{path}.{key}")
        case list():
            for index, inner in enumerate(shape):
                yield from _defaults(inner, f"{path}[{index}]")


def test_what_means_nothing_to_a_connector_is_not_offered(schema: dict[str, Any]) -> None:
    """An editor would complete what `tagalong check` then refuses."""
    files = '[connections.f]\nconnector = "files"\nfolder = "out"\n'

    assert [] == _errors(schema, files)
    assert [] != _errors(schema, files + "start = 2026-01-01\n")

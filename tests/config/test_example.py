"""config.example.toml says all that can be said, and loads as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from core.config.json_schema import TABLES
from core.config.load import load_config
from core.registry import connector_names, load_connector

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
SHIPPED = [name for name in connector_names() if load_connector(name).module.__name__.startswith("connectors.")]


def _keys() -> list[tuple[str, str]]:
    models: list[tuple[str, type[BaseModel]]] = [(model.__name__, model) for model in TABLES]
    for name in SHIPPED:
        connector = load_connector(name)
        models.append((f"{name}.Settings", connector.settings_model))
        models += [(f"{name}.{kind}", audience.Params) for kind, audience in connector.audiences.items()]
    return [(of, field.alias or key) for of, model in models for key, field in model.model_fields.items()]


def test_it_loads_without_a_secret_set() -> None:
    """A newcomer can look at it with `check` before having any key."""
    config = load_config(EXAMPLE, {})

    assert {"crm", "partners", "billing", "mail", "exports"} <= set(config.connections)
    assert set(SHIPPED) == {one.connector for one in config.connections.values()}
    assert {"nordic", "lifecycle_to_crm", "nordic_customers_to_exports"} <= set(config.syncs)


@pytest.mark.parametrize(("of", "key"), _keys())
def test_every_key_stands_in_it(of: str, key: str) -> None:
    """A key that is not in the example is a key that nobody finds."""
    text = EXAMPLE.read_text(encoding="utf-8")
    rates = rf"|\[workspace\.{key}[.\]]" if key in ("rates", "retention") else ""
    streams = r"|\[connections\.exports\.streams\." if of == "files.Settings" and key == "streams" else ""

    assert re.search(rf"^(?:{re.escape(key)} = {rates}{streams})", text, re.MULTILINE)


def test_every_key_of_a_file_stream_stands_in_it() -> None:
    """The files connector's streams are written by hand, so their keys are shown too."""
    from connectors.files.config import FileStream

    text = EXAMPLE.read_text(encoding="utf-8")
    assert [] == [key for key in FileStream.model_fields if not re.search(rf"^{key} = ", text, re.MULTILINE)]

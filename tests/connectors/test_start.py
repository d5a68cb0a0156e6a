"""Each connector's `start.toml`: the few lines with which a config of it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config.load import load_config
from core.registry import connector_names

CONNECTORS = Path(__file__).parents[2] / "connectors"


@pytest.mark.parametrize("name", connector_names())
def test_a_start_is_a_config_that_loads(name: str, tmp_path: Path) -> None:
    """It is a connection of that connector alone, and writes no credential out."""
    path = tmp_path / "tagalong.toml"
    path.write_text((CONNECTORS / name / "start.toml").read_text(encoding="utf-8"), encoding="utf-8")

    assert [name] == [one.connector for one in load_config(path, {}).connections.values()]

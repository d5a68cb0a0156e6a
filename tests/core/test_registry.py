"""Connectors from elsewhere: an installed package brings one by an entry point, under a name of its own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import core.registry
from core.cli import main
from core.config.load import load_config
from core.errors import ConfigError
from core.registry import connector_names, load_connector

MODULE = '''\
"""A made-up vendor, as somebody else would pack it."""

from datetime import date

from core.contract import Category, Kind, Manifest, Page, Settings, StreamSet

__all__ = ["MANIFEST", "STREAMS", "Settings", "account", "auth"]

MANIFEST = Manifest(
    name="initech", title="Initech", category=Category.CRM, base_url="https://api.initech.test", hosts=("initech.test",),
    docs_url="https://docs.initech.test", api_version="v1", checked_on=date(2026, 1, 15),
)
STREAMS = StreamSet()


def auth(settings):
    return None


def account(api):
    return "initech-1"


@STREAMS.add("people", kind=Kind.PROFILE, key="id", identifiers={"email": "email"})
def people(api, cursor, resume):
    yield Page([])
'''
START = "[connections.people]\nconnector = 'initech'   # as its author says it\n"
CONFIG = "[connections.crm]\nconnector = 'initech'\n"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("initech")` puts a package on the path whose entry point has that name."""

    def packed(point: str) -> None:
        package = tmp_path / "initech_tagalong"
        package.mkdir()
        (package / "__init__.py").write_text(MODULE)
        (package / "quality.toml").write_text('tier = "silver"\nowner = "initech"\n')
        (package / "start.toml").write_text(START)
        info = tmp_path / "initech_tagalong-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: initech-tagalong\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tagalong.connectors]\n{point} = initech_tagalong\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        core.registry._modules.cache_clear()

    yield packed
    core.registry._modules.cache_clear()
    sys.modules.pop("initech_tagalong", None)


def _config(tmp_path: Path) -> Path:
    path = tmp_path / "tagalong.toml"
    path.write_text(CONFIG)
    return path


def test_an_installed_package_brings_a_connector(install: Install, tmp_path: Path) -> None:
    """It is listed beside the shipped ones, and a config may name it."""
    shipped = connector_names()
    install("initech")

    assert sorted([*shipped, "initech"]) == connector_names()
    assert "Initech" == load_connector("initech").manifest.title
    assert "initech" == load_config(_config(tmp_path), {}).connections["crm"].connector
    listed = CliRunner().invoke(main, ["connectors"], standalone_mode=False)
    assert ["initech", "Initech", "crm", "people", "nothing", "silver"] in [line.split() for line in listed.stdout.splitlines()]


def test_init_offers_what_is_installed(install: Install, tmp_path: Path) -> None:
    """In the words of its author, commented out like everybody's."""
    install("initech")
    CliRunner().invoke(main, ["init", "--config", str(tmp_path / "new.toml")], standalone_mode=False)

    text = (tmp_path / "new.toml").read_text()
    assert "\n".join(f"# {line}" for line in START.splitlines()) in text
    assert text.index("'initech'") < text.index("connections.billing")  # a CRM stands with the CRMs
    assert {} == load_config(tmp_path / "new.toml", {}).connections


def test_a_package_never_replaces_a_shipped_connector(install: Install, tmp_path: Path) -> None:
    """Credentials would go to whoever took the name."""
    install("files")

    with pytest.raises(ConfigError, match="the installed package initech-tagalong brings a connector called 'files'"):
        connector_names()
    assert 2 == CliRunner().invoke(main, ["connectors"], standalone_mode=False).return_value
    with pytest.raises(ConfigError, match=r"connectors\.files is called so already"):
        load_config(_config(tmp_path), {})


def test_a_connector_has_one_name(install: Install, tmp_path: Path) -> None:
    """Listed under one and refused under the other would help nobody."""
    install("initrode")
    path = _config(tmp_path)
    path.write_text(CONFIG.replace("initech", "initrode"))

    with pytest.raises(ConfigError) as raised:
        load_config(path, {})
    (problem,) = raised.value.problems
    assert (2, "connections.crm.connector") == (problem.line, problem.key)
    assert "calls itself 'initech'" in problem.message
    said = CliRunner().invoke(main, ["connectors"], standalone_mode=False)
    assert (2, True) == (said.return_value, "MANIFEST.name must be the same" in said.stderr)

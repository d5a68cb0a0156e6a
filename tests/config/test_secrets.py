"""Secrets stay references until a connection is opened, and nothing shows one."""

from __future__ import annotations

from pathlib import Path

import pytest
from globex import Settings
from globex_config import Write
from pydantic import SecretStr

from core.config.model import Config
from core.config.secrets import exposed_secrets, provisional_settings, resolve_settings
from core.errors import ConfigError
from core.registry import load_connector

CANARY = "canary-7f3a"


def resolved(config: Config, environ: dict[str, str]) -> Settings:
    settings = resolve_settings(load_connector("globex"), config.connections["crm"], config.folder, environ)
    assert isinstance(settings, Settings)
    return settings


def test_a_reference_to_the_environment(load: Write) -> None:
    """The variable's text, without the line end that shells like to leave."""
    settings = resolved(load(), {"GLOBEX_TOKEN": "globex-1\n"})

    assert "globex-1" == settings.token.get_secret_value()


def test_a_reference_to_a_file_is_relative_to_the_config(load: Write, tmp_path: Path) -> None:
    """And stands at any depth."""
    (tmp_path / "secret").write_text(f" {CANARY}\n")
    config = load("[connections.crm.deep]\nkey = { file = 'secret' }\n[connections.crm.more]\na = { env = 'A' }\nb = 'plain'\n")

    settings = resolved(config, {"GLOBEX_TOKEN": "globex-1", "A": "a"})

    assert SecretStr(CANARY) == settings.deep.key
    assert {"a": "a", "b": "plain"} == {key: value.get_secret_value() for key, value in settings.more.items()}


def test_a_missing_variable_is_named(load: Write) -> None:
    """With what to do, and the variable that was perhaps meant."""
    with pytest.raises(ConfigError) as caught:
        resolved(load(), {"GLOBEX_TOKN": "globex-1"})

    (problem,) = caught.value.problems
    assert ("tagalong.toml", "connections.crm.token") == (problem.file, problem.key)
    assert "the environment variable GLOBEX_TOKEN is not set" == problem.message
    assert "set GLOBEX_TOKEN and try again; did you mean GLOBEX_TOKN?" == problem.remedy


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), (b"", "is empty"), (b"\xff", "is not text")])
def test_a_file_that_holds_no_secret(load: Write, tmp_path: Path, content: bytes | None, message: str) -> None:
    """The file is named."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    config = load("[connections.crm.deep]\nkey = { file = 'secret' }\n")

    with pytest.raises(ConfigError, match=f"secret.* {message}"):
        resolved(config, {"GLOBEX_TOKEN": "globex-1"})


def test_a_refused_secret_is_not_shown(load: Write) -> None:
    """What the connector says of it is told; the value is not, nor by what caused the error."""
    with pytest.raises(ConfigError) as caught:
        resolved(load(), {"GLOBEX_TOKEN": CANARY})

    assert "connections.crm.token: the token does not begin with globex-" in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_connector_that_judges_a_secret_still_tells_its_streams(load: Write) -> None:
    """The stand-in fails the connector's own check; the other settings are there all the same."""
    config = load("[connections.crm.deep]\nsize = 4\n")

    settings = provisional_settings(Settings, config.connections["crm"].settings)

    assert isinstance(settings, Settings)
    assert (4, "eu") == (settings.deep.size, settings.region)
    assert "globex" not in settings.token.get_secret_value()


def test_a_secret_in_a_file_that_others_read_is_found(load: Write, tmp_path: Path) -> None:
    """Only where it is written out, and only where others may read it; one from the environment is in no file."""
    text = "[connections.other]\nconnector = 'globex'\nstreams = []\ntoken = 'globex-1'\n"
    environ = {"TAGALONG_CONNECTIONS__CRM__TOKEN": "globex-2"}
    path = tmp_path / "tagalong.toml"

    load(text, environ=environ)
    path.chmod(0o640)
    exposed = exposed_secrets(load(text, environ=environ))
    path.chmod(0o600)

    assert ["connections.other.token"] == [place.key for place in exposed]
    assert [] == exposed_secrets(load(text, environ=environ))

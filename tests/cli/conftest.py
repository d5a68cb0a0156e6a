"""A way to type commands in a small workspace."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from support.logged import logging_as_before as logging_as_before
from workspace import ACCOUNTS, CONFIG, USAGE, Said, Type

from core.cli import main


@pytest.fixture
def type_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """`type_("plan", "--json")` in a folder with a config and data, nothing pulled yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAGALONG_CONFIG", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS)
    (tmp_path / "data/usage.csv").write_text(USAGE)
    (tmp_path / "tagalong.toml").write_text(CONFIG)
    (tmp_path / "tagalong.toml").chmod(0o600)

    def run(*words: str, stdin: str | None = None) -> Said:
        result = CliRunner().invoke(main, list(words), input=stdin)
        return Said(result.exit_code, result.stdout, result.stderr)

    return run

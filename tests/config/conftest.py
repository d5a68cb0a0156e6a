"""The made-up vendor in the registry, and a way to write a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from globex_config import SOUND, Write

import core.registry
from core.config.load import load_config
from core.config.model import Config


@pytest.fixture(autouse=True)
def globex(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the made-up vendor beside those that there are."""
    there = dict(core.registry._modules())
    monkeypatch.setattr(core.registry, "_modules", lambda: {**there, "globex": "globex"})


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """`load(more)` reads the sound config with *more* after it; `load(only=text)` reads just that."""
    monkeypatch.chdir(tmp_path)

    def write(more: str = "", *, only: str | None = None, environ: Mapping[str, str] | None = None) -> Config:
        Path("tagalong.toml").write_text(SOUND + more if only is None else only, encoding="utf-8")
        return load_config(Path("tagalong.toml"), environ or {})

    return write

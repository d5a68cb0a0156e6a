"""A new connector passes the contract suite before its author has changed a line; one from outside is installed and used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/new_connector.py"
USED = """
import sys
from pathlib import Path
from core.cli import main
from core.registry import load_connector
from core.sandbox import as_settings, serve

sandbox = load_connector("orbit_mail").sandbox()
sandbox.load("members", [{"id": f"p{n}@example.com", "email": f"p{n}@example.com", "status": "subscribed"} for n in range(7)])
with serve({"orbit_mail": sandbox}) as served:
    settings = "\\n".join(f'{key} = "{value}"' for key, value in as_settings(served["orbit_mail"]).items())
    Path("tagalong.toml").write_text(f'''
[connections.mail]
connector = "orbit_mail"
{settings}
[segments.some]
title = "Some"
where = 'email in ["p1@example.com", "p2@example.com"]'
[[syncs]]
segment = "some"
to = "mail"
''')
    Path("tagalong.toml").chmod(0o600)
    codes = [main([*words.split(), "--config", "tagalong.toml"], standalone_mode=False) for words in ("check", "pull", "sync")]
assert [0, 0, 0] == codes, codes
assert {"Some": frozenset({"p1@example.com", "p2@example.com"})} == sandbox.audiences(), sandbox.audiences()
"""


def _run(*words: str | Path, at: Path, path: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, *map(str, words)], cwd=at, env=environ, capture_output=True, text=True, check=False)


def _new(*words: str | Path, at: Path) -> subprocess.CompletedProcess[str]:
    return _run(TOOL, *words, at=at, path=ROOT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the core, the contract suite, and no connector."""
    for what in ("tests/support", "tests/conftest.py", "docs/quality.md", "pyproject.toml", "connectors/__init__.py"):
        (tmp_path / what).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / what).is_dir() else shutil.copy
        copy(ROOT / what, tmp_path / what)
    (tmp_path / "core").symlink_to(ROOT / "core")
    (tmp_path / "tests/connectors").mkdir()
    for suite in (ROOT / "tests/connectors").glob("test_*.py"):
        shutil.copy(suite, tmp_path / "tests/connectors")
    return tmp_path


def test_it_passes_the_contract_suite_as_it_is_written(project: Path) -> None:
    """Its own tests too, and the linter."""
    made = _new("orbit_mail", "--root", project, at=project)
    tests = _run("-m", "pytest", "tests/connectors", at=project, path=project)
    lint = _run("-m", "ruff", "check", "connectors/orbit_mail", "tests/connectors/orbit_mail", at=project, path=project)
    written = [path for path in (project / "connectors/orbit_mail").iterdir() if path.is_file()]

    assert 0 == made.returncode, made.stderr
    assert 0 == tests.returncode, tests.stdout[-3000:]
    assert 0 == lint.returncode, lint.stdout
    assert not [path for path in written if "acme" in path.read_text().lower()]


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """Exit 2, and nothing else is written either."""
    (tmp_path / "connectors/orbit").mkdir(parents=True)
    (tmp_path / "connectors/orbit/README.md").write_text("mine")
    said = _new("orbit", "--root", tmp_path, at=tmp_path)

    assert 2 == said.returncode
    assert "README.md is there already; nothing was written" in said.stderr
    assert ["README.md"] == [path.name for path in (tmp_path / "connectors/orbit").iterdir()]


@pytest.mark.parametrize("name", ["Orbit", "2orbit", "or__bit", "or-bit", "class"])
def test_a_name_that_no_config_could_say_is_refused(name: str, tmp_path: Path) -> None:
    said = _new(name, "--root", tmp_path, at=tmp_path)

    assert 2 == said.returncode
    assert "small letters" in said.stderr


@pytest.mark.parametrize("title", ['The "Orbit"', "Or\\bit", "Or\nbit"])
def test_a_title_that_no_text_could_hold_is_refused(title: str, tmp_path: Path) -> None:
    said = _new("orbit", "--title", title, "--root", tmp_path, at=tmp_path)

    assert 2 == said.returncode
    assert "a title is one line" in said.stderr
    assert not (tmp_path / "connectors").exists()


def test_an_outside_package_is_installed_and_used(tmp_path: Path) -> None:
    """Built and installed by pip, found by its entry point; it checks, pulls and syncs against its own sandbox."""
    made = _new("orbit_mail", "--package", tmp_path / "package", at=tmp_path)
    site = tmp_path / "site"
    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", site)
    installed = _run(*pip, tmp_path / "package", at=tmp_path, path=ROOT)
    path = Path(os.pathsep.join([str(site), str(ROOT)]))
    listed = _run("-m", "core.cli", "connectors", "--json", at=tmp_path, path=path)
    used = _run("-c", USED, at=tmp_path, path=path)

    assert 0 == made.returncode, made.stderr
    assert 0 == installed.returncode, installed.stderr
    found = {one["name"]: one for one in json.loads(listed.stdout)["connectors"]}
    assert ("Orbit Mail", "bronze") == (found["orbit_mail"]["title"], found["orbit_mail"]["tier"])
    assert 0 == used.returncode, used.stdout + used.stderr

"""The pages under docs/ are held to the code."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("*.py")
    for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "connectors").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path):
    named = set(re.findall(r"`(?:[\w/]+\.py::)?(test_\w+)`", page.read_text(encoding="utf-8")))

    assert named - TESTS == set()


def _tables_of_modules() -> dict[str, str]:
    """Return the docstring of each folder of `core` that lists its modules."""
    heads = {path.parent: ast.get_docstring(ast.parse(path.read_text())) or "" for path in ROOT.glob("core/*/__init__.py")}
    lists = re.compile(r"^    \w+  ", re.MULTILINE)
    return {str(folder.relative_to(ROOT)): text for folder, text in heads.items() if lists.search(text)}


@pytest.mark.parametrize(("folder", "text"), _tables_of_modules().items(), ids=_tables_of_modules())
def test_a_folder_that_lists_its_modules_lists_all_of_them(folder: str, text: str):
    """`compile_` stands for all that begin so."""
    listed = set(re.findall(r"\w+", text))
    modules = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}

    assert [name for name in sorted(modules - listed) if not any(w.endswith("_") and name.startswith(w) for w in listed)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_readmes_config_loads(tmp_path: Path):
    """The first real configuration of the README is one that works, without any secret set."""
    from core.config.load import load_config

    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "tagalong.toml"
    path.write_text(block, encoding="utf-8")

    config = load_config(path, {})

    assert ["crm", "billing", "mail"] == list(config.connections)
    assert ["paying_nordics_to_mail", "lifecycle_to_crm"] == list(config.syncs)


def test_every_command_is_in_the_readme_or_the_generated_page():
    from core.cli import COMMANDS

    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"## {name}" not in page] == []


GENERATED = runpy.run_path(str(ROOT / "tools" / "generate_docs.py"))["PAGES"]


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_says_what_the_code_says(name: str):
    assert GENERATED[name]() == (ROOT / "docs" / name).read_text(encoding="utf-8"), "run `make docs`"

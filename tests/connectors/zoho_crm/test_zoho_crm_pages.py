"""What the pages beside the connector promise: quirks in order, each with a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import connectors.zoho_crm

FOLDER = Path(connectors.zoho_crm.__file__).parent
TESTS = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))


def test_every_quirk_has_its_number_and_names_tests_that_exist() -> None:
    head, *quirks = re.split(r"^## (?=\d)", (FOLDER / "QUIRKS.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert head.startswith("# ")
    assert [int(quirk.partition(".")[0]) for quirk in quirks] == list(range(1, len(quirks) + 1))
    for quirk in quirks:
        named = re.findall(r"`(test_\w+)", quirk)
        assert named or "No test:" in quirk, quirk.partition("\n")[0]
        assert [name for name in named if f"def {name}(" not in TESTS] == []


def test_every_quirk_that_the_code_copes_with_is_explained() -> None:
    known = set(re.findall(r"^## (\d+)", (FOLDER / "QUIRKS.md").read_text(encoding="utf-8"), re.MULTILINE))
    code = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))

    assert set(re.findall(r"Quirks? (\d+)", code)) <= known


def test_every_setting_is_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")

    for name in (*connectors.zoho_crm.Settings.model_fields, *connectors.zoho_crm.AUDIENCES["tag"].Params.model_fields):
        assert f"`{name}" in readme, name

"""`tagalong export-person`: to the terminal, or to a file that nobody else may read."""

from __future__ import annotations

import json
from pathlib import Path

from workspace import Type


def test_it_says_all_that_the_tools_said(type_: Type) -> None:
    """Without being told how; what is pulled and not yet resolved counts."""
    type_("sync")
    said = type_("export-person", "ann@example.com")
    found = said.json
    assert (0, True, "ann@example.com", "Ann AB") == (
        said.code, found["ok"], found["profile"]["email"], found["company"]["name"],
    )  # fmt: skip
    assert ["exports.accounts", "exports.usage"] == sorted({one["stream"] for one in found["links"]})
    assert [{"path": "/pricing"}] * 2 == [one["properties"] for one in found["events"]]
    assert {("Nordic people", "ours"), ("region_nordic", "ours")} == {(one["name"], one["state"]) for one in found["audiences"]}
    assert not [word for word in ("bo@example.com", "u2", "cia@example.com", "Bo Oy") if word in said.out]


def test_a_file_is_for_nobody_else(type_: Type, tmp_path: Path) -> None:
    """Mode 0600 whatever was there before, and whole or not there."""
    type_("sync")
    (tmp_path / "ann.json").write_text("old")
    (tmp_path / "ann.json").chmod(0o644)
    said = type_("export-person", "user_id:u1", "--output", "ann.json", "--json")
    assert (0, "ann.json", 2) == (said.code, said.json["output"], said.json["rows"]["events"])
    assert 0o600 == (tmp_path / "ann.json").stat().st_mode & 0o777
    assert "ann@example.com" == json.loads((tmp_path / "ann.json").read_text())["profile"]["email"]
    assert [] == list(tmp_path.glob(".ann*"))
    assert "which only you may read" in type_("export-person", "u1", "--output", "again.json").out


def test_nobody_is_known_by_that(type_: Type, tmp_path: Path) -> None:
    """And nothing is written."""
    type_("sync")
    said = type_("export-person", "who@example.com", "--output", "who.json")
    assert (1, True) == (said.code, "nobody is known by that" in said.err)
    assert not (tmp_path / "who.json").exists()

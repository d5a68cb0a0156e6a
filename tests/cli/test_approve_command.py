"""What a person is asked before what is held goes, and what a script says beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace import ACCOUNTS, Type

from core.cli import release


@pytest.fixture
def halved(type_: Type, tmp_path: Path) -> Type:
    """Sixty of sixty-three people are gone from the file."""
    many = ACCOUNTS + "".join(f"m{n},m{n}@example.com,SE,M {n}\n" for n in range(60))
    (tmp_path / "data/accounts.csv").write_text(many)
    type_("sync", "nordic_to_exports")
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS)
    assert 4 == type_("sync", "nordic_to_exports").code
    return type_


def members(folder: Path) -> int:
    return len((folder / "out/Nordic people.csv").read_text().splitlines()) - 1


def test_on_a_terminal_it_is_asked_with_the_numbers_of_now(
    halved: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `status` said an hour ago may be a tenth of it."""
    monkeypatch.setattr(release, "_somebody_looks_on", lambda: True)
    no = halved("approve", "exports.accounts", stdin="n\n")
    assert (1, True) == (no.code, "Delete 60 rows of exports.accounts? [y/N]" in no.err)
    assert "exports.accounts lost more than half of its 64 rows" in no.err
    assert 4 == halved("sync", "nordic_to_exports", "--no-pull").code

    assert 0 == halved("approve", "exports.accounts", "--yes").code
    assert 4 == halved("sync", "nordic_to_exports", "--no-pull").code
    no = halved("approve", "nordic_to_exports", stdin="n\n")
    assert (1, 63) == (no.code, members(tmp_path))
    assert "60 removals within 24 hours, of 63 members" in no.err
    assert "Let 0 adds and 60 removals through? [y/N]" in no.err
    assert 0 == halved("approve", "nordic_to_exports", stdin="y\n").code
    assert 3 == members(tmp_path)


def test_a_script_says_how_many_it_means(halved: Type, tmp_path: Path) -> None:
    """More than that is refused whole, with both numbers."""
    refused = halved("approve", "exports.accounts", "--at-most", "59", "--json")
    assert (1, False) == (refused.code, refused.json["ok"])
    assert "60 wait of exports.accounts, more than 59" in refused.json["errors"][0]["message"]
    assert 60 == halved("approve", "exports.accounts", "--at-most", "60", "--json").json["deleted"]
    assert 4 == halved("sync", "nordic_to_exports", "--no-pull").code

    assert 1 == halved("approve", "nordic_to_exports", "--at-most", "59").code
    assert 63 == members(tmp_path)
    assert 60 == halved("approve", "nordic_to_exports", "--at-most", "60", "--json").json["removes"]
    assert 2 == halved("approve", "nordic_to_exports", "--at-most", "-1").code

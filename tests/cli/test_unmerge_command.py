"""`tagalong unmerge`: shows what the two people would be, asks, and can be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace import CONFIG, Type

CRM = """
[connections.crm]
connector = "files"
folder = "crm"

[connections.crm.streams.contacts]
path = "data/contacts.csv"
kind = "profile"
key = "id"
identifiers = { email = "email", user_id = "user" }
fields = { first_name = "name" }
"""


@pytest.fixture
def joined(type_: Type, tmp_path: Path) -> Type:
    """Ann and Eve, whom a wrong user id made one."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + CRM)
    (tmp_path / "data/contacts.csv").write_text("id,email,user,name\n7,eve@example.com,u1,Eve\n")
    assert 0 == type_("sync").code
    return type_


def profiles(type_: Type) -> set[int]:
    return {
        one["profile_id"]
        for who in ("ann@example.com", "eve@example.com")
        for one in type_("person", who, "--json").json["people"]
    }


def test_it_shows_both_and_asks(joined: Type) -> None:
    """A no changes nothing; a yes holds from then on."""
    said = joined("unmerge", "ann@example.com", "eve@example.com", stdin="n\n")
    assert 1 == said.code
    assert "email:ann@example.com: profile 1" in said.out
    assert "email:eve@example.com: profile " in said.out
    assert "segment.nordic" in said.out
    assert "crm.contacts:7" in said.out
    assert 1 == len(profiles(joined))

    said = joined("unmerge", "ann@example.com", "eve@example.com", stdin="y\n")
    assert (0, True) == (said.code, "They are two people from now on" in said.out)
    assert 2 == len(profiles(joined))
    assert "user_id:u1 (told apart: somebody else's)" in joined("person", "eve@example.com").out
    assert "told apart" not in joined("person", "ann@example.com").out
    assert 0 == joined("pull", "--full").code
    assert 2 == len(profiles(joined))


def test_json_a_dry_run_the_list_and_the_way_back(joined: Type) -> None:
    """Each one object."""
    dry = joined("unmerge", "ann@example.com", "crm.contacts:7", "--dry-run", "--json").json
    assert (False, True, "Eve") == (dry["applied"], dry["were_one"], dry["part"]["name"])
    assert (["exports.accounts:u1"], 2) == (dry["keep"]["records"], dry["keep"]["events"])
    assert [] == joined("unmerge", "--json").json["unmerged"]
    assert joined("unmerge", "ann@example.com", "crm.contacts:7", "--yes", "--json").json["applied"]
    (cut,) = joined("unmerge", "--json").json["unmerged"]
    assert ("email:ann@example.com", "crm.contacts:7") == (cut["keep"], cut["part"])
    assert "crm.contacts:7" in joined("unmerge").out
    assert joined("unmerge", "crm.contacts:7", "ann@example.com", "--undo", "--json").json["undone"]
    assert 1 == len(profiles(joined))
    assert "had not been told apart" in joined("unmerge", "crm.contacts:7", "ann@example.com", "--undo").out
    assert "Nobody was told apart" in joined("unmerge").out


def test_an_identifier_that_nobody_else_has(joined: Type) -> None:
    """Said before it is asked; and those who are two already may be kept so."""
    said = joined("unmerge", "eve@example.com", "bo@example.com", "--dry-run")
    assert "They are two people as it is" in said.out
    assert "profile" in said.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("ann@example.com",), 2),
        (("ann@example.com", "ann@example.com", "--yes"), 2),
        (("ann@example.com", "who@example.com", "--yes"), 2),
        (("ann@example.com", "eve@example.com", "--undo", "--dry-run"), 2),
    ],
)
def test_what_makes_no_sense_is_refused(joined: Type, words: tuple[str, ...], code: int) -> None:
    """And changes nothing."""
    assert code == joined("unmerge", *words).code
    assert 1 == len(profiles(joined))

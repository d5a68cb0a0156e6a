"""`tagalong dead-letters`: the list with the vendor's words, retry and drop, and what each refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace import USAGE, Type

from core.store import Store
from core.store.dead_letters import Refusal, bury_members

BAD = "4,u2,not a time,Page Viewed,/home\n"


@pytest.fixture
def refused(type_: Type, tmp_path: Path) -> Type:
    """A workspace in which a record could not be read and two members were refused, one of them for good."""
    (tmp_path / "data/usage.csv").write_text(USAGE + BAD)
    type_("sync")
    refusals = [
        Refusal("u1", "add", profile_id=1, reason="INVALID", message="is not \x1b[31mvalid " + "x " * 90),
        Refusal("u2", "add", profile_id=2, reason="outcome unknown", final=True),
    ]
    with Store(tmp_path / "tagalong.db") as store, store.atomic() as conn:
        bury_members(conn, refusals, connection="exports", audience_id=1, sync="nordic_to_exports", run_id=1, at=1)
    return type_


def ids(type_: Type, *words: str) -> dict[str, int]:
    return {one["key"]: one["id"] for one in type_("dead-letters", "--json", *words).json["dead_letters"]}


def test_the_list_has_the_vendor_s_code_and_words(refused: Type) -> None:
    """Without what could colour a terminal; --json has all of them."""
    told = {one["key"]: one for one in refused("dead-letters", "--json").json["dead_letters"]}
    assert ("INVALID", None) == (told["u1"]["code"], told["u2"]["code"])
    assert len(told["u1"]["message"]) > 150
    text = refused("dead-letters").out
    assert "INVALID" in text
    assert "is not [31mvalid" in text
    assert "\x1b" not in text
    assert "given up" in text


def test_retry_by_sync_and_by_id(refused: Type) -> None:
    """In bulk without those that may have arrived, which are told; by its id it is tried."""
    known = ids(refused)
    said = refused("dead-letters", "retry", "--sync", "nordic_to_exports", "--json").json
    assert ([known["u1"]], [known["u2"]]) == (said["retried"], said["left_out"])
    text = refused("dead-letters", "retry", "--sync", "nordic_to_exports").out
    assert f"tagalong dead-letters retry {known['u2']}" in text
    said = refused("dead-letters", "retry", str(known["u2"]), "--json").json
    assert [known["u2"]] == said["retried"]
    assert "given up" not in refused("dead-letters").out


def test_a_retried_record_is_read_again_though_its_file_has_not_changed(refused: Type) -> None:
    """What was wrong may have been the config: an unchanged file is not read by itself."""
    (letter,) = (one for one in refused("dead-letters", "--json").json["dead_letters"] if one["what"] == "record")
    refused("pull", "--json")
    before = refused("dead-letters", "--json").json["dead_letters"]
    assert 1 == next(one["attempts"] for one in before if one["id"] == letter["id"])
    assert "exports.usage" in refused("dead-letters", "retry", str(letter["id"])).out
    refused("pull", "--json")
    after = refused("dead-letters", "--json").json["dead_letters"]
    assert 2 == next(one["attempts"] for one in after if one["id"] == letter["id"])


def test_drop_hides_until_it_is_taken_back(refused: Type) -> None:
    """The answer says how; `status` no longer counts them."""
    known = ids(refused)
    assert "dead letters" in refused("status", "--check").out
    text = refused("dead-letters", "drop", "--connection", "exports").out
    assert all(str(one) in text for one in known.values())
    assert ({}, known) == (ids(refused), ids(refused, "--dropped"))
    counted = refused("status", "--json").json["dead_letters"]
    assert {"records": 0, "members": 0, "given_up": 0, "new": 0} == counted
    assert "dead letters" not in refused("status", "--check").out
    refused("dead-letters", "retry", str(known["u1"]))
    assert {"u1": known["u1"]} == ids(refused)


def test_all_is_asked_about(refused: Type) -> None:
    """Unless --yes."""
    known = ids(refused)
    assert 1 == refused("dead-letters", "drop", "--all").code
    assert known == ids(refused)
    assert 0 == refused("dead-letters", "drop", "--all", "--yes").code
    assert "nothing to drop" in refused("dead-letters", "drop", "--all", "--yes").out
    assert {} == ids(refused)


@pytest.mark.parametrize(
    "words",
    [
        ("retry",), ("drop",), ("retry", "--all", "--sync", "regions", "--yes"), ("retry", "abc"), ("drop", "99999"),
        ("drop", "--sync", "nobody"), ("retry", "--connection", "nobody"), ("--all",), ("nobody",), ("retry", "1", "--dropped"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(refused: Type, words: tuple[str, ...]) -> None:
    """Exit 2, and nothing changes."""
    known = ids(refused)

    assert 2 == refused("dead-letters", *words).code
    assert known == ids(refused)

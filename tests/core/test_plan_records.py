"""Records that somebody deletes at the destination, makes anew under another id, or brings back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import audiences
from support.story import Story, held, ids, skips

from core.contract import Page
from core.store.runs import Status


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Three listed people of a destination that is also where they are known from."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    story.vendor.log.clear()
    return story


def _delete(story: Story, number: int) -> dict[str, object]:
    """As a vendor does it: the record is gone, and with it its place in every list."""
    for members in story.vendor.audiences.values():
        members.pop(str(number), None)
    return story.vendor.people.pop(str(number))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_record_made_anew_under_another_id_is_listed_again(story: Story, at_once: bool) -> None:
    """The ledger has the old id; the person is wanted, so the new one is put in, and nothing is taken out."""
    person = _delete(story, 2)
    if not at_once:
        story.sync()
        assert [] == story.vendor.log
    story.vendor.people["22"] = person
    report = story.sync()

    assert Status.DONE == report.status
    assert ids(1, 22, 3) == story.there()
    assert [("Vips", "add", "22")] == story.vendor.log
    writes = story.vendor.writes
    assert {} == held(story.sync()) and writes == story.vendor.writes

    story.vendor.people["22"]["stage"] = "lead"
    story.sync()
    assert ids(1, 3) == story.there()


def test_with_limit_the_new_record_waits_for_its_turn_and_is_not_forgotten(story: Story) -> None:
    """The ledger loses nobody on the way."""
    story.vendor.people["22"] = _delete(story, 2)
    story.sync(limit=0)
    assert ids(1, 3) == story.there()
    story.sync()
    assert ids(1, 22, 3) == story.there()


def test_who_is_gone_there_and_no_longer_wanted_is_taken_out_once(story: Story) -> None:
    """The record may only be hidden from us; after one try there is nothing more to send."""
    _delete(story, 2)
    report = story.sync()
    assert (Status.DONE, 0) == (report.status, report.new_dead_letters)
    writes = story.vendor.writes
    story.sync()
    assert writes == story.vendor.writes


def test_a_new_record_that_somebody_else_listed_is_theirs(story: Story) -> None:
    """It was not we who put that object there."""
    story.vendor.people["22"] = _delete(story, 2)
    story.vendor.audiences["a1"]["22"] = {}
    story.sync()
    story.vendor.people["22"]["stage"] = "lead"
    story.sync()
    assert ids(1, 22, 3) == story.there()


def _known_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four people whom another stream knows too, so that they stay wanted whatever becomes of their record."""

    def consents(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
        rows = [{"id": f"c{n}", "email": f"p{n}@example.com", "channel": "email", "state": "granted"} for n in (1, 2, 3, 4)]
        yield Page(rows)

    monkeypatch.setattr(audiences, "consents", consents)


@pytest.mark.parametrize("with_lists", [True, False])
def test_a_record_that_comes_back_is_still_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_lists: bool) -> None:
    """Restored from the bin, its lists restored or not: they are in while they are wanted, and then taken out."""
    _known_elsewhere(monkeypatch)
    story = Story(tmp_path, segments={"vip": 'email.endswith("@example.com") and not email == "p4@example.com"'})
    story.people(1, 2, 3)
    story.sync()
    person = _delete(story, 2)
    story.sync()
    story.vendor.people["2"] = person
    if with_lists:
        story.vendor.audiences["a1"]["2"] = {}
    story.sync()
    assert ids(1, 2, 3) == story.there()
    story.segments["vip"] += ' and not email == "p2@example.com"'
    story.sync()
    assert ids(1, 3) == story.there()


@pytest.mark.parametrize("create_missing", [False, True])
def test_whom_somebody_deleted_there_is_not_created_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, create_missing: bool
) -> None:
    """`create_missing` is for people who were never there; a deletion is somebody's will."""
    _known_elsewhere(monkeypatch)
    story = Story(tmp_path, segments={"vip": 'email.endswith("@example.com")'})
    story.add_sync("vips", create_missing=create_missing)
    story.people(1, 2, 3)
    story.sync()
    created = ids(1, 2, 3) | ({"new-p4@example.com"} if create_missing else set())
    assert created == story.there()
    _delete(story, 2)
    for _ in range(3):
        report = story.sync()
        story.pass_time(timedelta(days=1))
    assert "new-p2@example.com" not in story.vendor.people
    assert {"not_found": 1 if create_missing else 2} == skips(report)
    assert created - {"2"} == story.there()

    story.vendor.people["22"] = {"email": "p2@example.com", "user_id": "u2"}
    story.sync()
    assert created - {"2"} | {"22"} == story.there()

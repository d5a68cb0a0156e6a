"""A kill while a member was on its way, and then another address before the next start: one run puts it right."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.audiences import JobList
from support.killed import killed_at
from support.story import Story, ids

from core.pulling.fill import pull
from core.run import plan


@pytest.mark.parametrize("where", ["before apply", "after apply"])
def test_a_member_who_was_on_the_way_and_changed_address_is_sent_again_at_once(tmp_path: Path, where: str) -> None:
    story = Story(tmp_path)
    story.people(1, 2)
    with killed_at(story.vendor, where):
        story.sync()
    story.people(1, email="new@example.com")

    story.sync()
    assert story.there() == ids(1, 2)
    assert sorted(story.vendor.moved("add")) == ["1", "2"]
    assert story.vendor.moved("remove") == []
    assert [one.size for one in plan(story.hub())] == [0]
    story.people(1, stage="lead")
    story.sync()
    assert story.there() == ids(2)


def test_a_member_who_was_on_the_way_and_is_somebody_else_by_now_is_sent_again_at_once(tmp_path: Path) -> None:
    """The record was one of two of a person; it has an address of its own now, and the old address is in the ledger."""
    story = Story(tmp_path)
    story.people(2, email="", user_id="u1", stage="")
    story.sync()
    story.people(1)
    with killed_at(story.vendor, "before apply"):
        story.sync()
    story.people(1, email="new@example.com", user_id="u7")

    story.sync()
    assert ids(1) == story.there()
    story.sync()
    assert (ids(1), ["1"]) == (story.there(), story.vendor.moved())


def exchanged(story: Story) -> None:
    """One is a vip, the other is not; then the other way round, with each other's address."""
    story.people(1, stage="lead", email="p2@example.com")
    story.people(2, stage="vip", email="p1@example.com")


def test_who_was_on_the_way_under_an_address_that_is_anothers_by_now_is_not_taken_for_them(tmp_path: Path) -> None:
    """The key is wanted still, and it is not the same person who is in the list under it."""
    story = Story(tmp_path)
    story.people(1)
    story.people(2, stage="lead")
    with killed_at(story.vendor, "after apply"):
        story.sync()
    exchanged(story)

    story.sync()
    assert ids(2) == story.there()


@pytest.mark.parametrize("done", ["before the other", "with the other"])
def test_of_two_on_the_way_under_one_address_neither_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    """Two jobs that settle later, each with another object: a row in the other's place would leave them there for good."""
    monkeypatch.setattr(JobList, "ids_from", "contacts")
    story = Story(tmp_path, kind="job")
    story.people(1)
    story.people(2, stage="lead")
    story.sync()
    exchanged(story)
    story.vendor.jobs_done = done == "before the other"
    story.sync()
    story.vendor.jobs_done = True
    story.sync()
    story.sync()
    assert ids(2) == story.there()
    assert ["1", "2"] == story.vendor.moved("add")


def test_what_is_learnt_while_others_are_sent_is_followed_though_the_clock_was_set_back(tmp_path: Path) -> None:
    """The next plan asks for what was learnt since this one was made: a moment before it is none of that."""
    story = Story(tmp_path)
    story.people(1)
    story.people(2, stage="lead")
    story.sync()
    story.people(3)
    left = [True]

    def fault(at: str) -> None:
        if at == "before apply" and left:
            left.pop()
            exchanged(story)
            story.pass_time(-timedelta(minutes=1))
            pull(story.hub())

    story.vendor.fault = fault
    story.sync()
    story.sync()
    assert ids(2, 3) == story.there()

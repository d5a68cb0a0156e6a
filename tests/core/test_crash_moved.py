"""A kill while a member was on its way, and then another address before the next start: one run puts it right."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.killed import killed_at
from support.story import Story, ids

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

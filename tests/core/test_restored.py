"""A copy put back is behind the world: what would be done from its ledger, that it is held, and what lets it go."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.story import Story, held, ids

from core.clock import to_us
from core.planning.approve import approve
from core.store.copies import copy_database
from core.store.runs import Status

WITHOUT: Any = {"source_guards": (), "size_guards": ()}


def put_back_after_a_week(story: Story) -> None:
    """One leaves and is put back by hand, one comes, and then the database is that of a week ago."""
    story.people(*range(1, 6))
    story.sync()
    database, copy = story.folder / "tagalong.db", story.folder / "copy.db"
    copy_database(database, copy, at=to_us(story.now))
    story.people(1, stage="other")
    story.people(6)
    story.sync()
    assert ids(2, 3, 4, 5, 6) == story.there()
    story.vendor.audiences[story.vendor.names["Vips"]]["1"] = {}  # a colleague, at the vendor
    for left in ("tagalong.db-wal", "tagalong.db-shm"):
        (story.folder / left).unlink(missing_ok=True)
    shutil.copy(copy, database)


def test_a_ledger_of_last_week_would_remove_who_is_not_ours(make: Callable[..., Story]) -> None:
    """Without the guard somebody whom a colleague put in is taken out; with it nobody is asked and nothing moves."""
    for options, there in ((WITHOUT, ids(2, 3, 4, 5, 6)), ({}, ids(1, 2, 3, 4, 5, 6))):
        story = make()
        put_back_after_a_week(story)
        report = story.sync(**options)
        assert there == story.there()
        assert ({"vips": ["restored"]} if not options else {}) == held(report)
    assert {"vips": ["restored"]} == held(story.sync()), "nor does it wear off"


def test_a_person_lets_it_go_once(make: Callable[..., Story]) -> None:
    story = make()
    put_back_after_a_week(story)
    story.sync()
    released = approve(story.hub(), "vips")
    assert ["restored"] == [hold.kind for hold in released.holds]
    assert released.report is not None
    assert Status.DONE == released.report.syncs[0].status
    story.people(7)
    assert {} == held(story.sync())
    assert "7" in story.there()


def test_what_the_size_guards_hold_is_shown_after_it(make: Callable[..., Story]) -> None:
    """Letting the ledger go lets through no removals that are reckoned from it."""
    story = make()
    story.people(*range(1, 31))
    story.sync()
    database, copy = story.folder / "tagalong.db", story.folder / "copy.db"
    copy_database(database, copy, at=to_us(story.now))
    shutil.copy(copy, database)
    story.people(*range(1, 25), stage="other")
    assert {"vips": ["restored"]} == held(story.sync())
    released = approve(story.hub(), "vips")
    assert (0, 0) == (released.adds, released.removes)
    assert ids(*range(1, 31)) == story.there()
    assert {"vips": ["removals"]} == held(story.sync())


def test_a_sync_that_came_later_is_not_held(make: Callable[..., Story]) -> None:
    """Nothing of it is in the copy."""
    story = make()
    put_back_after_a_week(story)
    story.segments["all"] = 'lifecycle_stage != "nobody"'
    story.add_sync("everybody", "all", audience_name="Everybody")
    for _ in range(2):
        assert {"vips": ["restored"]} == held(story.sync())
    assert ids(*range(1, 7)) == story.there("Everybody")


@pytest.mark.parametrize("again", [False, True])
def test_each_copy_is_a_question_of_its_own(make: Callable[..., Story], tmp_path: Path, again: bool) -> None:
    """A copy of a store that was put back itself, and let go, is held anew when it is put back."""
    story = make()
    put_back_after_a_week(story)
    approve(story.hub(), "vips")
    story.sync()
    if again:
        copy_database(story.folder / "tagalong.db", tmp_path / "second.db", at=to_us(story.now))
        shutil.copy(tmp_path / "second.db", story.folder / "tagalong.db")
    assert ({"vips": ["restored"]} if again else {}) == held(story.sync())

"""People who become one, part again, swap addresses, or are twice at the destination: nobody falls out of a list."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.story import Story, held, ids, skips

from core.contract import Category, Op, Verdict
from core.store.dead_letters import dead_letters
from core.store.runs import Status

KINDS = ["tag", "mail", "list"]


@pytest.fixture(params=KINDS)
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Story:
    """A world of each kind of audience."""
    return Story(tmp_path, kind=request.param)


def _there(story: Story, *numbers: int) -> set[str]:
    return ids(*numbers) if story.kind != "mail" else {str(story.vendor.people[str(n)]["email"]) for n in numbers}


def _settles(story: Story, expected: set[str], *, moves: int | None = None) -> None:
    """Two runs: the first brings the audience there, the second sends nothing."""
    story.vendor.log.clear()
    report = story.sync()
    assert Status.DONE == report.status, [run.error for run in report.syncs]
    assert expected == story.there()
    if moves is not None:
        assert moves == len(story.vendor.log), story.vendor.log
    writes = story.vendor.writes
    story.sync()
    assert expected == story.there()
    assert writes == story.vendor.writes


def test_two_who_are_one_for_a_while(story: Story) -> None:
    """They are joined by an address, and part again: each is listed in the end, and can be taken out."""
    story.people(1, 2, 3)
    story.sync()
    story.people(1, also=["p2@example.com"])
    story.sync()
    assert _there(story, 1, 3) <= story.there() or _there(story, 2, 3) <= story.there()
    story.people(1, also=[])
    story.sync()
    _settles(story, _there(story, 1, 2, 3))

    story.people(2, stage="lead")
    _settles(story, _there(story, 1, 3), moves=1)


def test_two_who_are_one_and_no_longer_wanted(story: Story) -> None:
    """All that was ours of them goes."""
    story.people(1, 2, 3)
    story.sync()
    story.people(1, 2, stage="lead")
    story.people(1, also=["p2@example.com"])
    story.sync()
    _settles(story, _there(story, 3))


@pytest.mark.parametrize("story", ["tag", "mail"], indirect=True)
def test_two_swap_their_addresses(story: Story) -> None:
    """Both are wanted: whoever is known by which, nobody goes."""
    story.people(1, 2, 3)
    story.sync()
    story.people(1, email="p2@example.com")
    story.people(2, email="p1@example.com")
    _settles(story, _there(story, 1, 2, 3), moves=0)
    story.people(1, stage="lead")
    _settles(story, _there(story, 2, 3), moves=1)


def test_a_wanted_one_and_another_swap_their_addresses(story: Story) -> None:
    """The wanted one stays, under the other address."""
    story.people(1, 3)
    story.people(2, stage="lead")
    story.sync()
    story.people(1, email="p2@example.com")
    story.people(2, email="p1@example.com", stage="lead")
    _settles(story, _there(story, 1, 3), moves=2 if story.kind == "mail" else 0)


@pytest.mark.parametrize("story", ["tag", "mail"], indirect=True)
def test_an_address_goes_round_a_chain(story: Story) -> None:
    """One takes the next one's, whose own is new."""
    story.people(1, 2, 3, 4)
    story.sync()
    story.people(1, email="new@example.com")
    story.people(2, email="p1@example.com")
    story.people(3, email="p2@example.com")
    story.people(4, stage="lead")
    _settles(story, _there(story, 1, 2, 3))
    for n in (1, 2, 3):
        story.people(n, stage="lead")
        story.sync(size_guards=())
    assert set() == story.there()


def test_a_second_record_at_the_destination_moves_nobody(story: Story) -> None:
    """Somebody listed is there twice now: they stay, and go when they are no longer wanted."""
    story.people(1, 2, 3)
    story.sync()
    story.vendor.people["11"] = {"email": "p1@example.com", "user_id": "u1", "stage": "vip"}
    _settles(story, _there(story, 1, 2, 3), moves=0)
    story.people(1, 11, stage="lead")
    _settles(story, _there(story, 2, 3), moves=1)


def test_of_two_records_the_listed_one_is_deleted(tmp_path: Path) -> None:
    """The other is put in, and nothing is taken out."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    story.vendor.people["11"] = {"email": "p1@example.com", "user_id": "u1", "stage": "vip"}
    story.sync()
    del story.vendor.people["1"], story.vendor.audiences["a1"]["1"]
    _settles(story, ids(11, 2, 3), moves=1)


@pytest.mark.parametrize("fails", ["add", "remove"])
def test_a_move_between_groups_of_which_one_end_fails(tmp_path: Path, fails: str) -> None:
    """The other end goes all the same; the failed one is tried again until it is where it belongs."""
    groups = {"hot": 'lifecycle_stage == "hot"', "cold": 'lifecycle_stage == "cold"'}
    story = Story(tmp_path, segments={}, partitions={"life": groups})
    story.add_sync("life", partition="life", audience_name="Life: {group}")
    story.people(1, 2, 3, stage="hot")
    story.people(4, stage="cold")
    story.sync()
    story.people(1, stage="cold")
    story.vendor.refuse_in = (story.vendor.names["Life: cold" if fails == "add" else "Life: hot"], "1")
    report = story.sync()

    assert 1 == report.new_dead_letters
    assert ("1" in story.there("Life: hot"), "1" in story.there("Life: cold")) == (fails == "remove", fails == "remove")
    with story.store() as store:
        assert [(fails, "bad_member")] == [(d.op, d.reason) for d in dead_letters(store.conn)]
    story.vendor.refuse_in = None
    story.sync()
    assert (ids(2, 3), ids(1, 4)) == (story.there("Life: hot"), story.there("Life: cold"))


def test_a_refused_removal_of_somebody_wanted_again_is_not_tried(tmp_path: Path) -> None:
    """A retry is today's wish, and today they stay."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    story.vendor.refuse.add("1")
    story.people(1, stage="lead")
    assert 1 == story.sync().new_dead_letters
    story.vendor.refuse.clear()
    story.people(1)
    writes = story.vendor.writes
    for after in (timedelta(), timedelta(days=1), timedelta(days=8)):
        story.pass_time(after)
        assert {} == held(story.sync())
    assert writes == story.vendor.writes
    assert ids(1, 2, 3) == story.there()
    story.people(1, stage="lead")
    story.sync()
    assert ids(2, 3) == story.there()


def test_a_refused_add_of_somebody_no_longer_wanted_is_not_tried(tmp_path: Path) -> None:
    """And when they are wanted once more, the dead letter still says when."""
    story = Story(tmp_path)
    story.people(2)
    story.sync()
    story.vendor.refuse.add("1")
    story.people(1)
    assert 1 == story.sync().new_dead_letters
    story.people(1, stage="lead")
    writes = story.vendor.writes
    story.pass_time(timedelta(days=1))
    story.sync()
    assert writes == story.vendor.writes
    story.people(1)
    story.vendor.refuse.clear()
    story.sync()
    assert ids(1, 2) == story.there()


def test_a_refused_move_leaves_the_old_address_out_and_is_tried_again(tmp_path: Path) -> None:
    """Out under the old one, in under the new as soon as it is taken."""
    story = Story(tmp_path, kind="mail")
    story.people(1, 2, 3)
    story.sync()
    story.vendor.refuse.add("new@example.com")
    story.people(1, email="new@example.com")
    story.sync()
    assert {"p2@example.com", "p3@example.com"} == story.there()
    story.vendor.refuse.clear()
    story.sync()
    assert {"new@example.com", "p2@example.com", "p3@example.com"} == story.there()


def test_limit_counts_a_move_as_one_and_loses_none(tmp_path: Path) -> None:
    """Moves first; the rest waits for the next run."""
    story = Story(tmp_path, kind="mail")
    story.people(1, 2, 3, 4, 5)
    story.sync()
    for n in (1, 2, 3):
        story.people(n, email=f"new{n}@example.com")
    story.people(6, 7)
    story.vendor.log.clear()
    story.sync(limit=2)
    assert [("add", 2), ("remove", 2)] == [(op, len(story.vendor.moved(op))) for op in ("add", "remove")]
    story.sync()
    assert {f"new{n}@example.com" for n in (1, 2, 3)} | {f"p{n}@example.com" for n in (4, 5, 6, 7)} == story.there()
    assert 3 + 2 == len(story.vendor.moved("add"))


def test_somebody_not_found_when_sent_is_taken_for_not_there(tmp_path: Path) -> None:
    """The vendor knows better than what was pulled of it: asked again after a day, and nobody is held up."""
    story = Story(tmp_path)
    story.vendor.verdicts["2"] = Verdict.NOT_FOUND
    story.people(1, 2, 3)
    story.sync()
    writes = story.vendor.writes
    assert {"not_found": 1} == skips(story.sync())
    assert writes == story.vendor.writes
    story.vendor.verdicts.clear()
    story.pass_time(timedelta(days=1))
    story.sync()
    assert ids(1, 2, 3) == story.there()


def test_who_said_no_is_not_created_either(tmp_path: Path) -> None:
    """Nobody is made at an e-mail tool who told anybody there not to write."""
    story = Story(tmp_path, category=Category.EMAIL, kind="mail")
    story.add_sync("vips", create_missing=True)
    story.vendor.unknown |= {"p1@example.com", "p2@example.com"}
    story.people(1, 2)
    story.people(1, consent="denied")
    report = story.sync()
    assert {"consent": 1} == skips(report)
    assert {"new-p2@example.com"} == story.there()


def test_a_move_of_somebody_who_said_no_takes_the_old_address_out(tmp_path: Path) -> None:
    """The skip of the add does not hold the removal, and they are not put in again."""
    story = Story(tmp_path, category=Category.EMAIL, kind="mail")
    story.people(1, 2, 3)
    story.sync()
    story.people(1, email="new@example.com", consent="denied")
    for _ in range(2):
        report = story.sync()
        assert {"p2@example.com", "p3@example.com"} == story.there()
        assert {"consent": 1} == skips(report)


def test_excluded_people_are_reported(tmp_path: Path) -> None:
    """The plan says whom `exclude` kept out, and of which set."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.people(4, stage="lead")
    story.segments["staff"] = 'email in ["p2@example.com", "p4@example.com"]'
    story.exclude = "staff"
    report = story.sync()

    assert {"excluded": 1} == skips(report)
    assert ids(1, 3) == story.there()


def test_what_a_removal_finds_gone_is_done(tmp_path: Path) -> None:
    """Somebody took them out by hand: no dead letter, and nothing is sent again."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    story.vendor.change("a1", Op.REMOVE, "1")
    story.people(1, stage="lead")
    report = story.sync()
    assert 0 == report.new_dead_letters
    writes = story.vendor.writes
    story.sync()
    assert writes == story.vendor.writes

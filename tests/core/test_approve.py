"""What is held goes on growing between a look and an approval; an approval is of what was looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.story import Story, held, ids

from core.errors import TransientError
from core.planning.approve import HeldMore, approve, look
from core.planning.guards import HeldKind
from core.pulling.fill import pull
from core.run import plan
from core.store import holds
from core.store.runs import Status


def test_who_came_to_be_held_after_the_look_is_held_still(make: Callable[..., Story]) -> None:
    """Somebody saw 60 of 260 and says yes; by then a broken source has it be 210."""
    story = make()
    story.people(*range(1, 261))
    story.sync()
    story.people(*range(1, 61), stage="lead")
    story.sync()
    shown = look(story.hub(), "vips")
    story.people(1, stage="vip")
    story.people(*range(61, 211), stage="lead")
    story.sync()
    assert (60, 209) == (shown.removes, look(story.hub(), "vips").removes)

    approval = approve(story.hub(), "vips", shown=shown)
    assert 59 == approval.removes, "one of those shown is held no more"
    assert ids(1, *range(61, 261)) == story.there()
    story.people(1, stage="lead")
    report = story.sync()
    assert {"vips": ["removals"]} == held(report), "nor was that one let through beforehand"
    assert ids(1, *range(61, 261)) == story.there()


def test_a_hold_beyond_an_approval_says_so(make: Callable[..., Story]) -> None:
    """Else a person who has just said yes reads the same words once more."""
    story = make()
    story.people(*range(1, 261))
    story.sync()
    story.people(*range(1, 101), stage="lead")
    story.sync()
    approve(story.hub(), "vips", send=False)
    story.people(*range(101, 211), stage="lead")
    pull(story.hub())
    (made,) = plan(story.hub(), names=["vips"])

    assert (100, 110) == (len(made.removes), len(made.held_removes))
    assert "; 100 more were let through, and these came since" in made.held[0].reason


def test_no_more_is_let_through_than_was_said(make: Callable[..., Story]) -> None:
    """A script has nobody to look on: it says how many it means."""
    story = make()
    story.people(*range(1, 201))
    story.sync()
    story.people(*range(1, 151), stage="lead")
    story.sync()
    with pytest.raises(HeldMore, match="150 wait of vips, more than 149"):
        approve(story.hub(), "vips", at_most=149)
    assert {"vips": ["removals"]} == held(story.sync()), "and nothing of it later"
    assert 150 == approve(story.hub(), "vips", at_most=150).removes


def test_a_source_that_lost_more_since_the_look_loses_nothing(make: Callable[..., Story]) -> None:
    """Somebody agreed to 30 rows; the next pull finds 59 gone."""
    story = make(kind="mail")
    story.people(*range(1, 61))
    story.sync()
    gone = {n: story.vendor.people.pop(str(n)) for n in range(1, 31)}
    story.sync()
    shown = look(story.hub(), "crm.contacts")
    assert 30 == shown.rows
    gone |= {n: story.vendor.people.pop(str(n)) for n in range(31, 60)}
    story.sync()

    with pytest.raises(HeldMore, match=r"59 rows of crm\.contacts wait by now, and 30 were shown"):
        approve(story.hub(), "crm.contacts", shown=shown)
    with pytest.raises(HeldMore):
        approve(story.hub(), "crm.contacts", at_most=58)
    for n, person in gone.items():
        story.vendor.people[str(n)] = person
    assert {} == held(story.sync())
    assert 60 == len(story.there())


def test_approving_a_word_lets_nobody_through_whom_a_broken_source_gave(
    make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A slip in a name would have everybody taken out, and the source is broken besides.

    Who says yes to the name, and then goes by what is stored, is still asked about a list that is emptied.
    """
    stories = [make(with_events=True), make(with_events=True)]
    with monkeypatch.context() as patch:
        patch.setattr("core.planning.approve.MEMBERS", frozenset(HeldKind))
        _approve_in_turn(stories[0])
        assert set() == stories[0].there(), "the harm"
    assert {"vips": ["removals"]} == held(_approve_in_turn(stories[1]))
    assert 20 == len(stories[1].there())


def _approve_in_turn(story: Story) -> Any:
    story.people(*range(1, 21))
    story.sync()
    story.segments = {"vip": 'lifecycle_stage == "vip" and did("Sign In")'}

    def away(page: int) -> None:
        raise TransientError("away")

    story.vendor.pull_fault = away
    story.sync()
    with story.store() as store:
        assert {"unseen", "source"} == {hold.kind for hold in holds.holds(store.conn)}
    approve(story.hub(), "vips")
    approve(story.hub(), "crm.contacts")
    return story.sync(pull=False)


def test_whoever_confirms_a_loss_lets_no_failure_of_tomorrow_through(make: Callable[..., Story]) -> None:
    """The rows are gone, and that was all the question; that the next pulls fail nobody has seen yet."""
    story = make()
    story.people(*range(1, 61))
    story.sync()
    for number in range(1, 31):
        del story.vendor.people[str(number)]
    assert {"vips": ["vanished"]} == held(story.sync())
    assert 30 == approve(story.hub(), "crm.contacts").deleted
    assert Status.DONE == story.sync(pull=False).status

    story.vendor.pull_fault = _breaks_off
    assert {"vips": ["source"]} == held(story.sync())
    assert ids(*range(31, 61)) == story.there()
    approve(story.hub(), "crm.contacts")
    assert {} == held(story.sync()), "now that is what was seen"


def _breaks_off(page: int) -> None:
    if page == 2:
        raise TransientError("gone")

"""The other guards in a story: the harm without each, that it holds, and what releases it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support import audiences
from support.story import Story, held, ids

from core.config.model import Every
from core.contract import Category
from core.errors import ConfigError, TransientError
from core.planning import guards
from core.planning.approve import approve
from core.pulling.fill import pull
from core.run import plan
from core.store import holds, vanish
from core.store.runs import Status

WITHOUT: Any = {"source_guards": (), "size_guards": ()}


def _two_alike(make: Callable[..., Story]) -> list[Story]:
    """Return two stories of two people each, synced: one to be told without the guard, one with it."""
    stories = [make(), make()]
    for story in stories:
        story.people(1, 2)
        story.sync()
    return stories


def test_a_consent_stream_never_completed_would_let_everybody_through(
    make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it who said no is subscribed again; nothing but a complete pull releases it."""
    stories = [make(category=Category.EMAIL), make(category=Category.EMAIL)]
    for story in stories:
        story.people(1, 2)
        story.people(2, consent="denied")

    def away(api: Any, cursor: Any, resume: str | None) -> Any:
        raise TransientError("away")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(audiences, "consents", away)
        stories[0].sync(**WITHOUT)
        assert ids(1, 2) == stories[0].there()
        assert {"vips": ["source"]} == held(stories[1].sync())
        for target in ("vips", "crm.consents"):
            with pytest.raises(ConfigError, match=r"held for its sources|never been pulled"):
                approve(stories[1].hub(), target)
    assert {} == held(stories[1].sync())
    assert ids(1) == stories[1].there()


def test_a_stale_source_would_act_on_what_is_long_over(make: Callable[..., Story]) -> None:
    """New people are taken for old ones: without it they are put among the inactive as time goes by."""
    options: Any = {"segments": {"vip": 'not did("Signed In", last="24h")'}, "with_events": True}
    for source_guards, there in (((), 8), (guards.SOURCE_GUARDS, 4)):
        story = make(schedule=Every(timedelta(hours=1)), **options)
        story.people(*range(1, 9))
        for n in range(1, 5):
            story.event(n, "Signed In", story.now)
        story.sync()
        for n in range(1, 5):
            story.event(n, "Signed In", story.now + timedelta(hours=20))
        story.pass_time(timedelta(hours=25))
        report = story.sync(pull=False, source_guards=source_guards)
        assert there == len(story.there())
    assert {"vips": ["source"]} == held(report)
    assert {} == held(story.sync())
    assert 4 == len(story.there())


def test_a_stream_gone_quiet_would_make_everybody_inactive(make: Callable[..., Story]) -> None:
    """The tracker broke: without it all are on the list of those who have not come for two days."""
    options: Any = {"segments": {"vip": 'not did("Signed In", last="2d")'}, "with_events": True}
    for source_guards, there in (((), 9), (guards.SOURCE_GUARDS, 0)):
        story = make(**options)
        story.people(*range(1, 10))
        for day in range(8):
            for n in range(1, 10):
                story.event(n, "Signed In", story.now - timedelta(days=day))
        story.sync()
        story.pass_time(timedelta(hours=48))
        report = story.sync(source_guards=source_guards)
        assert there == len(story.there())
    assert {"vips": ["source"]} == held(report)
    approve(story.hub(), "crm.events")
    assert {} == held(story.sync())
    assert 9 == len(story.there())


@pytest.mark.parametrize("lost", [39, 21], ids=["more than half", "more than max(10%, 20)"])
def test_vanished_rows_would_empty_the_list(make: Callable[..., Story], lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a vendor that answers with half of its people has them all taken out."""

    def loses(story: Story) -> None:
        story.people(*range(1, 61))
        story.sync()
        for n in range(1, lost + 1):
            del story.vendor.people[str(n)]

    bare = make(kind="mail")
    loses(bare)
    with monkeypatch.context() as patch:
        patch.setattr(vanish, "limit", lambda accepted: 10**9)
        bare.sync(**WITHOUT)
        assert 60 - lost == len(bare.there())

    story = make(kind="mail")
    loses(story)
    assert {"vips": ["vanished"]} == held(story.sync())
    assert 60 == len(story.there())
    assert lost == approve(story.hub(), "crm.contacts").deleted
    assert "vanished" not in str(held(story.sync()))


def test_a_retarget_would_fill_another_list_behind_everybodys_back(
    make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a slip in a name puts everybody on the list of that name."""
    stories = _two_alike(make)
    for story in stories:
        story.vendor.make("Everybody", ["9"])
        story.add_sync("vips", audience_name="Everybody")
    with monkeypatch.context() as patch:
        patch.setattr(holds, "approved_text", lambda conn, label, kind, definition: kind == "retarget")
        stories[0].sync()
        assert ids(1, 2, 9) == stories[0].there("Everybody")
    assert {"vips": ["retarget"]} == held(stories[1].sync())
    assert ids(9) == stories[1].there("Everybody")
    approve(stories[1].hub(), "vips")
    assert ids(1, 2, 9) == stories[1].there("Everybody")


def test_an_audience_that_somebody_deleted_would_be_made_anew_behind_their_back(
    make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a colleague who deletes a list has it back, everybody in it, with the next run."""
    stories = _two_alike(make)
    for story in stories:
        story.vendor.audiences.clear()
        story.vendor.names.clear()
        story.people(3)
    with monkeypatch.context() as patch:
        patch.setattr(holds, "approved_text", lambda conn, label, kind, definition: kind == "gone")
        stories[0].sync()
        stories[0].sync()
        assert ids(1, 2, 3) == stories[0].there()
    assert Status.HELD == stories[1].sync().status
    stories[1].sync()
    assert {} == stories[1].vendor.names
    with stories[1].store() as store:
        assert ["gone"] == [hold.kind for hold in holds.holds(store.conn)]
    approve(stories[1].hub(), "vips")
    assert ids(1, 2, 3) == stories[1].there()
    assert {"Vips": "a1"} == stories[1].vendor.names, "where names are ids, it has the id of the one before"

    stories[1].vendor.audiences.clear()
    stories[1].vendor.names.clear()
    stories[1].people(4)
    assert Status.HELD == stories[1].sync().status, "deleted once more, it is asked about once more"


def test_a_move_between_groups_would_leave_people_nowhere(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the group that is entered is filled while the one that is left is held: people are in both."""

    def moves(story: Story) -> None:
        story.segments, story.syncs = {}, {}
        story.partitions = {"life": {"hot": 'lifecycle_stage == "hot"', "cold": 'lifecycle_stage == "cold"'}}
        story.add_sync("life", partition="life", audience_name="Life: {group}")
        story.people(*range(1, 21), stage="hot")
        story.people(21, 22, stage="cold")
        story.sync()
        story.people(*range(1, 13), stage="cold")

    bare, story = make(), make()
    moves(bare)
    with monkeypatch.context() as patch:
        patch.setattr("core.planning.gate._link", lambda drafts, *held: [type(draft.adds)() for draft in drafts])
        bare.sync()
        assert 12 == len(bare.there("Life: hot") & bare.there("Life: cold"))

    moves(story)
    story.sync()
    assert set() == story.there("Life: hot") & story.there("Life: cold")
    approve(story.hub(), "life")
    assert (8, 14) == (len(story.there("Life: hot")), len(story.there("Life: cold")))


def test_removals_and_adds_held_at_once_are_approved_at_once(make: Callable[..., Story]) -> None:
    """One approval lets through all that was shown of the sync."""
    story = make()
    story.people(*range(1, 201))
    story.sync()
    story.people(*range(1, 151), stage="lead")
    story.people(*range(201, 402))
    assert {"vips": ["adds", "removals"]} == held(story.sync())
    assert 200 == len(story.there())
    approval = approve(story.hub(), "vips")

    assert (201, 150) == (approval.adds, approval.removes)
    assert ids(*range(151, 402)) == story.there()
    assert {} == held(story.sync())


def test_an_approval_ends_after_a_day(make: Callable[..., Story]) -> None:
    """And until then it lets through whom it showed, also in later runs."""
    story = make()
    story.people(*range(1, 201))
    story.sync()
    story.people(*range(1, 151), stage="lead")
    story.sync()
    approve(story.hub(), "vips", send=False)
    story.people(*range(1, 100), stage="vip")
    story.sync()
    assert ids(*range(1, 100), *range(151, 201)) == story.there()
    story.people(*range(1, 100), stage="lead")
    story.pass_time(timedelta(hours=24))
    assert {"vips": ["removals"]} == held(story.sync())


@pytest.mark.parametrize("fault", ["failed", "stale"])
def test_an_approved_source_is_believed_for_seven_days_at_most(make: Callable[..., Story], fault: str) -> None:
    """A failed one as well as a stale one; then it is held again."""
    story = make(schedule=Every(timedelta(hours=1)))
    story.people(1, 2, 3)
    story.sync()
    if fault == "failed":

        def away(page: int) -> None:
            raise TransientError("away")

        story.vendor.pull_fault = away
        pull(story.hub(), names=["crm"])
    story.pass_time(timedelta(hours=3))
    assert {"vips": ["source"]} == held(story.sync(pull=False))
    approve(story.hub(), "crm.contacts")
    approve(story.hub(), "crm.consents")
    story.pass_time(timedelta(days=6, hours=23))
    assert {} == held(story.sync(pull=False))
    story.pass_time(timedelta(hours=1))
    assert {"vips": ["source"]} == held(story.sync(pull=False))


def test_a_source_that_is_sound_cannot_be_approved_in_advance(make: Callable[..., Story]) -> None:
    """Else the failure of the day after would be let through, unseen, for a week."""
    story = make(schedule=Every(timedelta(hours=1)))
    story.people(1, 2, 3)
    story.sync()
    with pytest.raises(ConfigError, match=r"nothing of crm\.contacts is held"):
        approve(story.hub(), "crm.contacts")

    story.pass_time(timedelta(hours=3))
    assert {"vips": ["source"]} == held(story.sync(pull=False))


def test_looking_at_a_plan_takes_back_no_hold(make: Callable[..., Story]) -> None:
    """What only the daemon holds, or only sending shows, is still there to be approved."""
    story = make()
    story.people(*range(1, 102))
    assert {"vips": ["baseline"]} == held(story.sync(attended=False))
    plan(story.hub())
    approve(story.hub(), "vips", send=False)
    story.sync(attended=False)
    assert 101 == len(story.there())

    story.vendor.audiences.clear()
    story.people(102)
    assert Status.HELD == story.sync().syncs[0].status
    plan(story.hub())
    approve(story.hub(), "vips")
    assert 102 == len(story.there())


def test_a_source_that_silently_stops_is_not_believed_by_a_moving_window(make: Callable[..., Story]) -> None:
    """A day before its silence counts as such: who leaves is made up for by nobody."""
    story = make(segments={"vip": 'did("Signed In", last="24h")'}, with_events=True)
    story.people(*range(1, 241))
    for n in range(240):
        story.event(n + 1, "Signed In", story.now - timedelta(hours=24) + timedelta(minutes=6 * n))
    number = 0

    def half_a_day(comes: int) -> dict[str, list[str]]:
        nonlocal number
        found: dict[str, list[str]] = {}
        for _ in range(4):
            for _ in range(comes):
                number = number % 240 + 1
                story.event(number, "Signed In", story.now)
            story.pass_time(timedelta(hours=2, minutes=45))
            found |= held(story.sync())
        return found

    assert [{}] * 5 == [half_a_day(comes) for comes in (30, 34, 26, 30, 32)]
    full = len(story.there())
    assert {"vips": ["removals"]} == half_a_day(0)
    assert len(story.there()) > full * 0.7

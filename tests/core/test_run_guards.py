"""Each guard in a story: the harm without it, what it holds, its release by approve; and ordinary life, which is never held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from support import audiences as vendors
from support.killed import KilledProcess
from support.story import Story, held, ids

from core.clock import to_us
from core.config.model import Every
from core.contract import Page
from core.errors import ConfigError, QuotaExhausted, TransientError
from core.planning.approve import approve
from core.pulling.fill import pull
from core.run import plan
from core.store.runs import Status

WITHOUT: Any = {"source_guards": (), "size_guards": ()}


def _shrinks(story: Story) -> None:
    story.people(*range(1, 201))
    story.sync()
    story.people(*range(1, 151), stage="lead")


def _empties(story: Story) -> None:
    story.people(*range(1, 6))
    story.sync()
    story.people(*range(1, 6), stage="lead")


def _swells(story: Story) -> None:
    story.people(1, 2)
    story.sync()
    story.people(*range(3, 200))


@pytest.mark.parametrize(
    ("happens", "kind", "harm"),
    [
        pytest.param(_shrinks, "removals", 50, id="most are to leave"),
        pytest.param(_empties, "removals", 0, id="nobody is wanted"),
        pytest.param(_swells, "adds", 199, id="a flood comes in"),
    ],
)
def test_a_size_guard_holds_what_would_do_harm_until_approved(
    make: Callable[..., Story], happens: Callable[[Story], None], kind: str, harm: int
) -> None:
    """Without it the list is what the broken rule says; with it nothing of that kind is sent; approve sends just that."""
    bare = make()
    happens(bare)
    bare.sync(**WITHOUT)
    assert harm == len(bare.there())

    story = make()
    happens(story)
    before = story.there()
    report = story.sync()
    assert {"vips": [kind]} == held(report)
    assert Status.HELD == report.status
    assert before == story.there()
    assert {"vips": [kind]} == held(story.sync())

    approve(story.hub(), "vips")
    assert harm == len(story.there())
    assert {} == held(story.sync())


def test_an_approval_is_of_the_members_shown_and_of_nobody_else(make: Callable[..., Story]) -> None:
    """For 24 hours, as far as they still hold."""
    story = make()
    story.people(*range(1, 261))
    story.sync()
    story.people(*range(1, 151), stage="lead")
    story.sync()
    story.people(1, stage="vip")
    story.people(*range(151, 206), stage="lead")
    pull(story.hub())
    approval = approve(story.hub(), "vips")

    assert 150 == approval.removes
    assert approval.report is not None
    # one of those shown is wanted again; 55 others left too late to have been shown
    assert ids(1, *range(151, 261)) == story.there()
    assert {"vips": ["removals"]} == held(approval.report)


def _fails(story: Story) -> None:
    def fault(page: int) -> None:
        raise TransientError("away")

    story.vendor.pull_fault = fault


def test_what_a_pull_that_died_has_half_read_holds_everything(make: Callable[..., Story]) -> None:
    """Nothing notes how it ended; who came is there, and that they left again is on a page that nobody has read."""

    def begin(story: Story) -> None:
        story.with_events, story.segments = True, {"vip": 'lifecycle_stage == "vip" and not did("Churned")'}
        story.people(*range(1, 6), stage="lead")
        story.event(1, "Churned", story.now)
        story.sync()
        story.people(1, 2, 6)

        def dies(page: int) -> None:
            if page == 1:
                raise KilledProcess

        story.vendor.pull_fault = dies
        with pytest.raises(KilledProcess):
            story.sync()
        story.vendor.pull_fault = None

    bare = make()
    begin(bare)
    bare.sync(pull=False, **WITHOUT)
    assert ids(2) == bare.there()

    story = make()
    begin(story)
    assert {"vips": ["source"]} == held(story.sync(pull=False))
    assert set() == story.there()
    assert {} == held(story.sync())
    assert ids(2, 6) == story.there()


def test_a_stream_that_a_dead_pull_had_not_come_to_holds_everything(make: Callable[..., Story]) -> None:
    """The people are of today and what they did is of yesterday, though each stream for itself is whole."""

    class Deadly(list[Any]):
        def __iter__(self) -> NoReturn:
            raise KilledProcess

    story = make()
    story.with_events, story.segments = True, {"vip": 'lifecycle_stage == "vip" and not did("Churned")'}
    story.people(1, 2, stage="lead")
    story.event(1, "Churned", story.now)
    story.sync()
    story.people(1, 2)
    events, story.vendor.events = story.vendor.events, Deadly()
    with pytest.raises(KilledProcess):
        story.sync()
    story.vendor.events = events

    assert {"vips": ["source"]} == held(story.sync(pull=False))
    assert set() == story.there()
    assert {} == held(story.sync())
    assert ids(2) == story.there()


def test_a_pull_that_went_on_is_at_its_end_when_it_knows_what_came_meanwhile(
    make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went on where it had broken off tells of yesterday; the people beside it are of today."""
    story = make()
    story.with_events, story.segments = True, {"vip": 'lifecycle_stage == "vip" and not did("Churned")'}
    story.people(1, 2, stage="lead")
    story.event(1, "Churned", story.now)
    story.sync()

    def events(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
        if resume is not None:
            yield Page([], cursor=story.now)
        elif not asked:
            asked.append("the beginning")
            yield Page([], resume="the events of yesterday, from the second page on")
            raise KilledProcess
        else:
            asked.append("what came meanwhile")
            raise KilledProcess

    asked: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(vendors, "events", events)
        with pytest.raises(KilledProcess):
            story.sync()
        story.people(1, 2)
        story.event(2, "Churned", story.now)
        with pytest.raises(KilledProcess):
            story.sync()
    assert ["the beginning", "what came meanwhile"] == asked

    assert {"vips": ["source"]} == held(story.sync(pull=False))
    assert {} == held(story.sync())
    assert set() == story.there()


def test_what_waits_for_its_quota_half_read_is_waited_for(make: Callable[..., Story]) -> None:
    """It goes on by itself; nobody is asked to approve anything, and nothing is sent of what is stored so far."""
    story = make()
    story.people(*range(1, 6))
    story.sync()
    story.people(1, stage="lead")
    story.people(6)
    at = story.now + timedelta(hours=1)

    def used_up(page: int) -> None:
        if page == 1:
            with story.store() as store, store.atomic() as conn:
                conn.execute("UPDATE connections SET resume_at = ?", (to_us(at),))
            raise QuotaExhausted("used up", resume_at=at)

    story.vendor.pull_fault = used_up
    report = story.sync()
    assert [(Status.WAITING, at)] == [(run.status, run.resume_at) for run in report.syncs]
    assert ids(*range(1, 6)) == story.there()
    (held_back,) = plan(story.hub())[0].held
    assert "the last pull of crm.consents and crm.contacts waits on its way for its quota; `tagalong pull" in held_back.reason
    approve(story.hub(), "crm.contacts")
    approve(story.hub(), "crm.consents")
    assert Status.DONE == story.sync(pull=False).status
    assert ids(*range(2, 6)) == story.there()

    story.vendor.pull_fault = None
    story.sync()
    assert ids(*range(2, 7)) == story.there()


def _half_gone(story: Story) -> None:
    for n in range(1, 40):
        del story.vendor.people[str(n)]


def test_a_failed_source_holds_both_ways_and_approve_lets_what_is_stored_be(make: Callable[..., Story]) -> None:
    """What was pulled of it before it failed is not believed, for adds and removals alike."""

    def begin(story: Story) -> None:
        story.people(*range(1, 11))
        story.sync()
        story.people(1, stage="lead")
        story.people(2, first_name="Ann")
        calls = iter(range(99))

        def fault(page: int) -> None:
            if next(calls) == 1:
                raise TransientError("away")

        story.vendor.pull_fault = fault

    bare = make()
    begin(bare)
    bare.sync(**WITHOUT)
    assert "1" not in bare.there()

    story = make()
    begin(story)
    report = story.sync()
    assert {"vips": ["source"]} == held(report)
    assert Status.FAILED == report.status
    assert ids(*range(1, 11)) == story.there()
    with pytest.raises(ConfigError, match=r"approve crm\.contacts"):
        approve(story.hub(), "vips")

    approve(story.hub(), "crm.contacts")
    assert {} == held(story.sync(pull=False))
    assert ids(*range(2, 11)) == story.there()


def test_a_source_that_lost_half_holds_everything_until_the_loss_is_confirmed(make: Callable[..., Story]) -> None:
    """The vanished stay live, and so on the list; approve deletes them, and the size guards have their say after that."""
    story = make()
    story.people(*range(1, 61))
    story.sync()
    _half_gone(story)
    report = story.sync()
    assert {"vips": ["vanished"]} == held(report)
    assert 60 == len(story.there())

    assert 39 == approve(story.hub(), "crm.contacts").deleted
    assert {"vips": ["removals"]} == held(story.sync())
    approve(story.hub(), "vips")
    assert 21 == len(story.there())


def test_a_stale_source_holds_everything(make: Callable[..., Story]) -> None:
    """Two due times missed and what the last pull took; a fresh pull frees it by itself."""
    story = make(schedule=Every(timedelta(hours=1)))
    story.people(1, 2, 3)
    story.sync()
    story.pass_time(timedelta(hours=1, minutes=40))
    assert {} == held(story.sync(pull=False))
    story.pass_time(timedelta(minutes=10))
    assert {"vips": ["source"]} == held(story.sync(pull=False))

    approve(story.hub(), "crm.contacts")
    approve(story.hub(), "crm.consents")
    assert {} == held(story.sync(pull=False))
    story.pass_time(timedelta(days=7))
    assert {"vips": ["source"]} == held(story.sync(pull=False))
    assert {} == held(story.sync())


def test_an_event_nobody_has_seen_is_held_until_its_text_is_approved(make: Callable[..., Story]) -> None:
    """`not did("Slip of the pen")` is everybody."""
    options = {"segments": {"vip": 'not did("Sigend In")'}, "with_events": True}
    bare = make(**options)
    bare.event(1, "Signed In", bare.now)
    bare.people(*range(1, 6))
    bare.sync(**WITHOUT)
    assert 5 == len(bare.there())

    story = make(**options)
    story.event(1, "Signed In", story.now)
    story.people(*range(1, 6))
    assert {"vips": ["unseen"]} == held(story.sync())
    approve(story.hub(), "vips")
    assert 5 == len(story.there())
    assert {} == held(story.sync())
    story.segments = {"vip": 'not did("Sgined In")'}
    assert {"vips": ["unseen"]} == held(story.sync())


def test_an_event_stream_gone_quiet_holds_everything(make: Callable[..., Story]) -> None:
    """Complete and fresh, and yet broken somewhere before us."""
    story = make(segments={"vip": 'did("Signed In", last="7d")'}, with_events=True)
    for day in range(8):
        story.event(day + 1, "Signed In", story.now - timedelta(days=7 - day))
    story.people(*range(1, 9))
    story.sync()
    story.pass_time(timedelta(hours=47))
    assert {} == held(story.sync())
    story.pass_time(timedelta(hours=1))
    assert {"vips": ["source"]} == held(story.sync())
    approve(story.hub(), "crm.events")
    assert {} == held(story.sync())


def test_the_first_run_of_the_daemon_waits_for_a_person(make: Callable[..., Story]) -> None:
    """Above a hundred; `tagalong sync` goes, for a person looks on."""
    bare = make()
    bare.people(*range(1, 102))
    bare.sync(attended=False, **WITHOUT)
    assert 101 == len(bare.there())

    story = make()
    story.people(*range(1, 102))
    assert {"vips": ["baseline"]} == held(story.sync(attended=False))
    assert {"vips": ["baseline"]} == held(story.sync(attended=False))
    assert set() == story.there()
    approve(story.hub(), "vips", send=False)
    assert {} == held(story.sync(attended=False))
    assert 101 == len(story.there())


def test_a_guard_of_its_own_moves_the_limit(make: Callable[..., Story]) -> None:
    """Nothing switches it off."""
    story = make()
    story.guard("vips", adds_count=500)
    _swells(story)
    assert {} == held(story.sync())
    assert 199 == len(story.there())


def test_ten_days_of_a_moving_window_are_never_held(make: Callable[..., Story]) -> None:
    """`last="24h"`: everybody on it is replaced every day, a few each quarter of an hour."""
    story = make(segments={"vip": 'did("Signed In", last="24h")'}, with_events=True, schedule=Every(timedelta(days=1)))
    story.people(*range(1, 61))
    number = 0
    reports = []
    for _ in range(10):
        for _ in range(25):
            story.event(number % 60 + 1, "Signed In", story.now - timedelta(minutes=number % 5))
            number += 1
        reports.append(story.sync(fresh=timedelta(0)))
        story.pass_time(timedelta(hours=23, minutes=45))
    assert [{}] * 10 == [held(report) for report in reports]
    assert {Status.DONE} == {report.status for report in reports}


def test_ten_runs_over_a_daily_source_are_never_held(make: Callable[..., Story]) -> None:
    """A source pulled once a day under a sync of fifteen minutes; each day some come and some go."""
    story = make(schedule=Every(timedelta(days=1)))
    story.people(*range(1, 101))
    story.sync(limit=5)
    reports = []
    for run in range(10):
        if run % 3 == 0:
            story.people(*range(101 + run * 5, 111 + run * 5))
            story.people(*range(1 + run, 4 + run), stage="lead")
            story.pass_time(timedelta(hours=23, minutes=45))
        reports.append(story.sync(attended=run == 0))
    assert [{}] * 10 == [held(report) for report in reports]

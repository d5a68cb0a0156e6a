"""How a plan is carried out: batches, halving, jobs, handles, whole files, values, dead letters."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.story import NOON, Story, held, ids, skips

from core.contract import Verdict
from core.errors import AuthError, QuotaExhausted, RateLimited, TransientError
from core.planning.approve import approve
from core.run import sync
from core.store.dead_letters import dead_letters
from core.store.pauses import pause, resume
from core.store.runs import Status, requests_of


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A world with one sync of vips."""
    return Story(tmp_path)


def test_sends_the_fewest_requests_that_the_batch_size_allows(story: Story) -> None:
    """Adds and removes share their calls."""
    story.people(*range(1, 8))
    story.sync()
    assert [(3, 0), (3, 0), (1, 0)] == story.vendor.sizes

    story.vendor.sizes.clear()
    story.people(1, 2, 3, stage="lead")
    story.people(8, 9, 10, 11)
    report = story.sync()
    assert [(3, 3), (1, 0)] == story.vendor.sizes
    assert 2 == report.syncs[0].plans[0].requests


def test_halves_a_refused_batch_until_the_culprit_stands_alone(story: Story) -> None:
    """It becomes the dead letter; everybody else is in."""
    story.vendor.refuse.add("2")
    story.people(1, 2, 3)
    report = story.sync()

    assert ids(1, 3) == story.there()
    assert [(3, 0), (1, 0), (2, 0), (1, 0), (1, 0)] == story.vendor.sizes
    assert 1 == report.new_dead_letters
    with story.store() as store:
        letters = dead_letters(store.conn)
    assert [("member", "p2@example.com", "add", "bad_member", 1)] == [
        (d.what, d.key, d.op, d.reason, d.attempts) for d in letters
    ]


def test_a_refused_member_is_tried_at_the_next_run_after_a_day_and_after_a_week(story: Story) -> None:
    """Then it is given up; a retry is today's wish, and one that goes through is forgotten."""
    story.vendor.refuse.add("2")
    story.people(1, 2)
    story.sync()

    def tried(after: timedelta) -> bool:
        story.vendor.sizes.clear()
        story.now += after
        story.sync()
        return bool(story.vendor.sizes)

    assert tried(timedelta())
    assert not tried(timedelta(hours=20))
    assert tried(timedelta(hours=4))
    assert not tried(timedelta(days=6))
    assert tried(timedelta(days=1))
    assert not tried(timedelta(days=300))


def test_a_refused_member_that_goes_through_leaves_no_dead_letter(story: Story) -> None:
    """And one that is no longer wanted is not sent."""
    story.vendor.refuse |= {"2", "3"}
    story.people(1, 2, 3)
    story.sync()
    story.vendor.refuse.clear()
    story.people(3, stage="lead")
    story.sync()

    assert ids(1, 2) == story.there()
    with story.store() as store:
        assert ["p3@example.com"] == [letter.key for letter in dead_letters(store.conn)]


def test_not_now_is_asked_again_and_then_left_to_the_next_run(story: Story) -> None:
    """No dead letter, no ledger row, and the next run plans it as if nothing had been."""
    story.vendor.verdicts["2"] = Verdict.RETRY
    story.people(1, 2)
    story.sync()
    assert [(2, 0), (1, 0), (1, 0)] == story.vendor.sizes
    assert [1.0, 4.0] == story.slept

    del story.vendor.verdicts["2"]
    story.sync()
    assert ids(1, 2) == story.there()


def test_suppressed_people_are_asked_for_again_after_a_day(story: Story) -> None:
    """They stay in the ledger; asking every quarter of an hour helps nobody."""
    story.vendor.verdicts["2"] = Verdict.SUPPRESSED
    story.people(1, 2)
    story.sync()
    story.vendor.verdicts.clear()
    writes = story.vendor.writes
    assert {"suppressed": 1} == skips(story.sync())
    assert writes == story.vendor.writes

    story.pass_time(timedelta(days=1))
    story.sync()
    assert ids(1, 2) == story.there()


def test_a_handle_is_kept_and_handed_back(tmp_path: Path) -> None:
    """Removal needs it where it is not the remote id."""
    story = Story(tmp_path, kind="list")
    story.people(1, 2)
    story.sync()
    story.people(1, stage="lead")
    story.sync()

    assert ids(2) == story.there()


def test_a_job_settles_in_a_later_run(tmp_path: Path) -> None:
    """Its members are on their way: neither sent again nor taken out before."""
    story = Story(tmp_path, kind="job")
    story.people(1, 2, 3, 4)
    story.sync()
    story.people(4, stage="lead")
    report = story.sync()
    assert 2 == story.vendor.writes - 1
    assert {"waiting": 3} == skips(report)

    story.vendor.jobs_done = True
    story.sync()
    story.sync()
    assert ids(1, 2, 3) == story.there()


def test_a_whole_file_is_ours_after_the_plan(tmp_path: Path) -> None:
    """Not the bare wanted set; nothing is written where nothing changed."""
    story = Story(tmp_path, kind="file")
    story.people(*range(1, 13))
    story.sync()
    assert 12 == len(story.there())
    writes = story.vendor.writes
    story.sync()
    assert writes == story.vendor.writes

    story.people(*range(1, 9), stage="lead")
    story.people(13)
    assert {"vips": ["removals"]} == held(story.sync())
    assert 13 == len(story.there())


def test_a_whole_file_that_we_did_not_write_is_refused(tmp_path: Path) -> None:
    """Writing it would take out everybody in it."""
    story = Story(tmp_path, kind="file")
    story.vendor.make("Vips", ["77"])
    story.people(1)
    report = story.sync()

    assert Status.FAILED == report.status
    assert ids(77) == story.there()


def test_values_are_sent_again_when_they_change(tmp_path: Path) -> None:
    """Only theirs, and only the fields that the audience carries."""
    story = Story(tmp_path, kind="field")
    story.people(1, 2, 3, country="SE")
    story.sync()
    story.vendor.sizes.clear()
    story.people(2, country="NO")
    story.people(3, first_name="Ann")
    story.sync()
    assert [(1, 0)] == story.vendor.sizes
    assert {"country": "NO"} == story.vendor.audiences["a1"]["2"]

    story.vendor.sizes.clear()
    story.add_sync("vips", params={"carry": ["country", "first_name"]})
    story.sync()
    assert [(3, 0)] == story.vendor.sizes
    assert {"country": "SE", "first_name": "Ann"} == story.vendor.audiences["a1"]["3"]


def test_limit_stops_after_so_many_members(story: Story) -> None:
    """And a whole run afterwards is neither held nor sends them twice."""
    story.people(*range(1, 201))
    story.sync(limit=5)
    assert 5 == len(story.there())
    report = story.sync()

    assert {} == held(report)
    assert 200 == len(story.there())
    assert 200 == len(story.vendor.moved("add"))


def test_a_passing_fault_is_sent_again_where_that_does_no_harm(story: Story) -> None:
    """The vendor acted and the answer was lost: they are ours all the same."""
    faults = iter([TransientError("timeout")])

    def fault(where: str) -> None:
        if where == "after apply" and (error := next(faults, None)) is not None:
            raise error

    story.vendor.fault = fault
    story.people(1, 2)
    report = story.sync()
    assert Status.DONE == report.status
    story.people(1, 2, stage="lead")
    story.sync()
    assert set() == story.there()


@pytest.mark.parametrize("readable", [True, False])
def test_with_side_effects_nothing_is_sent_twice(tmp_path: Path, readable: bool) -> None:
    """An unknown outcome is read before it is sent again; where it cannot be, it becomes a dead letter."""
    story = Story(tmp_path, kind="list")
    story.vendor.readable = readable
    story.vendor.fault = _once("after apply", TransientError("timeout"))
    story.people(1, 2)
    first = story.sync()
    assert Status.FAILED == first.status
    second = story.sync()
    story.sync()

    assert ["1", "2"] == story.vendor.moved("add")
    assert 1 == len(story.vendor.sizes)
    assert (0 if readable else 2) == second.new_dead_letters
    with story.store() as store:
        reasons = [letter.reason for letter in dead_letters(store.conn)]
    assert ([] if readable else ["outcome unknown"] * 2) == reasons
    story.people(1, stage="lead")
    story.sync()
    if readable:
        assert ids(2) == story.there()


def _once(where: str, error: BaseException) -> Any:
    errors = iter([error])

    def fault(at: str) -> None:
        if at == where and (found := next(errors, None)) is not None:
            raise found

    return fault


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(AuthError("revoked", status=401), Status.FAILED, id="auth"),
        pytest.param(QuotaExhausted("used up", resume_at=NOON + timedelta(days=1)), Status.WAITING, id="quota"),
        pytest.param(RateLimited("slower"), Status.DONE, id="rate"),
        pytest.param(ValueError("a bug"), Status.FAILED, id="bug"),
    ],
)
def test_what_ends_a_sync_is_its_status_and_the_others_go_on(story: Story, error: Exception, status: Status) -> None:
    """And the next run puts everybody where they belong, nobody twice."""
    story.add_sync("zoo", audience_name="Zoo")
    story.vendor.fault = _once("before apply", error)
    story.people(1, 2)
    report = story.sync()
    assert {"vips": status, "zoo": Status.DONE} == {run.name: run.status for run in report.syncs}
    assert (NOON + timedelta(days=1) if status is Status.WAITING else None) == report.syncs[0].resume_at

    story.sync()
    assert ids(1, 2) == story.there() == story.there("Zoo")
    assert 4 == len(story.vendor.moved())


def test_a_paused_sync_sends_nothing(story: Story) -> None:
    """At once, from another process, and goes on when it is resumed."""
    story.people(1)
    story.sync()
    with story.store() as store:
        pause(store, "sync.vips", at=story.now)
    story.people(2)
    assert Status.STOPPED == story.sync().syncs[0].status
    assert ids(1) == story.there()
    with story.store() as store:
        assert resume(store, "sync.vips")
    story.sync()
    assert ids(1, 2) == story.there()


def test_requests_are_counted(story: Story) -> None:
    """By run, connection and method."""
    story.people(1)
    report = story.sync()
    with story.store() as store:
        assert {"crm": {"GET": 1, "POST": 2}} == requests_of(store.conn, report.syncs[0].run_id)


def test_an_audience_deleted_at_the_vendor_is_held_not_drained(story: Story) -> None:
    """Its members are not two hundred refusals; approve makes it anew."""
    story.people(1, 2)
    story.sync()
    story.vendor.audiences.clear()
    story.people(3)
    report = story.sync()
    assert Status.HELD == report.syncs[0].status
    assert 0 == report.new_dead_letters

    approve(story.hub(), "vips")
    assert ids(1, 2, 3) == story.there()


def test_a_lost_answer_to_making_an_audience_never_makes_two(story: Story) -> None:
    """It is looked up, and is ours: its members are removed when they are no longer wanted."""
    story.vendor.fault = _once("after create", TransientError("timeout"))
    story.people(1, 2)
    story.sync()
    assert {"Vips": "a1"} == story.vendor.names
    assert ["a1"] == list(story.vendor.audiences), "a second one of that name would hide the first"
    story.vendor.readable = False
    story.people(1, stage="lead")
    story.sync()
    assert ids(2) == story.there()


def test_told_to_stop_between_batches_the_rest_waits_for_the_next_start(story: Story) -> None:
    """Nobody is lost, and nobody is sent twice."""
    story.people(*range(1, 8))
    hub = story.hub()
    first = sync(hub, on_event=lambda event: hub.stop.set() if event.what == "batch_pushed" else None)
    assert Status.STOPPED == first.syncs[0].status
    assert 3 == len(story.there())

    story.sync()
    assert ids(*range(1, 8)) == story.there()
    assert 7 == len(story.vendor.moved())


@pytest.mark.parametrize("answers", [True, False], ids=["in time", "never"])
def test_told_to_stop_a_batch_under_way_has_its_grace_and_then_stays_open(
    story: Story, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """An answer within the grace is settled; else the intent stays open, and no thread keeps the process from ending."""
    monkeypatch.setattr("core.pushing.push.GRACE_S", 60.0 if answers else 0.2)
    hub, sent, release = story.hub(), threading.Event(), threading.Event()

    def fault(where: str) -> None:
        if where == "after apply":
            sent.set()
            release.wait(60)

    def stop() -> None:
        sent.wait(60)
        hub.stop.set()
        if answers:
            release.set()

    story.vendor.fault = fault
    story.people(*range(1, 8))
    stopper = threading.Thread(target=stop)
    stopper.start()
    report = sync(hub)
    stopper.join()
    left = [thread for thread in threading.enumerate() if thread.name.startswith("push")]
    with story.store() as store:
        (open_,) = store.conn.execute("SELECT count(*) FROM intents WHERE settled_at IS NULL").fetchone()
    release.set()

    assert Status.STOPPED == report.syncs[0].status
    assert answers or left, "it was not waited for"
    assert (0 if answers else 1) == open_
    assert all(thread.daemon for thread in left)
    story.vendor.fault = None
    story.sync()
    assert ids(*range(1, 8)) == story.there()
    assert 7 == len(story.vendor.moved("add"))


def test_a_destination_is_asked_once_a_run_for_whom_it_does_not_know(story: Story) -> None:
    """However many audiences somebody is wanted in."""
    story.add_sync("vips", audience_kind="mail")
    story.add_sync("zoo", audience_kind="mail", audience_name="Zoo")
    story.vendor.unknown.add("p1@example.com")
    story.people(1, 2)
    report = story.sync()

    assert {"not_found": 2} == skips(report)
    assert ["p1@example.com", "p2@example.com"] == sorted(story.vendor.finds)

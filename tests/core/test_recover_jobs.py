"""Jobs that tell of members by their handle: what was deleted by row is named by row."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.audiences import AUDIENCES
from support.killed import KilledProcess, killed_at
from support.story import Story, held, ids

from core.contract import Op, Outcome, Ref, Verdict
from core.errors import NotFoundError, TransientError
from core.pushing.recover import _of
from core.store.dead_letters import dead_letters
from core.store.intents import Member


@pytest.mark.parametrize(
    ("ref", "verdict"),
    [
        (Ref("r1"), Verdict.DONE),
        (Ref("r2", handle="h2"), Verdict.NOOP),
        (Ref("r1", handle="h2"), Verdict.DONE),
        (Ref("r3", handle="h3"), Verdict.RETRY),
        (Ref("r3"), Verdict.RETRY),
    ],
    ids=["by id", "by handle", "the id first", "left out", "left out, no handle"],
)
def test_a_job_may_name_members_by_handle(ref: Ref, verdict: Verdict) -> None:
    """The remote id is asked first; whoever is named neither way was not confirmed."""
    told = {"r1": Outcome(Ref("r1"), Verdict.DONE), "h2": Outcome(Ref("h2"), Verdict.NOOP)}

    assert verdict is _of(told, Member(Op.REMOVE, "a@example.com", profile_id=1, ref=ref)).verdict


def test_a_first_run_s_job_is_no_rush_when_it_settles(tmp_path: Path) -> None:
    """The baseline is not counted, in whichever run it is confirmed; else the few who come next would be held for a day."""
    story = Story(tmp_path, kind="job")
    story.people(*range(1, 201))
    story.sync()
    story.vendor.jobs_done = True
    story.people(201, 202)
    report = story.sync()
    assert {} == held(report)
    story.sync()

    assert 202 == len(story.there())


def test_a_later_job_counts_when_it_settles(tmp_path: Path) -> None:
    """Unlike the baseline: a rush is one, though a job brings it."""
    story = Story(tmp_path, kind="job")
    story.people(*range(1, 11))
    story.vendor.jobs_done = True
    story.sync()
    story.sync()
    story.people(*range(11, 101))
    assert {} == held(story.sync())
    story.people(*range(101, 151))

    assert {"vips": ["adds"]} == held(story.sync())
    assert 100 == len(story.there())


def story_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, repeat: str = "safe", readable: bool = True) -> Story:
    story = Story(tmp_path, kind="job")
    monkeypatch.setattr(AUDIENCES["job"], "repeat", repeat)
    story.vendor.readable = readable
    story.people(1, 2)
    return story


def die(story: Story, where: str) -> None:
    """Kill the process at *where*, once."""
    with killed_at(story.vendor, where):
        story.sync()


def reasons(story: Story) -> list[str]:
    with story.store() as store:
        return [one.reason for one in dead_letters(store.conn)]


def test_a_job_that_was_accepted_is_settled_by_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id is in the store before anything else happens: nobody is sent twice, however many restarts lie between."""
    story = story_of_jobs(tmp_path, monkeypatch, repeat="side_effects")
    story.sync()
    for _ in range(3):
        story.sync()
    assert ({"job1"}, set()) == (set(story.vendor.jobs), story.there())
    story.vendor.jobs_done = True
    story.sync()

    assert ({"job1"}, ids(1, 2), []) == (set(story.vendor.jobs), story.there(), reasons(story))


def test_a_kill_between_settling_and_writing_it_down_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process asks after the same job again."""
    story = story_of_jobs(tmp_path, monkeypatch)
    story.sync()
    story.vendor.jobs_done = True
    settle, armed = AUDIENCES["job"].settle, [True]

    def dying(self: Any, api: Any, audience_id: str, job: str) -> Any:
        outcomes = settle(self, api, audience_id, job)
        if armed:
            armed.clear()
            raise KilledProcess
        return outcomes

    monkeypatch.setattr(AUDIENCES["job"], "settle", dying)
    with pytest.raises(KilledProcess):
        story.sync()
    story.sync()
    story.people(1, stage="lead")
    story.sync()
    story.sync()

    assert ids(2) == story.there()


@pytest.mark.parametrize(
    ("repeat", "readable", "jobs", "letters"),
    [("safe", True, 2, 0), ("side_effects", True, 2, 0), ("side_effects", False, 1, 2)],
    ids=["sent again", "read back", "a dead letter"],
)
def test_a_job_whose_acceptance_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeat: str, readable: bool, jobs: int, letters: int
) -> None:
    """Killed before the job's id was written: harmless to send again, else read; not there, sent; unreadable, given up."""
    story = story_of_jobs(tmp_path, monkeypatch, repeat=repeat, readable=readable)
    die(story, "after apply")
    story.vendor.jobs_done = True
    for _ in range(3):
        story.sync()

    assert (jobs, letters) == (len(story.vendor.jobs), len(reasons(story)))
    assert (set() if letters else ids(1, 2)) == story.there()


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("repeat", "readable", "letters"),
    [("safe", True, 0), ("side_effects", True, 0), ("side_effects", False, 2)],
    ids=["sent again", "read back", "a dead letter"],
)
def test_a_job_that_the_vendor_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeat: str, readable: bool, letters: int, done: bool
) -> None:
    """It knows nothing of it any more, whether it was carried out or not: each member ends up where they belong, or told."""
    story = story_of_jobs(tmp_path, monkeypatch, repeat=repeat, readable=readable)
    story.sync()
    if done:
        story.vendor.change(story.vendor.names["Vips"], Op.ADD, "1")
        story.vendor.change(story.vendor.names["Vips"], Op.ADD, "2")
    settle = AUDIENCES["job"].settle

    def forgotten(self: Any, api: Any, audience_id: str, job: str) -> Any:
        if job == "job1":
            raise NotFoundError("no such job", status=404)
        return settle(self, api, audience_id, job)

    monkeypatch.setattr(AUDIENCES["job"], "settle", forgotten)
    story.vendor.jobs_done = True
    for _ in range(3):
        story.sync()
    assert letters == len(reasons(story))
    assert (ids(1, 2) if done or not letters else set()) == story.there()
    again = story.vendor.moved("add")
    assert len(again) == len(set(again))

    story.people(1, stage="lead")
    story.sync()
    story.sync()
    assert "1" not in story.there(), "it is ours to remove, whatever became of the job"


def test_a_job_that_never_ends_is_given_up_after_a_week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then its members wait for it; for ever, without an end."""
    story = story_of_jobs(tmp_path, monkeypatch)
    story.sync()
    story.pass_time(timedelta(days=6))
    story.sync()
    assert 1 == len(story.vendor.jobs)
    story.pass_time(timedelta(days=1))
    story.sync()
    assert 2 == len(story.vendor.jobs)


def test_asking_after_a_job_may_fail_and_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that is away is no reason to think that the job is."""
    story = story_of_jobs(tmp_path, monkeypatch, repeat="side_effects", readable=False)
    story.sync()
    settle = AUDIENCES["job"].settle

    def away(self: Any, api: Any, audience_id: str, job: str) -> Any:
        raise TransientError("no answer in time")

    monkeypatch.setattr(AUDIENCES["job"], "settle", away)
    story.sync()
    monkeypatch.setattr(AUDIENCES["job"], "settle", settle)
    story.vendor.jobs_done = True
    story.sync()

    assert (ids(1, 2), [], 1) == (story.there(), reasons(story), len(story.vendor.jobs))

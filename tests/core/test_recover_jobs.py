"""Jobs that tell of members by their handle: what was deleted by row is named by row."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.story import Story, held

from core.contract import Op, Outcome, Ref, Verdict
from core.recover import _of
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

"""Audiences that are written whole: some members at a time in the store, all of them in one go at the vendor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.killed import KilledProcess
from support.story import Story, held

from core.pushing.record import Recorder
from core.store.runs import Status


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """A file of seven, whose intents hold three each."""
    monkeypatch.setattr("core.pushing.push.INTENT_SIZE", 3)
    story = Story(tmp_path, kind="file")
    story.people(*range(1, 8))
    return story


def _sizes(story: Story) -> list[int]:
    with story.store() as store:
        return [n for (n,) in store.conn.execute("SELECT count(*) FROM intent_members GROUP BY intent_id ORDER BY intent_id")]


def _open(story: Story) -> int:
    with story.store() as store:
        (count,) = store.conn.execute("SELECT count(*) FROM intents WHERE settled_at IS NULL").fetchone()
        return int(count)


def _ours(story: Story) -> int:
    with story.store() as store:
        (count,) = store.conn.execute("SELECT count(*) FROM ledger WHERE state = 'ours'").fetchone()
        return int(count)


def test_no_intent_holds_a_whole_audience(story: Story) -> None:
    """However many members: it is written in one go, and recorded some at a time."""
    report = story.sync()
    assert [3, 3, 1] == _sizes(story)
    assert {("add", "done"): 7} == report.syncs[0].reports["vips"].verdicts
    assert (0, 7, 7) == (_open(story), _ours(story), len(story.there()))

    story.people(1, 2, 3, 4, stage="lead")
    story.people(8, 9)
    report = story.sync()
    assert [3, 3, 1, 3, 1, 2] == _sizes(story)
    assert {("add", "done"): 2, ("remove", "done"): 4} == report.syncs[0].reports["vips"].verdicts
    assert (0, 5, 5) == (_open(story), _ours(story), len(story.there()))


@pytest.mark.parametrize("verb", ["intend", "settle"])
def test_a_kill_between_two_intents_loses_nobody(story: Story, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """Before the file is written, and after: what stayed open is written again, and who is no longer wanted goes."""
    story.sync()
    story.people(1, stage="lead")
    story.people(*range(8, 13))
    real, calls = getattr(Recorder, verb), []

    def killed(*args: Any, **options: Any) -> Any:
        calls.append(verb)
        if len(calls) == 2:
            raise KilledProcess
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, verb, killed)
        with pytest.raises(KilledProcess):
            story.sync()
    assert 1 <= _open(story)
    assert (7 if verb == "intend" else 11) == len(story.there())

    story.people(12, stage="lead")
    story.sync()
    report = story.sync()
    assert Status.DONE == report.status
    assert {} == held(report)
    assert (0, 10, 10) == (_open(story), _ours(story), len(story.there()))

"""A kill at any instant: the next run puts everybody where they belong, and moves nobody for nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.killed import KilledProcess
from support.story import Story, held, ids

from core.pulling.fill import Event
from core.pushing.record import Recorder
from core.store.runs import Status

Arm = Callable[[Story, pytest.MonkeyPatch], dict[str, Any]]


def _at_page_stored(story: Story, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def event(told: Event) -> None:
        if told.what == "page_stored":
            raise KilledProcess

    return {"on_event": event}


def _at_vendor(where: str, count: int = 1) -> Arm:
    def arm(story: Story, patch: pytest.MonkeyPatch) -> dict[str, Any]:
        left = [count]

        def fault(at: str) -> None:
            left[0] -= at == where
            if left[0] == 0 and at == where:
                raise KilledProcess

        story.vendor.fault = fault
        return {}

    return arm


def _at_answer_read(story: Story, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def settle(*args: Any, **options: Any) -> None:
        raise KilledProcess

    patch.setattr(Recorder, "settle", settle)
    return {}


def _at_outcome_settled(story: Story, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def event(told: Event) -> None:
        if told.what == "batch_pushed":
            raise KilledProcess

    return {"on_event": event}


INSTANTS = [
    pytest.param(_at_page_stored, id="page stored"),
    pytest.param(_at_vendor("before create"), id="about to make the audience"),
    pytest.param(_at_vendor("after create"), id="audience made"),
    pytest.param(_at_vendor("before apply"), id="intent written"),
    pytest.param(_at_vendor("after apply"), id="request sent"),
    pytest.param(_at_vendor("after apply", 2), id="second request sent"),
    pytest.param(_at_answer_read, id="answer read"),
    pytest.param(_at_outcome_settled, id="outcome settled"),
]


@pytest.mark.parametrize(
    ("kind", "arm"),
    [
        pytest.param(kind, *instant.values, id=f"{kind}, {instant.id}")
        for kind in ("tag", "list", "mail", "file")
        for instant in INSTANTS
        if (kind, instant.id) != ("file", "second request sent")  # a file is one request
    ],
)
def test_a_kill_in_the_first_run_loses_nothing(tmp_path: Path, kind: str, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is added once; who is no longer wanted when it starts again is taken out, if they were in."""
    story = Story(tmp_path, kind=kind)
    story.people(*range(1, 8))
    _killed(story, arm, monkeypatch)
    story.people(1, stage="lead")
    story.sync()
    report = story.sync()

    assert Status.DONE == report.status, [run.error for run in report.syncs]
    assert {} == held(report)
    assert 6 == len(story.there())
    if kind != "file":
        # nobody twice; the one who left may have been in for a moment
        added = story.vendor.moved("add")
        assert len(added) == len(set(added))
        assert len(story.vendor.moved("remove")) == len(added) - 6


@pytest.mark.parametrize("kind", ["tag", "list", "mail"])
@pytest.mark.parametrize("arm", INSTANTS[3:])
def test_a_kill_in_a_later_run_loses_nothing(tmp_path: Path, kind: str, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds, removals and moves alike; nobody of theirs is touched."""
    story = Story(tmp_path, kind=kind)
    theirs = "77"
    story.vendor.make("Vips", [theirs])
    story.people(*range(1, 8))
    story.sync()
    story.vendor.log.clear()
    story.people(1, 2, stage="lead")
    story.people(*range(8, 13))
    story.people(3, email="new@example.com")
    _killed(story, arm, monkeypatch)
    story.sync()
    report = story.sync()

    assert Status.DONE == report.status, [run.error for run in report.syncs]
    assert 11 == len(story.there())
    assert theirs in story.there()
    moves = 1 if kind == "mail" else 0
    assert (5 + moves, 2 + moves) == (len(story.vendor.moved("add")), len(story.vendor.moved("remove")))
    story.people(8, stage="lead")
    story.sync()
    assert 10 == len(story.there())


def _killed(story: Story, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        options = arm(story, patch)
        with pytest.raises(KilledProcess):
            story.sync(**options)
    story.vendor.fault = None


def test_a_kill_between_two_members_leaves_ours_for_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An add that was never answered makes the member ours: it can be taken out, though nothing ever confirmed it."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    _killed(story, _at_vendor("after apply"), monkeypatch)
    assert ids(1, 2, 3) == story.there()
    story.people(1, 2, stage="lead")
    story.sync()

    assert ids(3) == story.there()


def test_who_changes_after_a_first_run_that_was_broken_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was carried out whole, so there is no plan to differ from, but members are there: under the address of then."""
    story = Story(tmp_path, kind="mail")
    story.people(*range(1, 8))
    _killed(story, _at_vendor("before apply", 2), monkeypatch)
    put_in = story.there()
    assert 0 < len(put_in) < 7
    first = min(n for n in range(1, 8) if f"p{n}@example.com" in put_in)
    story.people(first, email="new@example.com")
    story.sync()
    story.sync()

    right = {f"p{n}@example.com" for n in range(1, 8) if n != first} | {"new@example.com"}
    assert right == story.there()

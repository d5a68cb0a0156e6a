"""What no connector shipped does, and the contract has words for: seeds, several batches at once, accepted without proof."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.audiences import Tag
from support.killed import KilledProcess
from support.story import Story, ids

from core.contract import Verdict
from core.errors import AuthError, TransientError
from core.store.runs import Status


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A vendor that cannot make an empty list, and takes three batches at once."""
    return Story(tmp_path, kind="campaign")


def _once(where: str, error: BaseException) -> object:
    asked: list[str] = []

    def fault(at: str) -> None:
        if at == where and not asked:
            asked.append(at)
            raise error

    return fault


@pytest.mark.parametrize("where", [None, "before create", "after create"])
@pytest.mark.parametrize("error", [KilledProcess(), TransientError("timeout")], ids=["killed", "no answer"])
def test_whom_an_audience_is_made_with_is_ours(story: Story, where: str | None, error: BaseException) -> None:
    """Although the vendor then says "was so already": also when the process ended before it had the answer."""
    story.people(1, 2)
    if where is not None:
        story.vendor.fault = _once(where, error)
        if isinstance(error, KilledProcess):
            with pytest.raises(KilledProcess):
                story.sync()
        else:
            story.sync()
        story.vendor.fault = None
    story.sync()
    assert ["Vips"] == list(story.vendor.names)
    assert ids(1, 2) == story.there()
    assert {("ours", 2)} == _states(story)

    story.people(1, 2, stage="lead")
    story.people(3)
    story.sync()
    assert ids(3) == story.there()


def test_a_seed_who_is_no_longer_wanted_after_a_kill_is_taken_out(story: Story) -> None:
    story.people(1, 2)
    story.vendor.fault = _once("after create", KilledProcess())
    with pytest.raises(KilledProcess):
        story.sync()
    story.people(1, stage="lead")
    story.sync()
    assert ids(2) == story.there()


def test_nobody_is_put_into_an_audience_that_can_be_made_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connector that does not say it needs a seed gets none."""
    seeds: list[int] = []
    real = Tag.create
    monkeypatch.setattr(Tag, "create", lambda self, api, name, seed: seeds.append(len(seed)) or real(self, api, name, seed))
    story = Story(tmp_path)
    story.people(1)
    story.sync()
    assert [0] == seeds


def test_several_batches_are_under_way_at_once(story: Story) -> None:
    """As many as the vendor takes and no more; whatever order they end in, each member gets its own outcome."""
    story.people(*range(1, 16))
    story.vendor.verdicts = {"5": Verdict.SUPPRESSED, "15": Verdict.REJECTED}
    together, running, most, began = threading.Barrier(3), [0], [0], [0]
    lock = threading.Lock()

    def fault(where: str) -> None:
        with lock:
            running[0] += {"before apply": 1, "after apply": -1}.get(where, 0)
            most[0] = max(most[0], running[0])
            began[0] += where == "before apply"
            first = began[0] <= 3
        if where == "before apply" and first:
            together.wait(60)  # three are under way, or this test fails

    story.vendor.fault = fault
    report = story.sync()
    assert Status.DONE == report.status
    assert 3 == most[0]
    assert {("add", "done"): 12, ("add", "noop"): 1, ("add", "suppressed"): 1, ("add", "rejected"): 1} == dict(
        report.syncs[0].reports["vips"].verdicts
    )
    assert ids(*range(1, 16)) - ids(5, 15) == story.there()
    assert {("ours", 13), ("suppressed", 1)} == _states(story)
    assert 0 == _open(story)
    assert 1 == report.new_dead_letters


def test_a_batch_that_fails_among_others_leaves_them_their_outcomes(story: Story) -> None:
    """What was under way beside it is settled, what had not begun is not sent, and the next run does the rest."""
    story.people(1)
    story.sync()
    story.people(*range(2, 17))
    first, lock, began = [], threading.Lock(), [0]
    together = threading.Barrier(3)

    def fault(where: str) -> None:
        if where != "before apply":
            return
        with lock:
            began[0] += 1
            first.append(threading.current_thread())
        together.wait(60)
        if threading.current_thread() is first[0]:
            raise AuthError("the key was taken back", status=401)
        first[0].join(60)  # its failure is known when these end

    story.vendor.fault = fault
    report = story.sync()
    assert Status.FAILED == report.syncs[0].status
    assert 3 == began[0]
    verdicts = report.syncs[0].reports["vips"].verdicts
    assert {("add", "done"): 6, ("add", "retry"): 3} == dict(verdicts)
    assert 0 == _open(story)
    assert {("ours", 7)} == _states(story)

    story.vendor.fault = None
    story.sync()
    assert ids(*range(1, 17)) == story.there()
    assert 16 == len(story.vendor.moved("add"))


def test_what_is_accepted_without_proof_is_ours_and_never_called_done(tmp_path: Path) -> None:
    """So it can be taken out again, and is not sent twice."""
    story = Story(tmp_path)
    story.people(1, 2)
    story.vendor.verdicts = {"1": Verdict.SENT}
    report = story.sync()
    assert {("add", "sent"): 1, ("add", "done"): 1} == dict(report.syncs[0].reports["vips"].verdicts)
    assert {("ours", 2)} == _states(story)
    writes = story.vendor.writes
    story.sync()
    assert writes == story.vendor.writes

    story.people(1, 2, stage="lead")
    story.people(3)
    report = story.sync()
    assert {("remove", "sent"): 1, ("remove", "done"): 1, ("add", "done"): 1} == dict(report.syncs[0].reports["vips"].verdicts)
    assert {("ours", 1)} == _states(story)


def _states(story: Story) -> set[tuple[str, int]]:
    with story.store() as store:
        return set(store.conn.execute("SELECT state, count(*) FROM ledger GROUP BY state"))


def _open(story: Story) -> int:
    with story.store() as store:
        (count,) = store.conn.execute("SELECT count(*) FROM intents WHERE settled_at IS NULL").fetchone()
        return int(count)

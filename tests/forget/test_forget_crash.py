"""Whatever interrupts a forgetting, the next call goes on with it, and in between nobody adds the person anywhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta

import pytest
from forgetting import ANN, ANN_ID, TELLING, ForgetStory, telling
from support.killed import KilledProcess, killed_at

from core.contract import Verdict
from core.errors import LeaseLost, QuotaExhausted, StoreError, TransientError
from core.store import leases, pauses, runs
from core.store.person_key import key_path
from core.store.runs import Status
from core.store.sources import rebind

STEPS = ("begun", "removed crm Vips", "erased crm", "swept", "resolved", "scrubbed")


def _kill_after(name: str) -> Callable[[str], None]:
    def step(done: str) -> None:
        if done == name:
            raise KilledProcess

    return step


@pytest.mark.parametrize("after", STEPS)
def test_a_kill_after_any_step_is_gone_on_with(story: ForgetStory, after: str) -> None:
    """One certificate in the end, one removal and one erasure at the vendor, nothing left in any file."""
    story.settled()
    with pytest.raises(KilledProcess):
        story.forget(step=_kill_after(after))
    story.sync()  # a daemon goes on meanwhile
    assert after == "begun" or ANN_ID not in story.there()

    forgot = story.forget()

    assert Status.DONE is forgot.status
    assert forgot.certificate["done_at"]
    if after != "begun":  # after that, the sync in between had removed them: the pull no longer knew them
        assert ["removed"] == [one["did"] for one in forgot.certificate["connections"][0]["audiences"]]
    assert "erased" == forgot.certificate["connections"][0]["erasure"]["did"]
    assert [ANN_ID] == story.vendor.moved("remove")
    assert 1 == len(story.sought)
    assert [] == telling(story.bytes_of_all_files(), *TELLING)
    again = story.forget()
    assert forgot.certificate == again.certificate  # asked once more, it is shown


@pytest.mark.parametrize("where", ["before apply", "after apply"])
def test_a_kill_around_the_removal_is_gone_on_with(story: ForgetStory, where: str) -> None:
    """The intent is open: who knows whether the vendor acted."""
    story.settled()
    with killed_at(story.vendor, where):
        story.forget()
    assert Status.DONE is story.forget().status
    assert {"1", "2", "3", "4", "5"} == story.there()
    assert [] == telling(story.bytes_of_all_files(), *TELLING)


def test_between_the_calls_nobody_adds_them_back(story: ForgetStory) -> None:
    """Removed, and the erasure fails; a sync in between would add them again, for they are in the segment."""
    story.settled()

    def down() -> None:
        raise TransientError("the vendor is away", maybe_acted=False)

    story.erase_fault = down
    forgot = story.forget()
    assert (Status.FAILED, ["crm"]) == (forgot.status, list(forgot.failed))
    assert "done_at" not in forgot.certificate
    (made,) = story.sync(pull=False).syncs[0].plans
    assert ["being_forgotten"] == list(made.draft.consent), "no plan has them, though they are wanted still"
    assert ANN_ID not in story.there()
    story.erase_fault = None
    assert Status.DONE is story.forget().status


def test_a_destination_that_cannot_be_asked_is_let_go_of(story: ForgetStory) -> None:
    """By hand then: the certificate lists what to do, and where."""
    story.settled()

    def down() -> None:
        raise TransientError("the vendor is away", maybe_acted=False)

    story.erase_fault = down
    story.forget()
    forgot = story.forget(by_hand=frozenset(["crm"]))
    assert Status.DONE is forgot.status
    (left,) = forgot.certificate["by_hand"]
    assert ("crm", "https://docs.example.com/erase") == (left["connection"], left["docs_url"])
    assert "--everywhere" not in left["what"]
    assert [] == telling(story.bytes_of_all_files(), *TELLING)


def test_a_refusal_of_the_vendor_is_left_for_a_person(story: ForgetStory) -> None:
    """Asked and refused: nobody asks a second time."""
    story.verdict = Verdict.REJECTED
    forgot = story.settled().forget()
    assert "refused" == forgot.certificate["connections"][0]["erasure"]["did"]
    assert ["crm"] == [one["connection"] for one in forgot.certificate["by_hand"]]


def test_a_job_under_way_is_waited_for(story: ForgetStory) -> None:
    """The vendor may still add them: what is asked of it then would come too early."""
    story.kind = "job"
    story.syncs.clear()
    story.add_sync("vips")
    story.people(1, 2, 3)
    story.ann()
    story.sync()
    assert set() == story.there()
    forgot = story.forget()
    assert Status.WAITING is forgot.status
    story.vendor.jobs_done = True
    assert Status.WAITING is story.forget().status  # the removal is a job as well
    assert Status.DONE is story.forget().status
    assert {"1", "2", "3"} == story.there()


def test_without_its_key_nothing_is_pulled(story: ForgetStory) -> None:
    """Rather than let people back whom nobody can tell any more."""
    story.can_erase = False
    story.settled()
    story.forget()
    path = key_path(story.folder / "tagalong.db")
    key = path.read_text()
    path.unlink()
    with pytest.raises(StoreError, match="is gone"):
        story.sync()
    with story.store() as store:
        (run,) = runs.runs(store.conn, name="crm", limit=1)
        assert (Status.FAILED, True) == (run.status, "is gone" in str(run.error)), "as every alert and probe has to see it"
    path.write_text("ab" * 32)
    with pytest.raises(StoreError, match="not the key"):
        story.sync()
    path.write_text("nonsense")
    with pytest.raises(StoreError, match="damaged"):
        story.sync()
    assert ANN_ID not in story.there()
    path.write_text(key)
    story.sync()
    assert ANN_ID not in story.there()
    assert ANN in {person["email"] for person in story.vendor.people.values()}


def test_a_sync_under_way_is_waited_for_and_not_overtaken(story: ForgetStory) -> None:
    """It may have planned before: what it still sends comes first, and where it does not end nothing is swept."""
    story.settled()
    held = leases.hold(story.folder / "tagalong.db", "sync.vips", lambda: story.now)
    with held, pytest.raises(LeaseLost, match="is at it"):
        story.forget()
    assert ANN_ID in story.there()
    assert len(story.slept) > 100
    with story.store() as store:
        assert [Status.STOPPED] == [run.status for run in runs.runs(store.conn, kind="forget")]
    assert Status.DONE is story.forget().status


def test_a_paused_sync_is_not_asked(story: ForgetStory) -> None:
    """Paused is paused; the forgetting stays open, and says why."""
    story.settled()
    with story.store() as store:
        pauses.pause(store, "sync.vips", at=story.now)
    forgot = story.forget()
    assert (Status.FAILED, True) == (forgot.status, "paused" in forgot.failed["crm"])
    assert ANN_ID in story.there()
    with story.store() as store:
        pauses.resume(store, "sync.vips")
    assert Status.DONE is story.forget().status


def test_a_quota_that_is_used_up_is_waited_for(story: ForgetStory) -> None:
    """Not a failure: the next call goes on."""
    story.settled()

    def used_up() -> None:
        raise QuotaExhausted("the day's requests are used up", resume_at=story.now + timedelta(hours=3))

    story.erase_fault = used_up
    assert Status.WAITING is story.forget().status
    story.erase_fault = None
    assert Status.DONE is story.forget().status


def test_an_audience_of_another_account_is_left_for_a_person(story: ForgetStory) -> None:
    """After a rebind nobody here has the old account's credentials."""
    story.settled()
    with story.store() as store:
        rebind(store, "crm")
    story.vendor.account = "acc-2"
    story.vendor.audiences.clear()
    story.vendor.names.clear()
    story.sync()
    forgot = story.forget()
    assert ["of account acc-1: the credentials are another account's"] == [
        left["what"].partition("'Vips' ")[2] for left in forgot.certificate["by_hand"]
    ]
    assert [ANN_ID] == story.sought[-1].records["contacts"]
    assert [] == telling(story.bytes_of_all_files(), *TELLING)


def test_a_reader_of_an_old_state_is_waited_for(story: ForgetStory) -> None:
    """As long as somebody reads the old log it cannot be cut off: that is said, and done by the next call."""
    story.settled()
    reader = sqlite3.connect(story.folder / "tagalong.db")
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM profiles").fetchone()
        with pytest.raises(StoreError, match="reads an old state"):
            story.forget()
        assert telling(story.bytes_of_all_files(), ANN)
    finally:
        reader.close()
    forgot = story.forget()
    assert (Status.DONE, True) == (forgot.status, forgot.certificate["store"]["rewritten"])
    assert [] == telling(story.bytes_of_all_files(), *TELLING)

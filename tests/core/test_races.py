"""Two at once: what one process has looked at is not what it is to do any more, since another has done something meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import audiences as vendors
from support.audiences import Tag, WholeFile
from support.place import place
from support.story import Story, held, ids, skips
from support.world import load_everything

from core import evaluated
from core.contract import Category, Change, Fault, Page, Ref
from core.errors import LeaseLost, TransientError
from core.forget.flow import Wish, forget
from core.planning.approve import approve
from core.pulling.fill import Event, pull
from core.pushing.whole import Whole
from core.run import SyncReport, plan, sync
from core.segments.evaluate import Evaluation, evaluate
from core.store import Store, audiences, leases, refusals
from core.store.runs import Status


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A world with one sync of vips."""
    return Story(tmp_path)


def sync_while(story: Story, meanwhile: Callable[[], object]) -> SyncReport:
    """Sync, and have *meanwhile* done when who is wanted is known and nothing is planned yet."""
    left = [meanwhile]

    def on_event(event: Event) -> None:
        if event.what == "sync_started" and left:
            left.pop()()

    story.pass_time()
    return sync(story.hub(), on_event=on_event)


def test_who_another_run_has_put_in_meanwhile_is_not_taken_out(story: Story) -> None:
    """With several syncs in one command the last may be planned an hour after everybody was looked at."""
    story.people(1, 2)
    story.sync()

    def another() -> None:
        story.people(3)
        story.people(2, stage="lead")
        assert Status.DONE == story.sync().status

    report = sync_while(story, another)

    assert Status.DONE == report.status
    assert ["2"] == story.vendor.moved("remove")
    assert ids(1, 3) == story.there()
    assert ["1", "2", "3"] == sorted(story.vendor.moved("add"))


def test_who_was_joined_to_somebody_meanwhile_is_not_taken_out(story: Story) -> None:
    """Their membership is the other's now, whom the evaluation did not know for a vip."""
    story.people(1, stage="")
    story.people(2, 3)
    story.sync()

    def joined() -> None:
        story.pass_time()
        story.people(2, user_id="u1", first_name="Ann")
        assert [Status.DONE] == [run.status for run in pull(story.hub())]

    sync_while(story, joined)
    assert [] == story.vendor.moved("remove")
    story.sync()
    assert ids(2, 3) == story.there()
    assert [] == story.vendor.moved("remove")


def test_who_has_left_meanwhile_is_not_put_in_anew(story: Story) -> None:
    """The add of a campaign sends a mail, and nobody takes that back."""
    story.people(1)
    story.sync()
    story.people(2, 3)

    def left() -> None:
        story.pass_time()
        story.people(2, stage="lead")
        pull(story.hub())

    report = sync_while(story, left)
    assert ids(1, 3) == story.there()
    assert {"changed": 1} == skips(report)


def test_who_changes_while_others_are_sent_is_left_to_the_next_run(story: Story) -> None:
    """A push of hours, and pulls beside it: a campaign mails who has left the segment by then, and drops who has come back."""
    story.people(*range(1, 12))
    story.sync()
    story.people(*range(12, 21))
    story.people(8, 9, 10, 11, stage="lead")
    left = [True]

    def another(where: str) -> None:
        if where == "before apply" and left:
            left.pop()
            story.people(20, stage="lead")
            story.people(11, stage="vip")
            story.pass_time()
            assert [Status.DONE] == [run.status for run in pull(story.hub())]

    story.vendor.fault = another
    assert Status.DONE == story.sync().status
    assert ids(*range(1, 8), *range(11, 20)) == story.there()
    assert Status.DONE == story.sync().status
    assert ids(*range(1, 8), *range(11, 20)) == story.there()
    assert {"11", "20"}.isdisjoint(story.vendor.moved()[11:])


def test_who_says_no_while_others_are_sent_is_not_added(tmp_path: Path) -> None:
    """A first run takes as long as the vendor's limits have it, and `suppress` is not to wait for its end."""
    story = Story(tmp_path, kind="mail", category=Category.EMAIL)
    story.add_sync("vips", create_missing=True)
    story.people(*range(1, 8))
    story.vendor.unknown = {"p6@example.com"}

    def suppress(where: str) -> None:
        if where == "before apply":
            with story.store() as store, store.atomic() as conn:
                for address in ("p5@example.com", "p6@example.com"):
                    refusals.enter(conn, "email", address, channel="email", reason="asked", at=1)

    story.vendor.fault = suppress
    story.sync()
    story.vendor.fault = None

    assert {f"p{n}@example.com" for n in (1, 2, 3, 4, 7)} == story.there()
    assert {"consent": 2} == skips(story.sync())


def test_who_says_no_or_is_forgotten_while_a_file_is_written_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of a million people takes its time; nothing may take the old one's place that has somebody in it who said no."""
    stories = []
    for folder, looks in (("without", False), ("with", True)):
        (tmp_path / folder).mkdir()
        stories.append(_while_a_file_is_written(Story(tmp_path / folder, kind="file"), monkeypatch, looks=looks))
    harmed, story = stories
    assert 5 == len(harmed.there()), "nobody looked again: one who said no and one who was forgotten are in it"
    assert 3 == len(story.there())
    with story.store() as store:
        assert [] == store.conn.execute("SELECT 1 FROM intents WHERE settled_at IS NULL").fetchall()
        (owned,) = (len(audiences.standing(store.conn, row.id).owned) for row in audiences.bound_to(store.conn, "vips"))
    assert 3 == owned
    assert {"consent": 1} == skips(story.sync())
    assert 3 == len(story.there())


def _while_a_file_is_written(story: Story, monkeypatch: pytest.MonkeyPatch, *, looks: bool) -> Story:
    story.add_sync("vips", require_consent=True)
    story.people(1, 2, 3)
    story.sync()
    story.people(4, 5)
    left = [True]
    as_ever = WholeFile.replace

    def meanwhile(of: WholeFile, api: Any, audience_id: str, members: Iterator[Change]) -> None:
        def slowly() -> Iterator[Change]:
            for change in members:
                if left and left.pop():
                    with story.store() as store, store.atomic() as conn:
                        refusals.enter(conn, "email", "p5@example.com", channel="email", reason="asked", at=1)
                    # somebody forgets them who knows nothing of this sync, and does not wait for its lease
                    story.syncs = {"others": replace(story.syncs["vips"], name="others", audience_name="Others")}
                    assert Status.DONE == forget(story.hub(), Wish("p1@example.com", by_hand=frozenset({"crm"}))).status
                yield change

        as_ever(of, api, audience_id, slowly())

    with monkeypatch.context() as patch:
        patch.setattr(WholeFile, "replace", meanwhile)
        if not looks:
            patch.setattr(Whole, "_members", lambda self, row, out: self.batches.everybody(row, out))
        story.sync()
    story.add_sync("vips", require_consent=True)
    del story.syncs["others"]
    return story


def test_a_renamed_sync_waits_for_the_run_under_the_old_name(tmp_path: Path) -> None:
    """Their leases have different names; each add to this audience starts a campaign, and an open intent looks like a crash."""
    story = Story(tmp_path, kind="list")
    story.people(*range(1, 6))
    ended: list[Status] = []

    def renamed(where: str) -> None:
        if where == "before apply" and not ended:
            story.syncs = {"regulars": replace(story.syncs["vips"], name="regulars")}
            ended.append(Status.DONE)
            ended[:] = [story.sync().status]

    story.vendor.fault = renamed
    assert Status.DONE == story.sync().status
    assert [Status.STOPPED] == ended
    assert 5 == sum(adds for adds, _ in story.vendor.sizes), "nobody is sent twice"

    report = story.sync()
    assert Status.DONE == report.status
    assert ("takes over what vips put there",) == report.syncs[0].plans[0].notes
    assert ids(*range(1, 6)) == story.there()


def test_who_wakes_up_to_find_the_lease_taken_sends_not_even_the_batch_in_hand_again(tmp_path: Path) -> None:
    """A lid that was closed for an hour in the middle of a request: what is tried again would undo what was done since."""
    with place(tmp_path / "world", "hubspot", kind="list", people=6) as there:
        there.want(row["email"] for row in load_everything.rows("people", people=6) if row.get("email"))
        tries: list[str] = []

        def taken_over(method: str, path: str, _number: int) -> Fault | None:
            if method != "PUT" or "memberships" not in path:
                return None
            tries.append(path)
            with Store(there.folder / "tagalong.db") as store, store.atomic() as conn:
                conn.execute("UPDATE leases SET owner = 'another', host = 'elsewhere' WHERE name = 'sync.chosen_to_there'")
            return Fault(503, {}, b"")

        there.served.faults = taken_over
        (run,) = there.sync().syncs

    assert Status.STOPPED == run.status
    assert 1 == len(tries)


def test_a_plan_beside_the_first_run_forgets_nobody_who_was_there(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads who was there before us; the one that comes second must not throw away what the first has read."""
    story.vendor.make("Vips", map(str, range(1, 9)))
    story.people(*range(1, 9), stage="lead")
    story.people(9)
    pull(story.hub())
    read = Tag.members
    begun, sent = threading.Event(), threading.Event()
    beside = threading.Thread(target=lambda: plan(story.hub()))

    def members(self: Tag, api: Any, audience_id: str) -> Iterator[Sequence[Ref]]:
        for number, page in enumerate(read(self, api, audience_id)):
            if threading.current_thread() is beside:
                begun.set()
                sent.wait(60)
            elif number == 2:
                beside.start()
                begun.wait(60)
            yield page

    monkeypatch.setattr(Tag, "members", members)
    story.sync()
    sent.set()
    beside.join()
    assert ids(*range(1, 10)) == story.there()
    with story.store() as store:
        assert 8 == len(audiences.standing(store.conn, 1).theirs)


def test_who_is_forgotten_while_others_are_sent_under_an_old_name_is_not_added(tmp_path: Path) -> None:
    """A daemon that has taken another config over ends what it began: a sync that the command line knows nothing of."""
    story = Story(tmp_path, kind="mail")
    story.people(*range(1, 8))
    forgot: list[Status] = []

    def forget_five(where: str) -> None:
        if where == "before apply" and not forgot:
            story.syncs = {"regulars": replace(story.syncs["vips"], name="regulars", audience_name="Regulars")}
            forgot.append(forget(story.hub(), Wish("p5@example.com")).status)

    story.vendor.fault = forget_five
    story.sync()

    assert [Status.DONE] == forgot
    assert {f"p{n}@example.com" for n in (1, 2, 3, 4, 6, 7)} == story.there()
    with story.store() as store:
        assert [] == store.conn.execute("SELECT * FROM intent_members WHERE member_key = 'p5@example.com'").fetchall()


def test_a_loss_is_not_approved_while_a_pull_finds_out_whether_it_is_one(story: Story) -> None:
    """The rows that are held may be on its next page; what it has collected by then is more than anybody was shown."""
    story.people(*range(1, 51))
    story.sync()
    gone = {str(n): story.vendor.people.pop(str(n)) for n in range(1, 31)}
    assert {"vips": ["vanished"]} == held(story.sync())
    story.vendor.people |= gone
    refused: list[LeaseLost] = []

    def approved(page: int) -> None:
        if page == 1:
            with pytest.raises(LeaseLost) as caught:
                approve(story.hub(), "crm.contacts")
            refused.append(caught.value)

    story.vendor.pull_fault = approved
    assert Status.DONE == story.sync().status
    assert 1 == len(refused)
    assert ids(*range(1, 51)) == story.there()
    assert [] == story.vendor.moved("remove")


def test_what_somebody_else_is_just_reading_is_not_gone_by(tmp_path: Path) -> None:
    """The people are there by then, and what they did is not yet: *not did(...)* would add everybody who came."""
    story = Story(tmp_path, with_events=True, segments={"vip": 'lifecycle_stage == "vip" and not did("Churned")'})
    story.people(1)
    story.people(5, stage="lead")
    story.event(5, "Churned", story.now)
    story.sync()
    story.people(2, 3, 4, 6)
    story.event(2, "Churned", story.now)
    beside: list[SyncReport] = []

    def another(page: int) -> None:
        if page == 1 and not beside:
            story.vendor.pull_fault = None
            beside.append(sync(story.hub()))

    story.vendor.pull_fault = another
    story.pass_time()
    assert [Status.DONE] == [run.status for run in pull(story.hub())]

    assert [Status.STOPPED] == [run.status for run in beside[0].syncs]
    assert "is at it; wait for it to end" in str(beside[0].syncs[0].error)
    assert ["1"] == story.vendor.moved()
    assert Status.DONE == story.sync().status
    assert ids(1, 3, 4, 6) == story.there()


def half_told(tmp_path: Path) -> Story:
    """Many came, one of whom has churned: whoever pulls stores the people first, and what they did after that."""
    story = Story(tmp_path, with_events=True, segments={"vip": 'lifecycle_stage == "vip" and not did("Churned")'})
    story.people(1)
    story.people(5, stage="lead")
    story.event(5, "Churned", story.now)
    story.sync()
    story.people(*range(10, 25))
    story.event(12, "Churned", story.now)
    return story


def pull_with(story: Story, beside: Callable[[], object]) -> None:
    """Pull, and have *beside* done once some of the people are stored."""
    left = [beside]

    def on_page(page: int) -> None:
        if page == 3 and left:
            story.vendor.pull_fault = None
            left.pop()()

    story.vendor.pull_fault = on_page
    story.pass_time()
    assert [Status.DONE] == [run.status for run in pull(story.hub())]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "not"])
def test_nobody_is_moved_by_what_somebody_else_has_half_read(tmp_path: Path, guarded: bool) -> None:
    """A pull by hand while the daemon, whose own pull is not due, comes to its sync."""
    story, beside = half_told(tmp_path), list[SyncReport]()
    guards = {} if guarded else {"source_guards": ()}
    pull_with(story, lambda: beside.append(sync(story.hub(), pull=False, **guards)))

    if not guarded:
        assert "12" in story.vendor.moved("add"), "who has churned is in"
        return
    assert [Status.STOPPED] == [run.status for run in beside[0].syncs]
    assert "was being read while it was found out who is wanted" in str(beside[0].syncs[0].error)
    assert ["1"] == story.vendor.moved()
    assert Status.DONE == story.sync().status
    assert ids(1, 10, 11, *range(13, 25)) == story.there()


def test_a_pull_that_begins_once_everybody_was_looked_at_holds_nobody_up(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one pull follows upon another there would be no moment left for a sync of a large store."""
    story.people(1)
    pull(story.hub())
    with ExitStack() as others:

        def looked_at(*given: Any, **options: Any) -> Evaluation:
            found = evaluate(*given, **options)
            others.enter_context(leases.hold(story.hub().path, "connection.crm", lambda: story.now))
            with story.store() as store, store.atomic() as conn:
                conn.execute("UPDATE streams SET reading = 99")
            return found

        monkeypatch.setattr(evaluated, "evaluate", looked_at)
        assert Status.DONE == story.sync(pull=False).status
    assert ids(1) == story.there()


def test_what_was_half_read_when_it_was_looked_at_is_looked_at_once_more(tmp_path: Path) -> None:
    """With several syncs in one command the last may be planned when the pull has long ended: it is sound by then."""
    story, reports = half_told(tmp_path), list[SyncReport]()
    looked, ended = threading.Event(), threading.Event()

    def on_event(event: Event) -> None:
        if event.what == "sync_started":
            looked.set()
            ended.wait(60)

    beside = threading.Thread(target=lambda: reports.append(sync(story.hub(), pull=False, on_event=on_event)))
    pull_with(story, lambda: (beside.start(), looked.wait(60)))
    ended.set()
    beside.join()

    assert [Status.DONE] == [run.status for run in reports[0].syncs]
    assert ids(1, 10, 11, *range(13, 25)) == story.there()
    assert [] == story.vendor.moved("remove")


def test_what_had_failed_when_it_was_looked_at_is_looked_at_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guards would have held it; by the time that they are asked somebody else has pulled it whole."""
    story = half_told(tmp_path)
    well = vendors.events

    def broken(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
        raise TransientError("gone")
        yield

    monkeypatch.setattr(vendors, "events", broken)
    story.pass_time()
    assert [Status.FAILED] == [run.status for run in pull(story.hub())]
    monkeypatch.setattr(vendors, "events", well)
    left = [True]

    def on_event(event: Event) -> None:
        if event.what == "sync_started" and left:
            left.pop()
            story.pass_time()
            assert [Status.DONE] == [run.status for run in pull(story.hub())]

    report = sync(story.hub(), pull=False, on_event=on_event)

    assert Status.DONE == report.status
    assert ids(1, 10, 11, *range(13, 25)) == story.there()
    assert "12" not in story.vendor.moved()


def test_a_sync_waits_for_whoever_pulls_what_it_needs(story: Story) -> None:
    """They are as good as its own pull would be, and often about to be done."""
    story.people(1)
    story.sync()
    story.people(2)
    with ExitStack() as others:
        others.enter_context(leases.hold(story.hub().path, "connection.crm", lambda: story.now))
        hub = story.hub()
        hub.sleep = lambda _s: others.close()
        story.pass_time()
        assert Status.DONE == sync(hub).status
    assert ids(1, 2) == story.there()

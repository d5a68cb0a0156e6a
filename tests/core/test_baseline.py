"""Who was there before us, by the sync's `baseline`: left alone, adopted, or replaced once a person approved it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.audiences import Tag
from support.killed import killed_at
from support.story import Story, held, ids

from core.contract import Category, Verdict
from core.errors import ConfigError
from core.forget.flow import Wish, forget
from core.planning import draft
from core.planning.approve import approve
from core.planning.plan import Plan
from core.pulling.fill import pull
from core.run import SyncReport, plan
from core.store import Store, audiences, ledger
from core.store.ledger import Entry, State
from core.store.runs import Status


def settled(make: Callable[..., Story], baseline: str, **options: Any) -> Story:
    """Return a story before its first sync: 1 and 2 wanted, 3 and 4 not; 2, 3, 8 and two strangers are there already."""
    story = make(**options)
    story.vendor.make("Vips", ["2", "3", "8", "90", "91"])
    story.people(1, 2)
    story.people(3, 4, 8, stage="lead")
    story.add_sync("vips", baseline=baseline)
    return story


def of(report: SyncReport) -> Plan:
    (made,) = report.syncs[0].plans
    return made


def states(story: Story) -> dict[str, str]:
    with story.store() as store:
        (row,) = audiences.audiences(store.conn)
        return {entry.ref.remote_id: str(entry.state) for entry in ledger.rows(store.conn, row.id)}


def switch(story: Story, baseline: str) -> None:
    story.add_sync("vips", baseline=baseline)


def test_by_default_who_was_there_stays_theirs(make: Callable[..., Story]) -> None:
    """Also when they are wanted, and then are not."""
    story = settled(make, "ignore")
    story.sync()
    story.people(1, 2, stage="lead")
    story.sync()

    assert ids(2, 3, 8, 90, 91) == story.there()


def test_adopted_are_the_wanted_and_they_leave_like_anybody(make: Callable[..., Story]) -> None:
    """Nothing is sent for it; who was not wanted at the first write stays, whatever they become later."""
    story = settled(make, "adopt")
    report = story.sync()
    assert (1, [("Vips", "add", "1")]) == (len(of(report).draft.baseline.adopted), story.vendor.log)
    assert {"1": "ours", "2": "ours", "3": "foreign", "8": "foreign", "90": "foreign", "91": "foreign"} == states(story)

    story.people(3)
    story.sync()
    story.people(1, 2, 3, stage="lead")
    story.sync()
    assert ids(3, 8, 90, 91) == story.there()


def test_the_adopted_of_a_list_that_nothing_was_sent_to_are_ours_alone(make: Callable[..., Story]) -> None:
    """Who is there is read until the first write; whoever is ours by then must not be taken for one of theirs as well."""
    story = make()
    story.vendor.make("Vips", ["1", "2", "3"])
    story.people(1, 2, 3)
    story.add_sync("vips", baseline="adopt")
    story.sync()
    story.sync()
    assert {"1": "ours", "2": "ours", "3": "ours"} == states(story)

    story.people(1, stage="lead")
    story.sync()
    assert ids(2, 3) == story.there()
    story.people(1)
    story.sync()
    assert ids(1, 2, 3) == story.there()


def test_without_adopting_a_list_made_by_hand_would_never_lose_anybody(make: Callable[..., Story]) -> None:
    """The harm that `ignore` does to who wants the list to follow the segment."""
    for baseline, there in (("ignore", ids(2, 3, 8, 90, 91)), ("adopt", ids(3, 8, 90, 91))):
        story = settled(make, baseline)
        story.sync()
        story.people(2, 1, stage="lead")
        story.sync()
        assert there == story.there()


def test_adopted_by_a_key_that_changes_is_one_move(make: Callable[..., Story]) -> None:
    """The row of somebody adopted is under their key, so that another key is seen as such."""
    story = make(kind="mail")
    story.vendor.make("Vips", ["p1@example.com"])
    story.people(1)
    story.add_sync("vips", baseline="adopt")
    story.sync()
    story.people(1, email="new@example.com")
    story.sync()

    assert {"new@example.com"} == story.there()


@pytest.mark.parametrize("kind", ["tag", "mail"])
def test_who_was_adopted_before_anything_was_sent_is_put_in_again(make: Callable[..., Story], kind: str) -> None:
    """Until the first write the members are read with every run, and who is ours by then is not theirs once more."""
    story = make(kind=kind)
    story.people(1)
    member = "1" if kind == "tag" else "p1@example.com"
    story.vendor.make("Vips", [member])
    story.add_sync("vips", baseline="adopt")
    for stage, there in (("vip", {member}), ("vip", {member}), ("lead", set()), ("vip", {member}), ("lead", set())):
        story.people(1, stage=stage)
        story.sync()
        assert there == story.there()


def test_adopted_members_get_the_values_that_the_audience_carries(make: Callable[..., Story]) -> None:
    """They are there, but nobody ever wrote what we would have."""
    story = make(kind="field")
    story.vendor.make("Vips", ["1"])
    story.people(1, country="SE")
    story.add_sync("vips", baseline="adopt", audience_kind="field")
    story.sync()

    assert {"1": {"country": "SE"}} == story.vendor.audiences["a1"]


def test_replacing_waits_for_a_person_who_sees_how_many(make: Callable[..., Story]) -> None:
    """The harm without the hold is a list that somebody else made, gone; adds go on meanwhile."""
    story = settled(make, "replace")
    report = story.sync()
    assert {"vips": ["replace"]} == held(report)
    (hold,) = of(report).held
    assert {"removals": 4, "strangers": 2} == hold.facts
    assert "would remove 4" in hold.reason
    assert ids(1, 2, 3, 8, 90, 91) == story.there()
    assert {"vips": ["replace"]} == held(story.sync())
    assert "foreign" == states(story)["2"], "nothing is adopted before somebody agreed"

    assert 4 == approve(story.hub(), "vips").removes
    assert ids(1, 2) == story.there()
    assert {"1": "ours", "2": "ours"} == states(story)
    assert {} == held(story.sync())


def test_without_the_hold_a_list_of_somebody_else_is_gone(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """By one word in a config."""
    story = settled(make, "replace")
    whole = draft.baseline.find

    def careless(*args: Any, **options: Any) -> Any:
        found = whole(*args, **options)
        return draft.replace(found, leaves=found.leaves | found.waits, waits=type(found.waits)(), through=True)

    monkeypatch.setattr(draft.baseline, "find", careless)
    story.sync()
    assert ids(1, 2) == story.there()


def test_an_approval_is_of_the_strangers_shown_and_of_nobody_else(make: Callable[..., Story]) -> None:
    """One more who was found since is another thing to approve."""
    story = settled(make, "replace")
    story.sync()
    approve(story.hub(), "vips", send=False)
    with story.store() as store, store.atomic() as conn:
        stranger = ledger.Entry("remote:92", ledger.State.FOREIGN, profile_id=None, remote_id="92")
        ledger.put(conn, 1, [stranger], sync="vips", run_id=None, at=0)
    story.vendor.audiences["a1"]["92"] = {}
    assert {"vips": ["replace"]} == held(story.sync())
    assert {"90", "91", "92"} <= story.there()
    approve(story.hub(), "vips")
    assert ids(1, 2) == story.there()


def test_somebody_found_since_the_approval_waits(make: Callable[..., Story]) -> None:
    """Who was wanted when it was shown, and is not by now, was never shown."""
    story = settled(make, "replace")
    story.sync()
    story.people(2, stage="lead")
    pull(story.hub())
    report = approve(story.hub(), "vips").report
    assert report is not None
    assert {"vips": ["replace"]} == held(report)
    assert ids(1, 2) == story.there()
    approve(story.hub(), "vips")
    assert ids(1) == story.there()


@pytest.mark.parametrize(("hours", "there"), [(23, ids(1)), (25, ids(1, 90, 91))])
def test_an_approval_of_strangers_lasts_a_day_like_any_other(make: Callable[..., Story], hours: int, there: set[str]) -> None:
    """Also where nobody else is to be replaced: what was let through once is not let through whenever it is wished again."""
    story = make()
    story.vendor.make("Vips", ["90", "91"])
    story.people(1)
    story.add_sync("vips", baseline="replace")
    story.sync()
    approve(story.hub(), "vips", send=False)
    story.add_sync("vips", baseline="adopt")
    story.sync()
    assert ids(1, 90, 91) == story.there()

    story.pass_time(timedelta(hours=hours))
    story.add_sync("vips", baseline="replace")
    story.sync()
    assert there == story.there()


def test_after_replacing_who_is_put_there_by_hand_stays(make: Callable[..., Story]) -> None:
    """It is done once: a baseline, not a war with whoever adds people by hand."""
    story = settled(make, "replace")
    story.sync()
    approve(story.hub(), "vips")
    story.vendor.audiences["a1"] |= {"3": {}, "77": {}}
    story.people(3)
    story.sync()
    story.people(3, stage="lead")
    story.sync()
    assert ids(1, 2, 3, 77) == story.there()


def test_another_baseline_later_is_of_what_is_foreign_then(make: Callable[..., Story]) -> None:
    """Adopting takes the wanted; replacing asks first; back to ignore adopts nobody more and gives nobody back."""
    story = settled(make, "ignore")
    story.sync()
    switch(story, "adopt")
    story.sync()
    assert ("ours", "foreign") == (states(story)["2"], states(story)["3"])
    story.people(8)
    story.sync()
    assert "foreign" == states(story)["8"], "it was not wanted when the others were adopted"

    switch(story, "ignore")
    story.sync()
    assert "ours" == states(story)["2"]
    switch(story, "adopt")
    story.sync()
    assert "ours" == states(story)["8"]
    switch(story, "replace")
    assert {"vips": ["replace"]} == held(story.sync())
    switch(story, "ignore")
    assert {} == held(story.sync()), "taking it back lets go of the hold"
    switch(story, "replace")
    story.sync()
    approve(story.hub(), "vips")
    assert ids(1, 2, 8) == story.there()


@pytest.mark.parametrize("baseline", ["adopt", "replace"])
def test_where_members_cannot_be_read_nothing_is_adopted_and_the_sync_is_held(
    make: Callable[..., Story], baseline: str
) -> None:
    """From the first write on or later; nobody can approve it, and the reason says what to write."""
    story = settled(make, baseline)
    story.vendor.readable = False
    for _ in range(2):
        report = story.sync()
        assert {"vips": ["unreadable"]} == held(report)
        assert 'baseline = "ignore"' in of(report).held[0].reason
    assert [] == story.vendor.log
    with pytest.raises(ConfigError, match="cannot be approved"):
        approve(story.hub(), "vips")

    switch(story, "ignore")
    assert {} == held(story.sync())
    switch(story, baseline)
    assert {"vips": ["unreadable"]} == held(story.sync())


def test_what_we_made_has_nobody_to_adopt(make: Callable[..., Story]) -> None:
    """And what is put there by hand later is as foreign as ever."""
    story = make()
    story.add_sync("vips", baseline="replace")
    story.people(1)
    assert {} == held(story.sync())
    story.vendor.audiences["a1"]["9"] = {}
    story.people(9)
    story.sync()
    story.people(9, stage="lead")
    story.sync()
    assert ids(1, 9) == story.there()


def test_a_kill_in_the_middle_of_replacing_is_put_right_by_the_next_run(make: Callable[..., Story]) -> None:
    """Strangers are ours from the moment that they are to go, so that the next run takes out the rest."""
    for nth in range(1, 4):
        story = settled(make, "replace")
        story.sync()
        approve(story.hub(), "vips", send=False)
        with killed_at(story.vendor, "before apply", "after apply", nth=nth):
            story.sync()
        with story.store() as store, store.atomic() as conn:
            conn.execute("DELETE FROM leases")
        story.sync()
        assert ids(1, 2) == story.there()
        assert {"1": "ours", "2": "ours"} == states(story)


def test_a_stranger_whom_the_vendor_refuses_to_remove_rests_like_anybody(make: Callable[..., Story]) -> None:
    """A dead letter; not asked for again in every run."""
    story = settled(make, "replace")
    story.vendor.verdicts["90"] = Verdict.REJECTED
    story.sync()
    approve(story.hub(), "vips")
    assert ids(1, 2, 90) == story.there()
    story.sync()
    writes = story.vendor.writes
    story.sync()
    assert writes == story.vendor.writes
    story.vendor.verdicts.clear()
    story.pass_time(timedelta(days=1))
    story.sync()
    assert ids(1, 2) == story.there()


def _steps(path: Path, many: int) -> int:
    """Return how much SQLite does, in hundreds of steps, for *many* strangers beside as many who rest or are on their way."""
    steps = [0]
    with Store(path / f"{many}.db") as store:
        with store.atomic() as conn:
            rows = [Entry(f"{who}{n}", State.OURS, profile_id=None) for n in range(many) for who in ("new", "refused", "sent")]
            ledger.put(conn, 1, rows, sync="vips", run_id=None, at=0)
            conn.executemany(
                "INSERT INTO dead_letters (what, connection, audience_id, key, op, reason, first_at, last_at, next_try_at)"
                " VALUES ('member', 'mail', 1, ?, 'remove', 'no', 0, 0, 9)",
                ((f"refused{n}",) for n in range(many)),
            )
            conn.execute("INSERT INTO intents (id, audience_id, sync, run_id, written_at) VALUES (1, 1, 'vips', 1, 0)")
            conn.executemany(
                "INSERT INTO intent_members (intent_id, op, member_key) VALUES (1, 'remove', ?)",
                ((f"sent{n}",) for n in range(many)),
            )

        def step() -> None:
            steps[0] += 1

        store.conn.set_progress_handler(step, 100)
        assert many == ledger.count_nameless(store.conn, 1, at=5)
        found = [one.member_key for part in ledger.nameless(store.conn, 1, at=5, size=many) for one in part]
        store.conn.set_progress_handler(None, 0)
    assert sorted(f"new{n}" for n in range(many)) == found
    return steps[0]


def test_for_no_stranger_are_all_letters_and_all_that_was_sent_looked_through(tmp_path: Path) -> None:
    """Four times as many take about four times as long, not sixteen."""
    assert _steps(tmp_path, 800) < 6 * _steps(tmp_path, 200)


def test_the_wanted_are_never_taken_out_for_strangers(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """The destination knows them by an id of its own, and they may not be added: they are looked up all the same."""
    monkeypatch.setattr(Tag, "ids_from", None)
    for looks in (True, False):
        story = make(category=Category.EMAIL)
        story.vendor.make("Vips", ["2", "90"])
        story.people(1, 2)
        story.people(2, consent="denied")
        story.add_sync("vips", baseline="replace")
        with monkeypatch.context() as patch:
            if not looks:
                patch.setattr(draft.Drafting, "_recognise", lambda self, profiles: None)
            story.sync()
            approve(story.hub(), "vips")
        assert (ids(1, 2) if looks else ids(1)) == story.there()


def test_a_limit_cuts_the_strangers_too(make: Callable[..., Story]) -> None:
    """And the rest is taken out by the next run."""
    story = settled(make, "replace")
    story.sync()
    approve(story.hub(), "vips", send=False)
    story.sync(limit=1)
    assert 5 - 1 == len(story.there() - ids(1))
    story.sync()
    assert ids(1, 2) == story.there()


def test_a_plan_shows_what_it_would_adopt_and_writes_nothing(make: Callable[..., Story]) -> None:
    """Nor does it take a hold away."""
    story = settled(make, "adopt")
    pull(story.hub())
    (made,) = plan(story.hub())
    assert made.draft.baseline is not None
    assert 1 == len(made.draft.baseline.adopted)
    assert "ours" not in states(story).values()
    assert Status.DONE == story.sync().status
    (made,) = plan(story.hub())
    assert made.draft.baseline is None


def test_a_handle_read_from_there_is_what_removes_the_adopted(make: Callable[..., Story]) -> None:
    """Some vendors remove by the membership's own id; it is kept from the reading."""
    story = settled(make, "replace", kind="list")
    story.sync()
    approve(story.hub(), "vips")
    assert ids(1, 2) == story.there()


def test_what_is_sent_for_one_person_adopts_and_replaces_nobody_else(make: Callable[..., Story]) -> None:
    """`--only` and a plan in a file name whom they send; who was there before us waits for the next sync."""
    for baseline in ("adopt", "replace"):
        story = settled(make, baseline)
        story.sync(only="p4@example.com")
        story.sync(only="p1@example.com")
        if baseline == "replace":
            story.sync()
            approve(story.hub(), "vips", send=False)
            story.sync(only="p3@example.com")
            assert ids(1, 2, 8, 90, 91) == story.there()
        assert "foreign" == states(story)["2"]
        story.sync()
        assert "ours" == states(story)["2"]
        assert (ids(1, 2, 3, 8, 90, 91) if baseline == "adopt" else ids(1, 2)) == story.there()


def test_a_removal_outside_a_sync_adopts_nobody(make: Callable[..., Story]) -> None:
    """Forgetting one person takes them out and leaves the baseline to be done."""
    story = settled(make, "ignore")
    story.sync()
    switch(story, "adopt")
    forget(story.hub(), Wish("p1@example.com"))
    assert ids(2, 3, 8, 90, 91) == story.there()
    assert "foreign" == states(story)["2"]
    story.sync()
    assert "ours" == states(story)["2"]

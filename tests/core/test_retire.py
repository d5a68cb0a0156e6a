"""Letting go of a sync that is no longer in the config, in a story."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.killed import killed_at
from support.story import Story, held, ids

from core.clock import to_us
from core.contract import Verdict
from core.errors import ConfigError, TransientError
from core.live import orphans, retire
from core.live.retire import Removal
from core.store import audiences, leases, runs
from core.store.audiences import AudienceRow
from core.store.copies import COPIED_AT


def let_go(story: Story, name: str = "vips", *, forget: bool = False) -> list[Removal]:
    """Let go of a retired sync a quarter of an hour later."""
    story.pass_time()
    hub = story.hub()
    with hub.store() as store:
        rows = orphans.chosen(store.conn, hub.config, name)
        return retire.forget(hub, store, rows) if forget else retire.remove(hub, store, rows)


def left(story: Story) -> list[AudienceRow]:
    with story.store() as store:
        return orphans.retired(store.conn, story.config())


def retired(make: Callable[..., Story], **options: Any) -> Story:
    """Return a story whose sync is gone: 1 to 5 are ours, 8 and 90 are theirs."""
    story = make(**options)
    story.vendor.make("Vips", ["8", "90"])
    story.people(1, 2, 3, 4, 5)
    story.people(8, stage="lead")
    story.sync()
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()
    story.syncs.clear()
    story.vendor.log.clear()
    return story


def test_our_members_are_taken_out_and_theirs_stay(make: Callable[..., Story]) -> None:
    """By the ledger, as any removal, with a run to show for it."""
    story = retired(make)
    with story.store() as store:
        (row,) = left(story)
        shown = retire.planned(story.hub(), store, row)
    assert (5, 2) == (shown.size, shown.requests)
    (removal,) = let_go(story)

    assert ids(8, 90) == story.there()
    assert (None, 0) == (removal.error, removal.left)
    assert [] == left(story)
    with story.store() as store:
        run = runs.runs(store.conn)[0]
        assert ("retire", "vips", "done") == (run.kind, run.name, run.status)
        assert {"POST": 2} == runs.requests_of(store.conn, run.id)["crm"]
    with pytest.raises(ConfigError, match="there is no retired sync"):
        let_go(story)


def test_what_the_config_has_is_not_retired(make: Callable[..., Story]) -> None:
    """Else one slip of the pen empties a list that a sync fills."""
    story = make()
    story.people(1, 2)
    story.sync()
    with pytest.raises(ConfigError, match="is in the config"):
        let_go(story)
    with pytest.raises(ConfigError, match="there is no retired sync 'vip'"):
        let_go(story, "vip")
    assert ids(1, 2) == story.there()


def test_what_a_renamed_sync_is_about_to_take_over_is_not_retired(make: Callable[..., Story]) -> None:
    """Before its first run the audience has the old name still: nobody is taken out to be put in again."""
    story = retired(make)
    story.add_sync("best")
    with pytest.raises(ConfigError, match="the sync best is to fill it"):
        let_go(story)
    with pytest.raises(ConfigError, match="the sync best is to fill it"):
        let_go(story, forget=True)
    story.sync()
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()
    assert [] == story.vendor.moved("remove")


def test_what_a_sync_is_to_take_over_once_it_is_approved_is_not_retired(make: Callable[..., Story]) -> None:
    """It fills another list until then."""
    story = retired(make)
    story.add_sync("best", audience_name="Best")
    story.sync()
    story.add_sync("best", audience_name="Vips")
    assert {"best": ["retarget"]} == held(story.sync())
    with pytest.raises(ConfigError, match="the sync best is to fill it"):
        let_go(story)
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()


def test_a_ledger_that_was_put_back_from_a_copy_takes_nobody_out(make: Callable[..., Story]) -> None:
    """It says what was ours on the day of the copy: who left since and was put back by hand would be taken for ours."""
    story = retired(make)
    with story.store() as store, store.atomic() as conn:
        conn.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (COPIED_AT, str(to_us(story.now))))
    (removal,) = let_go(story)
    assert "put back from a copy" in str(removal.error)
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()
    (removal,) = let_go(story, forget=True)
    assert 5 == removal.forgotten


def test_nobody_more_is_taken_out_once_another_sync_has_the_audience(make: Callable[..., Story]) -> None:
    """The daemon has read its config anew, and runs the sync under another name meanwhile."""
    story = retired(make)

    def fault(where: str) -> None:
        if where == "after apply":
            with story.store() as store, store.atomic() as conn:
                conn.execute("UPDATE audiences SET sync = 'best'")

    story.vendor.fault = fault
    (removal,) = let_go(story)
    assert "another sync has taken the tag 'Vips' over" in str(removal.error)
    assert 3 == len(story.vendor.moved("remove"))


def test_a_sync_that_is_put_back_puts_its_people_back(make: Callable[..., Story]) -> None:
    """Which is the way to undo it; what the retirement removed is in no guard's way."""
    story = retired(make)
    let_go(story)
    story.add_sync("vips")
    assert {} == held(story.sync())
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()


@pytest.mark.parametrize("kind", ["tag", "list"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_kill_at_any_instant_is_put_right_by_trying_again(make: Callable[..., Story], kind: str, nth: int) -> None:
    """Before a batch and after it; nobody foreign is touched, and nobody is left behind."""
    story = retired(make, kind=kind)
    with killed_at(story.vendor, nth=nth):
        let_go(story)
    with story.store() as store, store.atomic() as conn:
        conn.execute("DELETE FROM leases")
    (removal,) = let_go(story)

    assert (None, 0) == (removal.error, removal.left)
    assert ids(8, 90) == story.there()
    assert sorted(story.vendor.moved("remove")) == sorted(ids(1, 2, 3, 4, 5)), "nobody is taken out twice"


@pytest.mark.parametrize("kind", ["tag", "list"])
def test_who_was_sent_and_never_confirmed_is_taken_out_too(make: Callable[..., Story], kind: str) -> None:
    """The sync died with its first batch and was then taken out of the config: nobody is left behind unseen."""
    story = make(kind=kind)
    story.people(1, 2, 3)

    with killed_at(story.vendor, "after apply"):
        story.sync()
    with story.store() as store, store.atomic() as conn:
        conn.execute("DELETE FROM leases")
    story.syncs.clear()

    (row,) = left(story)
    with story.store() as store:
        shown = retire.planned(story.hub(), store, row)
    assert 0 == shown.size
    assert "on their way in or out since an earlier run: 3" in shown.notes[-1]
    (removal,) = let_go(story)
    assert (None, 0) == (removal.error, removal.left)
    assert set() == story.there()
    assert [] == left(story)


def test_what_fails_is_told_and_the_rest_goes_on(make: Callable[..., Story]) -> None:
    """One refused, one group whose vendor is away; the others are out."""
    story = retired(make)
    story.vendor.verdicts["3"] = Verdict.REJECTED
    (removal,) = let_go(story)
    assert removal.report is not None
    assert (4, 1, 1) == (
        removal.report.verdicts["remove", "done"],
        removal.report.verdicts["remove", "rejected"],
        removal.left,
    )
    assert ids(3, 8, 90) == story.there()

    def away(where: str) -> None:
        raise TransientError("away")

    story.vendor.verdicts.clear()
    story.vendor.fault = away
    story.pass_time(timedelta(days=1))
    (removal,) = let_go(story)
    assert isinstance(removal.error, TransientError)
    assert 1 == removal.left
    story.vendor.fault = None
    let_go(story)
    assert ids(8, 90) == story.there()


def test_groups_go_one_by_one_or_all_at_once(make: Callable[..., Story]) -> None:
    """A group that was taken out of a partition is retired while the sync is not."""
    story = make(segments={})
    story.partitions = {"life": {"hot": 'lifecycle_stage == "hot"', "cold": 'lifecycle_stage == "cold"'}}
    story.add_sync("life", partition="life", audience_name="Life: {group}")
    story.people(1, 2, stage="hot")
    story.people(3, 4, stage="cold")
    story.sync()
    story.partitions = {"life": {"hot": 'lifecycle_stage == "hot"'}}
    with pytest.raises(ConfigError, match=r"life\.cold"):
        let_go(story, "life")
    let_go(story, "life.cold")
    assert (ids(1, 2), set()) == (story.there("Life: hot"), story.there("Life: cold"))
    story.syncs.clear()
    let_go(story, "life")
    assert set() == story.there("Life: hot")


def test_a_job_under_way_is_waited_for(make: Callable[..., Story]) -> None:
    """What was handed to a job is left until it is done."""
    story = make(kind="job")
    story.people(1, 2)
    story.vendor.jobs_done = True
    story.sync()
    story.sync()
    story.syncs.clear()
    story.vendor.jobs_done = False
    (removal,) = let_go(story)
    assert 2 == removal.left
    (removal,) = let_go(story)
    assert 2 == removal.left
    assert 2 == len(story.vendor.jobs), "the removal is handed over once"
    story.vendor.jobs_done = True
    (removal,) = let_go(story)
    assert (0, set()) == (removal.left, story.there())


def test_members_leave_by_what_the_sync_said_of_its_audience(make: Callable[..., Story]) -> None:
    """The values that it wrote are taken away with them, though the config no longer says which those were."""
    story = make(kind="carrying")
    story.add_sync("vips", params={"fields": {"COUNTRY": "country"}}, audience_kind="carrying")
    story.people(1, country="SE")
    story.sync()
    story.syncs.clear()
    let_go(story)
    assert [("1", ["COUNTRY"])] == story.vendor.cleared


def test_a_file_is_written_without_anybody(make: Callable[..., Story]) -> None:
    """An audience that is written whole has nobody left in it."""
    story = make(kind="file")
    story.people(1, 2)
    story.sync()
    story.syncs.clear()
    let_go(story)
    assert {} == story.vendor.audiences["a1"]


def test_where_nobody_can_say_who_was_there_nobody_is_taken_out(make: Callable[..., Story]) -> None:
    """An audience that we did not make and cannot read is added to and never removed from; it can be let go of."""
    story = make()
    story.vendor.make("Vips", ["8"])
    story.vendor.readable = False
    story.people(1)
    story.sync()
    story.syncs.clear()
    (removal,) = let_go(story)
    assert removal.plan is not None
    assert "never removed" in removal.plan.notes[0]
    assert ids(1, 8) == story.there()
    let_go(story, forget=True)
    assert [] == left(story)


def test_members_that_are_let_go_of_stay_and_are_never_removed_again(make: Callable[..., Story]) -> None:
    """Whoever fills the audience next finds them there."""
    story = retired(make)
    writes = story.vendor.writes
    (removal,) = let_go(story, forget=True)
    assert (5, writes) == (removal.forgotten, story.vendor.writes)
    assert [] == left(story)
    story.add_sync("again")
    story.people(6)
    story.sync()
    story.people(1, 2, 3, 4, 5, 6, stage="lead")
    story.sync(size_guards=())
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()


def test_an_open_batch_is_let_go_of_with_the_rest(make: Callable[..., Story]) -> None:
    """Nobody will ask any more what became of it."""
    story = retired(make)
    with killed_at(story.vendor):
        let_go(story)
    with story.store() as store, store.atomic() as conn:
        conn.execute("DELETE FROM leases")
    let_go(story, forget=True)
    with story.store() as store:
        assert 0 == store.conn.execute("SELECT count(*) FROM intents WHERE settled_at IS NULL").fetchone()[0]
        assert not audiences.standing(store.conn, 1).waiting


def test_an_audience_that_is_gone_can_be_let_go_of(make: Callable[..., Story]) -> None:
    """Somebody deleted the list itself."""
    story = retired(make)
    story.vendor.audiences.clear()
    (removal,) = let_go(story)
    assert "--forget" in str(removal.error)
    let_go(story, forget=True)
    assert [] == left(story)


def test_a_connection_that_is_gone_or_another_account_s_removes_nobody(make: Callable[..., Story]) -> None:
    """The same ids are other people there."""
    story = retired(make)
    story.vendor.account = "acc-2"
    (removal,) = let_go(story)
    assert isinstance(removal.error, ConfigError)
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()

    story.vendor.account = "acc-1"
    story.enabled = False
    (removal,) = let_go(story)
    assert isinstance(removal.error, ConfigError)
    config = story.config()
    config.connections.clear()
    hub = story.hub()
    hub.config = config
    with hub.store() as store, pytest.raises(ConfigError, match="no longer in the config"):
        retire.planned(hub, store, left(story)[0])
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()


def test_nobody_is_taken_out_while_a_sync_is_at_it_or_it_is_paused(make: Callable[..., Story]) -> None:
    """One process at a time; and a pause is a pause."""
    story = retired(make)
    with leases.hold(story.folder / "tagalong.db", "sync.vips", lambda: story.now):
        (removal,) = let_go(story)
    assert "is at it" in str(removal.error)
    with story.store() as store, store.atomic() as conn:
        conn.execute("INSERT INTO pauses (target, at) VALUES ('connection.crm', 1)")
    (removal,) = let_go(story)
    assert "is paused" in str(removal.error)
    assert ids(1, 2, 3, 4, 5, 8, 90) == story.there()


@pytest.mark.parametrize("old", ["Vips", "vips"], ids=["a name of its own", "the name of the sync"])
def test_an_audience_that_its_sync_was_turned_away_from_goes_by_its_name(make: Callable[..., Story], old: str) -> None:
    """A retarget leaves the old list as it was."""
    from core.planning.approve import approve

    story = make()
    story.add_sync("vips", audience_name=old)
    story.people(1, 2)
    story.sync()
    story.add_sync("vips", audience_name="Others")
    story.sync()
    with story.store() as store, pytest.raises(ConfigError, match=r"there is no retired sync|is in the config"):
        orphans.chosen(store.conn, story.config(), old)  # held until approved: the sync fills it still
    approve(story.hub(), "vips")
    assert ids(1, 2) == story.there(old) == story.there("Others")
    with pytest.raises(ConfigError, match="there is no retired sync ''"):
        let_go(story, "")
    let_go(story, old)
    assert (set(), ids(1, 2)) == (story.there(old), story.there("Others"))

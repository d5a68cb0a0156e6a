"""Who is put in, taken out, moved and skipped, and whom a plan must never touch."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from support.story import Story, held, ids, skips

from core.cli.plan_document import describe_quota
from core.contract import Category
from core.planning.approve import approve
from core.planning.plan import difference
from core.pulling.fill import pull
from core.run import plan
from core.store import audiences
from core.store.audiences import Standing
from core.store.runs import Status

PROFILES = st.frozensets(st.integers(0, 40))


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A world with one sync of vips."""
    return Story(tmp_path)


@given(wanted=PROFILES, owned=PROFILES, theirs=PROFILES, waiting=PROFILES, add_only=st.booleans())
@settings(max_examples=200, deadline=None)
def test_applying_a_difference_gives_what_is_wanted(
    wanted: frozenset[int], owned: frozenset[int], theirs: frozenset[int], waiting: frozenset[int], add_only: bool
) -> None:
    """But for who is on the way; theirs are never taken out, and add-only takes out nobody."""
    standing = Standing(BitMap(owned), BitMap(theirs - owned), BitMap(waiting))
    adds, removes = difference(BitMap(wanted), standing, add_only=add_only)
    after = (set(owned) | set(adds)) - set(removes)

    assert not set(adds) & set(owned)
    assert not set(removes) & (theirs - owned)
    assert not (set(adds) | set(removes)) & waiting
    if add_only:
        assert not removes
    settled = set(range(41)) - waiting - theirs
    assert after & settled == (wanted | (owned if add_only else frozenset())) & settled


@given(st.lists(st.tuples(st.frozensets(st.integers(1, 9)), st.frozensets(st.integers(1, 9))), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None)
def test_each_group_of_a_partition_holds_its_people(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[frozenset[int], ...]]
) -> None:
    """Whatever happens to people between runs, each is in the one list of their group, and in no other."""
    story = Story(
        tmp_path_factory.mktemp("story"),
        segments={},
        partitions={"life": {"hot": 'lifecycle_stage == "hot"', "cold": 'lifecycle_stage == "cold"'}},
    )
    story.add_sync("life", partition="life", audience_name="Life: {group}")
    story.people(*range(1, 10), stage="none")
    for hot, cold in rounds:
        story.people(*range(1, 10), stage="none")
        story.people(*cold, stage="cold")
        story.people(*hot, stage="hot")
        # nine people are too few for the guards to look at, but for the last three to leave
        report = story.sync(size_guards=())

        assert Status.DONE == report.status
        assert ids(*hot) == story.there("Life: hot")
        assert ids(*(cold - hot)) == story.there("Life: cold")


def test_who_goes_from_one_group_to_another_is_one_move_held_whole(story: Story) -> None:
    """The guard on the group that is left holds the group that is entered, and approve sends both."""
    story.segments = {}
    story.syncs = {}
    story.partitions = {"life": {"hot": 'lifecycle_stage == "hot"', "cold": 'lifecycle_stage == "cold"'}}
    story.add_sync("life", partition="life", audience_name="Life: {group}")
    story.people(*range(1, 21), stage="hot")
    story.people(21, 22, stage="cold")
    story.sync()
    story.people(*range(1, 13), stage="cold")
    report = story.sync()

    assert {"life.hot": ["removals"], "life.cold": ["moves"]} == held(report)
    assert (20, 2) == (len(story.there("Life: hot")), len(story.there("Life: cold")))

    approve(story.hub(), "life")

    assert (8, 14) == (len(story.there("Life: hot")), len(story.there("Life: cold")))


def test_a_new_address_at_the_same_contact_changes_the_ledger_alone(story: Story) -> None:
    """Both addresses are one remote id: nothing is sent."""
    story.people(1, 2, 3)
    story.sync()
    writes = story.vendor.writes
    story.people(2, email="new@example.com")
    report = story.sync()

    assert Status.DONE == report.status
    assert writes == story.vendor.writes
    with story.store() as store:
        keys = [key for (key,) in store.conn.execute("SELECT member_key FROM ledger ORDER BY 1")]
    assert ["new@example.com", "p1@example.com", "p3@example.com"] == keys
    story.people(2, stage="lead")
    story.sync()
    assert ids(1, 3) == story.there()


def test_a_new_address_where_addresses_are_members_is_one_move(story: Story) -> None:
    """The old one out and the new one in, in one call."""
    story.add_sync("vips", audience_kind="mail")
    story.people(1, 2, 3, 4, 5)
    story.sync()
    story.vendor.sizes.clear()
    story.people(2, email="new@example.com")
    story.people(5, stage="lead")
    report = story.sync()

    assert [(1, 2)] == story.vendor.sizes
    assert {"p1@example.com", "new@example.com", "p3@example.com", "p4@example.com"} == story.there()
    assert 1 == len(report.syncs[0].plans[0].moves)


def test_a_skipped_add_does_not_hold_the_removal_of_its_move(story: Story) -> None:
    """The old address is nobody's any more, whether the new one is known there or not."""
    story.add_sync("vips", audience_kind="mail")
    story.vendor.unknown.add("new@example.com")
    story.people(1, 2)
    story.sync()
    story.people(2, email="new@example.com")
    report = story.sync()

    assert {"p1@example.com"} == story.there()
    assert {"not_found": 1} == skips(report)


def test_an_address_that_another_listed_person_has_by_now_is_never_removed(story: Story) -> None:
    """One takes over the other's address: it stays in, and only the first one's new address is added."""
    story.add_sync("vips", audience_kind="mail")
    story.people(1, 2, 3, 4)
    story.sync()
    story.vendor.log.clear()
    story.people(1, email="moved@example.com")
    story.people(5, email="p1@example.com")
    story.sync()

    assert [("Vips", "add", "moved@example.com")] == story.vendor.log
    assert 5 == len(story.there())


def test_people_who_said_no_are_not_added_to_an_email_tool(tmp_path: Path) -> None:
    """Nor taken out for it: a no blocks adds, never removals."""
    story = Story(tmp_path, category=Category.EMAIL)
    story.people(1, 2, 3)
    story.people(2, consent="denied")
    first = story.sync()
    assert ids(1, 3) == story.there()
    assert {"consent": 1} == skips(first)

    story.people(3, consent="denied")
    story.sync()
    assert ids(1, 3) == story.there()

    story.people(3, stage="lead")
    story.sync()
    assert ids(1) == story.there()


def test_a_no_outlives_the_record_that_told_of_it(tmp_path: Path) -> None:
    """Archived where they said it, they are still not added anywhere; only a yes there ends it."""
    story = Story(tmp_path, category=Category.EMAIL)
    story.people(1)
    story.people(2, consent="denied", stage="lead")
    story.sync()
    story.people(2, archived=True)
    story.sync()
    story.people(2, stage="vip")
    report = story.sync()
    assert ids(1) == story.there()
    assert {"consent": 1} == skips(report)

    story.people(2, archived=False, consent="granted")
    story.sync()
    assert ids(1, 2) == story.there()


def test_consent_matters_elsewhere_where_the_sync_says_so(story: Story) -> None:
    """A CRM's list is no mailing, unless the sync asks."""
    story.people(1, 2)
    story.people(2, consent="denied")
    story.sync()
    assert ids(1, 2) == story.there()

    story.add_sync("asked", audience_name="Asked", require_consent=True)
    story.sync()
    assert ids(1) == story.there("Asked")


def test_who_was_there_before_us_is_theirs_and_stays(story: Story) -> None:
    """Read before the first write; neither added nor ever removed."""
    story.vendor.make("Vips", ["1", "77"])
    story.people(1, 2)
    first = story.sync()
    assert {"foreign": 1} == skips(first)
    assert ["2"] == story.vendor.moved("add")

    story.people(1, 2, stage="lead")
    story.sync()
    assert ids(1, 77) == story.there()


def test_a_noop_never_makes_a_member_ours(story: Story) -> None:
    """Somebody put by hand into an audience that we made stays there when they are no longer wanted."""
    story.people(1)
    story.people(2, stage="lead")
    story.sync()
    story.vendor.audiences["a1"]["2"] = {}
    story.people(2)
    story.sync()
    story.people(2, stage="lead")
    story.sync()

    assert ids(1, 2) == story.there()


def test_where_members_cannot_be_read_nobody_is_removed_from_what_we_did_not_make(story: Story) -> None:
    """Mirror becomes add-only there, and the plan says so."""
    story.vendor.readable = False
    story.vendor.make("Vips", ["77"])
    story.people(1, 2)
    story.sync()
    story.people(1, stage="lead")
    report = story.sync()

    assert ids(1, 2, 77) == story.there()
    assert "never removed" in " ".join(report.syncs[0].plans[0].notes)


def test_add_only_never_removes(story: Story) -> None:
    """Whoever was in stays in."""
    story.add_sync("vips", mode="add_only")
    story.people(1, 2)
    story.sync()
    story.people(1, stage="lead")
    story.sync()

    assert ids(1, 2) == story.there()


def test_who_is_not_known_there_is_asked_for_again_after_a_day_or_when_their_record_changes(story: Story) -> None:
    """A find is a request, so it is not made every run."""
    story.add_sync("vips", audience_kind="mail")
    story.vendor.unknown |= {"p1@example.com", "p2@example.com"}
    story.people(1, 2, 3)
    assert {"not_found": 2} == skips(story.sync())
    story.vendor.finds.clear()
    assert {"not_found": 2} == skips(story.sync())
    assert [] == story.vendor.finds

    story.vendor.unknown.clear()
    story.people(1, first_name="Ann")
    story.sync()
    assert ["p1@example.com"] == story.vendor.finds

    story.pass_time(timedelta(days=1))
    story.sync()
    assert {"p1@example.com", "p2@example.com", "p3@example.com"} == story.there()


def test_a_plan_says_what_finding_people_takes(story: Story) -> None:
    """Who is known at a destination may be a request each: minutes that sending alone does not show."""
    story.add_sync("vips", audience_kind="mail")
    story.vendor.unknown |= {f"p{n}@example.com" for n in range(1, 8)}
    story.people(*range(1, 9))
    pull(story.hub())
    reads = story.vendor.reads
    (made,) = plan(story.hub(), names=["vips"])
    assert made.asked == story.vendor.reads - reads > 0
    with story.store() as store:
        told = describe_quota(story.hub(), store, made)
    assert made.requests + made.asked == told["requests"]


def test_people_are_created_where_the_sync_says_so(story: Story) -> None:
    """By the vendor's own call, and then added; without it they are reported."""
    story.add_sync("vips", audience_kind="mail", create_missing=True)
    story.vendor.unknown.add("p1@example.com")
    story.people(1, 2, first_name="Ann")
    report = story.sync()

    assert {"new-p1@example.com", "p2@example.com"} == story.there()
    assert 1 == report.syncs[0].reports["vips"].created
    assert "Ann" == story.vendor.people["new-p1@example.com"]["first_name"]


def test_two_contacts_under_one_address_are_a_duplicate(story: Story) -> None:
    """Nobody can tell which of them is meant."""
    story.people(1)
    story.vendor.people["2"] = {"email": "p1@example.com", "user_id": "u1", "stage": "vip"}
    report = story.sync()

    assert {"duplicate": 1} == skips(report)
    assert set() == story.there()


@pytest.mark.parametrize("listed_is_one_of_them", [True, False])
def test_a_member_whose_new_address_is_several_contacts_stays(story: Story, listed_is_one_of_them: bool) -> None:
    """Nobody can tell which of them is meant, and that is no reason to take a wanted member out."""
    story.people(1, 7)
    story.sync()
    if listed_is_one_of_them:
        story.people(1, email="new@example.com")
    for n in ("2", "3"):
        story.vendor.people[n] = {"email": "new@example.com", "user_id": "u1", "stage": "vip"}
    assert {"duplicate": 1} == skips(story.sync())
    assert ids(1, 7) == story.there()
    story.sync()
    assert [] == story.vendor.moved("remove")

    for n in ("2", "3"):
        del story.vendor.people[n]
    story.people(1, stage="lead")
    story.sync(full=True)
    assert ids(7) == story.there(), "ours still, to be removed when they are no longer wanted"


def test_when_two_listed_people_turn_out_to_be_one_the_survivor_stays(story: Story) -> None:
    """One of the two keys goes, and nobody is left out."""
    story.people(1, 2, 3)
    story.sync()
    del story.vendor.people["2"]
    story.people(1, also=["p2@example.com"])
    story.sync()

    assert ids(1, 3) <= story.there()
    with story.store() as store:
        row = audiences.bound_to(store.conn, "vips")[0]
        owned = audiences.standing(store.conn, row.id).owned
        keys = {key for (key,) in store.conn.execute("SELECT member_key FROM ledger WHERE state = 'ours'")}
    assert 2 == len(owned)
    assert {"p1@example.com", "p3@example.com"} == keys


def test_a_plan_sends_nothing_and_is_what_sync_then_does(story: Story) -> None:
    """It may read at the destination; it makes and writes nothing."""
    story.people(1, 2, 3, 4)
    hub = story.hub()
    planned = plan(hub, pull=True)

    assert 0 == story.vendor.writes
    assert [4] == [len(one.adds) for one in planned]
    assert {} == story.vendor.names
    assert 3 == planned[0].requests

    story.sync()
    assert 3 == story.vendor.writes


def test_excluded_people_leave(story: Story) -> None:
    """`exclude` keeps staff out of everything, also those who were in."""
    story.people(1, 2)
    story.sync()
    story.segments["staff"] = 'email == "p2@example.com"'
    story.exclude = "staff"
    story.sync()

    assert ids(1) == story.there()


def test_a_renamed_sync_takes_over_the_ledger(story: Story) -> None:
    """Nothing moves, and the plan says what happened."""
    story.people(1, 2)
    story.sync()
    story.syncs = {}
    story.add_sync("important")
    writes = story.vendor.writes
    report = story.sync()
    story.people(1, stage="lead")
    story.sync()

    assert ids(2) == story.there()
    assert writes + 1 == story.vendor.writes
    assert Status.DONE == report.status


def test_two_syncs_never_share_an_audience(story: Story) -> None:
    """Names that differ are one audience at the vendor: the second sync is refused, the first goes on."""
    story.people(1)
    story.sync()
    story.vendor.names["Also Vips"] = "a1"
    story.add_sync("second", audience_name="Also Vips")
    report = story.sync()

    assert {"vips": Status.DONE, "second": Status.FAILED} == {run.name: run.status for run in report.syncs}
    assert "already" in str(report.syncs[1].error)


def test_a_retarget_is_held_until_approved(story: Story) -> None:
    """Without the hold, a slip in a name would fill another list; the members of the old one stay."""
    story.people(1, 2)
    story.sync()
    story.vendor.make("Everybody", ["9"])
    story.add_sync("vips", audience_name="Everybody")
    report = story.sync()
    assert {"vips": ["retarget"]} == held(report)
    assert ids(9) == story.there("Everybody")

    approve(story.hub(), "vips")
    assert ids(1, 2, 9) == story.there("Everybody")
    assert ids(1, 2) == story.there("Vips")
    assert {} == held(story.sync())


def test_a_new_title_changes_nothing_at_the_vendor(story: Story) -> None:
    """The audience was found or made once, and is known by its id."""
    story.titles["vip"] = "Vips"
    story.people(1)
    story.sync()
    story.titles["vip"] = "Very important"
    story.add_sync("vips", audience_name="Very important")
    report = story.sync()

    assert Status.DONE == report.status
    assert {"Vips": "a1"} == story.vendor.names


def test_new_members_of_ours_after_a_day(story: Story) -> None:
    """Time alone changes nothing for a segment without a window."""
    story.people(1)
    story.sync()
    story.pass_time(timedelta(days=40))
    report = story.sync()

    assert Status.DONE == report.status
    assert ids(1) == story.there()

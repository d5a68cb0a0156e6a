"""The ledger held against the destination, in a story: each difference by its name, and what a repair makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from support.audiences import Tag
from support.story import Story, held, ids, skips

from core.cli.drift import _lines, describe
from core.clock import to_us
from core.contract import Category, Ref
from core.errors import LeaseLost, ProtocolError, TransientError
from core.forget.flow import Wish, forget
from core.live import drift as drifts
from core.live import repair as repairs
from core.live.drift import Drift, What
from core.live.repair import drift
from core.planning.approve import approve
from core.pulling.fill import pull
from core.store import audiences, leases, ledger, live, pauses, runs
from core.store.ledger import Entry, State

LATER = timedelta(hours=1)


def compared(story: Story, *, repair: bool = False, sure: bool = True, later: timedelta = LATER) -> Drift:
    """Return how the one audience stands after a while."""
    story.pass_time(later)
    with story.store() as store:
        (found,) = drift(story.hub(), store, repair=repair, sure=lambda _: sure)
    return found


def by_name(found: Drift) -> dict[str, int]:
    assert found.error is None
    return {str(what): found.count(what) for what in What if found.count(what)}


def who(story: Story) -> dict[str, set[str]]:
    """Return the remote ids that differ, by what."""
    members: dict[str, set[str]] = {}
    with story.store() as store:
        (found,) = drift(story.hub(), store)
        assert found.row is not None
        for one, _, _ in live.differences(store.conn, found.row.id):
            members.setdefault(one.what, set()).add(one.remote_id)
    return members


def states(story: Story) -> dict[str, str]:
    """Return the ledger: remote id (or key) to state."""
    with story.store() as store:
        (row,) = audiences.audiences(store.conn)
        return {entry.ref.remote_id: str(entry.state) for entry in ledger.rows(store.conn, row.id)}


def by_hand(story: Story, *gone: str, put: tuple[str, ...] = (), name: str = "Vips") -> None:
    """Take members out at the vendor, and put others in."""
    there = story.vendor.audiences[story.vendor.names[name]]
    for member in gone:
        del there[member]
    there |= {member: {} for member in put}


def muddled(make: Callable[..., Story]) -> Story:
    """Return a story whose list was changed by hand: each kind of difference, and one who is wanted and not there yet."""
    story = make()
    story.vendor.make("Vips", ["8", "90", "91"])
    story.people(1, 2, 3, 4)
    story.people(5, 8, stage="lead")
    story.sync()
    by_hand(story, "1", "2", "91", put=("5", "6", "99"))
    story.people(2, stage="lead")
    story.people(6, 7)
    pull(story.hub())
    return story


def test_each_difference_has_its_name(make: Callable[..., Story]) -> None:
    """Missing, extra, unknown, gone; whoever is yet to be put in is a plan's business, and nothing is written."""
    story = muddled(make)
    before = states(story)
    found = compared(story)

    assert {"missing": 2, "extra": 2, "unknown": 1, "gone": 1} == by_name(found)
    assert (1, 1) == (found.count(What.MISSING, wanted=True), found.count(What.EXTRA, wanted=True))
    assert (7, 2, 2) == (found.there, found.ours, found.foreign)
    assert {"missing": ids(1, 2), "extra": ids(5, 6), "unknown": {"99"}, "gone": {"91"}} == who(story)
    assert before == states(story)
    with story.store() as store:
        assert "drift" == runs.runs(store.conn)[0].kind
        assert 1 == sum(runs.requests_of(store.conn, runs.runs(store.conn)[0].id)["crm"].values())


def test_a_list_that_the_sync_no_longer_names_is_not_told_under_the_new_name(make: Callable[..., Story]) -> None:
    """Until the retarget is approved the ledger is of the old list; a name that is only spelled otherwise is no retarget."""
    story = make()
    story.people(1, 2)
    story.sync()
    story.add_sync("vips", audience_name="vips ")
    assert (2, None) == (compared(story).there, compared(story).note)
    story.add_sync("vips", audience_name="Others")
    found = compared(story)
    assert 0 == found.there
    assert "the sync names the tag 'Others' now and fills the tag 'Vips'" in str(found.note)


def test_a_list_in_step_has_no_difference(make: Callable[..., Story]) -> None:
    """Whose record the vendor merged into another is there as that other."""
    story = make()
    story.vendor.make("Vips", ["90"])
    story.people(1, 2)
    story.sync()
    assert {} == by_name(compared(story))
    assert not compared(story).drifted


def test_a_repair_mends_what_is_ours_and_touches_nobody_else(make: Callable[..., Story]) -> None:
    """Who is missing and wanted comes back with the next sync; who was put there by hand stays, also when they leave."""
    story = muddled(make)
    writes = story.vendor.writes
    found = compared(story, repair=True)

    assert found.repaired == drifts.Repaired(to_add=1, forgotten=1, stored=3, dropped=1)
    assert writes == story.vendor.writes, "a repair sends nothing"
    assert {"1": "missing", "3": "ours", "4": "ours", "5": "foreign", "6": "foreign", "8": "foreign", "90": "foreign",
            "99": "foreign"} == states(story)  # fmt: skip
    assert {} == by_name(compared(story))

    story.vendor.log.clear()
    story.sync()
    assert [("Vips", "add", "1"), ("Vips", "add", "7")] == sorted(story.vendor.log)
    story.people(5, 6, 8, stage="lead")
    story.people(1, 2, 3, 4, 7, stage="lead")
    story.sync(size_guards=())
    assert ids(5, 6, 8, 90, 99) == story.there()


def test_without_a_repair_who_was_taken_out_by_hand_stays_out(make: Callable[..., Story]) -> None:
    """A sync believes its ledger: nobody is put back behind the back of whoever took them out."""
    story = muddled(make)
    story.sync()
    story.sync()

    assert "1" not in story.there()


def test_what_was_put_back_is_ours_even_if_it_was_there_all_the_time(make: Callable[..., Story]) -> None:
    """A reading that missed somebody costs nothing: "there already" of that very object is our own doing."""
    story = make()
    story.people(1, 2, 3)
    story.sync()
    by_hand(story, "1")
    compared(story, repair=True)
    by_hand(story, put=("1",))
    story.sync()
    assert "ours" == states(story)["1"]
    story.people(1, stage="lead")
    story.sync()
    assert ids(2, 3) == story.there()


def test_somebody_put_back_by_hand_before_the_next_sync_is_theirs(make: Callable[..., Story]) -> None:
    """A second repair says so."""
    story = make()
    story.people(1, 2, 3)
    story.sync()
    by_hand(story, "1")
    compared(story, repair=True)
    by_hand(story, put=("1",))
    compared(story, repair=True)
    assert "foreign" == states(story)["1"]


def test_who_was_put_in_by_hand_would_be_taken_for_ours(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """The harm: a repair that made members ours would have them removed when they leave."""

    def greedy(story: Story) -> set[str]:
        story.people(1, 2, 3)
        story.people(5)
        story.people(5, stage="lead")
        story.sync()
        by_hand(story, put=("5", "77"))
        compared(story, repair=True)
        story.sync()
        return story.there()

    assert ids(1, 2, 3, 5, 77) == greedy(make())
    mend = repairs._mend

    def bare(conn: Any, one: Drift, wanted: Any, *, at: int) -> Any:
        repaired = mend(conn, one, wanted, at=at)
        assert one.row is not None
        conn.execute("UPDATE ledger SET state = 'ours' WHERE audience_id = ? AND state = 'foreign'", (one.row.id,))
        known = [e.profile_id for e in ledger.rows(conn, one.row.id) if e.profile_id]
        audiences.refresh(conn, one.row.id, BitMap(known), waiting=BitMap(), settled=BitMap())
        return repaired

    with monkeypatch.context() as patch:
        patch.setattr(repairs, "_mend", bare)
        assert "5" not in greedy(make())


@pytest.mark.parametrize("guarded", [True, False])
def test_more_than_the_guards_allow_is_put_back_when_it_is_approved(make: Callable[..., Story], guarded: bool) -> None:
    """Without them a list that was emptied on purpose would be filled again at once."""
    story = make()
    story.people(*range(1, 201))
    story.sync()
    by_hand(story, *(str(n) for n in range(1, 151)))
    assert 150 == compared(story, repair=True).repaired.to_add
    if not guarded:
        story.sync(size_guards=())
        assert 200 == len(story.there())
        return
    assert {"vips": ["adds"]} == held(story.sync())
    assert 50 == len(story.there())
    approve(story.hub(), "vips")
    assert 200 == len(story.there())


def test_who_has_said_no_since_is_not_put_back(make: Callable[..., Story]) -> None:
    """What is put back goes the way of every add: through consent."""
    story = make(category=Category.EMAIL)
    story.people(1, 2, 3)
    story.sync()
    by_hand(story, "1", "2")
    story.people(1, consent="denied")
    compared(story, repair=True)
    report = story.sync()

    assert ids(2, 3) == story.there()
    assert 1 == skips(report)["consent"]


def test_who_was_sent_a_moment_ago_is_settling(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that shows late: without the delay a repair would send everybody twice, and take the removed for strangers."""

    def lags(story: Story) -> None:
        story.people(1, 2, 3, 4)
        story.sync()
        by_hand(story, "1")
        story.pass_time(LATER)
        story.people(2, stage="lead")
        story.people(5)
        story.sync()
        by_hand(story, "5", put=("2",))

    story = make()
    lags(story)
    soon = timedelta(minutes=2)
    assert {"missing": 1, "settling": 2} == by_name(compared(story, later=soon))
    compared(story, repair=True, later=soon)
    by_hand(story, "2", put=("5",))
    assert {} == by_name(compared(story, later=LATER))
    assert ("ours", None) == (states(story).get("5"), states(story).get("2"))

    bare = make()
    lags(bare)
    with monkeypatch.context() as patch:
        patch.setattr(drifts, "SETTLES_WITHIN", timedelta(minutes=-1))
        compared(bare, repair=True, later=soon)
    assert ("missing", "foreign") == (states(bare)["5"], states(bare)["2"])


@pytest.mark.parametrize("kind", ["job", "list"])
def test_what_is_on_its_way_is_no_difference(make: Callable[..., Story], kind: str) -> None:
    """A job that is not done, and a batch whose answer never came, whenever that was."""
    story = make(kind=kind)
    story.people(1, 2)

    def lost(where: str) -> None:
        if where == "before apply":
            raise TransientError("away")

    story.vendor.fault = lost if kind == "list" else None
    story.sync()
    found = compared(story, later=timedelta(days=2), repair=True)

    assert not found.drifted
    story.vendor.fault, story.vendor.jobs_done = None, True
    story.sync()
    assert ids(1, 2) == story.there()
    assert {} == by_name(compared(story))


def test_an_unanswered_add_is_settling_until_it_is_answered(make: Callable[..., Story]) -> None:
    """The ledger has it as unsure: neither there nor missing."""
    story = make()
    story.people(1, 2)
    story.sync()
    with story.store() as store:
        (row,) = audiences.audiences(store.conn)
        (entry,) = (e for e in ledger.rows(store.conn, row.id) if e.remote_id == "1")
        with store.atomic() as conn:
            ledger.put(conn, row.id, [ledger.unsure(entry)], sync="vips", run_id=None, at=0)
    by_hand(story, "1")
    assert {"settling": 1} == by_name(compared(story))
    compared(story, repair=True)
    story.sync()
    assert ids(1, 2) == story.there()


@pytest.mark.parametrize("at_page", [0, 1])
def test_a_reading_that_breaks_off_tells_and_changes_nothing(
    make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch, at_page: int
) -> None:
    """Half a list read would show the other half as missing."""
    story = make()
    story.people(1, 2, 3, 4, 5)
    story.sync()
    before = states(story)
    whole = Tag.members

    def breaks(self: Tag, api: Any, audience_id: str) -> Iterator[list[Ref]]:
        for number, page in enumerate(whole(self, api, audience_id)):
            if number == at_page:
                raise ProtocolError("an answer cut short")
            yield page

    with monkeypatch.context() as patch:
        patch.setattr(Tag, "members", breaks)
        found = compared(story, repair=True)
        assert isinstance(found.error, ProtocolError)
        assert ({}, None) == (found.counts, found.repaired)
    assert before == states(story)
    with story.store() as store:
        assert "failed" == runs.runs(store.conn)[0].status
    assert {} == by_name(compared(story))

    short = make()
    short.people(1, 2, 3, 4, 5)
    short.sync()
    with monkeypatch.context() as patch:
        patch.setattr(Tag, "members", lambda self, api, id_: list(whole(self, api, id_))[:at_page])
        compared(short, repair=True)
    assert "missing" in states(short).values(), "the harm, where a short answer is believed"


def test_a_reading_in_which_most_are_missing_is_believed_by_nobody_but_a_person(make: Callable[..., Story]) -> None:
    """A vendor that answers with nobody: without the question all that is foreign would be forgotten, and added as ours."""
    story = make()
    story.vendor.make("Vips", [str(n) for n in range(50, 62)])
    story.people(1, 2)
    story.sync()
    was = dict(story.vendor.audiences["a1"])
    before = states(story)
    story.vendor.audiences["a1"].clear()
    assert compared(story, repair=True, sure=False).repaired is None
    assert before == states(story)

    repaired = compared(story, repair=True, sure=True).repaired
    assert repaired is not None
    assert (12, 2) == (repaired.dropped, repaired.to_add)
    story.vendor.audiences["a1"] |= was


def test_members_that_cannot_be_read_are_no_error(make: Callable[..., Story]) -> None:
    """It is said for that audience alone; so is an audience that is not made yet."""
    story = make()
    story.people(1)
    found = compared(story, repair=True)
    assert "no audience yet" in str(found.note)
    story.sync()
    story.vendor.readable = False
    found = compared(story, repair=True)
    assert "cannot be read" in str(found.note)
    assert (None, False, None) == (found.error, found.drifted, found.repaired)


def test_an_audience_that_is_gone_is_an_error_and_everybody_stays_in_the_ledger(make: Callable[..., Story]) -> None:
    """Not "all are missing": the next sync asks a person what to do."""
    story = make()
    story.people(1, 2)
    story.sync()
    before = states(story)
    story.vendor.audiences.clear()
    found = compared(story, repair=True)

    assert "no longer there" in str(found.error)
    assert before == states(story)


def test_a_set_that_cannot_be_told_has_nobody_forgotten(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wanted by nobody is not the same as not known to be wanted."""
    story = make()
    story.people(1, 2)
    story.sync()
    by_hand(story, "1")
    whole = repairs.evaluate

    def fails(*args: Any, **options: Any) -> Any:
        return replace(whole(*args, **options), sets={}, failed={"segment.vip": "took too long"})

    with monkeypatch.context() as patch:
        patch.setattr(repairs, "evaluate", fails)
        found = compared(story, repair=True)
    assert found.repaired is not None
    assert (1, 0) == (found.repaired.to_add, found.repaired.forgotten)
    told = describe(found)
    assert (1, None, "took too long") == (told["missing"], told["missing_wanted"], told["untold"])
    assert "who is wanted cannot be told: took too long" in list(_lines(told))
    assert not any("of whom" in line for line in _lines(told)), "nobody knows whether they are wanted"


def test_a_repair_waits_for_the_sync_that_is_under_way(make: Callable[..., Story]) -> None:
    """And without one, reading needs no lease: it disturbs nobody."""
    story = make()
    story.people(1, 2)
    story.sync()
    by_hand(story, "1")
    with leases.hold(story.folder / "tagalong.db", "sync.vips", lambda: story.now):
        assert {"missing": 1} == by_name(compared(story))
        found = compared(story, repair=True)
    assert isinstance(found.error, LeaseLost)
    assert "ours" == states(story)["1"]


def test_a_connection_that_is_paused_is_not_asked(make: Callable[..., Story]) -> None:
    """A pause of the sync alone is no reason not to look."""
    story = make()
    story.people(1, 2)
    story.sync()
    by_hand(story, "1")
    with story.store() as store:
        pauses.pause(store, "sync.vips", at=story.now)
    assert {"missing": 1} == by_name(compared(story))
    with story.store() as store:
        pauses.pause(store, "connection.crm", at=story.now)
    reads = story.vendor.reads
    assert "is paused" in str(compared(story, repair=True).error)
    assert reads == story.vendor.reads


def test_a_repair_whose_lease_was_taken_over_writes_nothing(
    make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is checked in the transaction that mends."""
    story = make()
    story.people(1, 2)
    story.sync()
    by_hand(story, "1")
    mend = repairs._mended

    def slept(comparing: Any, *rest: Any) -> Drift:
        comparing.store.conn.execute("UPDATE leases SET owner = 'another'")
        return mend(comparing, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(repairs, "_mended", slept)
        assert isinstance(compared(story, repair=True).error, LeaseLost)
    assert "ours" == states(story)["1"]


def test_a_person_deleted_there_is_not_made_anew_by_a_repair(make: Callable[..., Story]) -> None:
    """`create_missing` makes whom nobody deleted."""
    story = make(kind="mail")
    story.add_sync("vips", create_missing=True)
    story.people(1, 2)
    story.sync()
    by_hand(story, "p1@example.com")
    story.vendor.unknown.add("p1@example.com")
    compared(story, repair=True)
    story.sync()
    assert {"p2@example.com"} == story.there()
    assert "new-p1@example.com" not in story.vendor.people


def test_who_lives_on_in_another_object_is_there(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor merged a member into another contact, which is in the list."""
    story = make()
    story.people(1, 2)
    story.sync()
    by_hand(story, "1", put=("11",))
    monkeypatch.setattr("core.pushing.reach.merged_into", lambda conn, stream_id, refs: {"1": "11"} if "1" in set(refs) else {})
    assert {} == by_name(compared(story))


def test_somebody_forgotten_is_not_known_again_by_way_of_a_list(make: Callable[..., Story]) -> None:
    """They are still in it by another's hand; neither told nor stored."""
    story = make(kind="mail")
    story.vendor.make("Vips", ["p2@example.com"])
    story.people(1, 2)
    story.sync()
    forget(story.hub(), Wish("p2@example.com"))
    assert {} == by_name(compared(story, repair=True))
    assert {"p1@example.com"} == set(states(story))


def test_no_member_has_the_whole_audience_looked_through(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's own steps, which do not depend on the machine: some dozens a member, and not as many as there are members."""
    members = 4_000
    story = make()
    story.people(1)
    story.sync()
    known = [Entry(f"p{n}@example.com", State.OURS, profile_id=None, remote_id=str(n)) for n in range(2, members)]
    monkeypatch.setattr(Tag, "members", lambda self, api, id_: iter([[Ref(str(n)) for n in range(1, 2 * members, 2)]]))
    story.pass_time(LATER)
    thousands = itertools.count()
    with story.store() as store:
        with store.atomic() as conn:
            ledger.put(conn, 1, known, sync="vips", run_id=None, at=0)
        store.conn.set_progress_handler(lambda: next(thousands) and None, 1_000)
        (found,) = drift(story.hub(), store, repair=True)
        assert 500 * members > 1_000 * next(thousands)
        assert members == len(ledger.of_remote_ids(store.conn, 1, [str(n) for n in range(2 * members)]))
        assert 600 * members > 1_000 * next(thousands)
    assert (members // 2 - 1, members // 2) == (found.count(What.MISSING), found.count(What.UNKNOWN))


MEMBER = st.sampled_from(["nobody", "ours", "unsure", "foreign", "missing"])
PEOPLE = 8


def test_after_a_repair_and_one_sync_the_list_is_the_wanted_and_the_foreign(tmp_path: Path) -> None:
    """Whatever the ledger says and whoever is there: who is foreign there stays, and all others are just the wanted."""
    story = Story(tmp_path)
    story.vendor.make("Vips", [])
    story.people(*range(PEOPLE))
    story.sync()

    @settings(max_examples=12, deadline=None)
    @given(
        people=st.lists(st.tuples(MEMBER, st.booleans(), st.booleans()), min_size=PEOPLE, max_size=PEOPLE),
        strangers=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=4),
    )
    def holds(people: list[tuple[str, bool, bool]], strangers: list[tuple[bool, bool]]) -> None:
        for n, (_, wanted, _) in enumerate(people):
            story.people(n, stage="vip" if wanted else "lead")
        there = [str(n) for n, (_, _, is_there) in enumerate(people) if is_there]
        there += [str(100 + n) for n, (_, is_there) in enumerate(strangers) if is_there]
        _muddle(story, people, strangers, there)
        ours = {str(n) for n, (state, _, _) in enumerate(people) if state in ("ours", "unsure")}
        wanted = {str(n) for n, (_, is_wanted, _) in enumerate(people) if is_wanted}
        foreign = set(there) - ours
        pull(story.hub())
        compared(story, repair=True)
        story.vendor.log.clear()
        story.sync(pull=False, size_guards=())

        assert foreign | wanted == story.there()
        assert not foreign & set(story.vendor.moved()), "nobody foreign was touched"

    holds()


def _muddle(story: Story, people: list[tuple[str, bool, bool]], strangers: list[tuple[bool, bool]], there: list[str]) -> None:
    """Write the ledger and the list as drawn."""
    story.vendor.audiences["a1"] = {member: {} for member in there}
    with story.store() as store, store.atomic() as conn:
        (row,) = audiences.audiences(conn)
        conn.execute("DELETE FROM ledger")
        profiles = {int(ref): id_ for ref, id_ in conn.execute("SELECT ref, profile_id FROM subjects WHERE stream_id = 1")}
        drawn = [(n, State(state)) for n, (state, _, _) in enumerate(people) if state != "nobody"]
        entries = [
            Entry(
                f"remote:{n}" if state is State.FOREIGN else f"p{n}@example.com",
                state,
                profile_id=profiles[n],
                remote_id=str(n),
            )
            for n, state in drawn
        ]
        entries += [
            Entry(f"remote:{100 + n}", State.FOREIGN, profile_id=None, remote_id=str(100 + n))
            for n, (stored, _) in enumerate(strangers)
            if stored
        ]
        ledger.put(conn, row.id, entries, sync="vips", run_id=None, at=to_us(story.now) - 1)
        audiences.refresh(conn, row.id, BitMap(profiles.values()), waiting=BitMap(), settled=BitMap())

"""A plan is kept, looked at, and carried out to the last member, or not at all."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from support.killed import killed_at
from support.story import Story, held, ids

from core.cli.output import as_json
from core.cli.plan_document import as_document
from core.cli.plans import describe_plan
from core.contract import Verdict
from core.errors import ConfigError, LeaseLost
from core.planning.apply import Applied, apply
from core.planning.approve import approve
from core.planning.document import read_document
from core.planning.effects import SIZE, Effects, Way, differing
from core.pulling.fill import pull
from core.run import plan
from core.store import leases, ledger, pauses, runs
from core.store.runs import Status
from core.store.seal import Seal, seal_of

DAY = timedelta(days=1)
KINDS = ["tag", "mail", "list", "job", "file", "field", "campaign"]


def seal(story: Story) -> Seal:
    with story.store() as store, store.atomic() as conn:
        return seal_of(conn)


def keep(story: Story, *names: str) -> Path:
    """Pull, plan, and write the plan down as the command does."""
    story.pass_time()
    hub = story.hub()
    pull(hub)
    plans = plan(hub, names=names)
    with hub.store() as store:
        data = {"as_of": story.now, "plans": [describe_plan(one) for one in plans], "sources": []}
        text = as_json(as_document(hub, store, plans, data))
    path = story.folder / "plan.json"
    path.write_text(text + "\n", encoding="utf-8")
    return path


def carry_out(story: Story, path: Path, **options: Any) -> Applied:
    story.pass_time()
    return apply(story.hub(), read_document(path, seal(story)), **options)


def told(applied: Applied) -> list[str]:
    return [str(one) for one in applied.moved]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_is_carried_out_to_the_last_member_and_a_second_time_sends_nothing(tmp_path: Path, kind: str) -> None:
    """Adds, removals and new values; who has come since waits for the next sync. Then all of it is done, and refused."""
    story = Story(tmp_path, kind=kind)
    story.people(1, 2, 3, country="SE")
    story.sync()
    story.vendor.jobs_done = True
    story.sync()
    before = story.there()
    story.people(4, 5, country="SE")
    story.people(1, stage="lead")
    story.people(2, country="NO")
    path = keep(story)
    story.people(6, country="SE")
    pull(story.hub())
    assert "@" not in path.read_text(encoding="utf-8")

    applied = carry_out(story, path)
    assert [] == told(applied)
    assert applied.report is not None
    assert Status.DONE == applied.report.status, [run.error for run in applied.report.syncs]
    (sent,) = applied.report.syncs[0].plans
    assert sent.limited
    assert "1 more has come to be sent since the plan was made, and is left to the next sync" in sent.notes
    if kind == "job":
        assert not carry_out(story, path).report, "who is on the way is not sent again"
        assert Status.DONE == story.sync(names=["vips"]).status
        return
    assert 4 == len(story.there())
    assert 2 == len(before & story.there())
    writes = story.vendor.writes
    again = carry_out(story, path)
    assert again.report is None
    assert {"2 of 2 adds of vips are there already", "1 of 1 removal of vips are gone already"} <= set(told(again))
    assert writes == story.vendor.writes

    story.sync()
    assert 5 == len(story.there())


def test_a_plan_that_was_all_there_is_counts_as_a_whole_run(tmp_path: Path) -> None:
    """The next plan looks only at what changes from then on; one that leaves somebody out does not count so."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    carry_out(story, keep(story))
    with story.store() as store:
        (planned,) = store.conn.execute("SELECT planned_at FROM audiences").fetchone()
        assert planned is not None
    story.people(4, 5)
    path = keep(story)
    story.people(6)
    pull(story.hub())
    carry_out(story, path)
    with story.store() as store:
        assert (planned,) == store.conn.execute("SELECT planned_at FROM audiences").fetchone()
        assert [True, True] == [run.limited for run in runs.runs(store.conn, kind="sync")]
    assert ids(1, 2, 3, 4, 5) == story.there()


Happening = Callable[[Story], None]


def _one_leaves(story: Story) -> None:
    story.people(4, stage="lead")


def _one_is_back(story: Story) -> None:
    story.people(1)


def _said_no(story: Story) -> None:
    story.people(4, consent="denied")


def _another_address(story: Story) -> None:
    story.people(4, email="other@example.com")


def _other_values(story: Story) -> None:
    story.people(4, country="DK")


def _other_text(story: Story) -> None:
    story.segments["vip"] = 'lifecycle_stage == "vip" and country != "DK"'


def _other_sync(story: Story) -> None:
    story.add_sync("vips", mode="add_only")


def _no_sync(story: Story) -> None:
    story.syncs = {}


def _other_account(story: Story) -> None:
    with story.store() as store, store.atomic() as conn:
        conn.execute("UPDATE audiences SET account = 'acc-2'")
        conn.execute("UPDATE connections SET account = 'acc-2'")
    story.vendor.account = "acc-2"


def _other_audience(story: Story) -> None:
    with story.store() as store, store.atomic() as conn:
        conn.execute("UPDATE audiences SET remote_id = 'a9' WHERE sync = 'vips'")
    story.vendor.audiences["a9"] = story.vendor.audiences.pop("a1")
    story.vendor.names["Vips"] = "a9"


def _done_by_another(story: Story) -> None:
    story.sync()


def _guards_hold(story: Story) -> None:
    story.people(2, 3, stage="lead")


def _suppressed(story: Story) -> None:
    with story.store() as store, store.atomic() as conn:
        entry = ledger.Entry("p4@example.com", ledger.State.SUPPRESSED, profile_id=4)
        ledger.put(conn, 1, [entry], sync="vips", run_id=None, at=2**60)


@pytest.mark.parametrize(
    ("kind", "happens", "said"),
    [
        ("tag", _one_leaves, "1 of 2 adds of vips are no longer wanted"),
        ("tag", _one_is_back, "1 of 1 removal of vips are wanted again"),
        ("tag", _said_no, "1 of 2 adds of vips are skipped now (consent)"),
        ("mail", _another_address, "1 of 2 adds of vips would be sent otherwise"),
        ("field", _other_values, "1 of 2 adds of vips would be sent otherwise"),
        ("tag", _other_text, "vips is of a segment whose text is another now"),
        ("tag", _other_sync, "vips is another sync in the config by now"),
        ("tag", _no_sync, "vips is no sync of the config any more"),
        ("tag", _other_account, "vips would go to another account"),
        ("tag", _other_audience, "vips would fill another audience"),
        ("tag", _done_by_another, "2 of 2 adds of vips are there already"),
        ("tag", _guards_hold, "1 of 1 removal of vips are held now"),
        ("tag", _suppressed, "1 of 2 adds of vips are skipped now (suppressed)"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_where_the_world_moved_nothing_is_sent_and_it_is_said_what(
    tmp_path: Path, kind: str, happens: Happening, said: str
) -> None:
    """Not even to another sync of the document, which has not moved."""
    story = Story(tmp_path, kind=kind, with_events=False)
    story.add_sync("others", audience_name="Others", audience_kind="tag")
    story.add_sync("vips", require_consent=True)
    story.people(1, 2, 3, country="SE")
    story.sync()
    story.guard("vips", removals_count=1)
    story.guard("others", removals_count=50)
    story.people(4, 5, country="SE")
    story.people(1, stage="lead")
    path = keep(story)
    happens(story)
    if happens is not _done_by_another:
        story.pass_time()
        pull(story.hub())
    writes, log = story.vendor.writes, list(story.vendor.log)

    applied = carry_out(story, path)

    assert applied.report is None
    assert any(line.startswith(said) for line in told(applied)), told(applied)
    assert (writes, log) == (story.vendor.writes, story.vendor.log)


def test_nothing_is_sent_by_what_somebody_is_just_reading(tmp_path: Path) -> None:
    """What the plan says, it says of the same half of their pull: nothing has moved, and all of it is half."""
    story = Story(tmp_path)
    story.people(1)
    story.sync()
    story.people(*range(2, 20))
    path = keep(story)
    refused: list[LeaseLost] = []

    def beside(page: int) -> None:
        if page == 3:
            with pytest.raises(LeaseLost, match="was being read") as caught:
                carry_out(story, path)
            refused.append(caught.value)

    story.vendor.pull_fault = beside
    pull(story.hub())
    story.vendor.pull_fault = None

    assert 1 == len(refused)
    assert ids(1) == story.there()
    carry_out(story, path)
    assert ids(*range(1, 20)) == story.there()


def test_what_was_held_in_the_document_is_not_sent_though_it_was_approved_since(tmp_path: Path) -> None:
    """A document is what it shows to be sent, and no more."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    story.people(*range(4, 200))
    story.people(1, stage="lead")
    path = keep(story)
    approve(story.hub(), "vips", send=False)

    applied = carry_out(story, path)
    assert applied.report is not None
    assert ids(2, 3) == story.there()
    story.sync()
    assert 198 == len(story.there())


def test_the_guards_hold_inside_a_plan_too(make: Callable[..., Story]) -> None:
    """A document of a quiet day does not carry a flood of today; without guards it would have."""

    def begin(story: Story) -> Path:
        story.people(*range(1, 101))
        story.sync()
        story.people(*range(1, 31), stage="lead")
        path = keep(story)
        story.people(*range(31, 91), stage="lead")
        pull(story.hub())
        return path

    bare = make()
    carry_out(bare, begin(bare), source_guards=(), size_guards=())
    assert 70 == len(bare.there())

    story = make()
    applied = carry_out(story, begin(story))
    assert ["30 of 30 removals of vips are held now"] == told(applied)
    assert 100 == len(story.there())


def test_a_plan_of_a_failed_source_sends_nothing(tmp_path: Path) -> None:
    """The source failed after the plan was made: what is stored is not believed any more."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    story.people(4)
    path = keep(story)

    def fault(page: int) -> None:
        raise ValueError

    story.vendor.pull_fault = fault
    pull(story.hub())

    assert ["1 of 1 add of vips are held now"] == told(carry_out(story, path))
    assert ids(1, 2, 3) == story.there()


def test_moves_between_groups_are_carried_out_whole(tmp_path: Path) -> None:
    """A member goes out of one and into the other, and an address is exchanged, as the document says."""
    groups = {"hot": 'lifecycle_stage == "hot"', "cold": 'lifecycle_stage == "cold"'}
    story = Story(tmp_path, kind="mail", segments={}, partitions={"life": groups})
    story.add_sync("life", partition="life", audience_name="Life: {group}")
    story.people(1, 2, 3, stage="hot")
    story.sync()
    story.people(1, stage="cold")
    story.people(2, stage="hot", email="new@example.com")
    path = keep(story)
    document = read_document(path, seal(story))
    assert {"life.hot": {Way.REMOVE: 1, Way.MOVE: 1}, "life.cold": {Way.ADD: 1}} == {
        one.label: {way: len(effects.ids) for way, effects in one.sends.items()} for one in document.planned
    }
    assert [] == told(carry_out(story, path))
    assert {"new@example.com", "p3@example.com"} == story.there("Life: hot")
    assert {"p1@example.com"} == story.there("Life: cold")
    assert carry_out(story, path).report is None


def test_people_to_be_created_are_in_it(tmp_path: Path) -> None:
    """By the address and the names that they are made with."""
    story = Story(tmp_path, kind="mail")
    story.add_sync("vips", create_missing=True)
    story.people(1, 2)
    story.vendor.unknown |= {"p2@example.com"}
    path = keep(story)
    (one,) = read_document(path, seal(story)).planned
    assert [Way.ADD, Way.CREATE] == sorted(one.sends)
    story.people(2, first_name="Ann")
    pull(story.hub())
    assert ["1 of 1 creation of vips would be sent otherwise: under another address or id, or with other values"] == told(
        carry_out(story, path)
    )
    carry_out(story, keep(story))
    assert {"new-p2@example.com"} <= set(story.vendor.people)


def test_a_member_that_the_vendor_refuses_does_not_stop_the_rest(tmp_path: Path) -> None:
    """A document is a wish; what the vendor says to it is recorded as ever."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    path = keep(story)
    story.vendor.refuse.add("2")
    applied = carry_out(story, path)

    assert applied.report is not None
    assert (1, ids(1, 3)) == (applied.report.new_dead_letters, story.there())
    assert Verdict.REJECTED in {verdict for _, verdict in applied.report.syncs[0].reports["vips"].verdicts}


def test_a_plan_of_nothing_is_carried_out_and_sends_nothing(tmp_path: Path) -> None:
    """No error, no audience made, no request."""
    story = Story(tmp_path)
    path = keep(story)
    applied = carry_out(story, path)

    assert applied.report is not None
    assert (0, Status.DONE, {}) == (story.vendor.writes, applied.report.status, held(applied.report))


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Story, Path]:
    """A document of a few people, with every kind of change in it."""
    story = Story(tmp_path_factory.mktemp("written"), kind="field")
    story.people(1, 2, 3, country="SE")
    story.sync()
    story.people(4, country="SE")
    story.people(1, stage="lead")
    story.people(2, country="NO")
    return story, keep(story)


def test_a_document_round_trips(written: tuple[Story, Path]) -> None:
    """What is read is what was planned; whitespace and the order of keys are nobody's business."""
    story, path = written
    document = read_document(path, seal(story))
    other = story.folder / "other.json"
    other.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=2, sort_keys=True), encoding="utf-8")

    assert document == read_document(other, seal(story))
    assert ("vips",) == document.syncs
    (one,) = document.planned
    assert {Way.ADD: 1, Way.UPDATE: 1, Way.REMOVE: 1} == {way: len(effects.ids) for way, effects in one.sends.items()}
    (planned,) = plan(story.hub())
    assert planned.adds == one.sends[Way.ADD].ids


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_any_one_byte_edit_of_a_document_is_refused_or_equal(written: tuple[Story, Path], at: int, byte: int) -> None:
    """Wherever it is made: the file and what to do are named."""
    story, path = written
    key, content = seal(story), bytearray(path.read_bytes())
    content[at % len(content)] = byte
    edited = story.folder / "edited.json"
    edited.write_bytes(content)
    try:
        found = read_document(edited, key)
    except ConfigError as error:
        (problem,) = error.problems
        assert str(edited) == problem.file
        assert "nothing was sent" in problem.message
    else:
        assert found == read_document(path, key)


@pytest.mark.parametrize("length", [0, 1, 100, -2])
def test_a_truncated_document_is_refused(written: tuple[Story, Path], length: int) -> None:
    """Or one that was never more than its beginning."""
    story, path = written
    cut = story.folder / "cut.json"
    cut.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ConfigError, match="not JSON, or only the beginning"):
        read_document(cut, seal(story))


WRONG: list[tuple[str, Callable[[dict[str, Any]], None], str, str]] = [
    ("another store", lambda d: d.update(store="0" * 16), "store", "plan of another store"),
    ("another format", lambda d: d.update(format=2), "format", "another format"),
    ("an older version's", lambda d: d.pop("format"), "format", "version that wrote no documents"),
    ("without a seal", lambda d: d.pop("seal"), "seal", "is not as it was written"),
    ("a member more", lambda d: d["plans"][0]["sends"].popitem(), "seal", "is not as it was written"),
    ("some other answer", lambda d: d.pop("plans"), "plans", "is no plan"),
]


@pytest.mark.parametrize(("edit", "key", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_no_plan_of_this_store_is_refused_by_its_key(
    written: tuple[Story, Path], edit: Callable[[dict[str, Any]], None], key: str, said: str
) -> None:
    """One message, with the file and the key."""
    story, path = written
    found = json.loads(path.read_text(encoding="utf-8"))
    edit(found)
    edited = story.folder / "edited.json"
    edited.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_document(edited, seal(story))
    (problem,) = caught.value.problems
    assert (str(edited), key) == (problem.file, problem.key)
    assert said in problem.message


@pytest.mark.parametrize("text", ["[1]", "null", '{"a": 1, "a": 1}', '{"plans": NaN}', "[" * 100_000, "\ufeff{}", '"\\ud800"'])
def test_other_json_is_refused(written: tuple[Story, Path], text: str) -> None:
    """Without a traceback."""
    story, _ = written
    path = story.folder / "other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="nothing was sent"):
        read_document(path, seal(story))


def test_a_fingerprint_is_of_no_use_without_the_store(written: tuple[Story, Path]) -> None:
    """Another store's key makes other ones of the same people: nobody can find out by guessing who is in a document."""
    story, path = written
    text = path.read_text(encoding="utf-8")
    key = seal(story).key
    assert key.hex() not in text
    assert base64.b64encode(key).decode() not in text
    assert repr(seal(story)).count("key") == 0


def test_a_million_members_take_little_room() -> None:
    """Eight bytes a member and a bitmap; two documents of a million are compared member by member without a table of them."""
    some = BitMap(range(1, 100_001))
    prints = random.Random(1).randbytes(SIZE * len(some))
    first, second = Effects(some, prints), Effects(some - BitMap([7]), prints[: 6 * SIZE] + prints[7 * SIZE :])

    assert BitMap() == differing(first, second)
    changed = bytearray(prints)
    changed[SIZE * 50_000] ^= 1
    assert BitMap([50_001]) == differing(first, Effects(some, bytes(changed)))


@given(
    st.dictionaries(st.integers(1, 40), st.binary(min_size=SIZE, max_size=SIZE)),
    st.dictionaries(st.integers(1, 40), st.binary(min_size=SIZE, max_size=SIZE)),
)
def test_comparing_effects_is_comparing_each_member(one: dict[int, bytes], two: dict[int, bytes]) -> None:
    """Of those in both."""

    def effects(of: dict[int, bytes]) -> Effects:
        return Effects(BitMap(of), b"".join(of[profile_id] for profile_id in sorted(of)))

    expected = {profile_id for profile_id in one.keys() & two.keys() if one[profile_id] != two[profile_id]}
    assert BitMap(expected) == differing(effects(one), effects(two))


def test_nobody_else_sends_for_the_syncs_of_a_plan_that_is_being_carried_out(tmp_path: Path) -> None:
    """All their leases are taken before the first is looked at; if one cannot be, nothing is sent."""
    story = Story(tmp_path)
    story.add_sync("others", audience_name="Others")
    story.people(1, 2)
    path = keep(story)
    hub = story.hub()
    with leases.hold(hub.path, "sync.others", hub.clock), pytest.raises(LeaseLost):
        carry_out(story, path)
    assert 0 == story.vendor.writes

    busy: list[bool] = []

    def fault(where: str) -> None:
        with story.store() as store:
            busy.append(all(leases.is_held(store.conn, f"sync.{name}", hub.clock) for name in ("vips", "others")))

    story.vendor.fault = fault
    carry_out(story, path)
    assert {True} == set(busy)


@pytest.mark.parametrize("target", ["sync.others", "connection.crm", "all"])
def test_where_a_sync_of_a_plan_is_paused_nothing_of_it_is_sent(tmp_path: Path, target: str) -> None:
    """Else the others would be sent without it, and the plan would count as carried out."""
    story = Story(tmp_path)
    story.add_sync("others", audience_name="Others")
    story.people(1, 2)
    path = keep(story)
    with story.store() as store:
        pauses.pause(store, target, at=story.now)
    applied = carry_out(story, path)
    assert applied.report is None
    assert f"others is not sent: {target} is paused" in [str(moved).partition(";")[0] for moved in applied.moved]
    assert 0 == story.vendor.writes

    with story.store() as store:
        pauses.resume(store, target)
    assert carry_out(story, path).report is not None
    assert ids(1, 2) == story.there("Others")


def test_what_moves_while_the_first_audience_is_sent_stops_the_second(tmp_path: Path) -> None:
    """All are compared before the first request, and each once more before its own: a vendor may take hours for the first."""
    story = Story(tmp_path)
    story.add_sync("second", audience_name="Second")
    story.people(1, 2)
    path = keep(story)

    def leaves(where: str) -> None:
        if where == "before apply":
            story.vendor.fault = None
            story.pass_time()
            story.people(2, stage="lead")
            pull(story.hub())

    story.vendor.fault = leaves
    report = carry_out(story, path).report
    assert report is not None
    assert [Status.DONE, Status.FAILED] == [run.status for run in report.syncs]
    assert "1 of 2 adds of second" in str(report.syncs[1].error)
    assert set() == story.there("Second"), "the plan that was looked at, or nothing of it"


def test_a_file_whose_other_members_changed_is_not_written_by_an_old_plan(tmp_path: Path) -> None:
    """It is written whole, so their new values would go along unseen."""
    story = Story(tmp_path, kind="file")
    story.people(1, 2)
    story.sync()
    story.people(3)
    path = keep(story)
    story.people(1, email="new@example.com")
    pull(story.hub())

    assert ["vips is written whole, and 1 of its members have other values by now"] == told(carry_out(story, path))


def test_a_kill_half_way_leaves_the_rest_to_the_next_sync(tmp_path: Path) -> None:
    """The document is refused then, for a part of it is done; nothing is lost and nothing is sent twice."""
    story = Story(tmp_path)
    story.people(*range(1, 9))
    path = keep(story)
    with killed_at(story.vendor, "after apply", nth=2):
        carry_out(story, path)
    assert carry_out(story, path).report is None
    story.sync()

    assert ids(*range(1, 9)) == story.there()
    assert sorted(story.vendor.moved("add")) == sorted(set(story.vendor.moved("add")))


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_is_sent_exactly_or_not_at_all(tmp_path: Path, seed: int) -> None:
    """In a world where anything may happen in between: what moves at the vendor is the document, or nothing."""
    chance = random.Random(seed)
    story = Story(tmp_path, kind=chance.choice(["tag", "mail"]))
    story.guard("vips", removals_count=50, adds_count=500)
    numbers = range(1, 16)
    for n in numbers:
        story.people(n, stage=chance.choice(["vip", "lead"]))
    story.sync()
    outcomes = set()
    for _ in range(4):
        for n in chance.sample(numbers, 3):
            story.people(n, stage=chance.choice(["vip", "lead"]))
        path = keep(story)
        (planned,) = read_document(path, seal(story)).planned
        for n in chance.sample(numbers, chance.choice([0, 1, 2])):
            story.people(n, stage=chance.choice(["vip", "lead"]))
        pull(story.hub())
        story.vendor.log.clear()
        applied = carry_out(story, path)
        outcomes.add(applied.report is None)
        moved = [(op, member) for _, op, member in story.vendor.log]
        assert len(moved) == (0 if applied.report is None else planned.size)
        assert len(moved) == len(set(moved))
        story.sync()
        wanted = {n for n in numbers if story.vendor.people[str(n)]["stage"] == "vip"}
        there = {int("".join(filter(str.isdigit, member.partition("@")[0]))) for member in story.there()}
        assert wanted == there
    assert outcomes


@pytest.mark.parametrize("baseline", ["adopt", "replace"])
def test_who_was_there_before_us_is_in_a_plan_too(tmp_path: Path, baseline: str) -> None:
    """Adopted, and taken out once that was approved, strangers too; not if others are there by then."""
    story = Story(tmp_path)
    story.vendor.make("Vips", ["2", "3", "90"])
    story.people(1, 2)
    story.people(3, stage="lead")
    story.add_sync("vips", baseline=baseline)
    pull(story.hub())
    if baseline == "replace":
        plan(story.hub())
        approve(story.hub(), "vips", send=False)
    path = keep(story)
    story.people(4)
    pull(story.hub())
    applied = carry_out(story, path)

    assert [] == told(applied)
    assert (ids(1, 2) if baseline == "replace" else ids(1, 2, 3, 90)) == story.there()
    assert carry_out(story, path).report is None
    story.people(1, 2, stage="lead")
    story.sync()
    assert "2" not in story.there()


def test_others_than_those_who_were_there_before_us_are_not_replaced_by_a_plan(tmp_path: Path) -> None:
    """Somebody new was put in by hand after the plan was made."""
    story = Story(tmp_path)
    story.vendor.make("Vips", ["90"])
    story.people(1)
    story.add_sync("vips", baseline="replace")
    pull(story.hub())
    plan(story.hub())
    approve(story.hub(), "vips", send=False)
    path = keep(story)
    story.vendor.audiences["a1"]["91"] = {}
    applied = carry_out(story, path)

    assert applied.report is None
    assert ids(90, 91) == story.there()

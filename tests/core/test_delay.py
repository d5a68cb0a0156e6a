"""`grace` and `min_stay`: who is no longer wanted stays for a while, and nobody is ever in two groups or none because of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap
from support.story import Story, held, ids, skips

from core.clock import from_us, to_us
from core.errors import TransientError
from core.planning.delay import Delay, Stay, apart, out_since
from core.run import plan
from core.store import ledger
from core.store.leaving import leaving

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
GROUPS = {"hot": 'lifecycle_stage == "hot"', "cold": 'lifecycle_stage == "cold"'}


def delaying(story: Story, **options: Any) -> Story:
    story.add_sync("vips", **options)
    return story


def moved(story: Story, member: str) -> list[str]:
    return [op for _, op, remote_id in story.vendor.log if remote_id == member]


def flap(story: Story, times: int) -> None:
    """Somebody goes in and out of the segment, an hour in, an hour out."""
    story.people(1, 2, 3)
    story.sync()
    for _ in range(times):
        for stage in ("lead", "vip"):
            story.people(1, stage=stage)
            story.pass_time(HOUR)
            story.sync()


def test_somebody_who_flaps_is_taken_out_and_put_in_again_unless_there_is_grace(make: Callable[..., Story]) -> None:
    """The harm, counted at the vendor: each time is a welcome series begun anew. With grace nothing moves."""
    bare = make()
    flap(bare, 2)
    assert ["add"] + ["remove", "add"] * 2 == moved(bare, "1")

    story = delaying(make(), grace=DAY)
    flap(story, 2)
    assert ["add"] == moved(story, "1")
    assert ids(1, 2, 3) == story.there()


def test_who_stays_out_goes_when_the_time_has_come_though_nothing_else_changes(tmp_path: Path) -> None:
    """Not before; and until then plan and sync say until when, and a run costs no write."""
    story = delaying(Story(tmp_path), grace=DAY)
    story.people(1, 2, 3)
    story.sync()
    story.people(1, stage="lead")
    report = story.sync()
    goes_at = story.now + DAY
    writes = story.vendor.writes

    assert ({"grace": 1}, {}) == (skips(report), held(report))
    assert (to_us(goes_at), to_us(goes_at)) == report.syncs[0].plans[0].draft.stays.ends(Delay.GRACE)
    (planned,) = plan(story.hub())
    assert (1, 0) == (len(planned.skips["grace"]), len(planned.removes))
    story.now = goes_at - timedelta(minutes=16)
    assert {"grace": 1} == skips(story.sync())
    assert ids(1, 2, 3) == story.there()
    assert writes == story.vendor.writes

    story.now = goes_at - timedelta(minutes=15)
    assert {} == skips(story.sync())
    assert ids(2, 3) == story.there()
    story.sync()
    with story.store() as store:
        assert {} == leaving(store.conn, 1)


def test_coming_back_begins_it_anew_even_between_two_runs(tmp_path: Path) -> None:
    """Another sync's run saw them in again; this one's did not, and yet they have not been out for a day."""
    story = delaying(Story(tmp_path), grace=DAY)
    story.add_sync("others", audience_name="Others")
    story.people(1, 2, 3)
    story.sync()
    story.people(1, stage="lead")
    story.sync(names=["vips"])
    story.pass_time(12 * HOUR)
    story.people(1)
    story.sync(names=["others"])
    story.people(1, stage="lead")
    story.sync(names=["others"])
    left_again = story.now
    story.pass_time(12 * HOUR)

    assert {"grace": 1} == skips(story.sync(names=["vips"]))
    assert ids(1, 2, 3) == story.there()
    story.now = left_again + DAY
    assert {} == skips(story.sync(names=["vips"]))
    assert ids(2, 3) == story.there()


def test_a_source_that_fails_does_not_let_the_time_run(tmp_path: Path) -> None:
    """What a broken source says of who is out is not believed, now or later."""
    story = delaying(Story(tmp_path), grace=DAY)
    story.people(*range(1, 6))
    story.sync()
    story.people(1, stage="lead")
    calls = iter(range(99))

    def fault(page: int) -> None:
        if next(calls) == 1:
            raise TransientError("away")

    story.people(6)
    story.vendor.pull_fault = fault
    assert {"vips": ["source"]} == held(story.sync())
    story.pass_time(2 * DAY)
    story.vendor.pull_fault = None

    assert {"grace": 1} == skips(story.sync())
    assert ids(*range(1, 7)) == story.there()


def test_when_the_time_has_come_the_guards_still_hold(tmp_path: Path) -> None:
    """A delay is no way around them."""
    story = delaying(Story(tmp_path), grace=DAY)
    story.people(*range(1, 6))
    story.sync()
    story.people(*range(1, 6), stage="lead")
    assert {} == held(story.sync())
    story.pass_time(DAY)

    assert {"vips": ["removals"]} == held(story.sync())
    assert ids(*range(1, 6)) == story.there()


def test_min_stay_counts_from_the_add_and_not_from_a_later_value(tmp_path: Path) -> None:
    """Whoever was put in stays for a week, whatever was written of them since; who was in for longer goes at once."""
    story = Story(tmp_path, kind="field")
    story.add_sync("vips", min_stay=7 * DAY)
    story.people(1, 2, 3, country="SE")
    story.sync()
    added = story.now
    story.now = added + 5 * DAY
    story.people(1, country="NO")
    story.people(4, country="SE")
    story.sync()
    later = story.now
    story.people(1, 4, stage="lead")

    report = story.sync()
    assert {"min_stay": 2} == skips(report)
    stays = report.syncs[0].plans[0].draft.stays
    assert (to_us(added + 7 * DAY), to_us(later + 7 * DAY)) == stays.ends(Delay.MIN_STAY)
    story.now = added + 7 * DAY - timedelta(minutes=15)
    story.sync()
    assert ids(2, 3, 4) == story.there()
    story.now = later + 7 * DAY - timedelta(minutes=15)
    story.sync()
    assert ids(2, 3) == story.there()


def test_both_delays_are_one_and_the_longer_counts(tmp_path: Path) -> None:
    """Nobody is counted twice."""
    story = delaying(Story(tmp_path), grace=DAY, min_stay=3 * DAY)
    story.people(1, 2, 3)
    story.sync()
    added = story.now
    story.people(1, stage="lead")
    assert {"min_stay": 1} == skips(story.sync())
    story.now = added + 2 * DAY + 12 * HOUR
    story.people(2, stage="lead")
    left = story.now + timedelta(minutes=15)
    assert {"min_stay": 1, "grace": 1} == skips(story.sync())
    story.now = left + DAY - timedelta(minutes=15)
    story.sync()

    assert ids(3) == story.there()


def test_an_update_keeps_since_when_a_member_is_ours_and_a_new_add_does_not(tmp_path: Path) -> None:
    """Also through another address, where only the ledger changes."""
    story = Story(tmp_path)
    story.people(1)
    story.sync()
    added = story.now
    story.pass_time(DAY)
    story.people(1, email="new@example.com")
    story.sync()

    def since() -> datetime:
        with story.store() as store:
            (entry,) = ledger.rows(store.conn, 1)
            assert entry.added_at is not None
            return from_us(entry.added_at)

    assert added == since()
    story.people(1, stage="lead")
    story.sync(size_guards=())
    story.people(1)
    story.sync()
    assert story.now == since()


@pytest.mark.parametrize("options", [{"grace": DAY}, {"min_stay": 2 * DAY}], ids=str)
def test_a_move_between_groups_is_put_off_whole(tmp_path: Path, options: dict[str, timedelta]) -> None:
    """Never in both groups, never in none; whoever goes back has not moved, and who goes on goes from the first to the last."""
    groups = {**GROUPS, "cool": 'lifecycle_stage == "cool"'}
    story = Story(tmp_path, segments={}, partitions={"life": groups})
    story.add_sync("life", partition="life", audience_name="Life: {group}", **options)
    story.people(1, 2, 3, stage="hot")
    story.people(4, 5, stage="cold")
    story.sync()
    story.people(1, 2, stage="cold")
    story.people(3, stage="nowhere")
    story.people(6, stage="cold")
    story.sync()

    where = {name: story.there(f"Life: {name}") for name in groups}
    assert {"hot": ids(1, 2, 3), "cold": ids(4, 5, 6), "cool": set()} == where
    story.people(1, stage="cool")
    story.people(2, stage="hot")
    story.pass_time(DAY)
    story.sync()
    if "grace" in options:
        assert ids(2) == story.there("Life: hot")
        assert ids(1) == story.there("Life: cool")
    story.pass_time(DAY)
    story.sync()
    assert (ids(2), ids(4, 5, 6), ids(1)) == tuple(story.there(f"Life: {name}") for name in groups)
    assert ["add", "remove", "add"] == moved(story, "1")
    assert ["add"] == moved(story, "2")


def test_a_move_that_waits_is_no_hearsay_for_later(tmp_path: Path) -> None:
    """Somebody whom the new group's destination does not know is asked for once the way is free, and not a day after that."""
    story = Story(tmp_path, kind="mail", segments={}, partitions={"life": GROUPS})
    story.add_sync("life", partition="life", audience_name="Life: {group}", grace=DAY)
    story.people(1, 2, 3, stage="hot")
    story.sync()
    story.vendor.unknown.add("p1@example.com")
    story.people(1, stage="cold")
    story.sync()
    story.pass_time(DAY - timedelta(minutes=20))
    story.sync()
    story.vendor.unknown.clear()
    story.sync()

    assert {"p1@example.com"} == story.there("Life: cold")


def test_who_is_in_two_groups_by_mischance_is_not_kept_in_both(tmp_path: Path) -> None:
    """A removal was refused and the add was not; the delay does not prolong that."""
    story = Story(tmp_path, segments={}, partitions={"life": GROUPS})
    story.add_sync("life", partition="life", audience_name="Life: {group}")
    story.people(1, 2, 3, stage="hot")
    story.sync()
    story.people(1, stage="cold")
    story.vendor.refuse_in = (story.vendor.names["Life: hot"], "1")
    story.sync()
    assert "1" in story.there("Life: hot") & story.there("Life: cold")
    story.vendor.refuse_in = None
    story.add_sync("life", partition="life", audience_name="Life: {group}", grace=30 * DAY)
    story.sync()

    assert (ids(2, 3), ids(1)) == (story.there("Life: hot"), story.there("Life: cold"))


def test_a_file_keeps_who_waits(tmp_path: Path) -> None:
    """Written whole, with everybody who is ours still."""
    story = delaying(Story(tmp_path, kind="file"), grace=DAY)
    story.people(1, 2, 3)
    story.sync()
    everybody = story.there()
    story.people(1, stage="lead")
    story.people(4)
    story.sync()
    assert everybody < story.there()
    story.pass_time(DAY)
    story.sync()

    assert 3 == len(story.there())


def test_without_delays_nothing_is_kept_and_taking_grace_out_lets_everybody_go(tmp_path: Path) -> None:
    """What was written of who is out does not outlive the setting by more than it says."""
    story = delaying(Story(tmp_path), grace=7 * DAY)
    story.people(1, 2, 3)
    story.sync()
    story.people(1, stage="lead")
    story.sync()
    with story.store() as store:
        assert 1 == sum(map(len, leaving(store.conn, 1).values()))
    delaying(story)
    story.sync()

    assert ids(2, 3) == story.there()


def test_nobody_unchanged_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nobody out, a plan with delays is three bitmaps: of nobody's row is it asked since when it is there."""
    story = delaying(Story(tmp_path), grace=DAY, min_stay=DAY)
    story.people(*range(1, 20))
    story.sync()
    reads = story.vendor.reads
    asked: list[int] = []
    real = ledger.added_since

    def added_since(conn: Any, audience_id: int, profiles: BitMap, **more: Any) -> dict[int, BitMap]:
        asked.append(len(profiles))
        return real(conn, audience_id, profiles, **more)

    monkeypatch.setattr(ledger, "added_since", added_since)
    story.sync()

    assert ([0], reads) == (asked, story.vendor.reads)


# --- the algebra ---------------------------------------------------------------------------------------------------

people = st.frozensets(st.integers(0, 7), max_size=8)
HISTORY = st.lists(people, min_size=1, max_size=8)


def runs(history: Iterable[frozenset[int]], owned: frozenset[int]) -> dict[int, int]:
    """Since when everybody owned has been out, told the slow way: by looking at every run."""
    since: dict[int, int] = {}
    for at, wanted in enumerate(history, 1):
        for one in owned:
            if one in wanted:
                since.pop(one, None)
            else:
                since.setdefault(one, at)
    return since


@given(HISTORY, people, st.data())
def test_however_seldom_one_looks_the_time_out_is_without_a_break(
    history: list[frozenset[int]], owned: frozenset[int], data: st.DataObject
) -> None:
    """It is never told longer than it is; and somebody who looks each time is told exactly."""
    looks = data.draw(st.lists(st.booleans(), min_size=len(history), max_size=len(history)))
    seldom: dict[int, BitMap] = {}
    always: dict[int, BitMap] = {}
    left: list[tuple[int, BitMap]] = []
    before: frozenset[int] = frozenset()
    for at, wanted in enumerate(history, 1):
        left.append((at, BitMap(before - wanted)))
        before = wanted
        out = BitMap(owned - wanted)
        always = out_since(always, out, left[-1:], now=at)
        if looks[at - 1]:
            seldom = out_since(seldom, out, [one for one in left if one[0] > min(seldom, default=at)], now=at)
    true = runs(history, owned)
    told = {one: since for since, who in always.items() for one in who}
    assert true == told
    last = max((at for at, look in enumerate(looks, 1) if look), default=0)
    then = runs(history[:last], owned)
    for since, who in seldom.items():
        assert all(since >= then[one] for one in who)
    assert BitMap(then) == BitMap().union(*seldom.values())


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(list(Delay)), people), max_size=6), people)
def test_everybody_stays_for_the_longest_of_their_reasons(stays: list[Any], out: frozenset[int]) -> None:
    """Once, and only those who are out."""
    given_ = [Stay(until, reason, BitMap(who)) for until, reason, who in stays]
    found = apart(given_, BitMap(out), now=3)
    longest = {one: max((until for until, _, who in stays if one in who), default=0) for one in out}

    assert {one: until for one, until in longest.items() if until > 3} == {p: one.until for one in found for p in one.who}
    assert sum(len(one.who) for one in found) == len(BitMap().union(*(one.who for one in found)))

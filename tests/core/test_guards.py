"""The guards as pure functions: each at its threshold and one beyond it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.story import NOON

from core.config.model import Guard
from core.planning.guards import HeldKind, Holds, SourceState, retarget, sources_held, unseen
from core.planning.sizes import Sizes, sizes_held

DAY = timedelta(days=1)


def kinds(sizes: Sizes) -> list[HeldKind]:
    """Return what is held."""
    return [held.kind for held in sizes_held(sizes)]


def sizes(owned: int, wanted: int | None = None, **more: Any) -> Sizes:
    """Return sizes with nothing else going on."""
    more.setdefault("adds", 0)
    more.setdefault("removes", 0)
    return Sizes(owned, owned - more["removes"] + more["adds"] if wanted is None else wanted, **more)


@pytest.mark.parametrize(
    ("fine", "too_much"),
    [
        pytest.param(sizes(10_000, removes=500), sizes(10_000, removes=501), id="5 percent of a large one"),
        pytest.param(sizes(400, removes=50), sizes(400, removes=51), id="50 of a middling one"),
        pytest.param(sizes(40, removes=20), sizes(40, removes=21), id="half of a small one"),
        pytest.param(sizes(9, removes=8), sizes(10, removes=6), id="half counts from ten members on"),
        pytest.param(sizes(2, removes=2), sizes(3, removes=3), id="nobody wanted, from three on"),
        pytest.param(
            sizes(970, removes=20, removes_24h=30, most_owned_24h=1000),
            sizes(970, removes=21, removes_24h=30, most_owned_24h=1000),
            id="summed over 24 hours, of the most in them",
        ),
        pytest.param(
            sizes(1000, removes=200, limits=Guard(removals_share=0.2)),
            sizes(1000, removes=201, limits=Guard(removals_share=0.2)),
            id="a share of its own",
        ),
        pytest.param(
            sizes(1000, removes=300, limits=Guard(removals_count=300)),
            sizes(1000, removes=301, limits=Guard(removals_count=300)),
            id="a count of its own",
        ),
    ],
)
def test_removals_are_held_above_their_limit(fine: Sizes, too_much: Sizes) -> None:
    """At the limit they go, one beyond it they are held, and the adds go all the same."""
    assert [] == kinds(fine)
    assert [HeldKind.REMOVALS] == kinds(too_much)
    assert [Holds.REMOVES] == [held.holds for held in sizes_held(too_much)]


@pytest.mark.parametrize(
    ("fine", "too_much"),
    [
        pytest.param(sizes(10, adds=100), sizes(10, adds=101), id="a hundred"),
        pytest.param(sizes(1000, adds=200), sizes(1000, adds=201), id="a fifth of ours"),
        pytest.param(sizes(10, adds=50, adds_24h=50), sizes(10, adds=51, adds_24h=50), id="summed over 24 hours"),
        pytest.param(
            sizes(10, adds=600, largest_adds_day=200),
            sizes(10, adds=601, largest_adds_day=200),
            id="three times the busiest day",
        ),
        pytest.param(
            sizes(10, adds=500, limits=Guard(adds_count=500)), sizes(10, adds=501, limits=Guard(adds_count=500)), id="a count"
        ),
    ],
)
def test_adds_are_held_above_their_limit(fine: Sizes, too_much: Sizes) -> None:
    """At the limit they go, one beyond it they are held, and the removals go all the same."""
    assert [] == kinds(fine)
    assert [HeldKind.ADDS] == kinds(too_much)
    assert [Holds.ADDS] == [held.holds for held in sizes_held(too_much)]


def test_a_first_run_is_held_only_with_nobody_looking_on() -> None:
    """`tagalong sync` may begin with any number, `tagalong run` with a hundred."""
    first = sizes(0, adds=5000, first_run=True)

    assert [] == kinds(first)
    assert [HeldKind.BASELINE] == kinds(replace(first, attended=False))
    assert [] == kinds(replace(first, attended=False, adds=100))


def test_a_moving_window_may_exchange_its_members() -> None:
    """One out for one in, as many as the window turns over in a day; whom nobody follows is counted."""
    day = sizes(1000, 990, removes=110, adds=100, removes_24h=800, adds_24h=800, turnover=1.0, all_moving=1.0)

    assert [] == kinds(day)
    assert [HeldKind.REMOVALS, HeldKind.ADDS] == kinds(replace(day, turnover=0.0, all_moving=0.0))
    assert [HeldKind.REMOVALS] == kinds(replace(day, removes=301))
    assert [] == kinds(replace(day, removes=300))
    # where some are in for another reason than the window, more than 5% are asked about
    assert [HeldKind.REMOVALS] == kinds(replace(day, removes=151, all_moving=0.0))
    # a window of 30 days makes up for a thirtieth, however many come
    assert [HeldKind.REMOVALS, HeldKind.ADDS] == kinds(replace(day, turnover=1 / 30, all_moving=1 / 30))


def _hours(day: list[int], hours: int, stops: int | None, *, inverse: bool = False) -> Iterator[tuple[Sizes, list[HeldKind]]]:
    """
    Live through *hours* of `last="24h"` where *day* says how many do it in each hour; nobody twice a day.

    *inverse*: the audience is `not did(...)`, of 2,000.
    """
    came = [day[hour % 24] * (9 + (hour + hour // 24) % 3) // 10 for hour in range(hours)]  # no two days are alike
    adds, removes, owned = [], [], []
    for hour in range(24, hours):
        live = [0 if stops is not None and h >= stops else n for h, n in enumerate(came[: hour + 1])]
        wanted = sum(live[-24:])
        comes, goes = live[-1], live[-25] if len(live) > 24 else 0
        if inverse:
            wanted, comes, goes = 2000 - wanted, goes, comes
        before = owned[-1] if owned else wanted
        now = Sizes(
            before,
            wanted,
            adds=comes if owned else 0,
            removes=goes if owned else 0,
            adds_24h=sum(adds[-23:]),
            removes_24h=sum(removes[-23:]),
            most_owned_24h=max([*owned[-24:], before]),
            largest_adds_day=max((sum(adds[i : i + 24]) for i in range(0, len(adds) - 24, 24)), default=0),
            largest_growth_day=max(
                (sum(adds[i : i + 24]) - sum(removes[i : i + 24]) for i in range(0, len(adds) - 24, 24)), default=0
            ),
            turnover=math.inf if inverse else 1.0,
            all_moving=1.0,
        )
        adds.append(now.adds)
        removes.append(now.removes)
        owned.append(wanted)
        yield now, kinds(now)


OFFICE = [0] * 7 + [40, 120, 150, 140, 100, 60, 110, 130, 120, 90, 40, 20, 10, 5, 5, 0, 0]
EVEN = [45] * 24


@pytest.mark.parametrize("inverse", [False, True], ids=["did", "not did"])
@pytest.mark.parametrize("day", [OFFICE, EVEN], ids=["office hours", "round the clock"])
def test_two_weeks_of_ordinary_days_hold_nothing_in_a_moving_window(day: list[int], inverse: bool) -> None:
    """Everybody is exchanged every day, hour by hour, a tenth more or less than the day before."""
    assert all(not held for _, held in _hours(day, 14 * 24, None, inverse=inverse))


@pytest.mark.parametrize("day", [OFFICE, EVEN], ids=["office hours", "round the clock"])
def test_a_source_that_silently_stops_is_seen_in_a_moving_window(day: list[int]) -> None:
    """Long before the 48 hours after which its silence itself is seen: a quarter of the list is gone at most."""
    stops = 10 * 24 + 8
    lived = list(_hours(day, stops + 24, stops))
    full = lived[stops - 25][0].owned
    held = next(now for now, held in lived if held)

    assert not any(held for _, held in lived[: stops - 24])
    assert held.wanted + held.removes > full * 0.75


def test_a_source_that_silently_stops_does_not_fill_what_is_not_done() -> None:
    """`not did(E, last="24h")` takes in everybody, gross no faster than on any day: what counts is that nobody leaves."""
    stops = 10 * 24 + 8
    lived = list(_hours(EVEN, stops + 24, stops, inverse=True))
    held = next(now for now, held in lived if HeldKind.ADDS in held)

    assert held.owned - lived[stops - 25][0].owned < 400
    assert held.adds_24h + held.adds <= held.largest_adds_day * 1.2, "counted gross it looks like any other day"


FRESH = SourceState("crm.contacts", completed_at=NOON - DAY, stale_at=NOON + DAY, accepted_count=100, live_count=100)
APPROVED = NOON - timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        pytest.param(replace(FRESH, completed_at=None), HeldKind.SOURCE, id="never completed"),
        pytest.param(replace(FRESH, error="500"), HeldKind.SOURCE, id="failed"),
        pytest.param(replace(FRESH, stale_at=NOON - timedelta(seconds=1)), HeldKind.SOURCE, id="stale"),
        pytest.param(replace(FRESH, newest_at=NOON - timedelta(hours=49), busy_days=5), HeldKind.SOURCE, id="gone quiet"),
        pytest.param(replace(FRESH, vanished=30, vanished_held=True), HeldKind.VANISHED, id="vanished rows wait"),
        pytest.param(replace(FRESH, live_count=49), HeldKind.VANISHED, id="lost more than half"),
        pytest.param(replace(FRESH, removed=True, vanished_held=True), HeldKind.VANISHED, id="taken out of the config"),
    ],
)
def test_a_partial_source_holds_everything(state: SourceState, kind: HeldKind) -> None:
    """Both ways: a partial source makes `not did(...)` add everybody."""
    held = sources_held([FRESH, state], NOON)

    assert [kind] == [one.kind for one in held]
    assert [Holds.BOTH] == [one.holds for one in held]


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(replace(FRESH, stale_at=NOON), id="due this very moment"),
        pytest.param(replace(FRESH, live_count=50), id="lost just half"),
        pytest.param(replace(FRESH, newest_at=NOON - timedelta(hours=49), busy_days=4), id="quiet, but never busy"),
        pytest.param(replace(FRESH, newest_at=NOON - timedelta(hours=48), busy_days=7), id="quiet for 48 hours"),
        pytest.param(replace(FRESH, live_count=0, accepted_count=0), id="empty"),
        pytest.param(replace(FRESH, removed=True, live_count=5), id="a few rows taken out"),
        pytest.param(replace(FRESH, error="500", approved_at=APPROVED), id="failed, and let be"),
        pytest.param(replace(FRESH, stale_at=NOON - DAY, approved_at=APPROVED), id="stale, and let be"),
    ],
)
def test_a_whole_source_holds_nothing(state: SourceState) -> None:
    """Nothing new, an empty stream and an unchanged one are complete and fresh."""
    assert [] == sources_held([state], NOON)


def test_an_approval_is_of_what_was_stored_then() -> None:
    """A pull that completed since, and then failed, is another story; what was never complete cannot be let be."""
    later = replace(FRESH, error="500", approved_at=APPROVED, completed_at=APPROVED + timedelta(minutes=1))

    assert 1 == len(sources_held([later], NOON))
    assert 1 == len(sources_held([replace(FRESH, completed_at=None, approved_at=APPROVED)], NOON))


def test_that_a_stream_brings_nothing_is_let_be_by_itself() -> None:
    """Whoever says that a quiet stream is all right says nothing of one that fails; of one that fails it is part of it."""
    silent = replace(FRESH, newest_at=NOON - timedelta(hours=49), busy_days=7)
    assert [1, 0] == [len(sources_held([replace(silent, may_be_quiet=said)], NOON)) for said in (False, True)]
    assert 1 == len(sources_held([replace(silent, may_be_quiet=True, error="500")], NOON))
    assert [] == sources_held([replace(silent, may_be_quiet=True, error="500", approved_at=APPROVED)], NOON)


def test_what_one_first_pull_mends_is_one_reason() -> None:
    """Not a line for each stream of a connection that was never pulled."""
    streams = ("crm.contacts", "billing.customers", "billing.invoices", "billing.subscriptions")
    states = [replace(FRESH, name=name, completed_at=None) for name in streams]
    crm, billing, failed = sources_held([*states, replace(FRESH, name="mail.members", error="500")], NOON)

    assert "crm.contacts has never been pulled to its end; `tagalong pull crm` does so" == crm.reason
    assert billing.reason == (
        "billing.customers, billing.invoices and billing.subscriptions have never been pulled to their end;"
        " `tagalong pull billing` does so"
    )
    assert (list(streams[1:]), "mail.members") == (billing.facts["streams"], failed.facts["stream"])


def test_words_and_targets_are_held_until_approved() -> None:
    """A name nobody has seen, and an audience that is another by now."""
    assert unseen(['event "Sigend Up"'], sync="s", approved=False) is not None
    assert unseen(['event "Sigend Up"'], sync="s", approved=True) is None
    assert unseen([], sync="s", approved=False) is None
    assert retarget("the tag 'a'", "the tag 'b'", sync="s", approved=False) is not None
    assert retarget("the tag 'a'", "the tag 'b'", sync="s", approved=True) is None

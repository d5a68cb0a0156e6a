"""Who goes in and out over and over is counted from recorded memberships."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from support.story import NOON

from core.cli.flapping import count_flapping
from core.clock import to_us
from core.segments.flapping import flapping
from core.store import Store, memberships

HOUR = timedelta(hours=1)
PEOPLE = st.frozensets(st.integers(1, 6), max_size=6)


def record(store: Store, sets: list[frozenset[int]]) -> None:
    """Forget all runs, and record one an hour, the last one at noon."""
    with store.atomic() as conn:
        conn.execute("DELETE FROM membership_history")
        conn.execute("DELETE FROM member_sets")
    for n, members in enumerate(sets, 1):
        as_of = to_us(NOON - (len(sets) - n) * HOUR)
        memberships.record(store, {"segment.x": BitMap(members)}, definitions={}, run_id=n, as_of=as_of)


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(st.lists(PEOPLE, max_size=10), st.integers(1, 4), st.integers(0, 12))
def test_each_way_out_is_counted(store: Store, sets: list[frozenset[int]], times: int, hours: int) -> None:
    """As somebody would who looks at every run in the window."""
    record(store, sets)
    found = flapping(store.conn, "segment.x", until=NOON, within=hours * HOUR, times=times)
    steps = list(pairwise(sets))[max(0, len(sets) - 1 - hours) :] if hours else []
    outs = {p: sum(p in before - after for before, after in steps) for p in range(1, 7)}

    assert {p: n for p, n in outs.items() if n >= times} == {p: one.times for p, one in found.people.items()}
    assert all(one.member == (p in sets[-1]) for p, one in found.people.items())


@pytest.mark.parametrize(
    ("out_hours", "grace"), [([2, 2, 2], "6h"), ([1, 1, 1], "6h"), ([30, 2, 2], "2d"), ([2], None)], ids=str
)
def test_the_grace_that_would_have_kept_them_in(store: Store, out_hours: list[int], grace: str | None) -> None:
    """The shortest that most ways out would have fitted into; longer than they were, for after just that long one goes."""
    inside, outside = frozenset([1]), frozenset[int]()
    record(store, [inside, *(who for hours in out_hours for who in (*[outside] * hours, inside))])

    assert grace == flapping(store.conn, "segment.x", until=NOON, times=3 if len(out_hours) > 1 else 2).grace


def test_who_goes_to_and_fro_between_two_groups_is_one_person(store: Store) -> None:
    """They flap in both, and `status` tells how many people do."""
    for run in range(8):
        sets = {"partition.p.a": BitMap([1 + run % 2]), "partition.p.b": BitMap([2 - run % 2])}
        memberships.record(store, sets, definitions={}, run_id=run, as_of=to_us(NOON - (7 - run) * HOUR))
    found = count_flapping(store.conn, ["partition.p.a", "partition.p.b"], until=NOON)

    assert found is not None
    assert 2 == found["members"]

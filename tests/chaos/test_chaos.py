"""
Everything goes wrong that can, and no list is hurt: a hundred faults of all kinds and ten kills, from fixed seeds.

`bench/chaos.py` does so twenty thousand times. The second half shows that the proof can fail: each guard, intents, limits and
the looks at the proxy are taken away in turn, and it is noticed.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from calming import calm
from fronts import Front, Seen
from hubs import CALM_TIMEOUT_S
from killing import Victims
from pyroaring import BitMap
from scene import Scene
from sharedtime import SharedTime
from storms import HAPPENINGS, Happening, Tally, storm
from weather import ANSWERS, Kind, Weather

from core.contract import ListChange
from core.log import configure
from core.store import audiences, vanish

VICTIM = Path(__file__).with_name("chaos_victim.py")
MOST_STORMS = 12
"""Enough to say that something never happens."""
PROCESS = (Kind.SIGTERM, Kind.FULL_DISK, Kind.READ_ONLY, Kind.SECOND, Kind.CLOCK_FORWARD, Kind.SIGKILL)
Opened = Callable[..., Scene]


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    with Victims(VICTIM) as opened:
        yield opened


@pytest.fixture
def opened(victims: Victims, tmp_path: Path) -> Iterator[Opened]:
    """`opened(seed, ...)`: a scene, its sandboxes served."""
    configure("critical")
    with ExitStack() as stack:

        def make(seed: int = 1, **options: Any) -> Scene:
            scene = Scene(tmp_path / str(seed), victims, seed=seed, **options)
            scene.open(stack)
            return scene

        yield make


def _by_kind() -> dict[Kind | None, Happening]:
    return {one.kind: one for one in HAPPENINGS}


@pytest.mark.timeout(400)  # where others want the machine too
def test_whatever_vendors_answer_no_list_is_hurt(opened: Opened) -> None:
    """Every kind of fault that a request can meet, and a source that returns half of its people."""
    scene, tally, number = opened(seed=2), Tally(), 0
    plain, half = (_by_kind()[kind] for kind in (None, Kind.HALF))
    while not _all(tally, (*ANSWERS, Kind.HALF)) or tally.faults.total() < 60:
        assert number < MOST_STORMS, f"not everything happened: {tally.faults}"
        missing = [kind for kind in ANSWERS if not tally.faults[kind]] or list(ANSWERS)
        storm(scene, number, tally, happenings=(plain, half, plain) if number else (plain, plain), kinds=missing)
        number += 1
        assert tally.violations == []
    assert tally.moved > 0


@pytest.mark.timeout(400)
def test_whatever_happens_to_the_process_no_list_is_hurt(opened: Opened) -> None:
    """Ten kills and more, a full disk, a read-only file, a clock that is set, a second process; and vendors as they are."""
    scene, tally, number = opened(seed=5), Tally(), 0
    happening = _by_kind()
    others = [happening[kind] for kind in PROCESS]
    while not _all(tally, (*PROCESS, Kind.CLOCK_BACK)) or tally.killed_at.total() < 10 or tally.faults.total() < 40:
        assert number < MOST_STORMS, f"not everything happened: {tally.faults}, {tally.killed_at}"
        storm(scene, number, tally, happenings=[happening[Kind.SIGKILL]] * 3 + others[:2])
        others = others[2:] or [happening[Kind.SIGKILL]]
        number += 1
        assert tally.violations == []
    assert tally.moved > 0


def _all(tally: Tally, kinds: Iterable[Kind]) -> bool:
    return all(tally.faults[kind] for kind in kinds)


# --- the proof can fail ----------------------------------------------------------------------------------------------


def test_a_hub_without_guards_is_found_out(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the billing tool's customers are missing, and whoever paid is taken off the lists."""
    scene = opened(seed=3)
    assert calm(scene) == []
    monkeypatch.setattr(vanish, "LOST_SHARE", 2.0)
    scene.options = {"source_guards": (), "size_guards": ()}
    scene.live(Random(1))
    scene.proxy.weather = Weather("half", share=0.0, half=frozenset({"billing", "crm"}))
    scene.run(full=True, timeout_s=CALM_TIMEOUT_S)

    assert any("who was wanted all the time" in each for each in scene.judge())


def test_a_hub_that_asks_nobody_s_consent_is_found_out(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when it plans nor when it sends."""
    scene = opened(seed=3)
    monkeypatch.setattr("core.planning.permission.denied", lambda *args, **options: BitMap())
    monkeypatch.setattr("core.pushing.push.refused_meanwhile", lambda *args, **options: BitMap())

    assert any("who had said no" in each for each in calm(scene))


def test_a_hub_that_forgets_what_it_sent_is_found_out(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies while it sends; whom the vendor added then it takes for somebody else's, and leaves them there for ever."""
    scene = opened(seed=3)
    order = {"point": "push.request_sent", "nth": 25, "linger_s": 0.3, "by": int(signal.SIGKILL)}
    ran = scene.run_apart(order, timeout_s=CALM_TIMEOUT_S)
    assert ran.ended is not None
    assert ran.ended.killed
    monkeypatch.setattr("core.pushing.recover._make_unsure", _forget)
    assert calm(scene) == []
    for person in scene.world.people:
        if person.subscription is not None:
            person.subscription.status = "canceled"
    scene.live(Random(1))

    assert any("too many" in each for each in calm(scene))


def _forget(recorder: Any, intent: Any) -> None:
    with recorder.store.atomic() as conn:
        conn.execute("DELETE FROM intent_members WHERE intent_id = ?", (intent.id,))
        conn.execute("UPDATE intents SET settled_at = 1 WHERE id = ?", (intent.id,))
        settled = BitMap([m.profile_id for m in intent.members if m.profile_id is not None])
        audiences.refresh(conn, recorder.row.id, BitMap(), waiting=BitMap(), settled=settled)


def test_what_the_proxy_sees_is_looked_at(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that keeps no limits; a request that subscribes somebody; somebody taken out who was put in by hand."""
    # on a machine with much to do even a hub without limits may be slow enough
    monkeypatch.setattr(SharedTime, "look", lambda shared: float(1_800_000_000 + shared._skipped[0]))
    scene = opened(seed=3, unlimited=True)
    for _ in range(3):
        scene.run(full=True, timeout_s=CALM_TIMEOUT_S)
    assert any("within 1 s, where 10 are allowed" in each for each in scene.judge())

    base, (name, status) = scene.proxy.fronts["mail"].base_url, ("email_address", '{"status": "subscribed"}')
    httpx.patch(f"{base}/lists/1/members/{name}", content=status)
    assert any("would subscribe somebody" in each for each in scene.judge())

    target, members = next(iter(scene.watch.by_hand.items()))
    box = scene.stage.sandboxes[target.connection]
    box.change_log.append(ListChange(target.audience, "remove", next(iter(members))))
    assert any("who was put there by hand" in each for each in scene.judge())


def test_half_of_a_listing_is_away_on_all_of_its_pages_or_on_none(opened: Opened) -> None:
    """However it is answered; a few rows that only its last page lacks would be a deletion to anybody."""
    front = Front("billing", opened(seed=3).stage.sandboxes["billing"])
    body = json.dumps({"data": [{"id": f"cus_{n}"} for n in range(4)]}).encode()

    def rows(query: str, *, half_away: bool) -> int:
        seen = Seen("billing", "GET", "/customers", query=query, sent_at=None, body=b"")
        return len(json.loads(front.listed(seen, (200, {}, body), half_away=half_away)[2])["data"])

    assert [rows("limit=100", half_away=True), rows("limit=100&starting_after=cus_3", half_away=True)] == [2, 2]
    assert [rows("limit=100", half_away=False), rows("limit=100&starting_after=cus_3", half_away=True)] == [4, 4]

    scene = opened(seed=4)
    weather = scene.proxy.weather = Weather("half", share=1.0, kinds=(Kind.DRIP,), half=frozenset({"billing"}))
    scene.run(full=True, timeout_s=CALM_TIMEOUT_S)
    assert weather.spoiled[Kind.HALF] >= 1


def test_every_kind_of_fault_is_counted_by_itself() -> None:
    """What the issue names and what can happen are one list."""
    happening = {one.kind for one in HAPPENINGS} - {None}
    assert {*ANSWERS, *happening, Kind.CLOCK_BACK} == set(Kind)

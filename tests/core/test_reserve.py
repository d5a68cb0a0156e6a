"""A share of each quota is kept for people: the daemon leaves it alone, a command may use it, processes share the count."""

from __future__ import annotations

import dataclasses
import threading
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import acme
from support.story import Story

from core.clock import to_us
from core.contract import Limit, Quota, ResponseView
from core.errors import QuotaExhausted, QuotaKept
from core.hub import Hub
from core.limits.budget import Budget
from core.registry import Connector, load_connector
from core.service.timetable import Timetable
from core.store import Store

BASE = "https://api.acme.test/v2"
DAY = Limit(100, per_s=86_400)
START = 1_780_000_000.0
FAR = 600.0


def limited(*limits):
    """Return Acme with other limits."""
    return Connector(SimpleNamespace(**{**vars(acme), "MANIFEST": dataclasses.replace(acme.MANIFEST, limits=limits)}))


def granted(budgets, *, reserve, start=START):
    """Return how many requests go out in a row before the next would have to wait for hours."""
    for count in range(10_000):
        if budgets[count % len(budgets)].take("/x", start, longest_wait_s=FAR, reserve=reserve) > FAR:
            return count
    raise AssertionError("no end")


@pytest.fixture
def budget(store_path):
    opened = []

    def make(*limits):
        opened.append(Budget(store_path, "mail", limits or (DAY,)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize("processes", [1, 3])
def test_the_daemon_leaves_the_reserve_and_a_person_has_it(budget, processes):
    """Without one it takes all, and whoever types a command waits until tomorrow."""
    daemons = [budget() for _ in range(processes)]
    assert 80 - processes <= granted(daemons, reserve=0.2) <= 80
    people = budget()
    assert 20 <= granted([people], reserve=0.0) <= 20 + processes
    assert 0 == granted(daemons, reserve=0.2)
    tomorrow = START + 90_000
    assert 100 - processes <= granted(daemons, reserve=0.0, start=tomorrow)
    assert 0 == granted([people], reserve=0.0, start=tomorrow)


@settings(max_examples=25, deadline=None)
@given(
    amount=st.integers(1, 60), reserve=st.floats(0, 0.9), cost=st.integers(1, 3), turns=st.lists(st.booleans(), max_size=120)
)
def test_no_pattern_of_turns_lets_the_daemon_into_the_reserve(tmp_path_factory, amount, reserve, cost, turns):
    """Attended and unattended in one process too: what one of them took in a lump is not the other's to use."""
    path = tmp_path_factory.mktemp("reserve") / "x.db"
    one, two = (Budget(path, "mail", [Limit(amount, per_s=86_400, cost=cost)]) for _ in range(2))
    try:
        sent = 0
        for attended in turns:
            budget = two if attended else one
            # one budget for both kinds every third time: the daemon's own process may be told by hand, too
            budget = one if sent % 3 == 0 else budget
            wait_s = budget.take("/x", START, longest_wait_s=FAR, reserve=0.0 if attended else reserve)
            if wait_s <= FAR:
                sent += min(cost, amount)
                assert sent <= (amount if attended else max(min(cost, amount), amount * (1 - reserve)) + 1e-6)
    finally:
        one.close()
        two.close()


def test_a_short_limit_has_no_reserve(budget):
    """It is there again in a moment: leaving a part of it alone would only be slower for ever."""
    one = budget(Limit(50, per_s=10))
    assert 50 == sum(one.take("/x", START, longest_wait_s=FAR, reserve=0.5) == 0.0 for _ in range(50))


def test_a_daemon_waits_and_a_command_goes_on(respx_mock, fake_api, store, clock):
    """The pause is the daemon's alone, and it is in the store, so the timetable knows of it too."""
    store.conn.execute("INSERT INTO connections (name, connector, category) VALUES ('acme', 'acme', 'email')")
    respx_mock.get(f"{BASE}/x").respond(json={})
    daemon = fake_api(limited(Limit(10, per_s=86_400)), reserve=0.2)
    person = fake_api(limited(Limit(10, per_s=86_400)))
    for _ in range(8):
        daemon.get("/x")
    with pytest.raises(QuotaKept) as caught:
        daemon.get("/x")
    assert caught.value.resume_at > clock() + timedelta(hours=20)
    assert store.conn.execute("SELECT resume_at, kept_until FROM connections").fetchone() == (
        None, to_us(caught.value.resume_at)
    )  # fmt: skip
    for _ in range(2):
        person.get("/x")
    with pytest.raises(QuotaExhausted):
        person.get("/x")


DAILY = {"X-HubSpot-RateLimit-Daily": "1000", "X-HubSpot-RateLimit-Daily-Remaining": "99"}
HOURS = {"RateLimit-Limit": "1000", "RateLimit-Remaining": "50", "RateLimit-Reset": "7200"}
TOLD = [
    (DAILY, True, timedelta(hours=1)),
    ({**DAILY, "X-HubSpot-RateLimit-Daily-Remaining": "101"}, False, None),
    (HOURS, True, timedelta(hours=2)),
    ({**HOURS, "RateLimit-Reset": "30"}, False, None),
    ({**HOURS, "RateLimit-Limit": "0"}, False, None),
    ({**HOURS, "RateLimit-Remaining": "many"}, False, None),
    ({"X-RateLimit-Remaining": "1"}, False, None),
]


@pytest.mark.parametrize(("headers", "keeps", "wait"), TOLD)
def test_what_the_vendor_says_is_left_counts_too(respx_mock, fake_api, store, clock, headers, keeps, wait):
    """The account is shared with other tools: its own count is the true one. A limit of seconds is none of this."""
    store.conn.execute("INSERT INTO connections (name, connector, category) VALUES ('acme', 'acme', 'email')")
    route = respx_mock.get(f"{BASE}/x").mock(return_value=httpx.Response(200, json={}, headers=headers))
    daemon, person = fake_api(acme, reserve=0.1), fake_api(acme)
    daemon.get("/x")
    if not keeps:
        daemon.get("/x")
        return
    with pytest.raises(QuotaKept) as caught:
        daemon.get("/x")
    if "RateLimit-Reset" not in headers:
        assert clock() + wait == caught.value.resume_at
    person.get("/x")
    assert route.call_count == 2
    route.mock(return_value=httpx.Response(200, json={}))
    clock.at = caught.value.resume_at
    daemon.get("/x")


def test_a_connector_may_read_it_from_elsewhere():
    """Salesforce counts in a header of its own: of the share that we may use at all, how much is left."""
    quota = load_connector("salesforce").quota
    settings = SimpleNamespace(quota_percent=80)
    view = ResponseView(200, {"sforce-limit-info": "api-usage=700/1000"}, "", "GET", "/x", None)

    assert quota is not None
    assert Quota(800, 100) == quota(view, settings)
    assert quota(ResponseView(200, {}, "", "GET", "/x", None), settings) is None


@pytest.mark.parametrize(("attended", "reserve"), [(True, 0.0), (False, 0.1)])
def test_only_who_looks_on_may_use_all(tmp_path, attended, reserve):
    """`tagalong run` opens its connections with the reserve of the config, 10% where it says nothing."""
    opened = {}
    story = Story(tmp_path)
    hub = Hub(
        story.config(), clock=lambda: story.now, stop=threading.Event(), environ={}, connectors=story.hub().connectors,
        opener=lambda *a, **o: opened.update(o), attended=attended,
    )  # fmt: skip
    hub.open("crm")

    assert reserve == opened["reserve"]


def test_the_daemon_s_jobs_wait_for_what_is_kept(tmp_path):
    """They come due when there is more of it."""
    story = Story(tmp_path)
    story.people(1)
    story.sync()
    with Store(tmp_path / "tagalong.db") as store:
        table = Timetable(story.config(), {}, story.now)
        before = table.due(store.conn, story.now)["sync.vips"]
        until = story.now + timedelta(hours=9)
        store.conn.execute("UPDATE connections SET kept_until = ?", (to_us(until),))
        assert before < until == table.due(store.conn, story.now)["sync.vips"]


def test_a_daemon_that_read_its_config_anew_still_leaves_the_reserve(tmp_path):
    """A hub for another config is in all else as it was: who looks on, what is asked all the same, its clock."""
    story = Story(tmp_path)
    hub = Hub(story.config(), attended=False, probe=True, sleep=lambda _: None)

    after = hub.successor(story.config())

    assert {**vars(hub), "config": None} == {**vars(after), "config": None}
    assert after.config is not hub.config

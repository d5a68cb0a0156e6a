"""The rate is kept, used, and shared; a quota that ran out is a pause that outlives the process."""

from __future__ import annotations

import bisect
import dataclasses
import heapq
import multiprocessing
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import acme

from core.clock import to_us
from core.contract import Limit
from core.errors import QuotaExhausted, Stopped, StoreError
from core.http.waiting import Waiter
from core.limits.budget import Budget, shared_budget
from core.registry import Connector
from core.store import Store

BASE = "https://api.acme.test/v2"
START = 1_780_000_000.0


def send_all(budgets, count, *, took_s=0.0, path="/x", start=START):
    """Return when each of *count* requests left; each budget has a caller who sends one after the other as soon as it may."""
    ready, sent = [(start, number) for number in range(len(budgets))], []
    for _ in range(count):
        now, number = heapq.heappop(ready)
        now += budgets[number].take(path, now, longest_wait_s=1e9)
        sent.append(now)
        heapq.heappush(ready, (now + took_s, number))
    return sorted(sent)


def busiest(sent, per_s):
    """Return the most requests that any window of *per_s* holds."""
    sent = sorted(sent)
    return max(bisect.bisect_left(sent, at + per_s) - index for index, at in enumerate(sent))


@pytest.fixture
def budget(store_path):
    """`budget(limit, ...)`: a budget of its own on the common store, as another process would have."""
    opened = []

    def make(*limits, connection="mail"):
        opened.append(Budget(store_path, connection, limits))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


RATES = [(5, 1.0, 0.0), (10, 1.0, 0.02), (100, 1.0, 0.001), (190, 10.0, 0.0), (190, 10.0, 0.03), (60, 60.0, 0.1), (1, 1.0, 0.0)]


@pytest.mark.parametrize(("amount", "per_s", "took_s"), RATES)
@pytest.mark.parametrize("processes", [1, 3])
def test_no_window_holds_too_many_and_the_rate_is_used(budget, amount, per_s, took_s, processes):
    """Not in any window, not with three processes; yet 95% of what is permitted goes out where there is enough to send."""
    budgets = [budget(Limit(amount, per_s=per_s)) for _ in range(processes)]
    sent = send_all(budgets, amount * 6, took_s=took_s)

    assert busiest(sent, per_s) <= amount
    took_s /= processes
    needed_s = max(6 * amount * took_s, 5 * per_s + amount * took_s)
    last = sent[-amount // 8 - 1]  # at the very end one caller may hold what the next one waits for
    assert (last - sent[0]) * 0.95 <= needed_s


def test_a_quiet_spell_buys_a_burst_and_no_more(budget):
    """What is permitted goes out at once, the next one waits for the window to pass."""
    one = budget(Limit(20, per_s=10))
    sent = send_all([one], 21)

    assert sent[0] == sent[19]
    assert 10 <= sent[20] - sent[0] <= 10.5
    later = send_all([one], 20, start=sent[20] + 60)
    assert later[0] == later[19]


@settings(max_examples=30, deadline=None)
@given(
    amount=st.integers(1, 30),
    gaps=st.lists(st.floats(0, 0.4), min_size=1, max_size=80),
    turns=st.lists(st.integers(0, 2), min_size=1, max_size=80),
)
def test_any_pattern_of_three_processes_keeps_the_limit(tmp_path_factory, amount, gaps, turns):
    """Whoever asks whenever."""
    path = tmp_path_factory.mktemp("budget") / "x.db"
    budgets = [Budget(path, "mail", [Limit(amount)]) for _ in range(3)]
    try:
        now, sent = START, []
        for number, gap in enumerate(gaps):
            now += gap
            now += budgets[turns[number % len(turns)]].take("/x", now, longest_wait_s=1e9)
            sent.append(now)
        assert busiest(sent, 1.0) <= amount
    finally:
        for one in budgets:
            one.close()


def test_limits_go_by_path_and_cost(budget):
    """A search has a limit of its own, and counts towards the common one; a dear request takes more."""
    one = budget(
        Limit(100, per_s=10), Limit(4, per_s=1, paths=("/search", "/*/search")), Limit(10, per_s=10, cost=5, paths=("/dear",))
    )

    assert busiest(send_all([one], 12, path="/objects/search"), 1.0) <= 4
    assert busiest(send_all([one], 12, path="/search", start=START + 60), 1.0) <= 4
    assert len(set(send_all([one], 50, path="/objects", start=START + 120))) == 1
    assert busiest(send_all([one], 6, path="/dear", start=START + 180), 10.0) == 2


def test_a_limit_without_rate_is_only_for_concurrency(budget):
    """Nothing is waited for, nothing is written."""
    one = budget(Limit(float("inf"), concurrency=3))

    assert len(set(send_all([one], 1000))) == 1


def test_few_writes_for_many_requests(budget, store):
    """A pull does not pay a transaction for each request, and what a lump had left is given back."""
    one = budget(Limit(100, per_s=1))
    written = []
    one._store().conn.set_trace_callback(lambda sql: written.append(sql) if sql.startswith("COMMIT") else None)
    send_all([one], 90)
    assert len(written) <= 20
    rows = "SELECT sum(tokens) FROM budgets WHERE bucket LIKE '100%'"
    granted = store.conn.execute(rows).fetchone()[0]
    assert 90 <= granted <= 100
    one.take("/x", START + 0.5, longest_wait_s=10)  # another slot: the rest of the lump goes back
    assert 91 <= store.conn.execute(rows).fetchone()[0] <= 100
    one.take("/x", START + 60, longest_wait_s=10)
    assert store.conn.execute("SELECT count(*) FROM budgets").fetchone()[0] == 1, "what has passed is cleared away"


def test_requests_that_follow_closely_share_a_write(budget):
    """A slot of a limit by the second is five milliseconds: about as long as a page takes, so each would pay one."""
    one = budget(Limit(1000, per_s=1))
    written = []
    one._store().conn.set_trace_callback(lambda sql: written.append(sql) if sql.startswith("COMMIT") else None)
    for number in range(90):
        assert 0 == one.take("/x", START + number * 0.0052, longest_wait_s=10)
    assert len(written) <= 32


def test_a_clock_that_was_set_back_does_not_stop_the_connection(budget):
    """Grants that lie far ahead belong to a time that was not."""
    send_all([budget(Limit(10))], 10, start=START + 7200)

    assert send_all([budget(Limit(10))], 1)[0] == START


def test_a_clock_that_was_set_back_leaves_a_days_quota_as_it_is(budget):
    """What was granted seven hours ahead is no reason to wait for seven hours."""
    daily = Limit(500, per_s=86_400)
    send_all([budget(daily)], 10, start=START + 7 * 3600)

    assert budget(daily).take("/x", START, longest_wait_s=600) == 0


def test_patience_asked_for_while_a_clock_was_ahead_is_not_waited_for(budget):
    """Nor does it keep what is asked for now from being heard."""
    budget().hold_off(START + 7200)
    one, two = budget(), budget()
    assert one.take("/x", START, longest_wait_s=600) == 0
    one.hold_off(START + 30)

    assert two.take("/x", START, longest_wait_s=600) == 30


def test_patience_is_shared(budget):
    """A vendor that said wait to one process is left alone by the other, and only on that connection."""
    one, two, other = budget(), budget(), budget(connection="crm")
    one.hold_off(START + 30)
    one.hold_off(START + 10)

    assert two.take("/x", START, longest_wait_s=600) == 30
    assert two.take("/x", START + 31, longest_wait_s=600) == 0
    assert other.take("/x", START, longest_wait_s=600) == 0


def test_a_wait_beyond_patience_takes_nothing(budget):
    """A limit by the day that is used up is not waited for, and asking does not push it further away."""
    one = budget(Limit(2, per_s=86_400))
    send_all([one], 2)
    waits = {one.take("/x", START + 1, longest_wait_s=600) for _ in range(5)}

    assert len(waits) == 1
    assert waits.pop() > 80_000


def _take(path, count, one_by_one, results):
    with shared_budget(path, "mail", [Limit(40, per_s=0.5)]) as budget:
        waiter = Waiter()
        for _ in range(count):
            with one_by_one:  # who was paused since it looked at the clock asks in the other's past
                now = waiter.now()
                wait_s = budget.take("/x", now, longest_wait_s=60)
            results.append(now + wait_s)
            waiter.sleep(wait_s)


def test_two_real_processes_share_a_limit(store_path):
    """With real clocks and real sleep."""
    Store(store_path).close()
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        results, one_by_one = manager.list(), context.Lock()
        workers = [context.Process(target=_take, args=(store_path, 60, one_by_one, results)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        sent = list(results)
    assert len(sent) == 120
    assert busiest(sent, 0.5) <= 40


def limited(*limits):
    """Return Acme with other limits."""
    return Connector(SimpleNamespace(**{**vars(acme), "MANIFEST": dataclasses.replace(acme.MANIFEST, limits=limits)}))


def test_two_apis_share_the_budget_of_a_connection(respx_mock, fake_api):
    """Pull and push of one connection wait together, another connection does not."""
    respx_mock.get(f"{BASE}/x").respond(json={})
    connector = limited(Limit(10, per_s=100))
    one, two, other = (
        fake_api(connector, connection="a"),
        fake_api(connector, connection="a"),
        fake_api(connector, connection="b"),
    )
    for _ in range(5):
        one.get("/x")
        two.get("/x")
    assert (0, 0) == (one.wait_s, two.wait_s)
    two.get("/x")
    other.get("/x")

    assert 90 < two.wait_s < 110
    assert [two.wait_s] == two.slept
    assert other.wait_s == 0


def test_a_sandbox_may_keep_other_limits(respx_mock, fake_api):
    """What `open_api` is given stands in for the manifest's."""
    respx_mock.get(f"{BASE}/x").respond(json={})
    free, tight = (
        fake_api(limited(Limit(1, per_s=100)), connection=name, limits=limits) for name, limits in (("a", ()), ("b", None))
    )
    for api in (free, tight):
        api.get("/x")
        api.get("/x")
    assert free.wait_s == 0
    assert tight.wait_s > 90


def test_no_more_requests_at_once_than_the_vendor_allows(sandbox_api):
    """Sixteen threads, three places; a request that waits for one ends when the process stops."""
    connector = Connector(acme)
    sandbox = connector.sandbox()
    inner, running, most = sandbox.app, 0, 0

    async def watch(scope, receive, send):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await inner(scope, receive, send)
        finally:
            running -= 1

    sandbox.app = watch
    api = sandbox_api(limited(Limit(float("inf"), concurrency=3)), sandbox)
    threads = [threading.Thread(target=lambda: [api.get("/account") for _ in range(5)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 3
    assert api.requests["GET"] == 80


def test_waiting_for_a_place_ends_when_the_process_stops(budget):
    """Somebody else has the only one."""
    one = budget(Limit(float("inf"), concurrency=1))
    stop, failures = threading.Event(), []
    stop.set()

    def wait():
        try:
            with one.place("/x", Waiter(stop=stop).check):
                pass
        except Stopped as error:
            failures.append(error)

    with one.place("/x", lambda: None):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(60)
    assert len(failures) == 1
    stop.clear()
    wait()
    assert len(failures) == 1


def test_a_thread_does_not_wait_for_itself(sandbox_api):
    """A connector may ask for something while it reads lines, also where the vendor allows one request at a time."""
    api = sandbox_api(limited(Limit(float("inf"), concurrency=1)), Connector(acme).sandbox())
    seen = [(line["n"], api.get("/account")["id"]) for line in api.lines("/lines", count=2)]
    assert [(0, "acme-1"), (1, "acme-1")] == seen
    api.get("/account")


def test_patience_that_cannot_be_shared_does_not_spoil_an_answer(budget, monkeypatch):
    """The store is locked or full just then: the answer in hand is what counts, and this process waits all the same."""
    one = budget()

    def broken():
        raise StoreError("locked")

    monkeypatch.setattr(one, "_store", broken)
    one.hold_off(START + 30)
    monkeypatch.undo()
    assert one.take("/x", START, longest_wait_s=600) == 30


def test_a_quota_that_ran_out_is_a_pause_for_everybody(respx_mock, fake_api, store, clock):
    """It is in the store, so another process does not ask either; when its time has come the connection goes on by itself."""
    store.conn.execute("INSERT INTO connections (name, connector, category) VALUES ('acme', 'acme', 'email')")
    until = clock() + timedelta(hours=3)
    route = respx_mock.get(f"{BASE}/x").respond(json={"code": "daily_quota", "until": until.isoformat()})
    with pytest.raises(QuotaExhausted):
        fake_api(acme).get("/x")

    assert store.conn.execute("SELECT resume_at FROM connections").fetchone()[0] == to_us(until)
    later = Budget(store.path, "acme", ())
    assert later.resume_at() == until
    later.close()
    with fake_api(acme) as api:
        for call in (lambda: api.post("/x"), lambda: list(api.lines("/x"))):
            with pytest.raises(QuotaExhausted) as caught:
                call()
            assert (until, "acme") == (caught.value.resume_at, caught.value.connection)
    assert route.call_count == 1
    clock.advance(timedelta(hours=3))
    route.respond(json={"ok": True})

    assert {"ok": True} == fake_api(acme).get("/x")


@pytest.mark.parametrize(("killed", "most"), [(False, 3), (True, 20)])
def test_many_short_runs_use_of_a_days_quota_what_they_send(store_path, killed, most):
    """A command every quarter of an hour sends three requests each time; one that is killed gives nothing back."""
    day = Limit(50_000, per_s=86_400)
    opened = []
    for run in range(96):
        budget = Budget(store_path, "crm", [day])
        for _ in range(3):
            assert 0 == budget.take("/x", START + run * 900, longest_wait_s=60)
        if killed:
            opened.append(budget)
        else:
            budget.close()
    with Store(store_path) as store:
        (used,) = store.conn.execute("SELECT total(tokens) FROM budgets WHERE connection = 'crm'").fetchone()
    for budget in opened:
        budget.close()

    assert 96 * 3 <= used <= 96 * most

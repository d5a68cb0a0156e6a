"""How much of the permitted rate is used where there is work, and that no window is above it: counted where requests arrive."""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from heapq import heappop, heappush
from random import Random
from types import SimpleNamespace

import httpx
import pytest
from support import acme
from support.rates import busiest, used

from core.contract import Limit
from core.limits.budget import Budget, Grant
from core.registry import Connector
from core.store import Store

BASE = "https://api.acme.test/v2"
VENDORS = [Limit(5), Limit(100, per_s=10), Limit(60, per_s=60), Limit(100), Limit(20, concurrency=4)]


def test_the_client_says_when_a_request_leaves(sandbox_api, monkeypatch):
    """Once it is signed, and once its connection is there: a token that is fetched and TLS that is agreed on take time."""
    api = sandbox_api(acme)
    told = []
    monkeypatch.setattr(api._wire.patience.budget, "departed", lambda grant, now: told.append(now) or grant)
    api.get("/account")

    assert 2 == len(told)


def test_who_is_late_with_a_connection_in_hand_waits_long_without_it(sandbox_api, monkeypatch):
    """Vendors let go of an idle connection, and what is lost on one may have been carried out: nothing is sent before."""
    api = sandbox_api(acme)
    waits, slept = iter([0, 8, 0, 0]), []
    patience = api._wire.patience
    monkeypatch.setattr(patience.budget, "departed", lambda grant, now: Grant(next(waits)))
    monkeypatch.setattr(patience.waiter, "sleep", slept.append)
    api.get("/account")

    assert slept == [8]
    assert next(waits, None) is None
    assert api.requests.total() == 1


class Seconds:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.at = 1_780_000_000.0

    def now(self) -> float:
        return self.at

    def sleep(self, wait_s: float) -> None:
        self.at += wait_s


def limited(limit):
    return Connector(SimpleNamespace(**{**vars(acme), "MANIFEST": dataclasses.replace(acme.MANIFEST, limits=(limit,))}))


@pytest.mark.parametrize("limit", VENDORS, ids=lambda limit: f"{limit.amount:g} in {limit.per_s:g} s")
def test_work_uses_what_is_permitted_and_no_window_is_above_it(respx_mock, fake_api, limit):
    """Through the whole client, at the limits of real vendors, by a clock that only waiting and the vendor move."""
    api = fake_api(limited(limit))
    clock = Seconds()
    api._wire.patience.waiter.now, api._wire.patience.waiter.sleep = clock.now, clock.sleep
    arrived = []

    def arrive(request):
        arrived.append(clock.now())
        clock.sleep(0.0007)
        return httpx.Response(200, json={})

    respx_mock.post(f"{BASE}/x").mock(side_effect=arrive)
    for _ in range(int(limit.amount) * 5):
        api.post("/x", json={})

    assert busiest(arrived, limit.per_s) <= limit.amount
    assert used(arrived, limit) >= 0.95


def work(path, limit, clocks, number, count, arrived):
    """
    Send as one process of several, each with a clock of its own that stands still until the others have come as far.

    So seconds are not slept, and yet nobody lives in another's past.
    """
    budget = Budget(path, "mail", [limit])
    for _ in range(count):
        now = clocks[number]
        clocks[number] = now = now + budget.take("/x", now, longest_wait_s=1e9)
        while any(other < now for other in clocks):
            time.sleep(0.0002)
        arrived.append(now)
        clocks[number] = now + 0.001  # what a request takes
    clocks[number] = float("inf")
    budget.close()


def test_two_processes_share_one_budget_and_use_it(store_path):
    """Neither gets less done than one would, nor the vendor more than it permits."""
    limit = Limit(40, per_s=10)
    Store(store_path).close()
    context = multiprocessing.get_context("spawn")
    clocks = context.Array("d", [1_780_000_000.0] * 2, lock=False)
    with context.Manager() as manager:
        arrived = [manager.list() for _ in range(2)]
        count = int(limit.amount) * 3
        workers = [context.Process(target=work, args=(store_path, limit, clocks, n, count, arrived[n])) for n in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        together = sorted(at for one in arrived for at in one)
        each = [len(one) for one in arrived]
    assert [count, count] == each
    assert busiest(together, limit.per_s) <= limit.amount
    assert used(together, limit) >= 0.95


@pytest.mark.parametrize("told", [False, True])
def test_a_request_that_leaves_late_counts_where_it_left(store_path, told):
    """A machine that was busy, or another limit that was waited for: without a word of it the next window holds too many."""
    limit = Limit(10, per_s=1)
    budget = Budget(store_path, "mail", [limit])
    now, left = 1_780_000_000.0, []
    for number in range(60):
        grant = budget.grant("/x", now, longest_wait_s=60)
        now += grant.wait_s
        if number == 9:
            now += 0.4  # woken late
        if told:
            budget.departed(grant, now)
        left.append(now)
    budget.close()

    assert told == (busiest(left, limit.per_s) <= limit.amount)


@pytest.mark.parametrize("told", [False, True])
def test_a_request_that_waits_for_one_limit_counts_later_in_the_others(store_path, told):
    """Searches have a limit of their own: ten of them that were granted at once do not leave at once."""
    general, search = Limit(10, per_s=1), Limit(1, per_s=0.09, paths=("/search",))
    budget = Budget(store_path, "mail", [general, search])
    now, left = 1_780_000_000.0, []
    grants = [budget.grant("/search", now, longest_wait_s=60) for _ in range(10)]  # ten threads at once
    for grant in grants:
        left.append(now + grant.wait_s)
        if told:
            budget.departed(grant, left[-1])
    now = left[-1] + 0.1
    for _ in range(10):
        grant = budget.grant("/x", now, longest_wait_s=60)
        now += grant.wait_s
        left.append(now)
    budget.close()

    assert told == (busiest(left, general.per_s) <= general.amount)


@pytest.mark.parametrize("told", [False, True])
def test_requests_that_are_late_together_leave_room_for_who_was_granted_the_next_period(store_path, told):
    """A disk that stood still: five threads wake up at once, just before one that was let go because they had left long ago."""
    limit = Limit(5, per_s=1)
    budget = Budget(store_path, "mail", [limit])
    begin = 1_780_000_000.0
    grants = [budget.grant("/x", begin, longest_wait_s=60) for _ in range(5)]
    following = budget.grant("/x", begin + 0.1, longest_wait_s=60)
    woken, left = begin + 0.9, [begin + 0.1 + following.wait_s]
    for grant in grants:
        left.append(woken)
        while told and (late := budget.departed(grant, left[-1])).wait_s > 0:
            grant = late
            left[-1] += late.wait_s
    budget.close()

    assert told == (busiest(sorted(left), limit.per_s) <= limit.amount)
    assert max(left) < begin + 3


@pytest.mark.parametrize("limits", [[Limit(1)], [Limit(5)], [Limit(20, per_s=10)], [Limit(10), Limit(40, per_s=60)]], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_however_late_requests_leave_no_window_holds_too_many(store_path, limits, seed):
    """Threads of two processes that are woken at once, late, or when the rows of their slots are gone long ago."""
    random = Random(seed)
    budgets = [Budget(store_path, "mail", limits) for _ in range(2)]
    late_s = (0, 0, 0, 0.002, 0.05, 1.2, 3, 90)
    due = [(1_780_000_000.0, thread, Grant(0)) for thread in range(8)]  # where nothing was granted yet, it is asked for
    left, now = [], 0.0
    while len(left) < 60:
        at, thread, grant = heappop(due)
        now = max(now, at)
        budget = budgets[thread % 2]
        if not grant.slots:
            grant = budget.grant("/x", now, longest_wait_s=600)
        elif (grant := budget.departed(grant, now)).wait_s == 0:
            left.append(now)
            grant = Grant(0)
        heappush(due, (now + grant.wait_s + random.uniform(0, random.choice(late_s)), thread, grant))
    for budget in budgets:
        budget.close()

    assert all(busiest(left, limit.per_s) <= limit.amount for limit in limits)

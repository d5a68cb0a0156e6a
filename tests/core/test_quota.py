"""What a plan says of a quota is what the budget has granted and the store knows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support import acme

from core.clock import to_us
from core.contract import Limit
from core.limits.budget import Budget
from core.limits.quota import quota_of
from core.registry import Connector
from core.store import Store

MANIFEST = Connector(acme).manifest


@pytest.fixture
def manifest(monkeypatch):
    """The manifest with a limit a second, a dear one an hour, and one a day."""
    import dataclasses

    limits = [Limit(10), Limit(100, per_s=3_600, cost=4, paths=("/lists/*",)), Limit(50, per_s=86_400)]
    return dataclasses.replace(MANIFEST, limits=limits)


def test_it_is_the_tightest_of_the_long_ones_less_what_was_granted(store: Store, clock, manifest):
    """In requests, for the path that is written to; and what was granted a day ago is there again."""
    now = clock()
    assert (25, 3_600) == _told(store, manifest, "/lists/7", now)
    assert (50, 86_400) == _told(store, manifest, "/people", now)
    budget = Budget(store.path, "mail", manifest.limits)
    for _ in range(30):
        budget.take("/people", now.timestamp(), longest_wait_s=1e9)
    budget.close()

    left, per_s = _told(store, manifest, "/people", now)
    assert per_s == 86_400
    assert 50 - 30 - 5 <= left <= 20, "a lump may be taken ahead of its requests"
    assert (50, 86_400) == _told(store, manifest, "/people", now + timedelta(days=2))


def _told(store, manifest, path, now):
    found = quota_of(store.conn, "mail", manifest, path, now=now)
    return found.remaining, found.limit.per_s


def test_a_pause_is_told_until_it_is_over(store: Store, clock):
    """And a vendor without a quota has none to tell of."""
    at = clock() + timedelta(hours=3)
    with store.atomic() as conn:
        conn.execute(
            "INSERT INTO connections (name, connector, category, resume_at) VALUES ('mail', 'acme', 'email', ?)", (to_us(at),)
        )
    found = quota_of(store.conn, "mail", MANIFEST, "/x", now=clock())
    assert (at, None, None) == (found.resume_at, found.remaining, found.limit)
    assert quota_of(store.conn, "mail", MANIFEST, "/x", now=at).resume_at is None

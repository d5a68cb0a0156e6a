"""Through the core's pull into a store: what segments will see of an account, after a week, a kill and a lost month."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from stripe_rows import customers, invoices, subscriptions

from core.config.model import Config, ConnectionConfig, Place, Workspace
from core.errors import AuthError
from core.pulling.pull import pull_connection
from core.pulling.pull_report import PullReport
from core.registry import load_connector
from core.store import Store
from core.store.sources import register

BILLING = ConnectionConfig(
    "billing", "stripe", place=Place("tagalong.toml", 1, "connections.billing"), settings={"key": {"env": "STRIPE_KEY"}}
)
Pull = Callable[..., PullReport]


@pytest.fixture
def pull(store: Store, account: Any, clock: Any) -> Pull:
    """`pull(full=...)`: the whole connection, once."""
    connector = load_connector("stripe")
    workspace = Workspace(Path("/nowhere/tagalong.db"), timezone=ZoneInfo("UTC"))
    config = Config(Path("/nowhere/tagalong.toml"), workspace, connections={"billing": BILLING})
    register(store, config, {"stripe": connector})

    runs = count(1)

    def run(**options: Any) -> PullReport:
        return pull_connection(
            store, account, connection=BILLING, connector=connector, run_id=next(runs), clock=clock, **options
        )

    return run


def live(store: Store, table: str, columns: str) -> list[Any]:
    return store.conn.execute(f"SELECT {columns} FROM {table} WHERE deleted_at IS NULL ORDER BY key").fetchall()


def test_what_segments_see(store: Store, sandbox: Any, clock: Any, pull: Pull) -> None:
    sandbox.load("customers", customers(2))
    sandbox.load("subscriptions", subscriptions(2))
    sandbox.load("invoices", invoices(2))

    first = pull()
    assert [(stream.stream, stream.records, stream.bad, stream.complete) for stream in first.streams] == [
        ("customers", 2, 0, True), ("subscriptions", 2, 0, True), ("invoices", 2, 0, True),
    ]  # fmt: skip
    assert live(store, "profile_rows", "key, email") == [
        ("cus_1", "person1@example.com"), ("cus_2", "person2@example.com"),
    ]  # fmt: skip
    assert live(store, "subscriptions", "key, status, plan, mrr, currency") == [
        ("sub_1", "active", "Team", 4500, "EUR"), ("sub_2", "active", "Team", 4500, "EUR"),
    ]  # fmt: skip
    kinds = dict(store.conn.execute("SELECT kind, count(DISTINCT value) FROM fresh_identifiers GROUP BY kind").fetchall())
    assert kinds == {"email": 2, "user_id": 2, "billing.customer_id": 2}

    clock.advance(timedelta(days=7))
    sandbox.load("customers", [{"id": "cus_2", "email": "moved@example.com"}])
    sandbox.load("subscriptions", [{"id": "sub_2", "status": "past_due", "quantity": 1}])
    sandbox.load("invoices", [{"id": "in_2", "refunded": 1000}])
    sandbox.delete("customers", ["cus_1"])
    second = pull()

    assert all(stream.complete for stream in second.streams)
    assert live(store, "profile_rows", "key, email") == [("cus_2", "moved@example.com")]
    assert live(store, "subscriptions", "key, status, mrr") == [("sub_1", "canceled", 0), ("sub_2", "past_due", 1500)]
    assert live(store, "payments", "key, amount, refunded, status") == [
        ("in_1", 4500, 0, "paid"), ("in_2", 4500, 1000, "paid"),
    ]  # fmt: skip


def test_the_feed_and_the_list_bring_the_same_records(sandbox: Any, clock: Any, pull: Pull) -> None:
    """Else every object that the feed touched would change twice."""
    sandbox.load("customers", customers(3))
    sandbox.load("subscriptions", subscriptions(3, discount_percent=10))
    sandbox.load("invoices", invoices(3, refunded=10))
    pull()
    clock.advance(timedelta(hours=1))
    sandbox.load("customers", [{"id": "cus_1", "name": "New"}])
    sandbox.load("subscriptions", [{"id": "sub_1", "quantity": 9}])
    sandbox.load("invoices", [{"id": "in_1", "refunded": 20}])
    assert [stream.changed for stream in pull().streams] == [1, 1, 1]

    assert [stream.changed for stream in pull(full=True).streams] == [0, 0, 0]


def test_nothing_new_costs_one_request_a_stream(sandbox: Any, clock: Any, pull: Pull) -> None:
    sandbox.load("customers", customers(3))
    pull()
    clock.advance(timedelta(minutes=15))
    sandbox.requests.clear()

    pull()

    assert sandbox.requests == {"GET /events": 3}


def test_what_was_deleted_while_the_feed_was_forgotten_is_found(store: Store, sandbox: Any, clock: Any, pull: Pull) -> None:
    """Quirk 3: forty days without a pull; no event tells of the deletion any more."""
    sandbox.load("customers", customers(3))
    pull()
    sandbox.delete("customers", ["cus_2"])
    clock.advance(timedelta(days=40))

    pull()

    assert live(store, "profile_rows", "key") == [("cus_1",), ("cus_3",)]
    assert sandbox.requests["GET /events"] == 0


def test_a_permission_taken_away_ends_the_pull_and_loses_nothing(store: Store, sandbox: Any, clock: Any, pull: Pull) -> None:
    sandbox.load("customers", customers(2))
    sandbox.load("invoices", invoices(2))
    pull()
    clock.advance(timedelta(minutes=15))
    sandbox.load("customers", [{"id": "cus_1", "email": "new@example.com"}])
    sandbox.load("invoices", [{"id": "in_1", "refunded": 50}])
    sandbox.denied = {"refunds"}

    with pytest.raises(AuthError, match="Read on Charges and Refunds"):
        pull()
    sandbox.denied = set()
    pull()

    assert live(store, "profile_rows", "key, email")[0] == ("cus_1", "new@example.com")
    assert live(store, "payments", "key, refunded")[0] == ("in_1", 50)


def test_a_revoked_key_ends_the_pull_until_there_is_a_new_one(store: Store, sandbox: Any, pull: Pull) -> None:
    sandbox.load("customers", customers(2))
    key, sandbox.key = sandbox.key, "rk_test_another"

    with pytest.raises(AuthError, match="revoked"):
        pull()
    sandbox.key = key
    pull()

    assert len(live(store, "profile_rows", "key")) == 2


def test_an_unreadable_subscription_is_a_dead_letter(store: Store, sandbox: Any, pull: Pull) -> None:
    """A tiered price that came without its tiers is not worth 0."""
    sandbox.load("customers", customers(2))
    sandbox.load("subscriptions", subscriptions(2))
    sandbox.state.objects["subscriptions"]["sub_1"]["items"]["data"][0]["price"]["billing_scheme"] = "tiered"

    report = pull()

    assert [(stream.stream, stream.bad) for stream in report.streams] == [
        ("customers", 0),
        ("subscriptions", 1),
        ("invoices", 0),
    ]
    assert live(store, "subscriptions", "key") == [("sub_2",)]
    assert store.conn.execute("SELECT key FROM dead_letters").fetchall() == [("sub_1",)]


def test_a_subscription_that_becomes_unreadable_is_not_taken_for_gone(
    store: Store, sandbox: Any, clock: Any, pull: Pull
) -> None:
    """A whole pull that cannot read it still saw it: what is known of it stays, beside the dead letter."""
    sandbox.load("customers", customers(2))
    sandbox.load("subscriptions", subscriptions(2))
    pull()
    clock.advance(timedelta(hours=1))
    del sandbox.state.objects["subscriptions"]["sub_1"]["currency"]

    report = pull(full=True)

    assert [stream.bad for stream in report.streams] == [0, 1, 0]
    assert live(store, "subscriptions", "key, mrr") == [("sub_1", 4500), ("sub_2", 4500)]


def test_no_secret_is_in_the_store(store: Store, store_path: Path, sandbox: Any, pull: Pull) -> None:
    sandbox.load("customers", customers(2))
    pull()
    store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert sandbox.key.encode() not in store_path.read_bytes()


def test_a_clock_that_was_ahead_hides_no_event(store: Store, sandbox: Any, clock: Any, pull: Pull) -> None:
    """It is ahead for one pull; the next one comes after the time that it showed, and asks for what changed since."""
    ahead = timedelta(minutes=100)
    clock.advance(timedelta(days=365))  # a vendor that says it is earlier than the connector is not believed
    sandbox.load("customers", customers(1))
    pull()
    clock.advance(timedelta(hours=1) + ahead)
    sandbox.now = lambda: clock() - ahead
    pull()
    sandbox.now = clock
    clock.advance(-ahead / 2)
    sandbox.load("customers", [{"id": "cus_1", "email": "moved@example.com"}])
    clock.advance(ahead)
    pull()

    assert [("cus_1", "moved@example.com")] == live(store, "profile_rows", "key, email")

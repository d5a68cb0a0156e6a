"""From an org through the core's pull and resolve into the store: people, companies, deals, consent, and pulls that broke."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.killed import killed_after

from connectors.salesforce import pull as reading
from connectors.salesforce import vendor
from core.config.model import Config, ConnectionConfig, Place, Workspace
from core.pulling.pull import pull_connection
from core.registry import load_connector
from core.resolve import resolve
from core.store import Store
from core.store.sources import bind_account, register

SETTINGS = {"client_id": "x", "client_secret": {"env": "SALESFORCE_CLIENT_SECRET"}, "domain": "acme"}
CONNECTION = ConnectionConfig("crm", "salesforce", place=Place("tagalong.toml", 1, "connections.crm"), settings=SETTINGS)


@pytest.fixture
def pull(store: Store, clock: Any, tmp_path: Path) -> Callable[..., Any]:
    """`pull(api, **options)`: pull and resolve all streams of the connection, *later* than before each time, else an hour."""
    connector = load_connector("salesforce")
    workspace = Workspace(store.path, timezone=ZoneInfo("UTC"))
    config = Config(tmp_path / "tagalong.toml", workspace, connections={"crm": CONNECTION})
    runs = count(1)

    def run(api: Any, *, later: timedelta = timedelta(hours=1), **options: Any) -> dict[str, Any]:
        clock.advance(later)
        register(store, config, {"salesforce": connector})
        bind_account(store, "crm", connector.account(api))
        report = pull_connection(
            store, api, connection=CONNECTION, connector=connector, run_id=next(runs), clock=clock, **options
        )
        resolve(store, config, at=clock())
        return {stream.stream: stream for stream in report.streams}

    return run


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.conn.execute(sql)]


def world(api: Any) -> None:
    api.sandbox.load("companies", [{"id": "1", "name": "Acme", "domain": "acme.example.com", "employees": 7, "country": "SE"}])
    api.sandbox.load(
        "people",
        [
            {"id": "1", "email": "Ann@Example.com", "first_name": "Ann", "company_id": "1", "country": "Sverige"},
            {"id": "2", "email": "bo@example.com", "company_id": None, "extra": {"HasOptedOutOfEmail": True}},
            {"id": "3", "email": "cy@example.com", "company_id": None, "lifecycle_stage": "lead"},
        ],
    )
    deal = {"id": "1", "stage": "Closed Won", "won": True, "closed": True, "amount": "99.50", "currency": "EUR"}
    api.sandbox.load("deals", [{**deal, "company_id": "1", "contact_ids": ["1"], "closed_at": api.now}])


PEOPLE = "SELECT email, lifecycle_stage FROM profiles WHERE live = 1 AND email IS NOT NULL ORDER BY email"


def test_everything_lands(org: Callable[..., Any], pull: Callable[..., Any], store: Store) -> None:
    """A person's company is the account that the contact names."""
    api = org()
    world(api)
    reports = pull(api)

    assert {name: (r.records, r.bad, r.error) for name, r in reports.items()} == {
        "contacts": (2, 0, None), "leads": (1, 0, None), "accounts": (1, 0, None), "opportunities": (1, 0, None),
    }  # fmt: skip
    assert [("ann@example.com", None), ("bo@example.com", None), ("cy@example.com", "lead")] == rows(store, PEOPLE)
    joined = "SELECT p.email, p.country, c.name, c.domain, c.employees FROM profiles p JOIN companies c ON c.id = p.company_id"
    assert [("ann@example.com", "SE", "Acme", "acme.example.com", 7)] == rows(store, joined)
    deals = "SELECT d.stage, d.won, d.amount, d.currency, p.email FROM deals d JOIN profiles p ON p.id = d.profile_id"
    assert [("Closed Won", 1, 9950, "EUR", "ann@example.com")] == rows(store, deals)
    consents = "SELECT p.email, c.state FROM consents c JOIN profiles p ON p.id = c.profile_id ORDER BY p.email"
    assert [("ann@example.com", "unknown"), ("bo@example.com", "denied"), ("cy@example.com", "unknown")] == rows(
        store, consents
    )


def test_a_second_pull_changes_only_what_changed(org: Callable[..., Any], pull: Callable[..., Any], store: Store) -> None:
    """Gotcha: the overlap brings records again, and their hashes say that nothing is new."""
    api = org()
    world(api)
    pull(api)
    api.sandbox.load("people", [{"id": "1", "first_name": "Anna"}])
    api.sandbox.delete("people", ["2"])
    reports = pull(api)

    assert (1, 1) == (reports["contacts"].changed, reports["contacts"].deleted)
    assert [("ann@example.com", None), ("cy@example.com", "lead")] == rows(store, PEOPLE)
    assert 0 == pull(api)["contacts"].changed
    # he is gone, and his no is not
    assert [("denied",)] == rows(store, "SELECT state FROM consents WHERE state = 'denied'")


def test_a_lead_who_becomes_a_contact_stays_one_person(org: Callable[..., Any], pull: Callable[..., Any], store: Store) -> None:
    """Gotcha: joined by the id of the contact, though the address changed on the way; and no lead any more."""
    api = org()
    world(api)
    pull(api)
    before = rows(store, "SELECT id FROM profiles WHERE email = 'cy@example.com'")
    api.sandbox.load("people", [{"id": "3", "email": "cy.berg@example.com", "lifecycle_stage": "customer", "company_id": "1"}])
    pull(api)

    assert ("cy.berg@example.com", None) in rows(store, PEOPLE)
    assert before == rows(store, "SELECT id FROM profiles WHERE email = 'cy.berg@example.com'")
    assert 3 == len(rows(store, PEOPLE))


def test_merged_people_are_one_and_nobody_opted_out(org: Callable[..., Any], pull: Callable[..., Any], store: Store) -> None:
    """Gotcha: a merge shows the loser as deleted; it is followed, and is no refusal."""
    api = org()
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com", "company_id": None} for n in (1, 2)])
    pull(api)
    api.sandbox.merge("people", "1", "2")
    reports = pull(api)

    id_of = api.sandbox.state.id_of
    assert [(id_of("Contact", "1"), id_of("Contact", "2"))] == rows(store, "SELECT loser, winner FROM merges")
    assert 1 == reports["contacts"].deleted
    assert [("p2@example.com", None)] == rows(store, PEOPLE)
    assert [] == rows(store, "SELECT * FROM consents WHERE state = 'denied'")


def test_what_was_purged_vanishes_with_the_weekly_pull(
    org: Callable[..., Any], pull: Callable[..., Any], store: Store, clock: Any
) -> None:
    """Gotcha: what left the recycle bin is told by its absence alone; a formula's change comes with that pull, too."""
    api = org()
    world(api)
    pull(api)
    api.sandbox.purge("people", ["2"])
    api.sandbox.state.fields["Contact"]["formula__c"] = "string"
    pull(api)
    assert 3 == len(rows(store, PEOPLE))

    clock.advance(timedelta(days=7))
    pull(api)
    assert [("ann@example.com", None), ("cy@example.com", "lead")] == rows(store, PEOPLE)


@pytest.mark.parametrize("by_job", [False, True])
@pytest.mark.parametrize("page", [1, 2, 4, 6])
def test_a_pull_killed_after_a_page_ends_like_any_other(
    org: Callable[..., Any], pull: Callable[..., Any], store: Store, page: int, by_job: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing lost and nothing twice, whichever way the records come; a job goes on."""
    monkeypatch.setattr(reading, "PAGE", 10)
    monkeypatch.setattr(reading, "CHUNK", 30)
    monkeypatch.setattr(vendor, "BULK_ABOVE", 20 if by_job else 50_000)
    api = org(page_rows=20)
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com", "company_id": None} for n in range(1, 71)])
    with killed_after(page) as on_page:
        pull(api, on_page=on_page, streams=["contacts"])
    report = pull(api, streams=["contacts"], later=timedelta())["contacts"]

    assert report.complete
    assert [(70,)] == rows(store, "SELECT count(*) FROM crm__contacts WHERE deleted_at IS NULL")
    assert int(by_job) == api.sandbox.requests["POST /services/data/v66.0/jobs/query"]


def test_a_job_that_fails_is_made_again_by_the_next_pull(
    org: Callable[..., Any], pull: Callable[..., Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is told, the checkpoint kept, and the next pull forgets the job and asks anew."""
    monkeypatch.setattr(vendor, "BULK_ABOVE", 2)
    api = org()
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com", "company_id": None} for n in range(1, 6)])
    api.sandbox.jobs.failing = 1
    broken = pull(api, streams=["contacts"])["contacts"]
    assert "Failed" in str(broken.error)
    report = pull(api, streams=["contacts"])["contacts"]

    assert (True, 5) == (report.complete, report.records)
    assert [(5,)] == rows(store, "SELECT count(*) FROM crm__contacts WHERE deleted_at IS NULL")
    assert 2 == api.sandbox.requests["POST /services/data/v66.0/jobs/query"]

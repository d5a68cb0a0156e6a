"""Whole runs of a sync against an org: members by collections and by jobs, who is ours afterwards, and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.salesforce import campaigns
from core.config.model import Config, ConnectionConfig, Guard, Place, Segment, SyncConfig, Workspace
from core.contract import Verdict
from core.hub import Hub
from core.registry import load_connector
from core.run import SyncReport, sync
from core.sandbox import as_settings
from core.store import Store

PLACE = Place("tagalong.toml", 1, "here")


@pytest.fixture
def run(clock: Any, tmp_path: Path) -> Callable[[Any], SyncReport]:
    """`run(api)`: pull and sync everybody in Sweden into the campaign VIP, an hour later each time."""

    def once(api: Any) -> SyncReport:
        clock.advance(timedelta(hours=1))
        guard = Guard(removals_count=1_000, adds_count=1_000)
        config = Config(
            tmp_path / "tagalong.toml",
            Workspace(tmp_path / "runs.db", timezone=ZoneInfo("UTC")),
            connections={"crm": ConnectionConfig("crm", "salesforce", place=PLACE, settings=as_settings(api.served))},
            segments={"vip": Segment("vip", 'country == "SE"', place=PLACE, title="VIP")},
            syncs={
                "vips": SyncConfig(
                    "vips", place=PLACE, segment="vip", to="crm", audience_kind="campaign", audience_name="VIP", guard=guard
                )
            },
        )
        connectors = {"salesforce": load_connector("salesforce")}
        return sync(Hub(config, clock=clock, stop=threading.Event(), environ={}, connectors=connectors, sleep=lambda _s: None))

    return once


def people(api: Any, *numbers: int, country: str = "SE") -> None:
    """Load people, every third a lead."""
    api.sandbox.load(
        "people",
        [
            {
                "id": str(n), "email": f"p{n}@example.com", "country": country, "company_id": None,
                "lifecycle_stage": "customer" if n % 3 else "lead",
            }
            for n in numbers
        ],
    )  # fmt: skip


def there(api: Any) -> set[int]:
    return {int(n) for n in api.sandbox.audiences()["VIP"]}


def ledger(tmp_path: Path) -> list[tuple[Any, ...]]:
    with Store(tmp_path / "runs.db") as store:
        return [tuple(row) for row in store.conn.execute("SELECT state, handle IS NOT NULL, object FROM ledger")]


@pytest.mark.parametrize("above", [1_000, 3], ids=["collections", "jobs"])
def test_people_come_and_go(
    org: Callable[..., Any], run: Callable[..., Any], tmp_path: Path, above: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contacts and leads alike, by row ids kept in the ledger; a member of somebody else's stays."""
    monkeypatch.setattr(campaigns, "JOB_ABOVE", above)
    api = org()
    people(api, *range(1, 10))
    first = run(api)
    (pushed,) = first.syncs[0].reports.values()
    if above == 3:
        assert {("add", Verdict.PENDING): 9} == dict(pushed.verdicts)
        run(api)
    assert set(range(1, 10)) == there(api)
    assert {("ours", 1)} == {row[:2] for row in ledger(tmp_path)}
    assert {"contact", "lead"} == {row[2] for row in ledger(tmp_path)}

    people(api, *range(1, 6), country="NO")
    people(api, 10, 11)
    for _ in range(4):
        run(api)
    assert {6, 7, 8, 9, 10, 11} == there(api)
    assert 6 == len(ledger(tmp_path))
    log = [(line.op, line.member) for line in api.sandbox.change_log]
    assert len(log) == len(set(log)) == 16


def test_a_lead_of_ours_who_is_a_contact_now_goes_like_any_other(org: Callable[..., Any], run: Callable[..., Any]) -> None:
    api = org()
    people(api, 1, 2, 3)
    run(api)
    api.sandbox.load("people", [{"id": "3", "lifecycle_stage": "customer"}])
    run(api)
    assert {1, 2, 3} == there(api)
    api.sandbox.load("people", [{"id": "3", "country": "NO"}])
    run(api)

    assert {1, 2} == there(api)
    assert 1 == sum(line.op == "remove" for line in api.sandbox.change_log)


def test_what_others_put_there_stays(org: Callable[..., Any], run: Callable[..., Any]) -> None:
    """A member before us is foreign: wanted by us or not, never taken out."""
    api = org()
    people(api, 1, 2, 3, 4)
    made = api.sandbox.state.make("Campaign", {"Name": "VIP", "IsActive": True})
    for of, n in (("Contact", 1), ("Lead", 3)):
        api.sandbox.state.make("CampaignMember", {"CampaignId": made["Id"], f"{of}Id": api.sandbox.state.id_of(of, str(n))})
    run(api)
    assert {1, 2, 3, 4} == there(api)
    people(api, 1, 2, 3, 4, country="NO")
    run(api)

    assert {1, 3} == there(api)

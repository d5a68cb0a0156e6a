"""Through the core: into the store, and a lead's conversion all the way to the tag."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from zoho_rows import c, contact, l, lead

from connectors.zoho_crm.sandbox import ZohoSandbox
from core.config.load import load_config
from core.hub import Hub
from core.run import SyncReport, sync
from core.sandbox import as_settings, serve
from core.store import Store

CONFIG = """
[workspace]
database = "tagalong.db"
currency = "EUR"

[connections.crm]
connector = "zoho_crm"
{settings}

[segments.everybody]
title = "Everybody"
where = 'email.endswith("@example.com")'

[[syncs]]
name = "everybody"
segment = "everybody"
to = "crm"
audience = {{ tag = "Everybody" }}
"""


class House:
    """An organisation, a config and a clock."""

    def __init__(self, folder: Path, clock: Any, sandbox: ZohoSandbox, settings: dict[str, Any]) -> None:
        self.clock, self.sandbox = clock, sandbox
        text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        (folder / "tagalong.toml").write_text(CONFIG.format(settings=text))
        self.config = load_config(folder / "tagalong.toml", {})

    def sync(self, **options: Any) -> SyncReport:
        """Run the whole line a quarter of an hour later."""
        self.clock.advance(timedelta(minutes=15))
        hub = Hub(self.config, clock=self.clock, stop=threading.Event(), environ={}, sleep=lambda wait_s: None)
        return sync(hub, fresh=timedelta(0), **options)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with Store(self.config.workspace.database) as store:
            return [tuple(row) for row in store.conn.execute(query)]


@pytest.fixture
def house(tmp_path: Path, clock: Any) -> Iterator[Callable[..., House]]:
    """`house(**switches)`: a served organisation and its config."""
    made = ZohoSandbox(now=clock, rate_factor=1000)
    with serve({"zoho_crm": made}) as served:

        def make(**switches: Any) -> House:
            sandbox = served["zoho_crm"].sandbox = ZohoSandbox(now=clock, rate_factor=1000, **switches)
            return House(tmp_path, clock, sandbox, as_settings(served["zoho_crm"]))

        yield make


def _load(house: House) -> None:
    at = house.clock() - timedelta(days=3)
    old = {"country": "Sverige", "updated_at": at}
    house.sandbox.load("companies", [{"id": "7", "name": "Candles", "domain": "candles.example.com", "updated_at": at}])
    house.sandbox.load("people", [contact(n, company_id="7", email=f"P{n}@Example.com", **old) for n in range(1, 41)])
    house.sandbox.load("people", [lead(n, **old) for n in range(51, 56)])
    deal = {"id": "3", "stage": "Closed Won", "won": True, "closed": True, "amount": "1500.50", "currency": None}
    house.sandbox.load("deals", [{**deal, "contact_ids": ["1"], "company_id": "7", "closed_at": at, "updated_at": at}])


def test_everything_lands_and_everybody_is_tagged(house: Callable[..., House]) -> None:
    made = house()
    _load(made)

    report = made.sync()

    assert "done" == report.status
    assert {str(n) for n in (*range(1, 41), *range(51, 56))} == made.sandbox.audiences()["Everybody"]
    assert [("p1@example.com", "SE")] == made.rows("SELECT email, country FROM profiles WHERE email = 'p1@example.com'")
    assert [("Closed Won", 1, 150050, "EUR")] == made.rows("SELECT stage, won, amount, currency FROM deals")
    assert [("Candles", "candles.example.com")] == made.rows("SELECT name, domain FROM company_rows")
    assert [(40,)] == made.rows(f"SELECT count(*) FROM ledger WHERE remote_id LIKE '{c(1)[:8]}%'")
    assert [("Leads", 5)] == made.rows("SELECT object, count(*) FROM ledger WHERE object IS NOT NULL GROUP BY object")

    made.sandbox.change_log.clear()
    again = made.sync()
    assert ("done", []) == (again.status, made.sandbox.change_log)


@pytest.mark.parametrize("carries", [False, True])
@pytest.mark.parametrize("told", [("Converted__s", "Converted_Contact"), ()], ids=["told", "by address"])
def test_a_converted_lead_stays_in_the_audience_as_a_contact(
    house: Callable[..., House], told: tuple[str, ...], carries: bool
) -> None:
    """Quirk 10: whether the vendor takes the tags along or not, the contact has it, and the lead is forgotten."""
    made = house(converted_fields=told, carries_tags=carries)
    _load(made)
    made.sync()
    made.sandbox.load("people", [contact(51, company_id="7", country="Sverige", updated_at=made.clock())])

    assert "done" == made.sync().status
    made.clock.advance(timedelta(minutes=10))
    assert "done" == made.sync().status

    assert {str(n) for n in (*range(1, 41), *range(51, 56))} == made.sandbox.audiences()["Everybody"]
    assert [(c(51), None, "ours")] == made.rows(
        "SELECT remote_id, object, state FROM ledger WHERE member_key = 'p51@example.com'"
    )
    assert [] == made.rows(f"SELECT key FROM crm__leads WHERE key = '{l(51)}' AND deleted_at IS NULL")
    made.sandbox.change_log.clear()
    assert ("done", []) == (made.sync().status, made.sandbox.change_log)


def test_deleted_and_merged_people_go_and_the_weekly_pull_misses_the_rest(house: Callable[..., House]) -> None:
    """Quirks 8 and 9."""
    made = house()
    _load(made)
    made.sync()
    made.sandbox.delete("people", ["1", "51"])
    made.sandbox.purge("people", ["2"])
    made.sandbox.merge("people", "3", "4")
    del made.sandbox.state.records["Contacts"][c(5)]  # told nowhere

    def there() -> set[str]:
        return {key for table in ("contacts", "leads") for (key,) in made.rows(
            f"SELECT key FROM crm__{table} WHERE deleted_at IS NULL"
        )}  # fmt: skip

    made.sync()
    assert not {c(1), l(51), c(2), c(3)} & there()
    assert {c(4), c(5)} <= there()
    made.clock.advance(timedelta(days=7))
    made.sync()
    assert c(5) not in there()


def test_our_own_tags_bring_people_back_once_and_move_nothing(house: Callable[..., House]) -> None:
    """Quirk 25: a tag bumps Modified_Time, so the next pull reads them again; nobody is sent anything for that."""
    made = house()
    _load(made)
    made.sync()
    made.sandbox.change_log.clear()
    before = made.sandbox.writes.total()

    made.sync()

    assert (before, []) == (made.sandbox.writes.total(), made.sandbox.change_log)
    assert [('["Everybody"]',)] == made.rows("SELECT DISTINCT Tag FROM crm__contacts")

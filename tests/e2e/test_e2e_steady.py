"""Life goes on: nothing changes and nothing is written; things change as they always do and nothing is held."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

from house import VIP, VIPS_TO_MAIL, House, address

PRODUCT = """
[connections.product]
connector = "files"
schedule = "24h"
[connections.product.streams.usage]
path = "data/usage*.jsonl"
kind = "event"
key = "id"
identifiers = { email = "who" }
time = "at"
event_column = "event"
"""
OPENED = '\n[segments.opened]\nwhere = \'did("Opened", last="24h") and lifecycle_stage == "customer"\'\n'
OPENED_TO_MAIL = (
    '[[syncs]]\nname = "opened"\nsegment = "opened"\nto = "mail"\naudience = { tag = "Opened" }\nschedule = "15m"\n'
)
VIPS_TO_CRM = '[[syncs]]\nname = "vips_to_crm"\nsegment = "vip"\nto = "crm"\naudience = { list = "Vips" }\n'


def test_a_second_sync_with_nothing_changed_holds_nothing_and_writes_nothing(house: Callable[..., House]):
    h = house("crm", "billing", "mail")
    h.people(*range(40))
    h.people(*range(40, 60), stage="lead")
    h.customers(*range(30))
    h.write_config(VIP, VIPS_TO_MAIL, VIPS_TO_CRM)
    h.sync()
    customers = {address(n) for n in range(40)}
    assert customers == h.tagged()
    before, logs = h.writes(), [list(box.change_log) for box in h.boxes.values()]
    assert before

    for arguments in ((), ("--full",), ("--no-pull",), ("--fresh", "1m")):
        again = h.sync(*arguments).json
        assert "done" == again["status"]
        assert not any(plan["adds"] or plan["removes"] or plan["held"] for sync in again["syncs"] for plan in sync["plans"])

    assert before == h.writes()
    assert logs == [box.change_log for box in h.boxes.values()]
    assert customers == h.tagged()
    assert {str(1000 + n) for n in range(40)} == h.tagged("Vips", "crm")


def test_ten_runs_of_ordinary_life_are_never_held(house: Callable[..., House]):
    """
    A first try with five, the whole of it, then every quarter of an hour over two days: with a source that comes once a day,
    a segment that exchanges everybody within 24 hours, and some people who come and go.
    """
    h = house("crm", "mail")
    h.people(*range(150))
    began = h.clock()

    def export(day: int, people: range) -> None:
        """The export of a night: who opened the product in the 24 hours before it."""
        at = began + timedelta(days=day, hours=-2)
        lines = [{"id": f"{day}-{n}", "who": address(n), "event": "Opened", "at": at.isoformat()} for n in people]
        h.write(f"data/usage-{day}.jsonl", "\n".join(map(json.dumps, lines)) + "\n")

    export(0, range(50))
    h.write_config(PRODUCT, VIP, OPENED, VIPS_TO_MAIL, OPENED_TO_MAIL)

    first = h.sync("--limit", "5").json
    assert "done" == first["status"]
    assert (5, 5) == (len(h.tagged()), len(h.tagged("Opened")))
    h.sync()
    assert (150, 50) == (len(h.tagged()), len(h.tagged("Opened")))
    for run in range(10):
        if run in (3, 7):  # a night passes
            h.clock.advance(hours=23.5)
            day = 1 if run == 3 else 2
            export(day, range(day * 50, day * 50 + 50))
        h.people(run, stage="lead")
        h.people(200 + run)
        report = h.sync().json
        assert "done" == report["status"], report
        assert not any(plan["held"] for sync in report["syncs"] for plan in sync["plans"])
        if run in (3, 7):
            assert {address(n) for n in range(day * 50, day * 50 + 50)} == h.tagged("Opened")

    assert {address(n) for n in (*range(10, 150), *range(200, 210))} == h.tagged()
    assert not h.run("status", "--json", "--check").json["troubles"]

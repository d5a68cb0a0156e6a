"""A second sync with nothing changed, and ordinary life."""

from __future__ import annotations

from collections.abc import Callable

from house import VIP, VIPS_TO_MAIL, House, address


def test_a_second_sync_with_nothing_changed_holds_nothing_and_writes_nothing(house: Callable[..., House]):
    h = house("crm", "mail")
    h.people(*range(40))
    h.people(*range(40, 60), stage="lead")
    h.write_config(VIP, VIPS_TO_MAIL)
    h.sync()

    assert {address(n) for n in range(40)} == h.tagged()
    before, log = h.writes(), list(h.boxes["mail"].change_log)
    again = h.sync().json

    assert "done" == again["status"]
    assert before == h.writes()
    assert log == h.boxes["mail"].change_log

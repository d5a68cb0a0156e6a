"""A clock that is ahead during a pull, and right again at the next: nothing that changed between may be passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import acme
from support.acme.sandbox import AcmeSandbox
from support.pulled import CONTACT, NOON, FakeApi, World, contact, stream

from core.contract import Category, Page
from core.sandbox import serve

AHEAD = timedelta(minutes=100)


class Vendor:
    """Somebody else's people, by somebody else's clock."""

    def __init__(self) -> None:
        self.now = NOON
        self.tells = True
        self.changed: list[tuple[datetime, str]] = []

    def change(self, id_: str, *, after: timedelta) -> None:
        self.now += after
        self.changed.append((self.now, id_))

    def answer(self, api: FakeApi, since: datetime | None) -> list[dict[str, Any]]:
        if self.tells:
            api.said = self.now.replace(microsecond=0)
        return [contact(id_) for at, id_ in self.changed if since is None or at >= since]


def feed(vendor: Vendor, spell: Callable[[datetime], Any], read: Callable[[Any], datetime]) -> Any:
    """A stream that can ask for changes only, from when its last pull began: by the clock that it is handed."""

    def pull(api: FakeApi, cursor: Any, resume: str | None) -> Iterator[Page]:
        began = api.now
        yield Page(vendor.answer(api, None if cursor is None else read(cursor)), cursor=spell(began))

    return stream("contacts", (), pull=pull, **CONTACT)


@pytest.mark.parametrize(
    "of", [(lambda at: at, lambda at: at), (datetime.isoformat, datetime.fromisoformat)], ids=["time", "text"]
)
def test_a_cursor_never_passes_what_the_vendor_calls_now(tmp_path: Path, of: Any) -> None:
    """Whether the core can read the cursor or only hands it back: the connector took the time before anybody had answered."""
    vendor = Vendor()
    vendor.change("1", after=timedelta(0))
    world = World(tmp_path / "store.db", crm=(Category.CRM, [feed(vendor, *of)]))
    assert world.pull("crm").complete

    vendor.now += timedelta(hours=1)
    world.at = vendor.now + AHEAD
    assert world.pull("crm").complete
    vendor.change("2", after=AHEAD / 2)
    vendor.now += AHEAD
    world.at = vendor.now
    report = world.pull("crm")

    assert report.complete
    assert [("1",), ("2",)] == world.rows("SELECT key FROM crm__contacts ORDER BY key")
    assert 1 == report.streams[0].records, "and nobody was asked for everything"


def test_what_the_first_answer_brought_is_asked_for_again_and_stored_once(tmp_path: Path) -> None:
    """The pull begins anew before anything of it is stored; a vendor whose clock ever falls behind gets one more try only."""
    vendor, asked = Vendor(), []

    def pull(api: FakeApi, cursor: Any, resume: str | None) -> Iterator[Page]:
        asked.append(api.now)
        vendor.now -= timedelta(hours=1)
        yield Page(vendor.answer(api, None), cursor=api.now)

    vendor.change("1", after=timedelta(0))
    world = World(tmp_path / "store.db", crm=(Category.CRM, [stream("contacts", (), pull=pull, **CONTACT)]))
    report = world.pull("crm").streams[0]

    assert [NOON, NOON - timedelta(hours=1)] == asked
    assert (1, 1, True) == (report.records, report.pages, report.complete)


@pytest.mark.parametrize(
    ("headers", "right"),
    [
        ({}, None),
        ({"date": "yesterday"}, None),
        ({"date": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),  # a machine that was never told
        ({"date": "Mon, 02 Mar 2026 10:20:00 GMT", "age": "900"}, None),  # a cache says when it was told
        ({"date": "Tue, 03 Mar 2026 12:00:00 GMT"}, timedelta(days=1)),  # we are behind: their list does not end there
        ({"date": "Mon, 02 Mar 2026 10:20:00 GMT"}, -AHEAD),
        ({"date": "Mon, 02 Mar 2026 11:20:00 +0100"}, -AHEAD),
    ],
    ids=["none", "unreadable", "1970", "cached", "later", "earlier", "of a zone"],
)
def test_a_date_that_cannot_be_leaves_us_our_clock(
    respx_mock: Any, fake_api: Any, clock: Any, headers: dict[str, str], right: timedelta | None
) -> None:
    api = fake_api(acme)
    assert clock() == api.now
    respx_mock.get(f"{api.base_url}/account").mock(httpx.Response(200, json={"id": "acme-1"}, headers=headers))
    api.get("/account")

    said = clock() + (right or timedelta(0))
    assert said == api.now
    clock.advance(-2 * AHEAD)
    assert api.now == (clock() if right is None else said), "what was said stands, whatever happens to ours"


def test_a_sandbox_says_what_time_it_is_there() -> None:
    """Not what its server thinks: their clocks are made up."""
    with serve({"one": AcmeSandbox(now=lambda: NOON)}) as served:
        answer = httpx.get(f"{served['one'].base_url}/account", trust_env=False)
    assert ["Mon, 02 Mar 2026 12:00:00 GMT"] == answer.headers.get_list("date")

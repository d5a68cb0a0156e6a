"""The circuit breaker: a vendor that does not answer is left alone, by all processes, and probed at growing distances."""

from __future__ import annotations

import logging
from datetime import timedelta

import httpx
import pytest
from structlog.testing import capture_logs
from support import acme

from core.config.model import ConnectionConfig, Every, Place
from core.errors import AuthError, NotFoundError, RateLimited, TransientError, VendorAway
from core.http.outage import FAILURES, FIRST_REST, rest
from core.http.retrying import TRIES
from core.service.timetable import Timetable
from core.store import outages

BASE = "https://api.acme.test/v2"
OK = httpx.Response(200, json={"ok": True})
GONE = httpx.ConnectError("no")


@pytest.fixture
def vendor(respx_mock):
    """A vendor whose state a test sets: `vendor.mock(side_effect=GONE)`."""
    return respx_mock.get(f"{BASE}/x").mock(side_effect=GONE)


@pytest.fixture
def get(fake_api):
    """`get(probe=..., connection=...)`: one request by a process of its own, as far as a test can tell."""

    def ask(**options):
        with fake_api(acme, **options) as api:
            return api.get("/x")

    return ask


def open_it(get, **options):
    for _ in range(FAILURES):
        with pytest.raises(TransientError):
            get(**options)


def test_after_some_failures_in_a_row_nothing_is_sent(vendor, get, clock):
    """And whoever asks is told when to come back; without it each run would knock five times at every request."""
    open_it(get)
    sent = vendor.call_count
    for _ in range(3):
        with pytest.raises(VendorAway) as caught:
            get()
        assert ("acme", clock() + FIRST_REST) == (caught.value.connection, caught.value.resume_at)
    assert sent == vendor.call_count == FAILURES * TRIES


def test_one_probe_each_time_at_growing_distances(vendor, get, clock):
    """One request, sent once: one, two, four minutes, up to an hour."""
    open_it(get)
    distances = []
    for _ in range(9):
        with pytest.raises(VendorAway) as caught:
            get()
        distances.append(caught.value.resume_at - clock())
        clock.at = caught.value.resume_at
        sent = vendor.call_count
        with pytest.raises(VendorAway):
            get()
        assert vendor.call_count == sent + 1
    minutes = [distance.total_seconds() / 60 for distance in distances]
    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == minutes


def test_an_answer_to_the_probe_closes_it(vendor, get, clock):
    """Everything goes on at once, and the next outage begins with the first distance."""
    open_it(get)
    clock.advance(FIRST_REST)
    vendor.mock(side_effect=None, return_value=OK)
    for _ in range(3):
        get()
    vendor.mock(side_effect=GONE)
    open_it(get)
    with pytest.raises(VendorAway) as caught:
        get()
    assert clock() + rest(0) == caught.value.resume_at


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404), NotFoundError), (httpx.Response(401), AuthError), (httpx.Response(429), RateLimited), (OK, None),
    ],
    ids=["404", "401", "429", "200"],
)  # fmt: skip
def test_any_answer_sets_the_count_back(vendor, get, answer, kind):
    """A vendor that refuses is there."""
    for _ in range(FAILURES - 1):
        with pytest.raises(TransientError):
            get()
    vendor.mock(side_effect=None, return_value=answer)
    if kind is None:
        get()
    else:
        with pytest.raises(kind):
            get()
    vendor.mock(side_effect=GONE)
    open_it(get)


def test_it_is_a_matter_of_one_connection(vendor, get):
    """Another account of the same vendor goes on being asked."""
    open_it(get, connection="a")
    vendor.mock(side_effect=None, return_value=OK)

    assert {"ok": True} == get(connection="b")
    with pytest.raises(VendorAway):
        get(connection="a")


def test_a_person_s_probe_is_let_through_at_once(vendor, get):
    """`check`, and `sync --probe`: one request; the others of a vendor that is still away are not sent."""
    open_it(get)
    sent = vendor.call_count
    with pytest.raises(VendorAway, match="--probe asks at once"):
        get()
    with pytest.raises(VendorAway, match="it was asked once more and did not answer") as caught:
        get(probe=True)
    assert "--probe" not in str(caught.value), "nobody is told to do what they have done"
    assert vendor.call_count == sent + 1
    vendor.mock(side_effect=None, return_value=OK)
    with pytest.raises(VendorAway):
        get()
    assert {"ok": True} == get(probe=True) == get()


def test_two_who_find_a_probe_due_send_one(vendor, fake_api, clock, monkeypatch):
    """The other one is told to wait: both looked before either claimed it."""
    one, two = (fake_api(acme) for _ in range(2))
    for _ in range(FAILURES):
        with pytest.raises(TransientError):
            one.get("/x")
    with pytest.raises(VendorAway):
        two.get("/x")
    clock.advance(FIRST_REST)
    monkeypatch.setattr("core.http.outage.LOOK_EVERY_S", 1e9)  # both go by what they saw before
    sent = vendor.call_count
    for api in (one, two):
        with pytest.raises(VendorAway):
            api.get("/x")
    assert vendor.call_count == sent + 1


def test_a_write_that_may_have_arrived_stays_a_question(respx_mock, fake_api, vendor, clock):
    """Its second try is not sent, and yet nobody may say that nothing happened."""
    api = fake_api(acme)
    for _ in range(FAILURES):
        with pytest.raises(TransientError):
            api.get("/x")
    clock.advance(FIRST_REST)
    put = respx_mock.put(f"{BASE}/y").mock(side_effect=httpx.ReadTimeout("no answer"))
    with pytest.raises(TransientError) as caught:
        api.put("/y", json={})
    assert (True, 1) == (caught.value.maybe_acted, put.call_count)


def test_a_clock_that_was_set_back_does_not_close_the_door_for_a_year(vendor, get, clock):
    """No honest probe lies further off than an hour."""
    clock.advance(timedelta(days=365))
    open_it(get)
    clock.advance(timedelta(days=-365))
    vendor.mock(side_effect=None, return_value=OK)

    assert {"ok": True} == get()


def test_it_is_logged_once_when_it_opens_and_once_when_it_closes(vendor, get, clock):
    """However many processes and probes there are."""
    with capture_logs() as lines:
        open_it(get)
        for _ in range(3):
            with pytest.raises(VendorAway):
                get()
            clock.advance(timedelta(hours=1))
            with pytest.raises(VendorAway):
                get()
        clock.advance(timedelta(hours=1))
        vendor.mock(side_effect=None, return_value=OK)
        for _ in range(3):
            get()
    loud = [line["event"] for line in lines if logging.getLevelNamesMapping()[line["log_level"].upper()] >= logging.INFO]
    assert loud == ["vendor_went_away", "vendor_left_alone", "vendor_came_back"]


def test_the_daemon_comes_back_when_the_probe_is_due(vendor, get, clock, store, tmp_path):
    """Not at every tick before, and only for that connection."""
    place = Place("tagalong.toml", 1, "here")
    store.conn.execute("INSERT INTO connections (name, connector, category) VALUES ('acme', 'acme', 'email')")
    connections = {
        name: ConnectionConfig(name, "acme", place=place, schedule=Every(timedelta(minutes=1))) for name in ("acme", "b")
    }
    table = Timetable(_config(tmp_path, connections), {}, clock())
    before = table.due(store.conn, clock())
    open_it(get)
    after = table.due(store.conn, clock())

    assert {"pull.acme": clock() + FIRST_REST, "pull.b": before["pull.b"]} == after
    clock.advance(timedelta(days=-2))
    assert before == table.due(store.conn, clock())


def _config(folder, connections):
    from zoneinfo import ZoneInfo

    from core.config.model import Config, Workspace

    workspace = Workspace(folder / "tagalong.db", timezone=ZoneInfo("UTC"))
    return Config(folder / "tagalong.toml", workspace, connections=connections, segments={}, partitions={}, traits={}, syncs={})


def test_what_is_known_is_what_status_shows(vendor, get, store, clock):
    """Since when, how often, why, until when; and nothing that the vendor said."""
    open_it(get)
    away = outages.away(store.conn, "acme")

    assert away is not None
    assert (FAILURES, clock(), clock() + FIRST_REST) == (away.failures, away.since, away.probe_at)
    assert "no connection could be made" in away.reason

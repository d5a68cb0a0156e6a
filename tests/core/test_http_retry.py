"""What is sent again, when, and how long is waited; and what is never sent twice."""

from __future__ import annotations

import logging
import random
import threading
from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest
from structlog.testing import capture_logs
from support import acme

from core.errors import (
    AuthError,
    NotFoundError,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RejectedError,
    Stopped,
    TransientError,
)
from core.http.retrying import AUTH_TRIES, LONGEST_WAIT_S, TRIES, Repeater

BASE = "https://api.acme.test/v2"
OK = httpx.Response(200, json={"ok": True})


def slow_down(after: str | None = None, status: int = 429) -> httpx.Response:
    return httpx.Response(status, headers={} if after is None else {"Retry-After": after})


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_slept_on_exactly(respx_mock, fake_api, method, status):
    """Exactly that long, no jitter. A POST that was told 429 was not carried out; told 503, nobody knows."""
    route = respx_mock.request(method.upper(), f"{BASE}/x").mock(side_effect=[slow_down("7", status), OK])
    api = fake_api(acme)
    if status == 503 and method in ("post", "patch"):
        with pytest.raises(TransientError):
            getattr(api, method)("/x")
        assert (api.slept, route.call_count) == ([], 1)
    else:
        assert getattr(api, method)("/x") == {"ok": True}
        assert (api.slept, route.call_count) == ([7.0], 2)


def test_retry_after_as_a_date_is_slept_on_exactly(respx_mock, fake_api, clock):
    """The same, when the vendor writes a date."""
    at = format_datetime(clock() + timedelta(seconds=90), usegmt=True)
    respx_mock.get(f"{BASE}/x").mock(side_effect=[slow_down(at), OK])
    api = fake_api(acme)
    api.get("/x")

    assert api.slept == [90.0]


@pytest.mark.parametrize("after", ["soon", "-3", "", "Mon, 99 Foo 2026", "1e9"])
def test_a_retry_after_that_says_nothing_is_backoff(respx_mock, fake_api, after):
    """Nonsense in the header is not slept on."""
    respx_mock.get(f"{BASE}/x").mock(side_effect=[slow_down(after), OK])
    api = fake_api(acme)
    api.get("/x")

    assert len(api.slept) == 1
    assert 0.5 <= api.slept[0] <= 1.0


def test_a_date_that_has_passed_is_no_wait(respx_mock, fake_api, clock):
    """The vendor's clock may be behind ours."""
    at = format_datetime(clock() - timedelta(seconds=90), usegmt=True)
    respx_mock.get(f"{BASE}/x").mock(side_effect=[slow_down(at), OK])
    api = fake_api(acme)
    api.get("/x")

    assert sum(api.slept) == 0


def test_a_very_long_wait_is_a_pause(respx_mock, fake_api, clock):
    """Nobody sits and waits for an hour: the connection resumes by itself, and sends nothing till then."""
    route = respx_mock.get(f"{BASE}/x").mock(side_effect=[slow_down("3600"), OK])
    api = fake_api(acme)
    for _ in range(2):
        with pytest.raises(QuotaExhausted) as caught:
            api.get("/x")
        assert clock() + timedelta(hours=1) == caught.value.resume_at
    assert (api.slept, route.call_count) == ([], 1)
    clock.advance(timedelta(hours=1))

    assert api.get("/x") == {"ok": True}


def test_a_long_wait_does_not_hide_an_unknown_outcome(respx_mock, fake_api):
    """A write that was told 503 for an hour may have been carried out: the caller hears that, and the next one of the pause."""
    write = respx_mock.post(f"{BASE}/x").mock(side_effect=[slow_down("3600", 503)])
    api = fake_api(acme)
    with pytest.raises(TransientError) as caught:
        api.post("/x")
    with pytest.raises(QuotaExhausted):
        api.get("/y")
    assert (True, 1, []) == (caught.value.maybe_acted, write.call_count, api.slept)


def test_backoff_grows_is_jittered_and_ends(respx_mock, fake_api):
    """Five tries; each wait longer than the last one's least, none alike, then the error."""
    route = respx_mock.get(f"{BASE}/x").respond(502)
    api = fake_api(acme)
    with pytest.raises(TransientError) as caught:
        api.get("/x")

    assert (route.call_count, len(api.slept) + 1, dict(api.requests)) == (TRIES, TRIES, {"GET": TRIES})
    assert all(ceiling / 2 <= wait_s <= ceiling for wait_s, ceiling in zip(api.slept, (1, 2, 4, 8), strict=True))
    assert caught.value.status == 502
    waits = []
    for seed in range(20):
        repeater = Repeater(waits.append, random.Random(seed))
        with pytest.raises(TransientError):
            repeater(_fails, harmless=True)
    assert len(waits) == len(set(waits))
    assert max(waits) <= LONGEST_WAIT_S


def _fails():
    raise TransientError("no")


@pytest.mark.parametrize("method", ["post", "patch"])
@pytest.mark.parametrize("failure", [httpx.Response(500), httpx.ReadTimeout("late"), httpx.RemoteProtocolError("gone")])
def test_what_may_have_been_done_is_not_done_again(respx_mock, fake_api, method, failure):
    """A POST of unknown outcome is sent once, whatever became of it."""
    route = respx_mock.request(method.upper(), f"{BASE}/x").mock(side_effect=[failure, OK])
    api = fake_api(acme)
    with pytest.raises(TransientError) as caught:
        getattr(api, method)("/x", json={})

    assert (route.call_count, api.slept, caught.value.maybe_acted) == (1, [], True)


@pytest.mark.parametrize(("status", "kind"), [(501, TransientError), (404, NotFoundError), (400, RejectedError)])
def test_a_front_that_knows_nothing_of_it_does_not_hide_an_unknown_outcome(respx_mock, fake_api, status, kind):
    """A 404 to the second DELETE is an answer: it is not there. A 501 to a second PUT is none to the first, which got lost."""
    respx_mock.put(f"{BASE}/x").mock(side_effect=[httpx.ReadTimeout("late"), *[httpx.Response(status, json={})] * TRIES])
    with pytest.raises(kind) as caught:
        fake_api(acme).put("/x", json={})

    assert (status != 501) or caught.value.maybe_acted


def test_repeat_says_otherwise(respx_mock, fake_api):
    """`repeat=True` makes a POST harmless, `repeat=False` a PUT not."""
    post = respx_mock.post(f"{BASE}/search").mock(side_effect=[httpx.Response(500), OK])
    put = respx_mock.put(f"{BASE}/x").mock(side_effect=[httpx.Response(500), OK])
    api = fake_api(acme)

    assert api.post("/search", json={}, repeat=True) == {"ok": True}
    with pytest.raises(TransientError):
        api.put("/x", json={}, repeat=False)
    assert (post.call_count, put.call_count) == (2, 1)


TRANSPORT = [
    (httpx.ConnectError, TransientError, False), (httpx.ConnectTimeout, TransientError, False),
    (httpx.PoolTimeout, TransientError, False), (httpx.ProxyError, TransientError, False),
    (httpx.ReadTimeout, TransientError, True), (httpx.WriteTimeout, TransientError, True),
    (httpx.ReadError, TransientError, True), (httpx.WriteError, TransientError, True),
    (httpx.CloseError, TransientError, True), (httpx.RemoteProtocolError, TransientError, True),
    (httpx.LocalProtocolError, ProtocolError, None), (httpx.UnsupportedProtocol, ProtocolError, None),
    (httpx.DecodingError, ProtocolError, None),
]  # fmt: skip


@pytest.mark.parametrize(("failure", "kind", "acted"), TRANSPORT, ids=[case[0].__name__ for case in TRANSPORT])
def test_each_transport_error_knows_whether_it_was_sent(respx_mock, fake_api, failure, kind, acted):
    """Only where no connection was made can we say that nothing happened, and send a POST again."""
    route = respx_mock.post(f"{BASE}/x").mock(side_effect=failure("https://api.acme.test/v2/x?key=hush"))
    with pytest.raises(kind) as caught:
        fake_api(acme).post("/x", json={})

    assert acted == getattr(caught.value, "maybe_acted", None)
    assert (TRIES if acted is False else 1) == route.call_count
    assert "hush" not in str(caught.value)


def test_a_wait_ends_when_the_process_stops(respx_mock, fake_api):
    """A vendor that asks for a minute does not hold up a shutdown."""
    waits: list[float | None] = []

    class Told(threading.Event):
        """Somebody tells the process to stop as soon as it waits."""

        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            self.set()
            return True

    route = respx_mock.get(f"{BASE}/x").mock(return_value=slow_down("60"))
    api = fake_api(acme, stop=Told(), sleep=None)
    api._wire.patience.waiter._sleep = None  # the real one
    with pytest.raises(Stopped):
        api.get("/x")

    assert ([60.0], 1) == (waits, route.call_count)


def test_a_429_without_a_word_is_a_rate_limit_in_the_end(respx_mock, fake_api):
    """After the last try the error says what it was, and that nothing was carried out."""
    respx_mock.post(f"{BASE}/x").mock(return_value=slow_down())
    with pytest.raises(RateLimited) as caught:
        fake_api(acme).post("/x")

    assert (caught.value.maybe_acted, caught.value.retry_after_s) == (False, None)


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(respx_mock, fake_api):
    """Not for each request, nor for each run that finds the vendor away."""
    respx_mock.get(f"{BASE}/x").mock(side_effect=[httpx.ConnectError("no")] * TRIES * 3 + [OK, OK])
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(TransientError):
                fake_api(acme).get("/x")
        for _ in range(2):
            fake_api(acme).get("/x")

    loud = [line["event"] for line in lines if logging.getLevelNamesMapping()[line["log_level"].upper()] >= logging.INFO]
    assert loud == ["vendor_went_away", "vendor_came_back"]


def test_a_limit_that_is_used_up_is_waited_for(respx_mock, fake_api):
    """The next request waits for the reset that the headers of the last one name; a far one is not waited for."""
    spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"}
    day = {"RateLimit-Remaining": "0", "RateLimit-Reset": "80000"}
    respx_mock.get(f"{BASE}/x").mock(side_effect=[httpx.Response(200, headers=spent), httpx.Response(200, headers=day), OK])
    api = fake_api(acme)
    for _ in range(3):
        api.get("/x")

    assert len(api.slept) == 1
    assert 1 < api.slept[0] <= 3


@pytest.mark.parametrize("harmless", [True, False])
def test_a_refusal_that_may_pass_is_asked_again_a_few_times(harmless):
    """Whatever the method, for what is refused is not carried out; any other refusal counts at once."""
    sent: list[bool] = []

    def refuse(may_pass: bool):
        sent.append(may_pass)
        raise AuthError("no", may_pass=may_pass)

    repeat = Repeater(lambda wait_s: None, random.Random(1))
    for may_pass in (True, False):
        with pytest.raises(AuthError):
            repeat(lambda may_pass=may_pass: refuse(may_pass), harmless=harmless)

    assert [True] * AUTH_TRIES + [False] == sent

"""One typed error for every kind of answer, and none of them tells what the body said."""

from __future__ import annotations

import hashlib
import traceback
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support import acme

from core.errors import (
    AuthError,
    NotFoundError,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RejectedError,
    TransientError,
)

BASE = "https://api.acme.test/v2"
PERSON = "ann.secretperson@example.com"

STATUSES = [
    (400, RejectedError), (401, AuthError), (402, RejectedError), (403, AuthError), (404, NotFoundError), (407, AuthError),
    (408, TransientError), (409, RejectedError), (410, NotFoundError), (413, RejectedError), (418, RejectedError),
    (422, RejectedError), (423, TransientError), (425, TransientError), (429, RateLimited), (500, TransientError),
    (501, RejectedError), (502, TransientError), (503, TransientError), (504, TransientError), (529, TransientError),
    (304, ProtocolError), (300, ProtocolError),
]  # fmt: skip


def test_a_path_tells_nobody_s_hash(respx_mock, fake_api):
    """Whoever has an address can make the hash of it, and find out whom a log or an error speaks of."""
    digest = hashlib.md5(PERSON.encode()).hexdigest()
    respx_mock.get(f"{BASE}/lists/a6b5da1054/members/{digest}/tags").respond(400)
    with pytest.raises(RejectedError) as caught:
        fake_api(acme).get(f"/lists/a6b5da1054/members/{digest}/tags")
    assert "GET /lists/a6b5da1054/members/[hash]/tags was refused" in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), STATUSES, ids=[str(status) for status, _ in STATUSES])
def test_each_status_is_one_error(respx_mock, fake_api, status, kind):
    """The table; and status, connection and request id are on the error, the person is not."""
    respx_mock.get(f"{BASE}/things/{PERSON}").respond(
        status, json={"message": f"no such person {PERSON}"}, headers={"X-Request-Id": "req-17"}
    )
    with pytest.raises(kind) as caught:
        fake_api(acme, connection="mail").get(f"/things/{PERSON}", email=PERSON)

    assert type(caught.value) is kind
    assert (status, "mail", "req-17") == (caught.value.status, caught.value.connection, caught.value.request_id)
    assert "secretperson" not in f"{caught.value} {caught.value!r}"


BODIES = [
    ("html", "text/html; charset=utf-8", b"<!doctype html><title>Maintenance</title>"),
    ("html called json", "application/json", b"<html>"),
    ("truncated", "application/json", b'{"contacts": [{"email": "ann.secretperson@exa'),
    ("nothing but a number of braces", "application/json", b"[" * 200_000),
    ("a picture", "image/png", b"\x89PNG"),
]


@pytest.mark.parametrize(("kind", "body"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_what_is_not_json_is_a_protocol_error(respx_mock, fake_api, kind, body):
    """A body that cannot be understood is never taken for data, is not asked for again, and is not quoted."""
    route = respx_mock.get(f"{BASE}/contacts").respond(200, content=body, headers={"content-type": kind})
    with pytest.raises(ProtocolError) as caught:
        fake_api(acme).get("/contacts")

    assert route.call_count == 1
    assert "secretperson" not in "".join(traceback.format_exception(caught.value))


ANSWERS = [
    ("empty", 200, "application/json", b"", None),
    ("no content", 204, "application/json", b"", None),
    ("json", 200, "application/json; charset=utf-8", '{"name": "Åsa"}'.encode(), {"name": "Åsa"}),
    ("json of a sort", 200, "application/vnd.api+json", b"[1]", [1]),
    ("json called text", 200, "text/plain", b'{"a": 1}', {"a": 1}),
    ("no type", 200, "", b'{"a": 1}', {"a": 1}),
    ("csv", 200, "text/csv", b"id,name\n1,Ann\n", "id,name\n1,Ann\n"),
    ("created", 201, "application/json", b'{"id": 1}', {"id": 1}),
    ("allowed", 404, "application/json", b'{"code": "none"}', {"code": "none"}),
    ("allowed page", 404, "text/html", b"<html>", "<html>"),
    ("several", 207, "application/json", b'{"errors": []}', {"errors": []}),
]


@pytest.mark.parametrize(
    ("status", "kind", "body", "parsed"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS]
)
def test_answers_are_parsed_by_their_type(respx_mock, fake_api, status, kind, body, parsed):
    """JSON, nothing, or text where the vendor says that it is text; allowed statuses are answers."""
    respx_mock.get(f"{BASE}/x").respond(status, content=body, headers={"content-type": kind, "X-Total": "7"})
    answer = fake_api(acme).request("get", "/x", allow=(404,))

    assert (status, parsed) == (answer.status, answer.body)
    assert answer.headers["x-total"] == "7"


def test_classify_is_asked_first(respx_mock, fake_api, clock):
    """A vendor's own word for a limit with a 400 is patience; for its day's quota with a 200, a pause."""
    until = clock() + timedelta(hours=3)
    respx_mock.get(f"{BASE}/x").mock(
        side_effect=[
            httpx.Response(400, json={"code": "slow_down"}, headers={"Retry-After": "2"}),
            httpx.Response(200, json={"code": "daily_quota", "until": until.isoformat()}),
        ]
    )
    api = fake_api(acme)
    with pytest.raises(QuotaExhausted) as caught:
        api.get("/x")

    assert api.slept == [2.0]
    assert until == caught.value.resume_at


def test_a_connector_may_have_the_vendor_left_alone_after_an_answer(respx_mock, fake_api, clock, monkeypatch):
    """The answer stands; the next request is a pause until the time that `rest_until` made of its headers and the settings."""
    route = respx_mock.get(f"{BASE}/x").respond(200, json={"n": 1}, headers={"X-Used": "90"})
    until, seen = clock() + timedelta(hours=3), []

    def rest_until(response, settings):
        seen.append(settings)
        return until if int(response.headers["x-used"]) >= 90 else None

    monkeypatch.setattr(acme, "rest_until", rest_until, raising=False)
    api = fake_api(acme)
    assert {"n": 1} == api.get("/x")
    with pytest.raises(QuotaExhausted) as caught:
        api.get("/x")
    assert (1, until, [api.settings]) == (route.call_count, caught.value.resume_at, seen)

    clock.advance(timedelta(hours=3))
    assert {"n": 1} == api.get("/x")


def test_requests_are_signed_and_say_who_asks(respx_mock, fake_api):
    """The token, our name, and JSON as the body."""
    route = respx_mock.patch(f"{BASE}/x", json={"at": "2026-01-01T00:00:00Z", "name": "Åsa"}).respond(204)
    fake_api(acme).patch("/x", json={"at": datetime(2026, 1, 1, tzinfo=UTC), "name": "Åsa"}, headers={"X-Extra": "1"})

    sent = route.calls.last.request.headers
    assert sent["authorization"] == "Bearer acme-token-for-tests"
    assert sent["user-agent"].startswith("tagalong/")
    assert (sent["content-type"], sent["x-extra"]) == ("application/json", "1")

"""Mailchimp: settings, sign-in, check, what its statuses mean, its limits, and its published document."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from mailchimp_rows import BASE, SETTINGS, Payload
from pydantic import ValidationError
from support.members import people
from support.openapi import load_document, validate_request

from connectors.mailchimp import MANIFEST, Settings, classify
from core.contract import Change, Ref, ResponseView, Result
from core.errors import AuthError, QuotaExhausted, RateLimited, RejectedError
from core.registry import load_connector

CONNECTOR = load_connector("mailchimp")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _view(payload: Payload, method: str = "GET", path: str = "/ping") -> ResponseView:
    import json

    text = payload.body if isinstance(payload.body, str) else json.dumps(payload.body)
    return ResponseView(payload.file["response"]["status"], payload.file["response"]["headers"], text, method, path, NOW)


def test_the_host_is_in_the_key() -> None:
    """The part after the last dash is the data centre."""
    assert "https://us19.api.mailchimp.com/3.0" == Settings.model_validate({**SETTINGS, "api_key": "a-b-us19"}).base_url


@pytest.mark.parametrize("key", ["0123456789", "0123-", "0123-evil.example.com/", "-"])
def test_a_key_that_leads_nowhere_is_refused(key: str) -> None:
    """A cut-off key is told at once, and never becomes part of a host name."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**SETTINGS, "api_key": key})

    (error,) = caught.value.errors()
    assert ("api_key",) == error["loc"]
    assert "data centre" in error["msg"]


def test_base_url_overrides_the_key() -> None:
    """A sandbox or a proxy."""
    settings = Settings.model_validate({**SETTINGS, "api_key": "plain", "base_url": "http://127.0.0.1:4010"})
    assert "http://127.0.0.1:4010" == settings.base_url


@pytest.mark.parametrize("list_id", ["", "../x", "My list"])
def test_a_list_id_is_no_name_and_no_path(list_id: str) -> None:
    """It becomes part of every path."""
    with pytest.raises(ValidationError):
        Settings.model_validate({**SETTINGS, "list_id": list_id})


def test_account_is_account_data_centre_and_list(mail: Any) -> None:
    """Two lists are two accounts: neither inherits the other's ledger."""
    assert "8d3a3db4d97663a9074efcc16/us19/a6b5da1054" == CONNECTOR.account(mail)


def test_check_passes(mail: Any) -> None:
    """Three steps, and nothing written."""
    assert CONNECTOR.check is not None
    steps = {step.name: step.result for step in CONNECTOR.check(mail)}

    assert {"reach": Result.PASSED, "authenticate": Result.PASSED, "list visible": Result.PASSED} == steps
    assert 0 == mail.sandbox.writes.total()


@pytest.mark.parametrize(
    ("settings", "failed", "skipped"),
    [
        pytest.param({"api_key": "wrong-us19"}, "authenticate", {"list visible"}, id="wrong-key"),
        pytest.param({"api_key": "0123456789abcdef0123456789abcdef-us20"}, "authenticate", {"list visible"}, id="wrong-centre"),
        pytest.param({"list_id": "ffffffffff"}, "list visible", set(), id="wrong-list"),
        pytest.param({"base_url": "http://127.0.0.1:9/3.0"}, "reach", {"authenticate", "list visible"}, id="nobody-there"),
    ],
)
def test_check_says_which_step_failed_and_what_to_do(sandbox_api: Any, settings: Any, failed: str, skipped: set[str]) -> None:
    """A wrong key, a wrong data centre, a wrong list, a wrong host."""
    assert CONNECTOR.check is not None
    steps = list(CONNECTOR.check(sandbox_api("mailchimp", **settings)))

    assert [failed] == [step.name for step in steps if step.result is Result.FAILED]
    assert skipped == {step.name for step in steps if step.result is Result.SKIPPED}
    assert all(step.remedy for step in steps if step.result is Result.FAILED)


def test_a_wrong_key_stops_the_connection(sandbox_api: Any, stream: Any) -> None:
    """401 is for a person to act on; it is not retried."""
    api = sandbox_api("mailchimp", api_key="wrong-us19")

    with pytest.raises(AuthError):
        list(stream.pull(api, None, None))
    assert [] == api.slept


@pytest.mark.parametrize(
    ("name", "method", "path", "expected"),
    [
        pytest.param("bare_403", "GET", "/ping", RateLimited, id="403-in-html"),
        pytest.param("forbidden", "GET", "/ping", type(None), id="403-with-json-is-left-to-the-table"),
        pytest.param("too_many_requests", "GET", "/ping", type(None), id="429-with-json-is-left-to-the-table"),
        pytest.param("deep_error", "POST", "/lists/a6b5da1054/segments/123", RejectedError, id="500-of-a-batch"),
        pytest.param("deep_error", "POST", "/lists/a6b5da1054", RejectedError, id="500-of-a-batch-subscribe"),
        pytest.param("deep_error", "GET", "/lists/a6b5da1054/members", type(None), id="500-of-a-read-is-transient"),
        pytest.param("deep_error", "POST", "/lists/a6b5da1054/segments", type(None), id="500-of-a-create-is-transient"),
    ],
)
def test_classify(name: str, method: str, path: str, expected: type) -> None:
    """Quirks 2 and 3: what the status alone does not say."""
    assert expected is type(classify(_view(Payload(name), method, path)))


def test_forbidden_with_json_is_for_a_person(respx_mock: Any, fake_api: Any, stream: Any) -> None:
    """Quirk 2: a 403 that the API itself wrote is no rate limit."""
    respx_mock.get(f"{BASE}/lists/a6b5da1054/members").respond(**Payload("forbidden").kwargs)

    with pytest.raises(AuthError):
        list(stream.pull(fake_api("mailchimp", SETTINGS), None, None))


def test_429_without_retry_after_backs_off(respx_mock: Any, fake_api: Any, stream: Any) -> None:
    """Quirk 1: there are no rate headers and no Retry-After; we wait by ourselves, longer each time."""
    answers = [Payload("too_many_requests").kwargs] * 2 + [{"status_code": 200, "json": {"members": [], "total_items": 0}}]
    route = respx_mock.get(f"{BASE}/lists/a6b5da1054/members")
    import httpx

    route.mock(side_effect=[httpx.Response(**answer) for answer in answers])
    api = fake_api("mailchimp", SETTINGS)
    list(stream.pull(api, None, None))

    assert 3 == route.call_count
    assert 2 == len(api.slept)


def test_stays_below_ten_connections(make_mail: Any, tag: Any) -> None:
    """Quirk 1: ten at once are all that the user has, for all apps together; we never take more than four."""
    api = make_mail()
    api.sandbox.load("members", people(*(f"p{i}@example.com" for i in range(40))))
    id_ = tag.create(api, "VIP", [])
    api.sandbox.hold = lambda: api.sandbox.most_at_once < 4  # nobody is answered before so many ask at once
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: tag.apply(api, id_, [Change(Ref(f"p{i}@example.com"))], []), range(40)))

    assert api.sandbox.most_at_once == 4 == MANIFEST.limits[0].concurrency
    assert 40 == len(api.sandbox.audiences()["VIP"])


def test_the_sandbox_refuses_an_eleventh_connection(make_mail: Any) -> None:
    """The harm without the limit: 429 in the vendor's form."""
    import httpx

    api = make_mail()
    api.sandbox.hold = lambda: api.sandbox.requests["GET /ping"] < 14  # nobody is answered before all have asked
    url, auth = f"{api.served.base_url}/ping", ("any", "0123456789abcdef0123456789abcdef-us19")
    with httpx.Client(limits=httpx.Limits(max_connections=20)) as client, ThreadPoolExecutor(14) as pool:
        answers = list(pool.map(lambda _: client.get(url, auth=auth), range(14)))

    refused = [answer for answer in answers if answer.status_code == 429]
    assert 4 == len(refused)
    assert {"application/problem+json"} == {answer.headers["content-type"] for answer in refused}
    assert not any("retry-after" in answer.headers for answer in refused)


def test_no_quota_is_ever_claimed() -> None:
    """There is no request quota: nothing here may pause a connection until tomorrow."""
    for name in ("bare_403", "too_many_requests", "forbidden", "key_invalid", "deep_error"):
        assert not isinstance(classify(_view(Payload(name))), QuotaExhausted)


def test_every_request_is_in_the_published_document(make_mail: Any, tag: Any, stream: Any) -> None:
    """One conversation that asks everything the connector can ask, held against the vendor's own document."""
    document = load_document("mailchimp.json")  # skips where it is not there
    api = make_mail()
    api.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    assert CONNECTOR.check is not None
    list(CONNECTOR.check(api))
    CONNECTOR.account(api)
    (page,) = stream.pull(api, None, None)
    list(stream.pull(api, page.cursor, None))
    made = [api.sandbox.list.make(f"T{i:02}") for i in range(52)]
    for one in made:
        api.sandbox.list.tag(one.id, "ann@example.com")
    id_ = tag.create(api, "T", [])
    tag.lookup(api, "T")  # by search, then by the segments
    tag.apply(api, id_, [Change(Ref("ann@example.com"))], [])
    # one who has the tag already, but not among the 50 shown; one who is not there; one who never had it
    tag.apply(api, str(made[-1].id), [Change(Ref("ann@example.com")), Change(Ref("no@example.com"))], [Ref("bo@example.com")])
    list(tag.members(api, id_))
    tag.find(api, ["ann@example.com", "nobody@example.com"])
    from core.contract import Person

    tag.create_people(api, [Person("new@example.com", {"first_name": "Nu"})])

    kinds = {(method, path) for method, path, *_ in api.recorder.seen}
    assert 12 <= len(kinds)
    assert [] == [problem for request in api.recorder.seen for problem in validate_request(document, *request)]

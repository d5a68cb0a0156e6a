"""ActiveCampaign: settings, sign-in, check, what its statuses mean, its limits, its published shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from activecampaign_rows import BASE, SETTINGS, Payload, adds, ref
from pydantic import ValidationError
from support.members import many, people

from connectors.activecampaign import MANIFEST, Settings, classify, url_problem
from connectors.activecampaign.erasure import erase
from connectors.activecampaign.sandbox import KEY
from core.contract import Person, ResponseView, Result, Sought
from core.errors import AuthError, ProtocolError, RateLimited
from core.http.retrying import AUTH_TRIES
from core.registry import load_connector

CONNECTOR = load_connector("activecampaign")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _view(name: str, path: str = "/import/bulk_import") -> ResponseView:
    payload = Payload(name)
    response = payload.file["response"]
    return ResponseView(response["status"], response["headers"], json.dumps(payload.body), "POST", path, NOW)


def _steps(api: Any) -> dict[str, Result]:
    assert CONNECTOR.check is not None
    return {step.name: step.result for step in CONNECTOR.check(api)}


@pytest.mark.parametrize(
    "url",
    ["https://acme.api-us1.com", " https://acme.api-us1.com/ ", "https://acme.api-us1.com/api/3", "https://ACME.api-us1.com"],
)
def test_the_api_is_where_the_url_says(url: str) -> None:
    """Quirk 1: copied from the account, with or without the path; never made from the account's name."""
    assert "https://acme.api-us1.com/api/3" == Settings.model_validate({**SETTINGS, "url": url}).base_url


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.api-us1.com", "acme", "acme.api-us1.com", "https://localhost", "https://10.0.0.1", "https://[::1]",
        "https://hub.internal", "https://me:secret@acme.api-us1.com", "https://acme.api-us1.com:8443", "https://acme.api-us1.com/admin",
        "https://acme.api-us1.com?x=1", "https://[bad",
    ],
)  # fmt: skip
def test_a_url_that_leads_elsewhere_is_refused(url: str) -> None:
    """Quirk 1: https, a public host's name, nothing besides."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**SETTINGS, "url": url})

    assert ("url",) == caught.value.errors()[0]["loc"]
    assert url_problem(url)


def test_an_account_outside_the_usual_hosts_is_reached(respx_mock: Any, fake_api: Any) -> None:
    """Quirk 1: the suffix is not guaranteed; the key goes to the host that was set, and to no third one."""
    route = respx_mock.get("https://acme.crm.example/api/3/users/me").respond(json={"user": {"id": "1"}})
    api = fake_api("activecampaign", {**SETTINGS, "url": "https://acme.crm.example"})
    api.get("/users/me")

    assert SETTINGS["api_key"] == route.calls.last.request.headers["api-token"]
    with pytest.raises(ProtocolError):
        api.get("https://other.example/api/3/users/me")


def test_the_account_is_its_host(mail: Any) -> None:
    """No answer names the account; two accounts have two hosts, and neither inherits the other's ledger."""
    assert "example.api-us1.com" == CONNECTOR.account(mail)
    assert 0 == mail.sandbox.requests.total()


def test_check_passes_and_writes_nothing(mail: Any) -> None:
    """Each thing that is read is seen."""
    steps = _steps(mail)

    assert ["reach", "authenticate", "contacts", "tags", "lists", "exclusions", "fields"] == list(steps)
    assert {Result.PASSED} == set(steps.values())
    assert 0 == mail.sandbox.writes.total()


@pytest.mark.parametrize(
    ("settings", "failed"),
    [
        pytest.param({"api_key": "of-another-account-or-region-altogether"}, "authenticate", id="wrong-key"),
        pytest.param({"base_url": "http://127.0.0.1:9/api/3"}, "reach", id="nobody-there"),
    ],
)
def test_check_tells_a_wrong_account_from_a_wrong_address(make_mail: Any, settings: Any, failed: str) -> None:
    """Quirk 19: a key of another account or region is a 403 like any wrong one; a wrong URL is not reached."""
    assert CONNECTOR.check is not None
    steps = list(CONNECTOR.check(make_mail(settings=settings)))

    assert [failed] == [step.name for step in steps if step.result is Result.FAILED]
    (remedy,) = (step.remedy for step in steps if step.result is Result.FAILED)
    assert "Settings > Developer" in remedy
    assert "region" in remedy


def test_a_url_of_no_account_is_told(respx_mock: Any, fake_api: Any) -> None:
    """A host that is the vendor's, but nobody's: 404, or a page for people."""
    for answer in (httpx.Response(404, text="Not Found"), httpx.Response(200, html="<html>Sign in</html>")):
        respx_mock.get(f"{BASE}/users/me").mock(return_value=answer)
        assert CONNECTOR.check is not None
        first = next(iter(CONNECTOR.check(fake_api("activecampaign", SETTINGS))))

        assert ("reach", Result.FAILED) == (first.name, first.result)


@pytest.mark.parametrize(("path", "step"), [("/lists", "lists"), ("/lists/exclusions", "exclusions"), ("/tags", "tags")])
def test_check_names_the_permission_that_is_missing(make_mail: Any, path: str, step: str) -> None:
    """Quirk 19: a key may do what its user's group may, so 403 comes on some paths alone."""
    assert Result.FAILED is _steps(make_mail(forbidden=[path]))[step]


def test_custom_fields_are_wanted_by_few(make_mail: Any) -> None:
    """Without that permission tags are pushed all the same."""
    assert Result.SKIPPED is _steps(make_mail(forbidden=["/fields"]))["fields"]


def test_a_403_that_passes_is_asked_again(make_mail: Any, streams: Any) -> None:
    """Quirk 19: valid keys are refused now and then; asked again, and a wrong key three times and no more."""
    flaky = make_mail(forbids_every=2)
    flaky.sandbox.load("members", people("ann@example.com"))
    (page,) = streams["contacts"].pull(flaky, None, None)
    assert 1 == len(page.records)
    flaky.get("/users/me")
    assert flaky.slept

    wrong = make_mail(settings={"api_key": "wrong-key-of-some-length"})
    with pytest.raises(AuthError, match="another account"):
        wrong.get("/users/me")
    assert AUTH_TRIES == wrong.sandbox.requests["GET /api/3/users/me"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("import_rate_limited", RateLimited),
        ("import_bad_row", type(None)),
        ("forbidden", AuthError),
        ("contact_duplicate", type(None)),
        ("tag_duplicate", type(None)),
    ],
)
def test_classify(name: str, expected: type) -> None:
    """Quirks 15 and 19: a 400 may be a rate limit, which its message says; a 403 may pass. The rest is the table's."""
    assert expected is type(classify(_view(name)))


def test_an_import_that_came_too_often_waits_a_minute(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """Quirk 15: the rate limit of the import is a 400 without Retry-After; "retry this request in a minute"."""
    respx_mock.get(f"{BASE}/fields/7").respond(json={"field": {"id": "7"}})
    respx_mock.get(url__startswith=f"{BASE}/contacts").respond(json={"contacts": [{"id": "1", "email": "ann@example.com"}]})
    route = respx_mock.post(f"{BASE}/import/bulk_import")
    route.mock(side_effect=[httpx.Response(**Payload(name).kwargs) for name in ("import_rate_limited", "import_queued")])
    api = fake_api("activecampaign", SETTINGS)
    from core.contract import Change, Ref

    (outcome,) = field.apply(api, "7", [Change(Ref("1"))], [])

    assert 2 == route.call_count
    assert 60.0 in api.slept
    assert Payload("import_queued").body["batchId"] in outcome.job


def test_a_429_is_slept_on_for_as_long_as_it_says(respx_mock: Any, fake_api: Any) -> None:
    """Quirk 6: Retry-After in whole seconds, and no reset header."""
    answers = [httpx.Response(**Payload("too_many_requests").kwargs), httpx.Response(200, json={"user": {"id": "1"}})]
    respx_mock.get(f"{BASE}/users/me").mock(side_effect=answers)
    api = fake_api("activecampaign", SETTINGS)
    api.get("/users/me")

    assert [30.0] == api.slept


@pytest.mark.usefixtures("seconds")
def test_the_sandbox_keeps_five_requests_a_second(make_mail: Any) -> None:
    """Quirk 6: the sixth within a second is refused in the vendor's own form."""
    api = make_mail(rate_factor=1)
    with httpx.Client(headers={"Api-Token": KEY}) as client:
        answers = [client.get(f"{api.served.base_url}/users/me") for _ in range(7)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert 2 == len(refused)
    assert {"30"} == {answer.headers["retry-after"] for answer in refused}
    assert (5, 1) == (MANIFEST.limits[0].amount, MANIFEST.limits[0].per_s)


def test_we_ask_five_times_a_second(respx_mock: Any, fake_api: Any) -> None:
    """Quirk 6: twenty requests take three seconds at least, whatever the clock of the connection says."""
    respx_mock.get(f"{BASE}/users/me").respond(json={"user": {"id": "1"}})
    api = fake_api("activecampaign", SETTINGS)
    for _ in range(20):
        api.get("/users/me")

    assert sum(api.slept) >= 2.9


def test_every_request_has_a_shape_that_the_reference_knows(mail: Any, tag: Any, field: Any, streams: Any) -> None:
    """One conversation that asks everything the connector can ask; the fixture holds each request against the schemas."""
    mail.sandbox.load(
        "members", [*people("ann@example.com", "bo+x@example.com"), *people("cy@example.com", status="unsubscribed")]
    )
    _steps(mail)
    for stream in streams.values():
        for page in list(stream.pull(mail, None, None)):
            if page.cursor is not None:
                list(stream.pull(mail, page.cursor, None))
    id_ = tag.create(mail, "VIP", [])
    tag.lookup(mail, "VIP")
    tag.find(mail, ["bo+x@example.com"])
    tag.create_people(mail, [Person("new@example.com", {"first_name": "Nu"})])
    tag.apply(mail, id_, adds(mail, "ann@example.com"), [ref(mail, "bo+x@example.com")])
    list(tag.members(mail, id_))
    made = field.create(mail, "Regular", [])
    (outcome,) = field.apply(mail, made, adds(mail, "ann@example.com"), [])
    field.settle(mail, made, outcome.job)
    list(field.members(mail, made))
    erase(mail, Sought({"email": ["bo+x@example.com"]}))

    asked = set(mail.sandbox.requests)
    assert {f"{line.method} {line.template}" for line in mail.sandbox._endpoints()} - asked == {
        "GET /api/3/contacts/{id}/fieldValues",  # asked where an import names somebody neither way
        "DELETE /api/3/contactTags/{id}",
    }


def test_the_page_size_is_always_said(mail: Any, streams: Any) -> None:
    """Quirk 2: twenty is the default, and who forgets it makes tags a second time."""
    mail.sandbox.load("members", many(130))
    for stream in streams.values():
        list(stream.pull(mail, None, None))

    pages = [dict(query) for _, path, query, _ in mail.recorder.seen if not path.endswith("/contactLists")]
    assert {"100"} == {query.get("limit") for query in pages}

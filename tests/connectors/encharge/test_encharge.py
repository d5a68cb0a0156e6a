"""Encharge: sign-in, check, refusals, its rate, its published shapes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from encharge_rows import BASE, SETTINGS, Payload, adds, refs
from support.members import many, people, verdicts

from connectors.encharge import MANIFEST
from connectors.encharge.erasure import erase
from core.contract import Change, Ref, Result, Sought, Verdict
from core.errors import AuthError, ProtocolError, RateLimited
from core.registry import load_connector

CONNECTOR = load_connector("encharge")


def _steps(api: Any) -> dict[str, Any]:
    assert CONNECTOR.check is not None
    return {step.name: step for step in CONNECTOR.check(api)}


def test_check_passes_and_writes_nothing(mail: Any) -> None:
    """Each thing that is read is seen."""
    mail.sandbox.load("members", people("ann@example.com"))
    steps = _steps(mail)

    assert ["reach", "authenticate", "account", "people", "tags", "consent"] == list(steps)
    assert {Result.PASSED} == {step.result for step in steps.values()}
    assert 0 == mail.sandbox.writes.total()


@pytest.mark.parametrize(
    ("switches", "settings", "failed"),
    [
        pytest.param({}, {"api_key": "wrong-key-of-some-length"}, "authenticate", id="wrong-key"),
        pytest.param({}, {"base_url": "http://127.0.0.1:9/v1"}, "reach", id="nobody-there"),
        pytest.param({"status": "trialExpired"}, {}, "account", id="trial-is-over"),
        pytest.param({"status": "canceled"}, {}, "account", id="canceled"),
        pytest.param({"unsubscribed": None}, {}, "consent", id="no-field"),
    ],
)
def test_check_says_which_step_failed_and_what_to_do(make_mail: Any, switches: Any, settings: Any, failed: str) -> None:
    """A wrong key, a wrong address, an account that is not live, no field for consent."""
    steps = _steps(make_mail(settings=settings, **switches))

    assert [failed] == [name for name, step in steps.items() if step.result is Result.FAILED]
    assert steps[failed].remedy


@pytest.mark.parametrize("status", ["active", "trial"])
def test_a_trial_is_live(make_mail: Any, status: str) -> None:
    """Both can be used."""
    assert Result.PASSED is _steps(make_mail(status=status))["account"].result


def test_the_account_as_recorded(respx_mock: Any, fake_api: Any) -> None:
    """A test account's key is another account."""
    respx_mock.get(f"{BASE}/accounts/info").respond(**Payload("account").kwargs)
    assert "1" == CONNECTOR.account(fake_api("encharge", SETTINGS))

    respx_mock.get(f"{BASE}/accounts/info").respond(json={"name": "Example AB"})
    with pytest.raises(ProtocolError):
        CONNECTOR.account(fake_api("encharge", SETTINGS))


def test_the_key_is_in_a_header_alone(respx_mock: Any, fake_api: Any) -> None:
    """Never in the address, where logs would have it."""
    route = respx_mock.get(f"{BASE}/accounts/info").respond(**Payload("account").kwargs)
    CONNECTOR.account(fake_api("encharge", SETTINGS))
    sent = route.calls.last.request

    assert SETTINGS["api_key"] == sent.headers["x-encharge-token"]
    assert SETTINGS["api_key"] not in str(sent.url)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_stops_the_connection(respx_mock: Any, fake_api: Any, streams: Any, status: int) -> None:
    """Quirk 14: which of the two comes is unconfirmed; both are for a person."""
    respx_mock.get(f"{BASE}/fields").respond(status, json={"error": {"message": "no"}})
    with pytest.raises(AuthError):
        list(streams["people"].pull(fake_api("encharge", SETTINGS), None, None))


def test_a_refusal_s_body_is_not_shown(respx_mock: Any, fake_api: Any, tag: Any) -> None:
    """Quirk 14: it may hold an address and a stack; the one person of the call is refused, in masked words."""
    respx_mock.get(f"{BASE}/tags-management").respond(**Payload("tags").kwargs)
    respx_mock.get(f"{BASE}/fields").respond(**Payload("fields").kwargs)
    ann = {**Payload("people_some").body["users"][0], "tags": ""}
    bo = {**ann, "id": "6f1c2a9e-0000-4000-8000-000000000002"}
    respx_mock.get(url__startswith=f"{BASE}/people").respond(json={"users": [ann, bo]})
    answers = [httpx.Response(**Payload("refused").kwargs), httpx.Response(201)]
    respx_mock.post(f"{BASE}/tags").mock(side_effect=answers)
    outcomes = tag.apply(fake_api("encharge", SETTINGS), "vip", [Change(Ref(ann["id"])), Change(Ref(bo["id"]))], [])

    assert [(Verdict.REJECTED, "status 400"), (Verdict.DONE, "")] == [(one.verdict, one.reason) for one in outcomes]
    assert "@" not in outcomes[0].message


def test_a_429_without_a_word_backs_off(respx_mock: Any, fake_api: Any) -> None:
    """Quirk 12: no header says how long; each wait is longer than the one before."""
    answers = [httpx.Response(429, json={})] * 3 + [httpx.Response(**Payload("account").kwargs)]
    respx_mock.get(f"{BASE}/accounts/info").mock(side_effect=answers)
    api = fake_api("encharge", SETTINGS)
    CONNECTOR.account(api)

    assert 3 == len(api.slept)
    assert sorted(api.slept) == api.slept


def test_the_sandbox_says_no_when_asked_too_often(make_mail: Any) -> None:
    """In the one shape of refusals that is known."""
    api = make_mail(rate_factor=0)
    with pytest.raises(RateLimited):
        api.get("/accounts/info")


def test_we_ask_five_times_a_second(respx_mock: Any, fake_api: Any) -> None:
    """Quirk 12: twenty requests take three seconds at least."""
    respx_mock.get(f"{BASE}/accounts/info").respond(**Payload("account").kwargs)
    api = fake_api("encharge", SETTINGS)
    for _ in range(20):
        CONNECTOR.account(api)

    assert sum(api.slept) >= 2.9


def test_three_batches_are_under_way_at_once(mail: Any, tag: Any) -> None:
    """Quirk 12: one request a person, in parallel; each batch is right whatever the others do."""
    mail.sandbox.load("members", many(60))
    id_ = tag.create(mail, "VIP", [])
    batches = [[Change(ref) for ref in refs(mail, *(f"p{i:04}@example.com" for i in range(at, at + 20)))] for at in (0, 20, 40)]
    with ThreadPoolExecutor(3) as pool:
        outcomes = [one for part in pool.map(lambda batch: tag.apply(mail, id_, batch, []), batches) for one in part]

    assert {Verdict.DONE} == set(verdicts(outcomes))
    assert 60 == len(mail.sandbox.audiences()["VIP"])
    assert 3 == tag.concurrency == MANIFEST.limits[0].concurrency


def test_every_request_has_a_shape_that_the_document_knows(mail: Any, tag: Any, streams: Any) -> None:
    """One conversation that asks everything the connector can ask; the fixture holds each request against the schemas."""
    _everything_but_erasing(mail, tag, streams)
    erase(mail, Sought({"email": ["bo+x@example.com"]}))

    assert {f"{line.method} {line.template}" for line in mail.sandbox._endpoints()} == set(mail.sandbox.requests)


def _everything_but_erasing(mail: Any, tag: Any, streams: Any) -> None:
    mail.sandbox.load("members", people("ann@example.com", "bo+x@example.com"))
    _steps(mail)
    CONNECTOR.account(mail)
    for stream in streams.values():
        for page in list(stream.pull(mail, None, None)):
            list(stream.pull(mail, page.cursor, None))
    id_ = tag.create(mail, "VIP", [])
    tag.find(mail, ["bo+x@example.com"])
    tag.apply(mail, id_, adds(mail, "ann@example.com", "bo+x@example.com"), [])
    tag.apply(mail, id_, [], refs(mail, "ann@example.com"))
    list(tag.members(mail, id_))


def test_what_is_never_called(mail: Any, tag: Any, streams: Any) -> None:
    """Quirk 13: the account with its keys; and nothing that makes, archives, unsubscribes or renames."""
    _everything_but_erasing(mail, tag, streams)
    asked = {(method, path.removeprefix("/v1")) for method, path, *_ in mail.recorder.seen}

    assert not asked & {("GET", "/accounts"), ("POST", "/people"), ("DELETE", "/people"), ("POST", "/people/unsubscribe")}
    assert not any(path.startswith(("/tags-management/", "/segments")) for _, path in asked)

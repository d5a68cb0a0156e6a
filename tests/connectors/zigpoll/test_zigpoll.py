"""Signing in, limits; requests and the sandbox's answers held against JSON Schemas."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from support.surveys import sent
from zigpoll_rows import ADDRESS, BASE, SETTINGS, Payload, poll, responses, schema

from connectors.zigpoll import MANIFEST, Settings, account, auth, check, classify
from connectors.zigpoll.listing import accounts, asked
from connectors.zigpoll.sandbox import KEY, USER, ZigpollSandbox
from core.contract import HeaderKey, ResponseView, Result
from core.errors import AuthError, ConfigError, ProtocolError, RejectedError

# The key


def test_the_key_is_the_whole_header() -> None:
    """Quirk 2: without `Bearer`, which Zigpoll refuses."""
    way = auth(Settings.model_validate(SETTINGS))

    assert isinstance(way, HeaderKey)
    assert ("Authorization", "0123-key") == (way.name, way.value.get_secret_value())
    with pytest.raises(ValidationError, match="leave out"):
        Settings.model_validate({"api_key": "Bearer 0123-key"})


def test_a_prefix_is_refused_with_422(survey: Any) -> None:
    url = survey().served.base_url
    assert 200 == httpx.get(f"{url}/me", headers={"Authorization": KEY}).status_code
    for header in (f"Bearer {KEY}", "wrong", ""):
        assert 422 == httpx.get(f"{url}/me", headers={"Authorization": header}).status_code


def test_classify_takes_a_422_of_me_for_a_wrong_key() -> None:
    """Gotcha, 422 for auth: elsewhere it may be a parameter, so elsewhere it is left to `asked`."""

    def view(name: str, path: str) -> ResponseView:
        answer = Payload(name).kwargs
        return ResponseView(answer["status_code"], answer["headers"], "{}", "GET", path, None)

    assert isinstance(classify(view("bad_key", "/me")), AuthError)
    assert classify(view("bad_params", "/responses")) is None
    assert classify(view("too_many", "/me")) is None


def test_a_422_elsewhere_is_the_key_or_the_question(survey: Any) -> None:
    """Gotcha, 422 misleads into hunting for parameters: `/me` tells which it was."""
    api = survey()
    with pytest.raises(RejectedError) as wrong:
        asked(api, "/slides", accountId="acc1", pollId="nps")
    assert 422 == wrong.value.status
    api.recorder.seen.clear()  # such a question is not among the schemas
    api.sandbox.revoked = True
    with pytest.raises(AuthError, match="key was refused"):
        asked(api, "/responses", accountId="acc1")


def test_a_key_deleted_in_the_middle_of_a_pull_is_for_a_person(survey: Any, clock: Any) -> None:
    api = survey(page=10)
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(30, clock()))
    walk = responses(api).pull(api, None, None, "acc1")
    next(walk)
    api.sandbox.revoked = True

    with pytest.raises(AuthError):
        next(walk)


def test_credentials_go_nowhere_else(fake_api: Any) -> None:
    with pytest.raises(ConfigError):
        fake_api("zigpoll", {**SETTINGS, "base_url": "https://zigpoll.example.com"})


def _steps(api: Any) -> dict[str, Any]:
    return {step.name: step for step in check(api)}


def test_check_passes_and_tells(survey: Any) -> None:
    api = survey()
    api.sandbox.accounts.append("acc2")
    api.sandbox.load("surveys", [poll(), poll("b", account="acc2")])
    steps = _steps(api)

    assert {Result.PASSED} == {step.result for step in steps.values()}
    assert (f"user {USER}", "2 accounts", "2 polls") == tuple(
        steps[name].detail for name in ("authenticate", "accounts visible", "read polls")
    )
    assert USER == account(api)


def test_check_says_what_to_do(survey: Any) -> None:
    api = survey()
    api.sandbox.revoked = True
    steps = _steps(api)
    assert (Result.PASSED, Result.FAILED) == (steps["reach"].result, steps["authenticate"].result)
    assert "Private keys" in steps["authenticate"].remedy

    lonely = survey()
    lonely.sandbox.accounts.clear()
    assert Result.FAILED == _steps(lonely)["accounts visible"].result


@pytest.mark.parametrize("body", [{"_id": "u"}, {"_id": "u", "accounts": None}, {"_id": "u", "accounts": {"id": "acc1"}}])
def test_accounts_that_are_not_told_are_not_none(respx_mock: Any, fake_api: Any, body: Any) -> None:
    """Taken for no account, it would be all answers gone."""
    respx_mock.get(f"{BASE}/me").respond(json=body)
    with pytest.raises(ProtocolError):
        accounts(fake_api("zigpoll", SETTINGS))


# Limits, and the sandbox itself


def test_429_with_retry_after_is_waited_out(respx_mock: Any, fake_api: Any) -> None:
    route = respx_mock.get(f"{BASE}/me")
    route.mock(
        side_effect=[
            httpx.Response(**Payload("too_many").kwargs),
            httpx.Response(200, json={"_id": "u", "accounts": ["a", "b"]}),
        ]
    )
    api = fake_api("zigpoll", SETTINGS)

    assert ["a", "b"] == list(responses(api).slices(api))
    assert ([2.0], 2) == (api.slept, route.call_count)


def test_429_without_retry_after_backs_off(survey: Any, seconds: Any) -> None:
    api = survey(rate_factor=0.1, retry_after=False)
    slept: list[float] = []
    api._repeater._harmless.sleep = lambda s: (slept.append(s), seconds.sleep(s))
    api.get("/me")
    api.get("/me")

    assert slept
    assert 0.4 <= slept[0] <= 1.1


def test_the_rate_is_ours_and_gentle() -> None:
    """Quirk 3: no figure is published."""
    (limit,) = MANIFEST.limits

    assert (2, 1) == (limit.amount, limit.per_s)


def test_the_sandbox_is_as_strict(survey: Any) -> None:
    api = survey()
    url = api.served.base_url
    with httpx.Client(headers={"Authorization": KEY}) as client:
        wrong = ("/responses", "/responses?accountId=a&pollId=b", "/responses?accountId=a&createdAfter=x", "/slides")
        assert {422} == {client.get(f"{url}{path}").status_code for path in (*wrong, "/responses?accountId=a&startCursor=none")}
    api.recorder.seen.clear()  # such questions are not among the schemas
    with pytest.raises(KeyError):
        ZigpollSandbox().load("people", [])
    with pytest.raises(KeyError):
        ZigpollSandbox().merge("responses", "a", "b")


@pytest.mark.parametrize("path", ["/me", "/polls", "/slides", "/responses"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_sandbox_answers_in_the_vendor_s_shapes(survey: Any, clock: Any, path: str, wrapped: bool) -> None:
    """Held against the schemas that were written from what the vendor's own clients read; so are the recorded answers."""
    api = survey(wrapped=wrapped)
    api.sandbox.load("surveys", [poll("nps", "NPS", "Recommend?", ADDRESS)])
    api.sandbox.load("responses", [{"id": "a", "survey": "nps", "answers": {"score": 9, "mail": "p1@example.com"}}])
    judge = Draft202012Validator(schema(path, "response"))

    judge.validate(api.get(path, **({} if path == "/me" else {"accountId": "acc1"})))
    if path in ("/polls", "/slides"):
        judge.validate(Payload(path.strip("/")).body)

"""Signing in, regions, scopes, limits; every request held against the published document."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from support.openapi import load_document, validate_request
from support.surveys import sent
from typeform_rows import BASE, SETTINGS, Payload, form, responses

from connectors.typeform import MANIFEST, Settings, account, auth, check, classify
from connectors.typeform.sandbox import TOKEN, TypeformSandbox
from core.contract import Bearer, OAuth2, ResponseView, Result
from core.errors import AuthError, ConfigError, ProtocolError

APP = {"client_id": "id", "client_secret": "secret"}


@pytest.mark.parametrize(
    ("region", "base", "server"),
    [
        ("us", "https://api.typeform.com", "https://api.typeform.com"),
        ("eu", "https://api.eu.typeform.com", "https://api.typeform.com"),
        ("eu2", "https://api.typeform.eu", "https://api.typeform.eu"),
    ],
)
def test_three_regions_and_two_authorization_servers(region: str, base: str, server: str) -> None:
    """Quirk 14: the base is one of three, and the first EU stack signs in where the others do."""
    settings = Settings.model_validate({**APP, "region": region})
    way = auth(settings)

    assert base == settings.base_url
    assert isinstance(way, OAuth2)
    assert (f"{server}/oauth/token", f"{server}/oauth/authorize") == (way.token_url, way.authorize_url)
    assert base.removeprefix("https://") in MANIFEST.hosts


def test_a_base_url_stands_for_the_authorization_server_too() -> None:
    way = auth(Settings.model_validate({**APP, "base_url": "http://127.0.0.1:1234/"}))

    assert isinstance(way, OAuth2)
    assert "http://127.0.0.1:1234/oauth/token" == way.token_url


def test_the_least_scopes_and_offline() -> None:
    """Without `offline` there is no refresh token; there is no code challenge."""
    way = auth(Settings.model_validate(APP))

    assert isinstance(way, OAuth2)
    assert {*MANIFEST.scopes, "offline"} == set(way.scopes) == {"forms:read", "responses:read", "workspaces:read", "offline"}
    assert (False, None) == (way.pkce, way.refresh_token)
    assert isinstance(auth(Settings.model_validate(SETTINGS)), Bearer)


@pytest.mark.parametrize(
    "settings",
    [{}, {**SETTINGS, **APP}, {"client_id": "id"}, {**SETTINGS, "region": "mars"}, {**SETTINGS, "region": ["us"]}],
    ids=["nothing", "both", "half-an-app", "no-such-region", "no-text"],
)
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)


def test_a_person_signs_in_and_the_token_renews_itself(survey: Any, fake_api: Callable[..., Any], clock: Any) -> None:
    """The refresh token rotates: each is good once, and another api of the same connection goes on with the kept one."""
    api = survey()
    desk, url = api.sandbox.desk, api.served.base_url
    app = {"client_id": desk.client_id, "client_secret": desk.client_secret}
    asked = {"client_id": desk.client_id, "response_type": "code", "redirect_uri": "http://127.0.0.1:9/done", "state": "s"}
    back = httpx.get(f"{url}/oauth/authorize", params=asked)
    code = back.headers["location"].partition("code=")[2].partition("&")[0]
    trade = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked["redirect_uri"], **app}
    token = httpx.post(f"{url}/oauth/token", data=trade).json()
    assert 302 == back.status_code
    assert 400 == httpx.post(f"{url}/oauth/token", data=trade).status_code  # a code is good once

    settings = {**app, "base_url": url, "refresh_token": token["refresh_token"]}
    for hours in (0, 0, 1, 1):  # the second goes on with what the first kept
        clock.advance(timedelta(hours=hours))
        assert 0 == fake_api("typeform", settings).get("/forms")["total_items"]
    assert (
        400
        == httpx.post(
            f"{url}/oauth/token", data={"grant_type": "refresh_token", **app, "refresh_token": token["refresh_token"]}
        ).status_code
    )


def test_a_permission_taken_back_is_for_a_person(survey: Any, fake_api: Callable[..., Any]) -> None:
    api = survey()
    desk = api.sandbox.desk
    settings = {"client_id": desk.client_id, "client_secret": desk.client_secret, "refresh_token": "taken-back"}

    with pytest.raises(AuthError):
        fake_api("typeform", {**settings, "base_url": api.served.base_url}).get("/forms")


def test_credentials_go_nowhere_else(fake_api: Callable[..., Any]) -> None:
    """Neither a base URL of one's own making nor a file's address in an answer gets the token."""
    with pytest.raises(ConfigError):
        fake_api("typeform", {**SETTINGS, "base_url": "https://typeform.example.com"})
    with pytest.raises(ProtocolError, match="refused to send"):
        fake_api("typeform", SETTINGS).get("https://files.example.com/shot.png")


# check and account


def _steps(api: Any) -> dict[str, Any]:
    return {step.name: step for step in check(api)}


def test_check_passes_and_tells(survey: Any, clock: Any) -> None:
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(4, clock()))
    steps = _steps(api)

    assert {Result.PASSED} == {step.result for step in steps.values()}
    assert "4 answers to NPS" == steps["read answers"].detail
    assert api.sandbox.account == steps["account"].detail


def test_an_account_without_a_form_may_be_the_wrong_region(survey: Any) -> None:
    """A wrong region gives an empty list of forms, or refuses the token."""
    steps = _steps(survey())

    assert Result.SKIPPED == steps["forms visible"].result
    assert 'it is "us"' in steps["forms visible"].remedy
    assert Result.PASSED == steps["read answers"].result


def test_a_revoked_token_is_told_with_the_region(survey: Any) -> None:
    api = survey()
    api.sandbox.revoke()
    steps = _steps(api)

    assert (Result.PASSED, Result.FAILED) == (steps["reach"].result, steps["authenticate"].result)
    assert "eu2" in steps["authenticate"].remedy
    assert Result.SKIPPED == steps["read answers"].result


@pytest.mark.parametrize(
    ("scope", "step"), [("forms:read", "read forms"), ("responses:read", "read answers"), ("workspaces:read", "account")]
)
def test_a_missing_scope_is_named(survey: Any, scope: str, step: str) -> None:
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.scopes.discard(scope)
    steps = _steps(api)

    assert Result.FAILED == steps[step].result or step == "account"
    assert Result.PASSED == steps["authenticate"].result
    assert scope in steps[step].remedy
    if step != "account":
        assert scope in steps[step].detail


def test_the_account_is_that_of_the_default_workspace(survey: Any) -> None:
    """Workspaces that others share with us come first here, and are not ours."""
    api = survey()
    assert api.sandbox.account == account(api)
    with pytest.raises(ConfigError, match="account_id says"):
        account(survey({"account_id": "another"}))


def test_a_token_that_may_not_ask_needs_the_account_told(survey: Any) -> None:
    with pytest.raises(ConfigError, match="does not tell"):
        account(survey(scopes=()))
    assert "ours" == account(survey({"account_id": "ours"}, scopes=()))


# answers that are none, and limits


def test_classify_names_the_scope() -> None:
    def view(name: str, path: str) -> ResponseView:
        answer = Payload(name).kwargs
        return ResponseView(answer["status_code"], answer["headers"], "{}", "GET", path, None)

    error = classify(view("missing_scope", "/forms/lT4Z3j/responses?page_size=1"))
    assert isinstance(error, AuthError)
    assert "responses:read" in str(error)
    assert classify(view("too_many", "/forms")) is None
    assert classify(view("bad_token", "/forms")) is None


def test_429_with_retry_after_is_waited_out(respx_mock: Any, fake_api: Any) -> None:
    empty = {"total_items": 0, "page_count": 0, "items": []}
    route = respx_mock.get(f"{BASE}/forms")
    route.mock(side_effect=[httpx.Response(**Payload("too_many").kwargs), httpx.Response(200, json=empty)])
    api = fake_api("typeform", SETTINGS)
    assert [] == list(responses(api).slices(api))

    assert [3.0] == api.slept
    assert 2 == route.call_count


def test_429_without_retry_after_backs_off(survey: Any, seconds: Any) -> None:
    """It may be absent: then a second or so, longer each time."""
    api = survey(rate_factor=1, retry_after=False)
    url, headers = f"{api.served.base_url}/forms", {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(headers=headers) as client:
        answers = [client.get(url) for _ in range(3)]
    assert [200, 200, 429] == [answer.status_code for answer in answers]
    assert "retry-after" not in answers[2].headers
    assert "TOO_MANY_REQUESTS" == answers[2].json()["code"]

    slept: list[float] = []
    api._repeater._harmless.sleep = lambda s: (slept.append(s), seconds.sleep(s))
    api.get("/forms")
    assert slept
    assert 0.4 <= slept[0] <= 1.1


def test_the_rate_is_kept(survey: Any, fake_api: Callable[..., Any], seconds: Any) -> None:
    """An account has two a second for forms and answers together: a vendor that refuses the third has none to refuse."""
    asked = survey(rate_factor=1)
    api = fake_api("typeform", asked.settings, seconds=seconds, sleep=seconds.sleep)
    for path in ("/forms", "/workspaces", "/forms", "/workspaces", "/forms"):
        assert 200 == api.request("GET", path, allow=(429,)).status


def test_the_sandbox_is_as_strict(survey: Any) -> None:
    api = survey()
    api.sandbox.load("surveys", [form()])
    url, headers = f"{api.served.base_url}/forms", {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(headers=headers) as client:
        for query in (
            "page_size=1001",
            "before=r1&since=2026-01-01T00:00:00",
            "before=r1&sort=x",
            "since=yesterday",
            "before=r1",
        ):
            answer = client.get(f"{url}/nps/responses?{query}")
            assert (400, "VALIDATION_ERROR") == (answer.status_code, answer.json()["code"]), query
        assert 400 == client.get(f"{url}?page_size=201").status_code
        assert 404 == client.get(f"{url}/none/responses").status_code
    with pytest.raises(KeyError):
        api.sandbox.load("people", [])
    with pytest.raises(KeyError):
        TypeformSandbox().merge("responses", "a", "b")


def test_every_request_is_in_the_published_document(survey: Any, clock: Any) -> None:
    """One conversation that asks everything the connector can ask, held against the vendor's own document."""
    document = load_document("typeform.json")  # skips where it is not there
    api = survey()
    api.sandbox.load("surveys", [form()])
    api.sandbox.load("responses", sent(1200, clock()))
    list(check(api))
    stream = responses(api)
    assert stream.slices is not None
    list(stream.slices(api))
    found = list(stream.pull(api, None, None, "nps"))
    list(stream.pull(api, found[-1].cursor, None, "nps"))

    assert {"/forms", "/forms/nps", "/forms/nps/responses", "/workspaces"} == {path for _, path, _ in api.recorder.seen}
    assert [] == [problem for request in api.recorder.seen for problem in validate_request(document, *request)]


@pytest.mark.parametrize(
    ("spaces", "told"),
    [
        ([("a", False), ("b", True)], "b"),
        ([("a", False), ("a", False)], "a"),
        ([("a", False), ("b", False)], None),
        ([("a", True), ("b", True)], None),
    ],
)
def test_the_account_is_never_that_of_somebody_who_shares(
    spaces: list[tuple[str, bool]], told: str | None, respx_mock: Any, fake_api: Any
) -> None:
    """The default workspace is one's own; where none of several is, nobody guesses."""
    items = [{"id": str(n), "account_id": id_, "default": default} for n, (id_, default) in enumerate(spaces)]
    respx_mock.get(f"{BASE}/workspaces").respond(json={"items": items})
    if told is not None:
        assert told == account(fake_api("typeform", SETTINGS))
        return
    with pytest.raises(ConfigError, match="does not tell"):
        account(fake_api("typeform", SETTINGS))

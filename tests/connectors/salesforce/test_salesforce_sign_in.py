"""Signing in three ways, tokens that end, allowances that are used up, what refusals mean, and what `check` says of them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr, ValidationError

from connectors.salesforce import Settings, auth, classify, rest_until
from connectors.salesforce.answers import PAUSE
from core.contract import Fault, ResponseView, Result
from core.errors import (
    AuthError,
    ConfigError,
    NotFoundError,
    QuotaExhausted,
    RateLimited,
    RejectedError,
    TransientError,
)
from core.registry import load_connector

SF = load_connector("salesforce")
KEYS = {"client_id": "3MVG9", "client_secret": "s3cret"}
TOKEN = "POST /services/oauth2/token"
LOCAL = {"sign_in": "jwt_bearer", "username": "tagalong@example.com"}


@pytest.fixture(scope="module")
def private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


# --- Where to sign in


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({**KEYS, "domain": "acme"}, "acme.my.salesforce.com"),
        ({**KEYS, "domain": "https://Acme.my.salesforce.com/"}, "acme.my.salesforce.com"),
        ({**KEYS, "domain": "acme--uat.sandbox"}, "acme--uat.sandbox.my.salesforce.com"),
        ({**KEYS, "domain": "acme-dev-ed.develop.my.salesforce.com"}, "acme-dev-ed.develop.my.salesforce.com"),
        ({"client_id": "x", "sign_in": "browser"}, "login.salesforce.com"),
        ({"client_id": "x", "sign_in": "browser", "sandbox": True}, "test.salesforce.com"),
        ({"client_id": "x", "sign_in": "browser", "domain": "acme"}, "acme.my.salesforce.com"),
        ({"client_id": "x", "base_url": "http://127.0.0.1:1", "client_secret": "s"}, "127.0.0.1:1"),
    ],
)
def test_the_host_to_sign_in_at(settings: dict[str, Any], host: str) -> None:
    made = auth(Settings.model_validate(settings))

    assert (host, "/services/oauth2/token") == (urlsplit(made.token_url).netloc, urlsplit(made.token_url).path)
    assert "instance_url" == made.base_url_key


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (KEYS, "needs domain"),
        ({"client_id": "x", "domain": "acme"}, "needs client_secret"),
        ({**KEYS, "domain": "login"}, "My Domain"),
        ({**KEYS, "domain": "test.my.salesforce.com"}, "My Domain"),
        ({**KEYS, "domain": "evil.example.com"}, "My Domain"),
        ({**KEYS, "domain": "acme/../x"}, "My Domain"),
        ({"client_id": "x", "sign_in": "jwt_bearer"}, "username and private_key"),
        ({**KEYS, "domain": "acme", "extra_fields": {"contacts": ["a b"]}}, "API name"),
        ({**KEYS, "domain": "acme", "user_id_field": "x;y"}, "API name"),
        ({**KEYS, "domain": "acme", "quota_percent": 0}, "quota_percent"),
    ],
)
def test_settings_say_what_they_lack(settings: dict[str, Any], said: str) -> None:
    """Gotcha: client credentials are refused at login. and test., so My Domain is asked for before any request."""
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(settings)


@pytest.mark.parametrize(
    ("sandbox", "audience"), [(False, "https://login.salesforce.com"), (True, "https://test.salesforce.com")]
)
def test_a_jwt_says_who_and_for_how_long(org: Callable[..., Any], private_key: str, sandbox: bool, audience: str) -> None:
    """Gotcha: exp is at most 3 to 5 minutes ahead; the sandbox refuses a longer one."""
    api = org(
        {**LOCAL, "client_secret": None, "domain": None, "private_key": private_key, "sandbox": sandbox}, is_sandbox=sandbox
    )
    assert SF.account(api)

    (form,) = api.sandbox.grants
    claims = json.loads(base64.urlsafe_b64decode(form["assertion"].split(".")[1] + "=="))
    assert ("sandbox-client", "tagalong@example.com", audience) == (claims["iss"], claims["sub"], claims["aud"])
    assert 0 < claims["exp"] - time.time() <= 300


def test_a_person_signs_in_with_a_challenge(org: Callable[..., Any]) -> None:
    """The least scopes, PKCE, and a refresh that sends no scope, which Salesforce refuses there."""
    api = org({"sign_in": "browser", "domain": None, "refresh_token": "to be made"}, rotates=True)
    made = auth(api.settings)
    assert ("api", "refresh_token") == made.scopes
    assert made.pkce
    assert made.authorize_url.endswith("/services/oauth2/authorize")
    sent = api.sandbox.desk.authorize(
        {"response_type": "code", "client_id": made.client_id, "redirect_uri": "http://127.0.0.1:9/", "state": "s"}
    )
    code = dict(parse_qsl(urlsplit(sent).query))["code"]
    granted = api.sandbox.desk.token(
        {
            "grant_type": "authorization_code", "code": code, "redirect_uri": "http://127.0.0.1:9/",
            "client_id": made.client_id, "client_secret": api.sandbox.desk.client_secret,
        }
    )  # fmt: skip
    second = org({"sign_in": "browser", "domain": None, "refresh_token": granted["refresh_token"]}, rotates=True)
    second.sandbox.desk = api.sandbox.desk
    assert SF.account(second)
    second.sandbox.expire()
    assert SF.account(second)

    refreshed = [form for form in second.sandbox.grants if form["grant_type"] == "refresh_token"]
    assert 2 == len({form["refresh_token"] for form in refreshed})  # the rotated one was kept
    assert not any("scope" in form for form in refreshed)
    second.sandbox.desk.revoke()
    with pytest.raises(AuthError):
        SF.account(second)


# --- Tokens that end


def test_a_token_that_ended_is_renewed_once(org: Callable[..., Any]) -> None:
    """Gotcha: no answer says how long a token lives, so a 401 INVALID_SESSION_ID is what renews it, once a request."""
    api = org()
    SF.account(api)
    api.sandbox.expire()
    SF.account(api)

    assert 2 == api.sandbox.requests[TOKEN]
    assert 3 == api.sandbox.requests["GET /services/data/v66.0/query"]


def test_a_token_that_is_refused_again_stops_the_connection(org: Callable[..., Any], payload: Any) -> None:
    api = org()
    body = json.dumps(payload("session_expired")["response"]["body"]).encode()
    api.served.faults = lambda _m, path, _n: Fault(401, {"content-type": "application/json"}, body) if "data" in path else None
    with pytest.raises(AuthError) as caught:
        SF.account(api)

    assert "INVALID_SESSION_ID" == caught.value.code
    assert 2 == api.sandbox.requests[TOKEN]


def test_the_token_s_org_is_the_account(org: Callable[..., Any]) -> None:
    """A sandbox has another id than the org it was made of, so neither inherits the other's ledger."""
    one = org()
    first = SF.account(one)

    assert first == SF.account(one) == one.sandbox.org_id
    assert first != SF.account(org(org="other"))
    assert first.startswith("00D")


# --- Allowances


@pytest.mark.parametrize(
    ("header", "pauses"),
    [
        ("api-usage=10018/100000", False),
        ("api-usage=80000/100000", True),
        ("api-usage=25/5000; per-app-api-usage=250/250(appName=sample-app); api-bursts=1/750", False),
        ("per-app-api-usage=250/250(appName=sample-app); api-usage=4999/5000", True),
        ("per-app-api-usage=250/250(appName=sample-app)", False),
        ("api-usage=0/0", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_the_share_of_the_day_that_is_used(clock: Any, header: str, pauses: bool) -> None:
    """Gotcha: the header may have more segments, and the app's own is another figure; the pattern is searched for."""
    settings = Settings.model_validate({**KEYS, "domain": "acme"})
    view = ResponseView(200, {"sforce-limit-info": header}, "", "GET", "/", clock())

    assert (clock() + PAUSE if pauses else None) == rest_until(view, settings)


@pytest.mark.parametrize("percent", [50, 90])
def test_pauses_at_the_share_that_is_set(org: Callable[..., Any], clock: Any, percent: int) -> None:
    """The answer that says so still counts; the next request is a pause, and goes on when the window has moved."""
    api = org({"quota_percent": percent}, rate_factor=0.001)
    api.sandbox.used = percent - 2
    SF.account(api)
    SF.account(api)
    with pytest.raises(QuotaExhausted) as caught:
        SF.account(api)
    assert clock() + PAUSE == caught.value.resume_at
    assert 2 == api.sandbox.requests["GET /services/data/v66.0/query"]
    api.sandbox.used = 0
    clock.advance(PAUSE + timedelta(seconds=1))

    assert SF.account(api)


def test_a_day_that_is_used_up_is_a_pause(org: Callable[..., Any], clock: Any) -> None:
    """Gotcha: 403 REQUEST_LIMIT_EXCEEDED without a Retry-After; a quarter of an hour, for the window rolls."""
    api = org({"quota_percent": 100})
    SF.account(api)
    api.sandbox.used = api.sandbox.daily
    with pytest.raises(QuotaExhausted) as caught:
        SF.account(api)

    assert clock() + timedelta(minutes=15) == caught.value.resume_at
    assert "REQUEST_LIMIT_EXCEEDED" == caught.value.code


# --- Refusals


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("requests_used_up", QuotaExhausted),
        ("too_many_at_once", RateLimited),
        ("api_disabled", AuthError),
        ("no_access", AuthError),
        ("session_expired", AuthError),
        ("invalid_field", RejectedError),
        ("locator_expired", RejectedError),
        ("row_locked", RateLimited),
        ("not_found", NotFoundError),
        ("version_retired", NotFoundError),
        ("server_unavailable", TransientError),
    ],
)
def test_a_refusal_is_an_array(clock: Any, payload: Any, name: str, error: type[Exception]) -> None:
    """Gotcha: the code in the array decides, not the status; its text, which may quote people, is not kept."""
    answer = payload(name)["response"]
    view = ResponseView(answer["status"], {}, json.dumps(answer["body"]), "GET", "/", clock())
    found = classify(view)

    assert type(found) is error
    assert answer["body"][0]["errorCode"] == getattr(found, "code", None)
    assert answer["body"][0]["message"] not in str(found)


@pytest.mark.parametrize("text", ["", "<html>", "{}", "[]", "[1]", '[{"errorCode": 7}]', '[{"errorCode": "ann@example.com"}]'])
def test_what_has_no_code_is_left_to_the_status(clock: Any, text: str) -> None:
    for status in (400, 401, 403, 404, 500, 503):
        assert classify(ResponseView(status, {}, text, "GET", "/", clock())) is None
    assert classify(ResponseView(200, {}, '[{"errorCode": "NOT_FOUND"}]', "GET", "/", clock())) is None


# --- check


def steps(api: Any) -> dict[str, Any]:
    assert SF.check is not None
    return {step.name: step for step in SF.check(api)}


def test_check_says_which_org_and_how_much_is_left(org: Callable[..., Any]) -> None:
    api = org()
    found = steps(api)

    assert {Result.PASSED} == {step.result for step in found.values()}
    assert f"org {api.sandbox.org_id}, a sandbox" == found["authenticate"].detail
    assert found["requests left"].detail.endswith(" of 100000")


@pytest.mark.parametrize(
    ("hidden", "settings", "failed", "said"),
    [
        ({"Contact.Email"}, {}, "read contacts", "may not see Contact.Email"),
        ((), {"extra_fields": {"contacts": ["No__c"]}}, "read contacts", "No__c"),
        ((), {"user_id_field": "No__c"}, "read contacts", "No__c"),
    ],
)
def test_check_says_what_the_user_may_not_see(
    org: Callable[..., Any], hidden: Any, settings: dict[str, Any], failed: str, said: str
) -> None:
    found = steps(org(settings, hidden=hidden))

    assert Result.FAILED is found[failed].result
    assert said in found[failed].detail
    assert found[failed].remedy


@pytest.mark.parametrize(
    ("hidden", "skipped", "said"),
    [
        ("Lead.Email", "read leads", "may not see Lead.Email"),
        ("CampaignMember/deletable", "write campaign members", "delete on CampaignMember"),
        ("Campaign/createable", "write campaign members", "create on Campaign"),
    ],
)
def test_check_goes_on_where_a_part_may_not_be_wanted(org: Callable[..., Any], hidden: str, skipped: str, said: str) -> None:
    found = steps(org(hidden={hidden}))

    assert (Result.SKIPPED, Result.PASSED) == (found[skipped].result, found["requests left"].result)
    assert said in found[skipped].detail


def test_check_says_that_who_opted_out_is_hidden(org: Callable[..., Any]) -> None:
    found = steps(org(hidden={"Contact.HasOptedOutOfEmail"}))

    assert Result.PASSED is found["read contacts"].result
    assert "HasOptedOutOfEmail is hidden" in found["read contacts"].detail


@pytest.mark.parametrize(("said", "there"), [(True, False), (False, True)])
def test_a_sandbox_s_credentials_where_live_ones_were_are_told(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Any, said: bool, there: bool
) -> None:
    """A test org's app where the production one was, or the other way round: `check` says which is which."""
    host = "https://acme.my.salesforce.com" if not said else "https://acme--uat.sandbox.my.salesforce.com"
    body = {**payload("token")["response"]["body"], "instance_url": host}
    respx_mock.post(f"{host}/services/oauth2/token").respond(json=body)
    found = {"totalSize": 1, "done": True, "records": [{"Id": "00Dxx0000001gPLAAY", "IsSandbox": there}]}
    respx_mock.get(f"{host}/services/data/").respond(json=[{"version": "66.0"}])
    respx_mock.get(url__startswith=f"{host}/services/data/v66.0/query").respond(json=found)
    api = fake_api("salesforce", {**KEYS, "domain": "acme--uat.sandbox" if said else "acme"})

    step = steps(api)["right org"]
    assert Result.FAILED is step.result
    assert step.remedy
    assert ("a sandbox" if there else "a production org") in step.detail.partition(",")[0]


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"client_secret": "wrong"}, "invalid_client"), ({"client_id": "wrong"}, "invalid_client")],
)
def test_a_wrong_key_is_told_by_its_code(org: Callable[..., Any], settings: dict[str, Any], code: str) -> None:
    found = steps(org(settings))

    assert Result.FAILED is found["authenticate"].result
    assert code in found["authenticate"].detail
    assert "Run As" in found["authenticate"].remedy
    assert {Result.SKIPPED} == {step.result for name, step in found.items() if name != "authenticate"}


def test_a_version_that_is_gone_is_told(fake_api: Callable[..., Any], respx_mock: Any, payload: Any) -> None:
    host = "https://acme.my.salesforce.com"
    respx_mock.post(f"{host}/services/oauth2/token").respond(json=payload("token")["response"]["body"])
    found = {"totalSize": 1, "done": True, "records": [{"Id": "00Dxx0000001gPLAAY", "IsSandbox": False}]}
    respx_mock.get(url__startswith=f"{host}/services/data/v66.0/query").respond(json=found)
    respx_mock.get(f"{host}/services/data/").respond(json=[{"version": "91.0"}])
    step = steps(fake_api("salesforce", {**KEYS, "domain": "acme"}))["reach"]

    assert Result.FAILED is step.result
    assert "v66.0" in step.detail


def test_an_instance_elsewhere_gets_no_token(fake_api: Callable[..., Any], respx_mock: Any, payload: Any) -> None:
    """The address that comes with a token must be one of the vendor's hosts."""
    body = {**payload("token")["response"]["body"], "instance_url": "https://evil.example.com"}
    respx_mock.post("https://acme.my.salesforce.com/services/oauth2/token").respond(json=body)
    api = fake_api("salesforce", {**KEYS, "domain": "acme"})

    with pytest.raises(Exception, match=r"evil\.example\.com") as caught:
        SF.account(api)
    assert not isinstance(caught.value, ConfigError)


def test_secrets_do_not_show(private_key: str) -> None:
    settings = Settings.model_validate({**KEYS, **LOCAL, "private_key": private_key})

    assert "s3cret" not in repr(settings) + repr(auth(settings))
    assert SecretStr("s3cret") == settings.client_secret

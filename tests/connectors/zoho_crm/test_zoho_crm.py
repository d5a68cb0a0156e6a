"""Zoho CRM: settings and data centres, signing in, what its statuses mean, check, account, limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from pydantic import ValidationError
from zoho_rows import contact

from connectors.zoho_crm import MANIFEST, Settings, account, auth, check, classify
from connectors.zoho_crm.answers import SCOPES, scope_of
from connectors.zoho_crm.vendor import DATA_CENTRES, code_of
from core.contract import CheckStep, ResponseView, Result
from core.errors import (
    AuthError,
    ConfigError,
    ConnectorError,
    NotFoundError,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RejectedError,
    TransientError,
)
from core.http.hosts import Hosts

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
GIVEN = {"client_id": "1000.C", "client_secret": "s", "refresh_token": "1000.r"}


def _settings(**more: Any) -> Settings:
    return Settings.model_validate({**GIVEN, "data_centre": "eu", **more})


def _view(file: dict[str, Any], **headers: str) -> ResponseView:
    told, asked = file["response"], file["request"]
    return ResponseView(told["status"], headers, json.dumps(told["body"]), asked["method"], asked["path"], NOW)


def _steps(api: Any) -> dict[str, CheckStep]:
    return {step.name: step for step in check(api)}


# Hosts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", DATA_CENTRES)
def test_every_data_centre_has_its_hosts(centre: str) -> None:
    """Quirk 24: tokens come from the centre's accounts host; credentials may go to all of Zoho's and to nobody else."""
    accounts, api = DATA_CENTRES[centre]
    made = auth(_settings(data_centre=centre))
    hosts = Hosts(MANIFEST.hosts)

    assert f"https://{accounts}/oauth/v2/token" == made.token_url
    assert f"https://{accounts}/oauth/v2/auth" == made.authorize_url
    assert all(hosts.allows(httpx.URL(f"https://{host}/")) for host in (accounts, f"www.{api}", f"sandbox.{api}"))
    assert not any(hosts.allows(httpx.URL(f"https://{host}/")) for host in (f"{api}.evil.test", f"evil{api}", "zoho.com"))


def test_there_are_eight_data_centres() -> None:
    """The card's list, Canada's accounts host with a name of its own."""
    assert {"us", "eu", "in", "au", "cn", "jp", "ca", "sa"} == DATA_CENTRES.keys()
    assert "accounts.zohocloud.ca" == DATA_CENTRES["ca"].accounts


@pytest.mark.parametrize(("environment", "host"), [("sandbox", "sandbox.zohoapis.eu"), ("developer", "developer.zohoapis.eu")])
def test_a_sandbox_has_hosts_of_its_own_and_the_same_accounts(environment: str, host: str) -> None:
    """Quirk 24."""
    settings = _settings(environment=environment)
    assert f"https://{host}" == settings.base_url
    assert "https://accounts.zoho.eu/oauth/v2/token" == auth(settings).token_url


def test_in_production_the_token_answer_names_the_host() -> None:
    assert _settings().base_url is None
    assert ("api_domain", "Zoho-oauthtoken") == (auth(_settings()).base_url_key, auth(_settings()).scheme)


@pytest.mark.parametrize(
    "wrong", [{"data_centre": "se"}, {"email_fields": ["Email) or (x"]}, {"user_id_field": "a b"}, {"client_id": ""}]
)
def test_settings_that_lead_nowhere_are_refused(wrong: dict[str, Any]) -> None:
    """Field names become part of queries."""
    with pytest.raises(ValidationError):
        _settings(**wrong)


def test_signing_in_asks_for_what_gives_a_refresh_token_and_the_least_scopes() -> None:
    """Quirk 16: without `offline` and `consent` there is none; scopes are separated by commas."""
    made = auth(_settings(refresh_token=None))

    assert {"access_type": "offline", "prompt": "consent"} == made.authorize_params
    assert (tuple(SCOPES), ",") == (made.scopes, made.scope_separator)
    assert "accounts-server" == made.token_host_param
    assert not any("ZohoCRM.modules.ALL" in scope or "users" in scope for scope in SCOPES)


# Tokens --------------------------------------------------------------------------------------------------------------


def test_the_token_answer_names_the_api_and_the_scheme_is_zohos(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Callable[[str], dict[str, Any]]
) -> None:
    """`api_domain` is the base URL; the header's word is Zoho-oauthtoken whatever `token_type` says."""
    token = respx_mock.post("https://accounts.zoho.eu/oauth/v2/token").respond(json=payload("token")["response"]["body"])
    org = respx_mock.get("https://www.zohoapis.eu/crm/v8/org").respond(json={"org": [{"id": "77"}]})
    api = fake_api("zoho_crm", _settings())

    assert "77" == account(api) == account(api)
    assert "Zoho-oauthtoken 1000.access" == org.calls[0].request.headers["authorization"]
    assert 1 == token.call_count
    asked = dict(parse_qsl(token.calls[0].request.content.decode()))
    assert {**GIVEN, "grant_type": "refresh_token"} == asked


def test_an_api_domain_that_is_not_zohos_gets_no_credentials(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Callable[[str], dict[str, Any]]
) -> None:
    answer = payload("token")["response"]["body"] | {"api_domain": "https://www.zohoapis.eu.evil.test"}
    respx_mock.post("https://accounts.zoho.eu/oauth/v2/token").respond(json=answer)

    with pytest.raises(ProtocolError, match="refused to send credentials"):
        account(fake_api("zoho_crm", _settings()))


@pytest.mark.parametrize("status", [200, 400])
def test_a_token_error_at_status_200_is_one(org: Callable[..., Any], status: int) -> None:
    """Quirk 16: `error` in the body is what counts."""
    api = org({"refresh_token": "1000.revoked-long-ago"}, token_error_status=status)

    with pytest.raises(AuthError) as raised:
        account(api)
    assert "invalid_code" == raised.value.code


def test_too_many_tokens_are_a_pause_not_a_wrong_key(org: Callable[..., Any], clock: Any) -> None:
    """Quirk 16: the eleventh in ten minutes is `Access Denied` at status 200; nobody has to act, and nobody asks on."""
    api = org(rate_factor=1)
    for _ in range(10):
        account(api)
        api.sandbox.accounts.issued.clear()

    with pytest.raises(QuotaExhausted) as raised:
        account(api)
    assert clock() + timedelta(seconds=660) == raised.value.resume_at
    asked = len(api.recorder.of("/token"))
    with pytest.raises(QuotaExhausted):
        account(api)
    assert asked == len(api.recorder.of("/token"))


def test_one_token_serves_all_requests(org: Callable[..., Any]) -> None:
    """Quirk 16: never one a request or a job."""
    api = org()
    for _ in range(20):
        account(api)

    assert 1 == len(api.recorder.of("/token"))


def test_a_refused_token_is_renewed_once_and_the_request_sent_again(org: Callable[..., Any]) -> None:
    """An hour's token can die early."""
    api = org()
    account(api)
    api.sandbox.accounts.issued.clear()

    assert account(api)
    assert 2 == len(api.recorder.of("/token"))
    assert 3 == len(api.recorder.of("/org"))


# Statuses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error", "code"),
    [
        ("invalid_token", AuthError, "INVALID_TOKEN"),
        ("scope_mismatch", AuthError, "OAUTH_SCOPE_MISMATCH"),
        ("no_permission", AuthError, "NO_PERMISSION"),
        ("wrong_address", AuthError, "INVALID_URL_PATTERN"),
        ("too_many", RateLimited, "TOO_MANY_REQUESTS"),
        ("syntax_error", RejectedError, "SYNTAX_ERROR"),
        ("discrete_limit", RejectedError, "DISCRETE_PAGINATION_LIMIT_EXCEEDED"),
        ("invalid_module", RejectedError, "INVALID_MODULE"),
        ("internal", TransientError, "INTERNAL_ERROR"),
    ],
)
def test_what_a_code_means(payload: Callable[[str], Any], name: str, error: type[ConnectorError], code: str) -> None:
    said = classify(_view(payload(name)))
    assert type(said) is error
    assert code == said.code


@pytest.mark.parametrize("name", ["tag_duplicate", "upsert", "add_tags_partial", "token"])
def test_rows_are_not_classified_by_the_status(payload: Callable[[str], Any], name: str) -> None:
    """Quirk 21: a 400 with rows is read row by row."""
    assert classify(_view(payload(name))) is None


@pytest.mark.parametrize(("status", "text"), [(500, "<html>"), (404, "<html>"), (400, "[]"), (403, "{}"), (200, "")])
def test_what_is_not_zohos_is_left_to_the_table(status: int, text: str) -> None:
    assert classify(ResponseView(status, {}, text, "GET", "/crm/v8/org", NOW)) is None


def test_a_404_with_a_code_is_no_wrong_data_centre() -> None:
    view = ResponseView(404, {}, '{"code": "INVALID_DATA"}', "GET", "/crm/v8/Contacts/1", NOW)
    assert type(classify(view)) is NotFoundError


def test_429_waits_ten_seconds_unless_told(payload: Callable[[str], Any]) -> None:
    """Quirk 7: it names neither a time nor which of the limits it is."""
    said, told = classify(_view(payload("too_many"))), classify(_view(payload("too_many"), **{"retry-after": "7"}))
    assert isinstance(said, RateLimited)
    assert isinstance(told, RateLimited)
    assert (10.0, None) == (said.retry_after_s, told.retry_after_s)


@pytest.mark.parametrize("header", ["x-api-credits-remaining", "x-ratelimit-remaining"])
def test_used_up_credits_are_a_pause_where_a_header_says_so(payload: Callable[[str], Any], header: str) -> None:
    """Quirk 7: unconfirmed headers, read where they are there."""
    said = classify(_view(payload("too_many"), **{header: "0"}))
    assert isinstance(said, QuotaExhausted)
    assert NOW + timedelta(hours=1) == said.resume_at


@pytest.mark.parametrize("headers", [False, True])
def test_used_up_credits_end_a_pull(org: Callable[..., Any], headers: bool) -> None:
    """Quirk 7: with the header at once, without it after a few patient tries."""
    api = org(rate_factor=1, credits=1, credit_headers=headers)
    account(api)

    with pytest.raises(QuotaExhausted if headers else RateLimited):
        account(api)
    assert (1 if headers else 5) == len(api.recorder.of("/org")) - 1
    assert ([] if headers else [10.0] * 4) == api.slept


def test_the_limits_are_the_smallest_paid_editions(org: Callable[..., Any]) -> None:
    """Quirks 7 and 22: 50,000 credits in 24 hours, five requests at once; each request of ours is one credit."""
    (credits,) = [limit for limit in MANIFEST.limits if limit.per_s == 86_400]
    assert (50_000, ("/crm/*",)) == (credits.amount, credits.paths)
    assert 5 == min(limit.concurrency for limit in MANIFEST.limits if limit.concurrency)
    api = org()
    api.sandbox.load("people", [contact(1)])
    list(check(api))
    assert api.sandbox.credits_spent == len([one for one in api.recorder.seen if one["path"].startswith("/crm/")])


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/crm/v8/Contacts", "ZohoCRM.modules.contacts.READ"),
        ("/crm/v8/Leads/deleted", "ZohoCRM.modules.leads.READ"),
        ("/crm/v8/Contacts/actions/add_tags", "ZohoCRM.modules.contacts.ALL"),
        ("/crm/v8/Contacts/upsert", "ZohoCRM.modules.contacts.ALL"),
        ("/crm/v8/settings/fields", "ZohoCRM.settings.fields.READ"),
        ("/crm/v8/settings/tags", "ZohoCRM.settings.tags.ALL"),
        ("/crm/v8/coql", "ZohoCRM.coql.READ"),
        ("/crm/v8/org", "ZohoCRM.org.READ"),
    ],
)
def test_the_scope_of_a_request(path: str, scope: str) -> None:
    assert scope == scope_of(path)
    assert scope in SCOPES or scope.replace(".READ", ".ALL") in SCOPES


# Check and account ---------------------------------------------------------------------------------------------------


def test_check_names_the_organisation_and_what_it_may(org: Callable[..., Any]) -> None:
    steps = _steps(org())

    assert {Result.PASSED} == {step.result for name, step in steps.items() if name != "write tags"}
    assert "Example AB" in steps["authenticate"].detail
    assert "without Email_9" in _steps(org({"email_fields": ["Email_9"]}))["read contacts"].detail


@pytest.mark.parametrize(
    ("lacking", "step", "scope", "result"),
    [
        ("org.READ", "authenticate", "ZohoCRM.org.READ", Result.FAILED),
        ("modules.contacts.READ", "read contacts", "ZohoCRM.modules.contacts.READ", Result.FAILED),
        ("modules.leads.READ", "read leads", "ZohoCRM.modules.leads.READ", Result.SKIPPED),
        ("coql.READ", "find people", "ZohoCRM.coql.READ", Result.SKIPPED),
        ("settings.tags.ALL", "read tags", "ZohoCRM.settings.tags.ALL", Result.SKIPPED),
    ],
)
def test_check_says_which_scope_is_missing(
    org: Callable[..., Any], lacking: str, step: str, scope: str, result: Result
) -> None:
    api = org()
    api.sandbox.lacking.add(lacking)

    found = _steps(api)[step]

    assert result is found.result
    assert scope in f"{found.detail} {found.remedy}"


@pytest.mark.parametrize("said", ["invalid_client", "invalid_code"])
def test_check_tells_a_wrong_data_centre(fake_api: Callable[..., Any], respx_mock: Any, said: str) -> None:
    """Quirk 24: there the client, or its token, is unknown; at status 200."""
    respx_mock.post("https://accounts.zoho.in/oauth/v2/token").respond(200, json={"error": said})
    steps = _steps(fake_api("zoho_crm", _settings(data_centre="in")))

    assert Result.PASSED is steps["reach"].result
    assert Result.FAILED is steps["authenticate"].result
    assert said in steps["authenticate"].detail
    assert "data_centre = 'in'" in steps["authenticate"].remedy
    assert Result.SKIPPED is steps["read contacts"].result


@pytest.mark.parametrize("name", ["wrong_address", "invalid_token"])
def test_check_tells_a_wrong_environment(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Callable[[str], Any], name: str
) -> None:
    """Quirk 24: a production token at a sandbox's host."""
    token, told = payload("token")["response"]["body"], payload(name)["response"]
    respx_mock.post("https://accounts.zoho.eu/oauth/v2/token").respond(json=token)
    respx_mock.get("https://sandbox.zohoapis.eu/crm/v8/org").respond(told["status"], json=told["body"])

    step = _steps(fake_api("zoho_crm", _settings(environment="sandbox")))["authenticate"]

    assert Result.FAILED is step.result
    assert told["body"]["code"] in step.detail
    assert "environment = 'sandbox'" in step.remedy


@pytest.mark.parametrize(
    ("code", "told"),
    [("RECORD_LOCKED", "RECORD_LOCKED"), (None, ""), ("", ""), ("1000.8cb9access", "UNKNOWN"), ("ann@example.com", "UNKNOWN")],
)
def test_a_code_that_is_none_is_not_repeated(code: str | None, told: str) -> None:
    """Reasons are kept in the store: what is not spelled like a code may be an echo of a token or an address."""
    assert told == code_of({"code": code})


@pytest.mark.parametrize("world", ["sandbox", "developer"])
def test_a_token_of_a_sandbox_is_not_taken_for_the_live_one(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Callable[[str], Any], world: str
) -> None:
    """Quirk 24: where the token comes with that world's host, it never inherits the live organisation's ledger."""
    token = payload("token")["response"]["body"] | {"api_domain": f"https://{world}.zohoapis.eu"}
    respx_mock.post("https://accounts.zoho.eu/oauth/v2/token").respond(json=token)
    org = {"id": "77", "company_name": "Example AB"}
    respx_mock.get(f"https://{world}.zohoapis.eu/crm/v8/org").respond(json={"org": [org]})
    api = fake_api("zoho_crm", _settings())

    with pytest.raises(ConfigError, match=f"the organisation's {world}"):
        account(api)
    step = _steps(api)["authenticate"]
    assert Result.FAILED is step.result
    assert f'environment = "{world}"' in step.detail


def test_check_tells_a_host_that_is_away(fake_api: Callable[..., Any], respx_mock: Any) -> None:
    respx_mock.post("https://accounts.zoho.eu/oauth/v2/token").mock(side_effect=httpx.ConnectError("away"))

    steps = _steps(fake_api("zoho_crm", _settings()))

    assert Result.FAILED is steps["reach"].result
    assert Result.SKIPPED is steps["authenticate"].result


def test_the_account_is_the_organisation_and_its_world(org: Callable[..., Any]) -> None:
    """Quirk 13: a sandbox never inherits the ledger of production, whatever its id is."""
    assert "4150868000000000225" == account(org())
    assert "4150868000000000225/sandbox" == account(org({"environment": "sandbox"}))


@pytest.mark.parametrize("body", [None, {}, {"org": []}, {"org": [{}]}])
def test_an_organisation_without_an_id_is_no_account(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Callable[[str], Any], body: Any
) -> None:
    """Quirk 13: the shape is not in the documents at hand."""
    respx_mock.post("https://accounts.zoho.eu/oauth/v2/token").respond(json=payload("token")["response"]["body"])
    respx_mock.get("https://www.zohoapis.eu/crm/v8/org").respond(204 if body is None else 200, json=body)

    with pytest.raises(ProtocolError):
        account(fake_api("zoho_crm", _settings()))

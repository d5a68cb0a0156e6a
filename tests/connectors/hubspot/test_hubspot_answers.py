"""What refusals mean, which account a token is for, and what `check` says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.hubspot import MANIFEST, Settings, account, auth, check, classify
from connectors.hubspot.sandbox import SCOPES
from core.contract import Bearer, Fault, ResponseView, Result
from core.errors import (
    AuthError,
    ConfigError,
    QuotaExhausted,
    RateLimited,
    TransientError,
)

DETAILS = "https://api.hubapi.com/account-info/2026-03/details"


NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


def _view(status: int, text: str = "", **headers: str) -> ResponseView:
    return ResponseView(status, {name.replace("_", "-"): value for name, value in headers.items()}, text, "GET", "/x", NOW)


@pytest.mark.parametrize(
    ("policy", "headers", "wait_s"),
    [
        ('"TEN_SECONDLY_ROLLING"', {}, 10.0),
        ('"SECONDLY"', {}, 1.0),
        ('"SOMETHING_NEW"', {}, 10.0),
        ("null", {}, 10.0),
        ('"SECONDLY"', {"retry_after": "7"}, 7.0),
    ],
)
def test_too_many_requests_are_waited_for_by_the_policy(policy: str, headers: dict[str, str], wait_s: float) -> None:
    """Quirk 19: no Retry-After is documented; where there is one it is obeyed."""
    error = classify(_view(429, f'{{"policyName": {policy}}}', **headers))

    assert isinstance(error, RateLimited)
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize("text", ["", "<html>slow down</html>", "[]", '"DAILY"'])
def test_a_429_that_is_no_json_is_still_one(text: str) -> None:
    error = classify(_view(429, text))

    assert isinstance(error, RateLimited)


def test_the_wait_is_really_slept(fake_api: Callable[..., Any], respx_mock: Any, payload: Callable[[str], Any]) -> None:
    api = fake_api("hubspot", {"token": "pat-x"})
    slow, fine = payload("too_many_rolling")["response"], payload("account_details")["response"]
    route = respx_mock.get(DETAILS)
    route.side_effect = [_response(slow), _response(fine)]

    assert account(api) == "123456"
    assert api.slept[0] == 10.0
    assert route.call_count == 2


def test_the_days_allowance_used_up_is_a_pause_to_the_next_full_hour(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Callable[[str], Any]
) -> None:
    """Quirk 19: it is given back at midnight where the portal is, which is a full hour somewhere in the next twenty-four."""
    api = fake_api("hubspot", {"token": "pat-x"})
    route = respx_mock.get(DETAILS)
    route.side_effect = [_response(payload("too_many_daily")["response"])]

    with pytest.raises(QuotaExhausted) as caught:
        account(api)

    assert caught.value.resume_at == datetime(2026, 3, 2, 13, tzinfo=UTC)
    with pytest.raises(QuotaExhausted):
        account(api)
    assert route.call_count == 1


def test_an_account_on_the_move_is_a_pause_as_long_as_the_vendor_says() -> None:
    """Quirk 20: 477 is no client's error; the move may take a day."""
    at = "Mon, 02 Mar 2026 12:00:00 GMT"
    told, untold = classify(_view(477, "", retry_after="7200", date=at)), classify(_view(477, "", date=at))

    assert isinstance(told, QuotaExhausted)
    assert isinstance(untold, QuotaExhausted)
    assert told.resume_at == datetime(2026, 3, 2, 14, tzinfo=UTC)
    assert untold.resume_at == datetime(2026, 3, 2, 13, tzinfo=UTC)


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}])
def test_without_a_date_the_pause_counts_from_the_one_clock(date: dict[str, str]) -> None:
    """Not from the machine's: a connector has no clock of its own."""
    moved, used_up = classify(_view(477, "", retry_after="60", **date)), classify(_view(429, '{"policyName": "DAILY"}', **date))

    assert isinstance(moved, QuotaExhausted)
    assert isinstance(used_up, QuotaExhausted)
    assert (NOW + timedelta(seconds=60), datetime(2026, 3, 2, 13, tzinfo=UTC)) == (moved.resume_at, used_up.resume_at)


def test_a_locked_record_is_tried_again_after_two_seconds() -> None:
    error = classify(_view(423, "{}"))

    assert isinstance(error, TransientError)
    assert not error.maybe_acted
    assert error.retry_after_s == 2.0


@pytest.mark.parametrize("status", [200, 207, 400, 401, 404, 409, 414, 500, 502, 521, 523, 524])
def test_everything_else_is_left_to_the_table(status: int) -> None:
    assert classify(_view(status, '{"category": "VALIDATION_ERROR"}')) is None


def test_lacking_scopes_are_named(payload: Callable[[str], Any]) -> None:
    import json

    error = classify(_view(403, json.dumps(payload("scopes_missing")["response"]["body"])))

    assert isinstance(error, AuthError)
    assert "crm.lists.read, crm.lists.write" in str(error)


@pytest.mark.parametrize(
    "body", ['{"category":"MISSING_SCOPES"}', '{"category":"MISSING_SCOPES","errors":[3,{"context":[]}],"context":"x"}']
)
def test_scopes_that_are_not_named_do_no_harm(body: str) -> None:
    assert isinstance(classify(_view(403, body)), AuthError)


def test_a_token_of_either_kind_is_a_bearer() -> None:
    signed = auth(Settings(token="pat-eu1-x"))

    assert isinstance(signed, Bearer)
    assert "pat-eu1-x" not in repr(signed)


def test_the_limits_are_those_of_the_smallest_plan() -> None:
    general, search = MANIFEST.limits

    assert (general.amount, general.per_s, general.paths) == (100, 10, ())
    assert (search.amount, search.per_s, search.paths) == (5, 1, ("*/search",))


def test_the_account_is_the_portal(portal: Callable[..., Any]) -> None:
    assert account(portal(portal_id=4711)) == "4711"


def test_a_token_that_may_not_ask_for_its_account_needs_the_setting(portal: Callable[..., Any]) -> None:
    """Quirk 18: the vendor's page names the scope `oauth`, and service keys have no such one to tick."""
    scopes = SCOPES - {"oauth"}

    assert account(portal({"portal_id": 4711}, scopes=scopes)) == "4711"
    with pytest.raises(ConfigError, match="portal_id"):
        account(portal(scopes=scopes))


def test_a_setting_that_names_another_account_is_an_error(portal: Callable[..., Any]) -> None:
    """A ledger must not pass from one account to another because somebody swapped a token."""
    with pytest.raises(ConfigError, match="4712"):
        account(portal({"portal_id": "4712"}, portal_id=4711))


def test_a_wrong_token_is_an_auth_error_even_with_the_setting(portal: Callable[..., Any]) -> None:
    with pytest.raises(AuthError):
        account(portal({"portal_id": "4711", "token": "wrong"}))


def _steps(api: Any) -> dict[str, Result]:
    return {step.name: step.result for step in check(api)}


def test_check_passes_step_by_step_and_writes_nothing(portal: Callable[..., Any]) -> None:
    api = portal()

    assert _steps(api) == {
        "reach": Result.PASSED,
        "authenticate": Result.PASSED,
        "account": Result.PASSED,
        "read contacts": Result.PASSED,
        "read companies": Result.PASSED,
        "read deals": Result.PASSED,
        "read lists": Result.PASSED,
        "write lists": Result.SKIPPED,
    }
    assert not api.sandbox.writes


def test_check_says_when_the_token_is_wrong(portal: Callable[..., Any]) -> None:
    steps = list(check(portal({"token": "wrong"})))

    assert [(step.name, step.result) for step in steps] == [("reach", Result.PASSED), ("authenticate", Result.FAILED)]
    assert steps[-1].remedy
    assert "wrong" not in steps[-1].detail.split()


def test_check_says_when_the_vendor_is_out_of_reach(portal: Callable[..., Any]) -> None:
    api = portal()
    api.served.faults = lambda _method, _path, _number: Fault(503, {}, b"{}")

    steps = list(check(api))

    assert [(step.name, step.result) for step in steps] == [("reach", Result.FAILED)]
    assert steps[0].remedy


def test_check_names_what_is_not_permitted(portal: Callable[..., Any]) -> None:
    """Contacts are what everything rests on; companies, deals and lists may be left out on purpose."""
    lacking = {"crm.objects.contacts.read", "crm.objects.deals.read", "crm.schemas.companies.read", "crm.lists.read"}
    steps = {step.name: step for step in check(portal(scopes=SCOPES - lacking))}

    assert steps["read contacts"].result is Result.FAILED
    for name in ("read companies", "read deals", "read lists"):
        assert steps[name].result is Result.SKIPPED
    for name in ("contacts", "companies", "deals"):
        assert f"crm.objects.{name}.read" in steps[f"read {name}"].remedy


def test_check_finds_misspelled_properties(portal: Callable[..., Any]) -> None:
    api = portal({"properties": {"contacts": ["num_notes", "nummer_notes"]}, "user_id_property": "app_uesr"})

    step = next(step for step in check(api) if step.name == "read contacts")

    assert step.result is Result.FAILED
    assert step.detail == "no such property: app_uesr, nummer_notes"


def test_check_without_the_account_says_which_setting(portal: Callable[..., Any]) -> None:
    step = next(step for step in check(portal(scopes=SCOPES - {"oauth"})) if step.name == "account")

    assert step.result is Result.FAILED
    assert "portal_id" in step.remedy


def _response(recorded: dict[str, Any]) -> Any:
    import httpx

    return httpx.Response(recorded["status"], headers=recorded["headers"], json=recorded["body"])


def test_check_during_a_pause_is_no_failure(portal: Callable[..., Any]) -> None:
    assert _steps(portal(daily=0)) == {"reach": Result.PASSED, "authenticate": Result.SKIPPED}
    assert set(_steps(portal(daily=3)).values()) == {Result.PASSED, Result.SKIPPED}

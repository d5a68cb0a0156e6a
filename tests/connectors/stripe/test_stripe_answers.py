"""What refusals mean, whose account it is, and what `check` finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.stripe import account as account_of
from connectors.stripe import check, classify
from connectors.stripe.sandbox import StripeSandbox
from core.contract import CheckStep, ResponseView, Result
from core.errors import (
    AuthError,
    ConfigError,
    ConnectorError,
    NotFoundError,
    RateLimited,
    RejectedError,
    TransientError,
)

BASE = "https://api.stripe.com/v1"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTINGS = {"key": "rk_test_canary", "account_id": "acct_1"}
Payload = Callable[[str], httpx.Response]


def view(status: int, body: object = None, path: str = "/customers", **headers: str) -> ResponseView:
    error = {"error": {"type": "invalid_request_error", "message": "Secret words about ann@example.com"}}
    text = body if isinstance(body, str) else json.dumps(error if body is None else body)
    return ResponseView(status, {name.replace("_", "-"): value for name, value in headers.items()}, text, "GET", path, NOW)


def coded(code: str) -> dict[str, Any]:
    return {"error": {"type": "invalid_request_error", "code": code, "message": "Secret words about ann@example.com"}}


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        pytest.param(view(200, {"id": "cus_1", "deleted": True}), None, id="a stub of a deleted one is an answer"),
        pytest.param(view(400, coded("parameter_unknown")), RejectedError, id="400"),
        pytest.param(view(401), AuthError, id="401"),
        pytest.param(view(402, coded("card_declined")), RejectedError, id="402"),
        pytest.param(view(403), AuthError, id="403"),
        pytest.param(view(404, coded("resource_missing")), NotFoundError, id="404"),
        pytest.param(view(409, coded("idempotency_key_in_use")), TransientError, id="409"),
        pytest.param(view(429, stripe_rate_limited_reason="global-rate"), RateLimited, id="429"),
        pytest.param(view(429, coded("lock_timeout")), RateLimited, id="429, an object's lock"),
        pytest.param(view(500), None, id="500 is the core's to judge"),
        pytest.param(view(400, stripe_should_retry="true"), TransientError, id="their word to retry a 400"),
        pytest.param(view(500, stripe_should_retry="false"), RejectedError, id="their word not to retry a 500"),
        pytest.param(view(429, stripe_should_retry="false"), RejectedError, id="their word not to retry a 429"),
        pytest.param(view(403, stripe_should_retry="true"), AuthError, id="a permission does not come by waiting"),
        pytest.param(view(404, "<html>not ours</html>"), None, id="HTML is not Stripe's word"),
        pytest.param(view(400, ["error"]), None, id="nor is a list"),
        pytest.param(view(400, {"error": "no"}), None, id="nor an error of another shape"),
    ],
)
def test_says_what_a_refusal_means(response: ResponseView, kind: type[ConnectorError] | None) -> None:
    """Quirk 18 among them: Stripe-Should-Retry goes before our table."""
    error = classify(response)

    assert (None if error is None else type(error)) is kind
    assert error is None or "ann@example.com" not in str(error)


def test_names_the_permission_that_a_restricted_key_lacks(payload: Payload) -> None:
    """Quirk 19."""
    answer = payload("error_403")
    error = classify(ResponseView(403, answer.headers, answer.text, "GET", "/refunds", NOW))

    assert "Read on Charges and Refunds (rak_charge_read)" in str(error)
    assert "acct_1" not in str(error)
    assert error is not None
    assert error.request_id == "req_1"


def test_waits_longer_each_time_where_stripe_says_to_slow_down(
    respx_mock: Any, payload: Payload, fake_api: Callable[..., Any]
) -> None:
    """Quirk 20: there is no Retry-After; a lock is waited for likewise."""
    slow, locked = payload("error_429"), payload("error_lock_timeout")
    route = respx_mock.get(f"{BASE}/customers").mock(side_effect=[slow, locked, slow, payload("customers")])
    api = fake_api("stripe", SETTINGS)

    body = api.get("/customers", limit=1)

    assert len(body["data"]) == 3
    assert route.call_count == 4
    waits = [wait for wait in api.slept if wait > 0.15]
    assert len(waits) == 3


def test_asks_ten_times_a_second(account: Any) -> None:
    """A tenth of the account's allowance, and below what one endpoint permits."""
    for _ in range(50):
        account.get("/customers", limit=1)

    assert 3.0 < sum(account.slept) <= 5.0


def test_says_why_it_was_slowed_down() -> None:
    error = classify(view(429, coded("rate_limit"), stripe_rate_limited_reason="endpoint-concurrency"))

    assert error is not None
    assert error.code == "endpoint-concurrency"


def test_the_account_is_the_one_stated_and_the_keys_mode(sandbox_api: Callable[..., Any]) -> None:
    """A test key swapped for a live one is another account, which the core refuses."""
    sandbox = StripeSandbox(rate_factor=None)

    assert account_of(sandbox_api("stripe", sandbox)) == "acct_sandbox/test"
    assert not sandbox.requests

    live = StripeSandbox(key="rk_live_sandbox", rate_factor=None)
    assert account_of(sandbox_api("stripe", live)) == "acct_sandbox/live"


def test_a_secret_key_may_ask_whose_it_is(sandbox_api: Callable[..., Any]) -> None:
    sandbox = StripeSandbox(key="sk_test_sandbox", account="acct_told", rate_factor=None)

    assert account_of(sandbox_api("stripe", sandbox, account_id=None)) == "acct_told/test"


def test_a_restricted_key_needs_the_account_in_the_config(sandbox_api: Callable[..., Any]) -> None:
    """Quirk 19."""
    with pytest.raises(ConfigError, match="account_id"):
        account_of(sandbox_api("stripe", StripeSandbox(rate_factor=None), account_id=None))


@pytest.mark.parametrize("key", ["pk_test_1", "whsec_1", "rk_1", "sk_org_live_1", "nonsense"])
def test_a_key_of_another_sort_is_a_config_error(sandbox_api: Callable[..., Any], key: str) -> None:
    with pytest.raises(ConfigError, match="rk_live_") as found:
        account_of(sandbox_api("stripe", StripeSandbox(rate_factor=None), key=key))

    assert key not in str(found.value)


def steps(api: Any) -> dict[str, CheckStep]:
    return {step.name: step for step in check(api)}


def test_check_passes_a_good_key(account: Any, sandbox: StripeSandbox) -> None:
    found = steps(account)

    assert {name for name, step in found.items() if step.result is not Result.PASSED} == {"account"}
    assert found["account"].result is Result.SKIPPED  # a restricted key may not ask
    assert not sandbox.writes


@pytest.mark.parametrize(
    ("resource", "permission"),
    [("customers", "Customers"), ("refunds", "Charges and Refunds"), ("coupons", "Coupons"), ("events", "Events")],
)
def test_check_names_a_missing_permission(account: Any, sandbox: StripeSandbox, resource: str, permission: str) -> None:
    """Quirk 19: a key that lacks one is good for the rest."""
    sandbox.denied = {resource}

    found = steps(account)

    failed = {name: step for name, step in found.items() if step.result is Result.FAILED}
    assert list(failed) == [f"read {resource}"]
    assert f"Read on {permission}" in failed[f"read {resource}"].remedy


def test_check_warns_of_a_secret_key(sandbox_api: Callable[..., Any]) -> None:
    api = sandbox_api("stripe", StripeSandbox(key="sk_test_sandbox", rate_factor=None))

    found = steps(api)

    assert "warning" in found["least privilege"].detail
    assert "restricted key" in found["least privilege"].remedy
    assert found["account"].result is Result.PASSED


def test_check_finds_a_key_of_another_account(sandbox_api: Callable[..., Any]) -> None:
    sandbox = StripeSandbox(key="sk_test_sandbox", rate_factor=None)

    found = steps(sandbox_api("stripe", sandbox, account_id="acct_other"))

    assert found["account"].result is Result.FAILED


def test_check_stops_at_a_wrong_key(sandbox_api: Callable[..., Any]) -> None:
    found = steps(sandbox_api("stripe", StripeSandbox(rate_factor=None), key="rk_test_wrong"))

    assert {name: step.result for name, step in found.items()} == {
        "reach": Result.PASSED,
        "authenticate": Result.FAILED,
    }


def test_check_says_that_stripe_cannot_be_reached(respx_mock: Any, fake_api: Callable[..., Any]) -> None:
    respx_mock.get(f"{BASE}/customers").mock(side_effect=httpx.ConnectError("no"))

    found = steps(fake_api("stripe", SETTINGS))

    assert {name: step.result for name, step in found.items()} == {"reach": Result.FAILED}

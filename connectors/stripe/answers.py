"""What Stripe's refusals mean (`classify`), and whether a key is good for what is asked of it (`check`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.stripe.lists import mode
from core.contract import Api, CheckStep, ResponseView, Result
from core.errors import (
    AuthError,
    ConfigError,
    ConnectorError,
    NotFoundError,
    RateLimited,
    RejectedError,
    TransientError,
)

PERMISSIONS = {
    "customers": "Customers",
    "subscriptions": "Subscriptions",
    "subscription_items": "Subscriptions",
    "invoices": "Invoices",
    "invoice_payments": "Invoices",
    "credit_notes": "Credit notes",
    "refunds": "Charges and Refunds",
    "prices": "Prices",
    "products": "Products",
    "coupons": "Coupons",
    "events": "Events",
    "account": "Accounts (rarely given to a restricted key)",
}
"""What a resource's permission is called where restricted keys are made."""

_NEEDED = re.compile(r"'(rak_[a-z_]+)'")


def classify(response: ResponseView) -> ConnectorError | None:
    """Return what a refusal means; None leaves it to the core's table of statuses (successes, 5xx, anything not Stripe's)."""
    if response.status < 400:
        return None
    body = response.json()
    error: Mapping[str, Any] = body.get("error") or {} if isinstance(body, Mapping) else {}
    if not isinstance(error, Mapping) or not error:
        return None
    code = str(error.get("code") or error.get("type"))
    facts: dict[str, Any] = {"status": response.status, "code": code, "request_id": response.headers.get("request-id")}
    again = response.headers.get("stripe-should-retry")  # their word goes before our table
    match response.status:
        case 401:
            return AuthError("the Stripe key is wrong, revoked or expired; make a new restricted key", **facts)
        case 403:
            return AuthError(_lacks(response.path, str(error.get("message", ""))), **facts)
        case _ if again == "false":
            return RejectedError("Stripe refused the request and says that asking again is of no use", **facts)
        case 429:  # also an object's lock (lock_timeout), which has no Stripe-Rate-Limited-Reason
            facts["code"] = response.headers.get("stripe-rate-limited-reason") or code
            return RateLimited("Stripe asks for fewer requests", **facts)
        case 404:
            return NotFoundError("Stripe has no such object", **facts)
        case 409:
            return TransientError("another request to Stripe is under way with the same object", maybe_acted=False, **facts)
        case status if status < 500 and again == "true":
            return TransientError("Stripe could not answer and says to ask again", **facts)
        case status if status < 500:
            return RejectedError("Stripe refused the request", **facts)
    return None


def _lacks(path: str, message: str) -> str:
    """Name the permission; of the vendor's text only its own word for it is repeated."""
    resource = next((part for part in path.split("/") if part in PERMISSIONS), "")
    word = _NEEDED.search(message)
    named = PERMISSIONS.get(resource, "the resource asked for") + (f" ({word[1]})" if word else "")
    return f"the restricted key lacks a permission: give it Read on {named} in the Stripe dashboard"


def check(api: Api) -> Iterator[CheckStep]:
    """Yield: reach, authenticate, the kind of key, the account, and the permission of each resource."""
    try:
        which = mode(api)
    except ConfigError as error:
        yield CheckStep("key", Result.FAILED, detail=str(error), remedy="Copy the whole key from the Stripe dashboard.")
        return
    failure = _refusal(api, "/customers")
    if failure is not None and not isinstance(failure, AuthError):
        yield CheckStep("reach", Result.FAILED, detail=str(failure), remedy="See status.stripe.com and the base_url setting.")
        return
    yield CheckStep("reach", Result.PASSED)
    if failure is not None and failure.status == 401:
        yield CheckStep("authenticate", Result.FAILED, detail=str(failure), remedy="Make a new restricted key.")
        return
    yield CheckStep("authenticate", Result.PASSED, detail=f"a {which} key")
    yield _kind_of_key(api)
    yield _account(api)
    for resource, permission in PERMISSIONS.items():
        if resource not in {"account", "subscription_items"}:
            yield _permission(api, resource, permission)


def _refusal(api: Api, path: str) -> ConnectorError | None:
    try:
        api.get(path, limit=1)
    except ConnectorError as error:
        return error
    return None


def _kind_of_key(api: Api) -> CheckStep:
    if api.settings.key.get_secret_value().startswith("sk_"):
        return CheckStep(
            "least privilege",
            Result.PASSED,
            detail="warning: this secret key can do anything in the account",
            remedy="Make a restricted key with read permissions only and use that.",
        )
    return CheckStep("least privilege", Result.PASSED, detail="a restricted key")


def _account(api: Api) -> CheckStep:
    stated = api.settings.account_id
    try:
        told = str(api.get("/account")["id"])
    except AuthError as error:
        if stated is not None:
            return CheckStep("account", Result.SKIPPED, detail=f"the key may not read its account; taken to be {stated}")
        return CheckStep("account", Result.FAILED, detail=str(error), remedy='Set account_id = "acct_..." in the connection.')
    except ConnectorError as error:
        return CheckStep("account", Result.FAILED, detail=str(error), remedy="Try again later.")
    if stated is not None and stated != told:
        return CheckStep("account", Result.FAILED, detail=f"the key is of {told}", remedy="Correct account_id, or the key.")
    return CheckStep("account", Result.PASSED, detail=told)


def _permission(api: Api, resource: str, permission: str) -> CheckStep:
    failure = _refusal(api, f"/{resource}")
    if failure is None:
        return CheckStep(f"read {resource}", Result.PASSED)
    remedy = f"Give the restricted key Read on {permission}." if isinstance(failure, AuthError) else "Try again later."
    return CheckStep(f"read {resource}", Result.FAILED, detail=str(failure), remedy=remedy)

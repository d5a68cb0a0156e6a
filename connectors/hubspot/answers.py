"""
What HubSpot's refusals mean, where the status alone does not say: which limit, which scopes, an account on the move.

Everything else is left to the core's table of statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from core.contract import ResponseView
from core.errors import AuthError, ConnectorError, QuotaExhausted, RateLimited

ROLLING_WAIT_S: Final = 10.0
"""The rolling limit's window; the answer names no time (Quirk 19)."""
SECONDLY_WAIT_S: Final = 1.0
LOCKED_WAIT_S: Final = 2.0
MIGRATION_WAIT_S: Final = 3_600.0
"""Between two questions to an account on the move whose answer names no time (Quirk 20)."""


def classify(response: ResponseView) -> ConnectorError | None:
    """Tell apart what the statuses alone do not: which limit was reached, which scopes are lacking, a portal on the move."""
    body = response.json() if response.status >= 400 else None
    told = body if isinstance(body, dict) else {}
    match response.status:
        case 429:
            return _too_many(response, str(told.get("policyName") or ""))
        case 477:  # Quirk 20
            wait_s = _seconds(response.headers.get("retry-after")) or MIGRATION_WAIT_S
            until = _vendor_time(response) + timedelta(seconds=wait_s)
            return QuotaExhausted("HubSpot is moving this account to another data centre", resume_at=until, status=477)
        case 423:
            return RateLimited("the record is locked", retry_after_s=LOCKED_WAIT_S, status=423)
        case 403 if told.get("category") == "MISSING_SCOPES":
            scopes = ", ".join(_scopes(told)) or "a scope"
            return AuthError(f"the token lacks {scopes}; grant it in HubSpot", status=403, code="MISSING_SCOPES")
        case _:
            return None


def _too_many(response: ResponseView, policy: str) -> ConnectorError:
    if policy == "DAILY":  # Quirk 19: midnight where the portal is, which is some full hour here
        now = _vendor_time(response)
        until = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return QuotaExhausted("the account's requests of the day are used up", resume_at=until, status=429, code=policy)
    wait_s = _seconds(response.headers.get("retry-after"))
    if wait_s is None:
        wait_s = SECONDLY_WAIT_S if policy == "SECONDLY" else ROLLING_WAIT_S
    return RateLimited("too many requests", retry_after_s=wait_s, status=429, code=policy or None)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.strip().isdecimal() else None


def _vendor_time(response: ResponseView) -> datetime:
    """Return the time of the answer by the vendor's clock, where it tells it."""
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return response.now


def _scopes(body: Mapping[str, object]) -> list[str]:
    contexts = [body.get("context"), *(e.get("context") for e in _dicts(body.get("errors")))]
    named = [context.get("requiredGranularScopes") for context in _dicts(contexts)]
    return [str(scope) for scopes in named if isinstance(scopes, list) for scope in scopes]


def _dicts(values: object) -> list[dict[str, object]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []

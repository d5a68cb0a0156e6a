"""What Google's refusals mean, which quota is used up, and when to leave the rest to others."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.google_analytics.vendor import SCOPE
from core.contract import ResponseView
from core.errors import AuthError, ConnectorError, QuotaExhausted, RateLimited, RejectedError

SHARE_LEFT: Final = 0.1
"""What we leave of each quota: when it is used up, the customer's own dashboards stop too (Quirk 5)."""
TOKENS: Final = {"tokensPerDay": 200_000, "tokensPerHour": 40_000, "tokensPerProjectPerHour": 14_000}
"""Of a standard property; DOCS/quotas. A 360 property has ten times as many, of which we leave less."""
BUSY_S: Final = 5.0
_PACIFIC: Final = ZoneInfo("America/Los_Angeles")  # UNCONFIRMED: where a day of the quota ends


def classify(response: ResponseView) -> ConnectorError | None:
    """Tell apart what statuses do not: which quota, which permission, which part of a request."""
    if response.status not in (400, 403, 429):
        return None
    error = (response.json() or {}).get("error")
    if not isinstance(error, dict):  # the token server's own shape, or no answer of this API's
        return None
    status, said = str(error.get("status")), str(error.get("message")).lower()
    match response.status, status:
        case 429, _:
            return _too_much(said, response.now)
        case 403, "PERMISSION_DENIED" if "has not been used" in said or "disabled" in said:
            return AuthError("the Google Analytics Data API is not enabled in the key's Cloud project", code="API_DISABLED")
        case 403, "PERMISSION_DENIED" if "scope" in said:
            return AuthError(f"the sign-in does not permit {SCOPE}: sign in again and leave it ticked", code="missing scope")
        case 403, "PERMISSION_DENIED":
            return AuthError("the account that signs in is no Viewer of the property", code=status)
        case 400, _:
            return RejectedError("Google cannot make this report: see user_dimension and metrics", code=status)
    return None


def _too_much(said: str, now: datetime) -> ConnectorError:
    if "concurrent" in said:
        return RateLimited("too many reports at once", retry_after_s=BUSY_S)
    if "day" in said or "daily" in said:
        return QuotaExhausted("the property's tokens of the day are used up", resume_at=_next_day(now))
    return QuotaExhausted("the property's tokens of the hour are used up", resume_at=_next_hour(now))


def rest_until(response: ResponseView, settings: Any) -> datetime | None:
    """Return when to go on after an answer that says that little is left of a quota."""
    if '"propertyQuota"' not in response.text:  # a body that tells of none is not parsed for it
        return None
    quota = (response.json() or {}).get("propertyQuota") or {}
    until = [
        _next_day(response.now) if name.endswith("Day") else _next_hour(response.now)
        for name, most in TOKENS.items()
        if (left := (quota.get(name) or {}).get("remaining")) is not None and left < most * SHARE_LEFT
    ]
    return max(until, default=None)


def _next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _next_day(now: datetime) -> datetime:
    there = now.astimezone(_PACIFIC)
    return datetime.combine(there.date() + timedelta(days=1), time.min, _PACIFIC).astimezone(now.tzinfo)

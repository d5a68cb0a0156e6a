"""
What Salesforce's refusals mean: an array of codes in the body says more than the status. And how much of the day is used.

Everything else is left to the core's table of statuses.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from core.contract import Quota, ResponseView
from core.errors import AuthError, ConnectorError, NotFoundError, QuotaExhausted, RateLimited, RejectedError, TransientError

PAUSE: Final = timedelta(minutes=15)
"""How long to leave an org alone whose requests are used up: the window rolls over 24 hours, and no answer names a time."""
CONCURRENT_WAIT_S: Final = 30.0
"""How long to wait where too many long requests run at once."""
LOCKED_WAIT_S: Final = 5.0

_USED: Final = re.compile(r"(?<!per-app-)\bapi-usage=(\d+)/(\d+)")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,60}")
_PERMISSION: Final = ("API_DISABLED_FOR_ORG", "INSUFFICIENT_ACCESS")


def classify(response: ResponseView) -> ConnectorError | None:
    """Read the code out of a refusal."""
    if response.status < 400:
        return None
    first = _first(response.json())
    code, said = _code(first), str(first.get("message") or "").lower()
    status = response.status
    if code == "REQUEST_LIMIT_EXCEEDED":  # Quirk 14: two limits, one code
        if "concurrent" in said:
            return RateLimited("too many long requests at once", retry_after_s=CONCURRENT_WAIT_S, status=status, code=code)
        until = response.now + PAUSE
        return QuotaExhausted("the org's requests of the last 24 hours are used up", resume_at=until, status=status, code=code)
    if code == "UNABLE_TO_LOCK_ROW":
        return RateLimited("another process holds a record", retry_after_s=LOCKED_WAIT_S, status=status, code=code)
    if code is not None and code.startswith(_PERMISSION):
        return AuthError("the user that we run as lacks a permission; see README.md, Set up", status=status, code=code)
    if status == 410:
        return NotFoundError(
            "Salesforce has retired this version of its API; a newer Tagalong is needed", status=410, code=code
        )
    if status in (401, 403) or code is None:
        return None if code is None else AuthError("Salesforce refused the token", status=status, code=code)
    if status >= 500:
        return TransientError("Salesforce failed", status=status, code=code)
    return NotFoundError("there is no such thing", status=404, code=code) if status == 404 else _refused(status, code)


def _refused(status: int, code: str) -> RejectedError:
    return RejectedError("Salesforce refused the request as it is", status=status, code=code)


def rest_until(response: ResponseView, settings: Any) -> datetime | None:
    """Return until when to leave the org alone after this answer: our share of its requests is used (Quirk 15)."""
    found = _USED.search(response.headers.get("sforce-limit-info", ""))
    if found is None:
        return None
    used, allowed = int(found[1]), int(found[2])
    return response.now + PAUSE if used * 100 >= settings.quota_percent * allowed > 0 else None


def quota(response: ResponseView, settings: Any) -> Quota | None:
    """Return how much is left of our share of the org's requests; the window rolls, so nothing is ever there again at once."""
    found = _USED.search(response.headers.get("sforce-limit-info", ""))
    if found is None:
        return None
    ours = int(found[2]) * settings.quota_percent / 100
    return Quota(ours, max(0.0, ours - int(found[1])))


def _first(body: Any) -> dict[str, Any]:
    """Return the first error of a refusal: REST answers an array, which one day may have several."""
    if isinstance(body, list) and body and isinstance(body[0], dict):
        return body[0]
    return body if isinstance(body, dict) else {}


def _code(error: dict[str, Any]) -> str | None:
    code = error.get("errorCode")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None

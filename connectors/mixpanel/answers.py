"""What Mixpanel's statuses do not say by themselves: a plan, a day in the future, credentials behind a 400, a used-up hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from connectors.mixpanel.vendor import EXPORT, UPDATES
from core.contract import Json, ResponseView
from core.errors import AuthError, ConnectorError, QuotaExhausted, RateLimited, RejectedError

STEP_S: Final = 60.0
"""How long to wait before asking a project again whose limit is used up and that does not say for how long."""
PARK: Final = timedelta(minutes=10)
"""How long to leave the project alone where the answer says that it is the hour's limit."""
_SHORT: Final = 4096
"""Characters of a 200 that may be an error; a page of profiles is not parsed twice."""
_CREDENTIALS: Final = ("credential", "authenticat", "unauthorized", "authoriz", "service account", "api secret", "project_id")


def classify(response: ResponseView) -> ConnectorError | None:
    """Tell apart what the table of statuses would not."""
    if response.path.partition("?")[0].endswith(UPDATES) and "/api/query" not in response.path:
        return _of_update(response)
    said = said_of(response.json()) if response.status != 200 or len(response.text) < _SHORT else ""
    match response.status:
        case 200 if said:
            return RejectedError("the query was answered with an error", code="error")
        case 400 if EXPORT in response.path and "to_date" in said:
            return RejectedError(
                "the last day asked for is in the future for the project: set `timezone` to the project's", code="to_date"
            )
        case 400 if any(word in said for word in _CREDENTIALS):  # Quirk 13
            return AuthError(
                "the credentials were refused: see service_account, secret, project_id and region, and the account's role"
            )
        case 402:
            return RejectedError(
                "the plan has no access to this API; leave its stream out of the connection's `streams`", code="plan"
            )
        case 429 if "retry-after" not in response.headers:  # Quirk 1
            if "hour" in said:
                return QuotaExhausted("the project's hourly limit is used up", resume_at=response.now + PARK)
            return RateLimited("too many requests of this project", retry_after_s=STEP_S)
        case _:
            return None


def _of_update(response: ResponseView) -> ConnectorError | None:
    if response.status in (200, 400) and "token" in said_of(response.json()):
        return AuthError("the project token was refused: copy it from Project Settings > Overview")
    return None


def said_of(body: Json) -> str:
    """Return the error that an answer tells of, in lower case; "" for none. It may quote what was sent, so it is not kept."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    if isinstance(error, str) and error:
        return error.lower()
    return "error" if error or body.get("status") == "error" else ""

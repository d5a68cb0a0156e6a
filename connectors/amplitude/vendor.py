"""Where Amplitude lives and what its statuses do not say: hosts by region, its errors, its times."""

from __future__ import annotations

from typing import Final, Literal

from core.contract import Api, ResponseView
from core.errors import AuthError, ConnectorError, ProtocolError, RateLimited, RejectedError

DOCS: Final = "https://amplitude.com/docs/apis/analytics"

Region = Literal["us", "eu"]
ANALYTICS: Final[dict[Region, str]] = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
"""Export and cohorts. Not `analytics.amplitude.com`, which is the web app."""
INGESTION: Final = {ANALYTICS["us"]: "https://api2.amplitude.com", ANALYTICS["eu"]: "https://api.eu.amplitude.com"}
"""Where users are identified, by the host for the rest."""

EXPORT: Final = "/api/2/export"

THROTTLED_S: Final = 15.0
"""How long to leave a throttled user alone; no Retry-After is documented. DOCS/http-v2"""


def ingestion(api: Api, path: str) -> str:
    """Return the address of *path* at the host for identifying; a base URL of one's own stands for both hosts."""
    base = str(api.settings.base_url).rstrip("/")
    return f"{INGESTION.get(base, base)}{path}"


def classify(response: ResponseView) -> ConnectorError | None:
    """Tell apart what Amplitude's statuses do not."""
    if response.path.endswith("/identify"):
        return _of_ingestion(response)
    if response.status in (401, 403):  # Quirk 12: another region's keys are refused like wrong ones
        return AuthError(
            "api_key and secret_key were refused: they are wrong or revoked, of a project in another region,"
            " or of a plan without this API"
        )
    if response.status == 404 and response.path == EXPORT and response.text.lstrip()[:1] == "{" and response.json() is None:
        return ProtocolError("only the beginning of an answer came: nobody can tell whether there is no data", status=404)
    if response.status == 429 and response.path.startswith("/api/5/"):
        return RateLimited("too many cohort downloads: 60 in 10 minutes and 500 a month are allowed")
    if response.path.startswith("/api/3/") and response.status in (200, 400):
        return _of_cohorts(response)
    return None


def _of_ingestion(response: ResponseView) -> ConnectorError | None:
    if response.status == 400 and "invalid_api_key" in response.text.lower().replace(" ", "_"):  # Quirk 13
        return AuthError("api_key was refused; copy it again from the project's settings, and check the region")
    if response.status == 429:  # Quirk 14
        wait_s = None if "retry-after" in response.headers else THROTTLED_S
        return RateLimited("some users are sent too often", retry_after_s=wait_s)
    return None


def _of_cohorts(response: ResponseView) -> ConnectorError | None:
    """Read the error that a body holds, whatever the status says (Quirk 15)."""
    body = response.json() if '"http_code"' in response.text else None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    code = str(error.get("type") or "")[:60] or None
    status = error.get("http_code")
    if status in (401, 403):
        return AuthError("the keys may not change cohorts; check them and the plan", code=code)
    if status == 429:
        return RateLimited("the cohort is being changed by another request", code=code)
    return RejectedError("the cohort request was refused as it is", status=response.status, code=code)

"""Settings, addresses and the sign-in of Google Analytics. Nothing here asks anybody."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr, field_validator, model_validator

from core.contract import OAuth2, one_way
from core.contract import Settings as BaseSettings
from core.errors import ConfigError, Problem

DOCS: Final = "https://developers.google.com/analytics/devguides/reporting/data/v1"
SCOPE: Final = "https://www.googleapis.com/auth/analytics.readonly"
AUTHORIZE_URL: Final = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"
NOT_ADDITIVE: Final = frozenset(
    {
        *("active1DayUsers", "active7DayUsers", "active28DayUsers", "activeUsers", "dauPerMau", "dauPerWau", "newUsers"),
        *("totalUsers", "wauPerMau"),
    }
)
"""Metrics that may not be summed over days (Quirk 7)."""
MAX_METRICS: Final = 10  # UNCONFIRMED, long-standing
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9]*(:[A-Za-z][A-Za-z0-9_]*)?")


class Settings(BaseSettings):
    """The keys of a `[connections.NAME]` table with `connector = "google_analytics"`."""

    property_id: str
    """Admin > Property details: the number, not the G-... of a data stream."""
    start: date
    """How far back the first pull goes; numbers of a custom dimension begin when it was registered."""
    user_dimension: str
    """Parameter of the user-scoped custom dimension that holds your product's user id (Admin > Custom definitions)."""
    metrics: tuple[str, ...] = ("eventCount",)
    """What is summed a day, for each user and name of event."""
    service_account: SecretStr | None = None
    """The whole JSON key file of a service account: `{ file = "key.json" }`."""
    client_id: str | None = None
    """Of an OAuth client (desktop), for `tagalong connect`."""
    client_secret: SecretStr | None = None
    """Of the same client."""
    refresh_token: SecretStr | None = None
    """One that you have already; `tagalong connect` gets one otherwise."""

    @field_validator("property_id", mode="before")
    @classmethod
    def _a_number(cls, value: object) -> object:
        text = str(value).removeprefix("properties/")
        if not text.isdecimal():
            raise ValueError("the property's number (Admin > Property details), not the G-... or UA-... of a data stream")
        return text

    @field_validator("user_dimension")
    @classmethod
    def _a_parameter(cls, value: str) -> str:
        name = value.removeprefix("customUser:")
        if not _PARAMETER.fullmatch(name):
            raise ValueError("the parameter's name of a user-scoped custom dimension, as in crm_id")
        return name

    @field_validator("metrics")
    @classmethod
    def _may_be_summed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(value) > MAX_METRICS or not all(map(_METRIC.fullmatch, value)):
            raise ValueError(f"one to {MAX_METRICS} metrics by their API names, as in eventCount")
        wrong = [name for name in value if name in NOT_ADDITIVE]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: such a metric of several days is not the sum of the days")
        return value

    @model_validator(mode="after")
    def _signs_in_one_way(self) -> Settings:
        one_way(self, ("service_account",), ("client_id", "client_secret", "refresh_token?"))
        return self


def sign_in(settings: Settings) -> OAuth2:
    """Return how tokens come: DOCS/quickstart. A *base_url* elsewhere than at Google stands for the token server too."""
    if settings.service_account is None:
        return OAuth2(
            _elsewhere(settings, TOKEN_URL),
            client_id=settings.client_id or "",
            client_secret=settings.client_secret,
            refresh_token=settings.refresh_token,
            scopes=(SCOPE,),
            authorize_url=_elsewhere(settings, AUTHORIZE_URL),
            authorize_params={"access_type": "offline", "prompt": "consent"},  # Quirk 9: else a second time gives no token
            revoke_hint="https://myaccount.google.com/connections",
        )
    key = _key_file(settings.service_account)
    return OAuth2(
        _elsewhere(settings, key.get("token_uri") or TOKEN_URL),
        client_id=key["client_email"],
        grant="jwt_bearer",
        private_key=SecretStr(key["private_key"]),
        key_id=key.get("private_key_id"),
        audience=key.get("token_uri") or TOKEN_URL,
        scopes=(SCOPE,),
    )


def _key_file(secret: SecretStr) -> dict[str, Any]:
    try:
        key = json.loads(secret.get_secret_value())
    except ValueError:
        key = None
    if not (isinstance(key, dict) and all(isinstance(key.get(name), str) for name in ("client_email", "private_key"))):
        raise ConfigError(
            Problem(
                "service_account is not the JSON key file of a service account",
                remedy='make one (Google Cloud, IAM, Service accounts, Keys) and write service_account = { file = "key.json" }',
            )
        )
    return key


def _elsewhere(settings: Settings, usual: str) -> str:
    """Return *usual*, or its place at a sandbox or a proxy, which stands for all of Google's hosts."""
    base = urlsplit(settings.base_url or "")
    if not base.hostname or base.hostname.endswith("googleapis.com"):
        return usual
    return urlunsplit((base.scheme, base.netloc, urlsplit(usual).path, "", ""))

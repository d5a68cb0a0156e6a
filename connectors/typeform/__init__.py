"""
Typeform, as a source of surveys: every answer of every form, with its question's text. Nothing is written at Typeform.

The stream is in `responses`, how it walks in `paging`, what questions are called in `forms`, what an answer means and whose it
is in `answers`, what the token is for in `checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from connectors.typeform.answers import Who
from connectors.typeform.checks import account, check
from connectors.typeform.erasure import ERASURE, erase
from connectors.typeform.responses import Responses
from connectors.typeform.vendor import BASES, DOCS, SCOPES, SIGN_IN, Region, scope_for
from core.contract import Auth, Bearer, Category, Limit, Manifest, OAuth2, ResponseView, Stream, one_way
from core.contract import Settings as BaseSettings
from core.errors import AuthError, ConnectorError

__all__ = ["ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "erase", "streams"]

MANIFEST = Manifest(
    name="typeform",
    title="Typeform",
    category=Category.SURVEY,
    base_url=BASES[Region.US],
    hosts=("api.typeform.com", "api.eu.typeform.com", "api.typeform.eu"),
    docs_url=DOCS,
    api_version="none",  # no version in the path, and none to pin
    limits=[Limit(2, per_s=1)],  # an account, forms and responses together. DOCS/get-started/#rate-limits
    checked_on=date(2026, 11, 22),
    scopes=SCOPES,
)


class Settings(BaseSettings):
    """Either a personal access token, or an app's client id and secret."""

    region: Region = Region.US
    """Where the account is: `us`, `eu` (opened before August 2025), `eu2` (opened since)."""
    token: SecretStr | None = None
    """A personal access token (`tfp_...`): Settings > Personal tokens, with the scopes of the README."""
    client_id: str | None = None
    """Of an app of your own, instead of a token."""
    client_secret: SecretStr | None = None
    """Of the same app."""
    refresh_token: SecretStr | None = None
    """Only where one is at hand; `tagalong connect` gets one. It is used up at once, and its successors are kept."""
    account_id: str | None = None
    """Needed only where the token lacks the scope `workspaces:read`; checked where it has it."""
    user_id_fields: tuple[str, ...] = ("user_id",)
    """Hidden fields that hold your product's user id, the best first."""
    email_fields: tuple[str, ...] = ("email",)
    """Hidden fields that hold the person's address, the best first."""
    email_questions: tuple[str, ...] = Field((), description="Refs of the questions that ask for the person's own address.")
    """Left out, a form's question for an address counts if it is the only one of the form."""

    @model_validator(mode="before")
    @classmethod
    def _host_from_region(cls, values: Any) -> Any:
        """Take the base URL from the region, unless it is given."""
        region = str(values.get("region", Region.US)) if isinstance(values, Mapping) else ""
        if region not in set(Region) or values.get("base_url"):
            return values
        return {**values, "base_url": BASES[Region(region)]}

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        one_way(self, ("token",), ("client_id", "client_secret", "refresh_token?"))
        return self


def auth(settings: Settings) -> Auth:
    """Return the token, or OAuth 2 whose refresh token rotates (DOCS/get-started/applications)."""
    if settings.token is not None:
        return Bearer(settings.token)
    derived = settings.base_url in (None, BASES[settings.region])
    server = SIGN_IN[settings.region] if derived else str(settings.base_url).rstrip("/")
    return OAuth2(
        f"{server}/oauth/token",
        client_id=settings.client_id or "",
        client_secret=settings.client_secret,
        refresh_token=settings.refresh_token,
        scopes=(*SCOPES, "offline"),  # without the last there is no refresh token
        authorize_url=f"{server}/oauth/authorize",
        pkce=False,
    )


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the stream of answers."""
    who = Who(settings.user_id_fields, settings.email_fields, settings.email_questions)
    yield Responses(who).stream()


def classify(response: ResponseView) -> ConnectorError | None:
    """Name the scope that is missing; the rest is as the statuses say."""
    if response.status == 403:
        scope = scope_for(response.path.partition("?")[0], write=response.method != "GET")
        return AuthError(f"the token lacks the scope {scope}; make one that has it", code="missing scope")
    return None

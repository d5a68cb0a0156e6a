"""
The keys of a `[connections.NAME]` table, and what they make of signing in: for a server, with a certificate, or in a browser.

Every address comes from here: the org's My Domain, else Salesforce's common login host; `base_url` stands for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from core.contract import OAuth2
from core.contract import Settings as BaseSettings

TOKENS: Final = "/services/oauth2/token"
AUTHORIZE: Final = "/services/oauth2/authorize"
SCOPES: Final = ("api", "refresh_token")
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_FIELD: Final = re.compile(r"[A-Za-z]\w{0,120}")


class Settings(BaseSettings):
    """The keys of a `[connections.NAME]` table with `connector = "salesforce"`."""

    client_id: str = Field(description="The consumer key of the External Client App.")
    client_secret: SecretStr | None = Field(None, description="Its consumer secret; needed for client_credentials.")
    sign_in: Literal["client_credentials", "jwt_bearer", "browser"] = Field(
        "client_credentials",
        description="client_credentials for a server, jwt_bearer with a certificate, browser for `tagalong connect`.",
    )
    domain: str | None = Field(
        None, description="My Domain: acme of acme.my.salesforce.com, or acme--uat.sandbox; needed for client_credentials."
    )
    sandbox: bool = Field(False, description="Sign in at test.salesforce.com; told by domain where that is a sandbox's.")
    username: str | None = Field(None, description="jwt_bearer: the user to run as.")
    private_key: SecretStr | None = Field(None, description="jwt_bearer: the PEM key whose certificate the app has.")
    refresh_token: SecretStr | None = Field(None, description="browser: one that you have already; else `tagalong connect`.")
    quota_percent: int = Field(80, ge=1, le=100, description="Pause when the org has used so much of its daily requests.")
    extra_fields: Mapping[Literal["contacts", "leads", "accounts", "opportunities"], tuple[str, ...]] = Field(
        default_factory=dict, description="Fields to read besides the usual ones, by stream: custom ones end with __c."
    )
    user_id_field: str | None = Field(None, description="The Contact field that holds your product's user id.")

    @field_validator("domain")
    @classmethod
    def _is_a_domain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        short = value.strip().lower().removeprefix("https://").rstrip("/").removesuffix(".my.salesforce.com")
        name = short.removesuffix(".sandbox").removesuffix(".develop")
        if not _DOMAIN.fullmatch(name) or name in ("login", "test"):
            raise ValueError("domain is the org's My Domain, as acme of acme.my.salesforce.com, or acme--uat.sandbox")
        return short

    @field_validator("extra_fields", "user_id_field")
    @classmethod
    def _are_fields(cls, value: object) -> object:
        names = [value] if isinstance(value, str) else []
        if isinstance(value, Mapping):
            names = [name for listed in value.values() for name in listed]
        for name in names:
            if not _FIELD.fullmatch(name):
                raise ValueError(f"{name!r} is no field's API name, as in Tier__c")
        return value

    @model_validator(mode="after")
    def _can_sign_in(self) -> Settings:
        """Say what is lacking for the way of signing in, by the names of the keys."""
        lacking = [name for name in _NEEDED[self.sign_in] if getattr(self, name) is None]
        if "domain" in lacking and self.base_url is not None:
            lacking.remove("domain")
        if lacking:
            raise ValueError(f"sign_in = {self.sign_in!r} needs {' and '.join(lacking)}")
        return self

    @property
    def is_sandbox(self) -> bool:
        """Whether the settings speak of a sandbox."""
        return self.sandbox or (self.domain or "").endswith(".sandbox")

    @property
    def common_host(self) -> str:
        """The address at which any org of that sort may sign in."""
        return "https://test.salesforce.com" if self.is_sandbox else "https://login.salesforce.com"

    @property
    def login(self) -> str:
        """The address to sign in at."""
        own = f"https://{self.domain}.my.salesforce.com" if self.domain else self.common_host
        return (self.base_url or own).rstrip("/")


_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "client_credentials": ("client_secret", "domain"),  # login. and test. refuse it (Quirk 22)
    "jwt_bearer": ("username", "private_key"),
    "browser": (),
}


def auth(settings: Settings) -> OAuth2:
    """Every way gives a bearer token and the org's own address, and no word of how long the token lives (Quirk 23)."""
    where = settings.login + TOKENS
    match settings.sign_in:
        case "client_credentials":
            return OAuth2(
                where, client_id=settings.client_id, client_secret=settings.client_secret, grant="client_credentials",
                base_url_key="instance_url",
            )  # fmt: skip
        case "jwt_bearer":
            return OAuth2(
                where, client_id=settings.client_id, grant="jwt_bearer", private_key=settings.private_key,
                subject=settings.username, audience=settings.common_host, base_url_key="instance_url",
            )  # fmt: skip
        case "browser":
            return OAuth2(
                where, client_id=settings.client_id, client_secret=settings.client_secret, grant="refresh",
                refresh_token=settings.refresh_token, base_url_key="instance_url",
                authorize_url=settings.login + AUTHORIZE, scopes=SCOPES,
            )  # fmt: skip

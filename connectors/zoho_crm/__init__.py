"""
Zoho CRM: contacts, leads, accounts and deals are pulled, tags are pushed.

Modules are read in `objects`, what records mean is in `mapping`, tags are in `tags`, who is who there in `people`, refusals and
checks in `answers`, hosts and sizes in `vendor`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, model_validator

from connectors.zoho_crm import mapping
from connectors.zoho_crm.answers import SCOPES, account, check, classify
from connectors.zoho_crm.mapping import ACCOUNTS, CONTACTS, DEALS, LEADS, Module
from connectors.zoho_crm.objects import LOOKBACK, pull_module
from connectors.zoho_crm.tags import AUDIENCES
from connectors.zoho_crm.vendor import API_VERSION, DATA_CENTRES, DOCS, HOSTS
from core.contract import Api, Category, Deletions, Erasure, Kind, Limit, Manifest, OAuth2, Page, Pick, Stream
from core.contract import Settings as BaseSettings

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "streams"]

CREDITS: Final = Limit(50_000, per_s=86_400, paths=("/crm/*",))
"""Of the smallest paid edition; every request of ours costs one (Quirk 7). api-limits.html"""
PACE: Final = Limit(50, per_s=1, concurrency=5)
"""Zoho states no rate, only ten to 25 requests at once for the organisation and app; we take five (Quirk 22)."""
FULL_EVERY: Final = timedelta(days=7)
"""How often all is read again: some deletions and restorations are told nowhere (Quirk 8)."""
TOKEN_WAIT_S: Final = 660.0
"""How long to stay away from the token endpoint when it was asked too often: ten minutes, and one (Quirk 16)."""

MANIFEST = Manifest(
    name="zoho_crm",
    title="Zoho CRM",
    category=Category.CRM,
    base_url="",  # the token answer names the data centre's
    hosts=HOSTS,
    docs_url=f"{DOCS}/",
    api_version=API_VERSION,
    limits=(PACE, CREDITS),
    checked_on=date(2026, 11, 21),
    scopes=SCOPES,
)

ERASURE = Erasure(
    "deletes the contact or lead",
    docs_url=MANIFEST.docs_url,
    by_hand="the record > More > Delete, then the recycle bin; or Setup > Compliance settings > the person's request",
)
"""By hand alone: a person does it in the vendor's own pages."""

FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
"""An API name; it becomes part of queries."""


class Settings(BaseSettings):
    """The keys of a `[connections.NAME]` table with `connector = "zoho_crm"`."""

    client_id: str = Field(min_length=1, description="Of a Self Client or server-based client, made in the API console.")
    client_secret: SecretStr
    """Of the same client."""
    refresh_token: SecretStr | None = Field(None, description="A Self Client's; without it `tagalong connect` gets one.")
    data_centre: Literal["us", "eu", "in", "au", "cn", "jp", "ca", "sa"] = Field(
        description="Where the organisation lives: the ending of the address at which you use Zoho CRM (crm.zoho.eu is eu)."
    )
    environment: Literal["production", "sandbox", "developer"] = Field(
        "production", description="Which of the organisation's worlds the refresh token is for."
    )
    leads: bool = Field(True, description="Whether leads are read and tagged, besides contacts.")
    email_fields: tuple[FieldName, ...] = Field(
        ("Secondary_Email",), description="Fields of contacts and leads that hold further addresses of the person."
    )
    user_id_field: FieldName | None = Field(None, description="The field of contacts and leads with your product's user id.")

    @model_validator(mode="before")
    @classmethod
    def _host_of_a_sandbox(cls, values: Any) -> Any:
        """Set the base URL of a sandbox or developer organisation; the token answer's is only relied on for production."""
        if not isinstance(values, dict) or values.get("base_url") or values.get("environment") not in ("sandbox", "developer"):
            return values
        centre = DATA_CENTRES.get(str(values.get("data_centre")))
        return {**values, "base_url": f"https://{values['environment']}.{centre.api}"} if centre else values


def accounts_url(settings: Settings) -> str:
    """Return where tokens come from: the data centre's accounts host; a *base_url* elsewhere stands for that too."""
    host = urlsplit(settings.base_url or "").hostname
    if settings.base_url and not any(host == api or f"{host}".endswith(f".{api}") for _, api in DATA_CENTRES.values()):
        return settings.base_url.rstrip("/")
    return f"https://{DATA_CENTRES[settings.data_centre].accounts}"


def auth(settings: Settings) -> OAuth2:
    """OAuth 2, whose access token goes by a scheme of Zoho's own; the answer names the API's host (accounts/protocol/oauth)."""
    accounts = accounts_url(settings)
    return OAuth2(
        f"{accounts}/oauth/v2/token",
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        refresh_token=settings.refresh_token,
        scopes=tuple(SCOPES),
        scope_separator=",",
        scheme="Zoho-oauthtoken",
        base_url_key="api_domain",
        busy_errors={"Access Denied": TOKEN_WAIT_S},
        authorize_url=f"{accounts}/oauth/v2/auth",
        authorize_params={"access_type": "offline", "prompt": "consent"},  # without them there is no refresh token
        pkce=False,  # no page of Zoho's says that a challenge is taken
        token_host_param="accounts-server",  # noqa: S106 - a parameter's name
        revoke_hint=f"{accounts}: Security > Connected Accounts",
    )


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the streams; settings say where further addresses and the product's user id are, and whether leads are read."""
    emails = mapping.addresses(("Email", *settings.email_fields))
    people: dict[str, Pick] = {"email": emails}
    if settings.user_id_field:
        people["user_id"] = settings.user_id_field
    yield _stream(
        "contacts", CONTACTS, Kind.PROFILE, rows=mapping.contact_rows,
        identifiers={**people, "contact_id": "id", "company_id": "Account_Name.id"},
    )  # fmt: skip
    if settings.leads:
        yield _stream("leads", LEADS, Kind.PROFILE, rows=mapping.lead_rows, identifiers={**people, "lead_id": "id"})
    yield _stream(
        "accounts",
        ACCOUNTS,
        Kind.COMPANY,
        identifiers={"company_domain": "Website", "company_id": "id"},
        fields={
            "name": "Account_Name",
            "domain": "Website",
            "industry": "Industry",
            "employees": "Employees",
            "revenue": "Annual_Revenue",
            "country": "Billing_Country",
            "created_at": "Created_Time",
        },
    )
    yield _stream(
        "deals",
        DEALS,
        Kind.DEAL,
        identifiers={"contact_id": "Contact_Name.id", "company_id": "Account_Name.id"},
        fields={
            "stage": "Stage", "won": mapping.won, "amount": mapping.amount, "currency": "currency",
            "closed_at": mapping.closed_at,
        },
    )  # fmt: skip


def _stream(name: str, of: Module, kind: Kind, **options: Any) -> Stream:
    def pull(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
        return pull_module(api, of, cursor, resume)

    return Stream(
        name,
        kind,
        pull=pull,
        key="id",
        order="asc",
        lookback=LOOKBACK,
        deletions=Deletions.FEED,
        full_every=FULL_EVERY,
        **options,
    )

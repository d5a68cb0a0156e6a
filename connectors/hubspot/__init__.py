"""
HubSpot, a CRM: contacts, companies and deals are pulled, static lists are pushed.

Objects are read in `objects`, what they mean is in `mapping`, lists are in `lists`, refusals in `answers`, what the token is
for and may do in `checks`, paths and sizes in `vendor`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.hubspot import mapping, vendor
from connectors.hubspot.answers import classify
from connectors.hubspot.checks import account, check
from connectors.hubspot.erasure import ERASURE, erase
from connectors.hubspot.lists import AUDIENCES
from connectors.hubspot.mapping import COMPANIES, CONTACTS, DEALS, ObjectType
from connectors.hubspot.objects import pull_objects
from core.contract import (
    Api,
    Bearer,
    Category,
    Deletions,
    Kind,
    Limit,
    Manifest,
    OAuth2,
    Page,
    Pick,
    Stream,
    one_way,
)
from core.contract import Settings as BaseSettings

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "erase", "streams"]

GENERAL: Final = Limit(100, per_s=10)  # the smallest plan's burst, per app; usage-guidelines
SEARCH: Final = Limit(5, per_s=1, paths=("*/search",))  # per account, all object types together; usage-guidelines
LOOKBACK: Final = timedelta(minutes=60)
"""How much is read again each time, for what the search index had not got yet (Quirk 4)."""
FULL_EVERY: Final = timedelta(days=7)
"""How often all is read again: a record forgotten under the GDPR leaves no trace but its absence (Quirk 9)."""

MANIFEST = Manifest(
    name="hubspot",
    title="HubSpot",
    category=Category.CRM,
    base_url="https://api.hubapi.com",
    hosts=("hubapi.com",),
    docs_url="https://developers.hubspot.com/docs/api-reference",
    api_version=vendor.API_VERSION,
    limits=(GENERAL, SEARCH),
    checked_on=date(2026, 11, 21),
    scopes={
        **{
            f"crm.{what}.{of}.read": f"to pull {of}"
            for of in ("contacts", "companies", "deals")
            for what in ("objects", "schemas")
        },
        "crm.lists.read": "to push lists",
        "crm.lists.write": "to push lists",
        "crm.objects.contacts.write": "to create contacts, where a sync says create_missing = true",
    },
)


class Settings(BaseSettings):
    """The keys of a `[connections.NAME]` table with `connector = "hubspot"`."""

    token: SecretStr | None = Field(None, description="A service key, or the token of an existing private app.")
    client_id: str | None = Field(
        None, description="Instead of token: the id of an app of your own at HubSpot, for `tagalong connect`."
    )
    client_secret: SecretStr | None = Field(None, description="The app's secret.")
    refresh_token: SecretStr | None = Field(None, description="Where there is one already; else `tagalong connect` gets it.")
    portal_id: str | None = Field(
        None, description="The account's id (Hub ID). Needed only where HubSpot will not tell it; checked where it will."
    )
    properties: Mapping[Literal["contacts", "companies", "deals"], tuple[str, ...]] = Field(
        default_factory=dict,
        description="HubSpot's own properties to read besides the usual ones, by stream; '*' is all. Your own are always read.",
    )
    user_id_property: str | None = Field(None, description="The contact property that holds your product's user id.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        one_way(self, ("token",), ("client_id", "client_secret", "refresh_token?"))
        return self

    @field_validator("portal_id", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def auth(settings: Settings) -> Bearer | OAuth2:
    """Both kinds of static token are sent alike; an app's token comes from signing in (Quirk 25)."""
    if settings.token is not None:
        return Bearer(settings.token)
    return OAuth2(
        (settings.base_url or MANIFEST.base_url).rstrip("/") + vendor.path("oauth", "token"),
        client_id=settings.client_id or "",
        client_secret=settings.client_secret,
        refresh_token=settings.refresh_token,
        scopes=vendor.SCOPES,
        authorize_url=(settings.base_url or vendor.APP_URL).rstrip("/") + "/oauth/authorize",
        authorize_params={"optional_scope": " ".join(vendor.OPTIONAL_SCOPES)},
        revoke_hint="Settings > Integrations > Connected Apps > the app > Actions > Uninstall",
    )


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the three streams; a setting may say which contact property is the product's user id."""
    people: dict[str, Pick] = {"email": mapping.emails, "contact_id": "id", "company_id": mapping.associated_company}
    if settings.user_id_property:
        people["user_id"] = f"properties.{settings.user_id_property}"
    yield _stream(
        CONTACTS,
        Kind.PROFILE,
        identifiers=people,
        fields={
            "email": "properties.email",
            "first_name": "properties.firstname",
            "last_name": "properties.lastname",
            "phone": mapping.phone,
            "country": "properties.country",
            "language": "properties.hs_language",
            "job_title": "properties.jobtitle",
            "created_at": "properties.createdate",
            "lifecycle_stage": "properties.lifecyclestage",
            "owner": "properties.hubspot_owner_id",
        },
    )
    yield _stream(
        COMPANIES,
        Kind.COMPANY,
        identifiers={"company_domain": mapping.domains, "company_id": "id"},
        fields={
            "name": "properties.name",
            "domain": "properties.domain",
            "industry": "properties.industry",
            "employees": mapping.employees,
            "revenue": "properties.annualrevenue",
            "country": "properties.country",
            "created_at": "properties.createdate",
        },
    )
    yield _stream(
        DEALS,
        Kind.DEAL,
        identifiers={"contact_id": "contact_id", "company_id": "company_id"},
        fields={
            "stage": "stage",
            "won": "properties.hs_is_closed_won",
            "amount": mapping.amount,
            "currency": "currency",
            "closed_at": mapping.closed_at,
        },
    )


def _stream(of: ObjectType, kind: Kind, *, identifiers: Mapping[str, Pick], fields: Mapping[str, Pick]) -> Stream:
    def pull(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
        return pull_objects(api, of, cursor, resume)

    return Stream(
        of.name,
        kind,
        pull=pull,
        key="id",
        order="any",  # pages go by id within a window, so the cursor holds only at the end
        identifiers=identifiers,
        lookback=LOOKBACK,
        deletions=Deletions.ABSENCE,  # and pages name the archived ones, so most are seen at once
        full_every=FULL_EVERY,
        fields=fields,
        columns=mapping.flat,
    )

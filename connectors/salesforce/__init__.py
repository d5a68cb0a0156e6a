"""
Salesforce, a CRM: contacts, leads, accounts and opportunities are pulled, members of campaigns are pushed.

Objects are read in `pull`, what they mean is in `mapping`; campaigns are in `campaigns`, their members in `members` and, by the
thousand, in `jobs`. `settings` signs in, `answers` reads refusals, `checks` says what the token may do, `vendor` where to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from connectors.salesforce import mapping, vendor
from connectors.salesforce.answers import classify, quota, rest_until
from connectors.salesforce.campaigns import AUDIENCES
from connectors.salesforce.checks import account, check
from connectors.salesforce.mapping import ACCOUNTS, CONTACTS, LEADS, OPPORTUNITIES, ObjectType
from connectors.salesforce.pull import pull_objects
from connectors.salesforce.settings import Settings, auth
from core.contract import Api, Category, Deletions, Erasure, Kind, Limit, Manifest, Page, Pick, Stream

__all__ = [
    "AUDIENCES", "ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "quota", "rest_until", "streams",
]  # fmt: skip

LOOKBACK: Final = timedelta(minutes=10)
"""How much is read again each time: a row's stamp is older than the moment at which its transaction shows it (Quirk 1)."""
FULL_EVERY: Final = timedelta(days=7)
"""How often all is read again: what was purged leaves no trace, and formulas change without a stamp (Quirks 2, 10)."""

MANIFEST = Manifest(
    name="salesforce",
    title="Salesforce",
    category=Category.CRM,
    base_url="",  # comes with the token: instance_url
    hosts=("salesforce.com",),
    docs_url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/",
    api_version=vendor.API_VERSION,
    # a pace of ours: the org's allowance is by the day (Quirk 15), and at most five long requests at once in a developer's org
    limits=(Limit(25, per_s=1, concurrency=5),),
    checked_on=date(2026, 11, 21),
)

ERASURE = Erasure(
    "deletes the contact, lead or person account",
    docs_url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/",
    by_hand="the record > Delete, then empty it from the recycle bin; or mask it, where what hangs on it must stay",
)
"""By hand alone: a person does it in the vendor's own pages."""


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the four streams; a setting may say which contact field is the product's user id."""
    people: dict[str, Pick] = {"email": "Email", "contact_id": "Id", "company_id": mapping.employer}
    if settings.user_id_field:
        people["user_id"] = settings.user_id_field
    yield _stream(CONTACTS, Kind.PROFILE, people)
    # a converted lead is its contact (Quirk 9)
    yield _stream(LEADS, Kind.PROFILE, {"email": mapping.lead_email, "lead_id": "Id", "contact_id": "ConvertedContactId"})
    yield _stream(ACCOUNTS, Kind.COMPANY, {"company_domain": mapping.domain, "company_id": mapping.company_id})
    yield _stream(
        OPPORTUNITIES,
        Kind.DEAL,
        {"contact_id": "ContactId", "company_id": "AccountId"},
        {
            "stage": "StageName",
            "won": "IsWon",
            "amount": mapping.amount,
            "currency": "CurrencyIsoCode",
            "closed_at": mapping.closed_at,
        },
    )


def _stream(of: ObjectType, kind: Kind, identifiers: Mapping[str, Pick], fields: Mapping[str, Pick] | None = None) -> Stream:
    def pull(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
        return pull_objects(api, of, cursor, resume)

    return Stream(
        of.name,
        kind,
        pull=pull,
        key="Id",
        order="any",  # a query job has no order, so the cursor holds only at the end
        identifiers=identifiers,
        lookback=LOOKBACK,
        deletions=Deletions.ABSENCE,  # and pages name the deleted ones of the last 15 days, so most are seen at once
        full_every=FULL_EVERY,
        fields=fields or {},
        rows=mapping.ROWS.get(of.name),
    )

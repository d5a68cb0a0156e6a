"""
What a Salesforce record says, as plain values. Pure: nothing here reaches the vendor.

A query answers in JSON and a query job in CSV; `cast` makes the same of both, so a record does not change with the way it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from core.contract import Amount, Kind, Money, Record, Row, midnight, parse_time

ALWAYS: Final = ("Id", "SystemModstamp", "IsDeleted")
"""Fields that every token may see and that reading rests on."""


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One kind of object: the stream's name, the vendor's, and what is read of it without being asked for."""

    name: str
    sobject: str
    fields: tuple[str, ...]


CONTACTS: Final = ObjectType(
    "contacts",
    "Contact",
    (
        "MasterRecordId", "FirstName", "LastName", "Email", "AccountId", "Phone", "MobilePhone", "Title", "Department",
        "HasOptedOutOfEmail", "MailingCountry", "LeadSource", "OwnerId", "IsPersonAccount", "CreatedDate",
    ),
)  # fmt: skip
LEADS: Final = ObjectType(
    "leads",
    "Lead",
    (
        "MasterRecordId", "FirstName", "LastName", "Email", "Company", "Status", "Phone", "MobilePhone", "Title", "Country",
        "HasOptedOutOfEmail", "LeadSource", "Rating", "OwnerId", "IsConverted", "ConvertedContactId", "ConvertedAccountId",
        "CreatedDate",
    ),
)  # fmt: skip
ACCOUNTS: Final = ObjectType(
    "accounts",
    "Account",
    (
        "MasterRecordId", "Name", "Website", "Industry", "NumberOfEmployees", "AnnualRevenue", "BillingCountry", "Type",
        "OwnerId", "IsPersonAccount", "CreatedDate",
    ),
)  # fmt: skip
OPPORTUNITIES: Final = ObjectType(
    "opportunities",
    "Opportunity",
    (
        "Name", "Amount", "CurrencyIsoCode", "StageName", "IsClosed", "IsWon", "CloseDate", "AccountId", "ContactId",
        "Probability", "OwnerId", "CreatedDate",
    ),
)  # fmt: skip
TYPES: Final = (CONTACTS, LEADS, ACCOUNTS, OPPORTUNITIES)


def record_of(row: Mapping[str, object], fields: Mapping[str, str]) -> dict[str, object]:
    """Return a row of either kind of answer as our streams hand it on."""
    return {name: cast(row.get(name), type_) for name, type_ in fields.items()}


def cast(value: object, type_: str) -> object:
    """Return a value by its field's type; None for what is empty, in CSV an empty cell."""
    if value is None or value == "":
        return None
    match type_:
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "int" | "long":
            return int(str(value).partition(".")[0])
        case "double" | "currency" | "percent":
            return float(str(value))
        case "datetime":
            return parse_time(value)
        case "date":
            return date.fromisoformat(str(value)[:10])
        case "multipicklist":
            return [part for part in str(value).split(";") if part]
        case _:
            return str(value)


def changed_at(record: Record) -> datetime | None:
    """Return when a record last changed, system jobs included (Quirk 1)."""
    at = record.get("SystemModstamp")
    return at if isinstance(at, datetime) else None


def employer(record: Record) -> object:
    """Return the id of a contact's account; a person account is the person's own and no company (Quirk 11)."""
    return None if record.get("IsPersonAccount") else record.get("AccountId")


def company_id(record: Record) -> object:
    """Return an account's id; None for a person account (Quirk 11)."""
    return None if record.get("IsPersonAccount") else record["Id"]


def domain(record: Record) -> str | None:
    """Return the domain of an account's website, however it was typed."""
    website = record.get("Website")
    if not isinstance(website, str) or record.get("IsPersonAccount"):
        return None
    try:
        host = urlsplit(website if "//" in website else f"//{website}").hostname
    except ValueError:
        return None
    return host.removeprefix("www.") if host and "." in host else None


def lead_email(record: Record) -> object:
    """Return a lead's address; a converted lead has none of its own, it is its contact (Quirk 9)."""
    return None if record.get("IsConverted") else record.get("Email")


def contact_rows(record: Record) -> Iterable[Row]:
    """Return a contact as a profile, and whether it opted out."""
    yield Row(Kind.PROFILE, record["Id"], {**_person(record), "country": record.get("MailingCountry")})
    yield from _consent(record)


def lead_rows(record: Record) -> Iterable[Row]:
    """Return a lead as a profile, and whether it opted out; nothing of a converted one (Quirk 9)."""
    if record.get("IsConverted"):
        return
    yield Row(Kind.PROFILE, record["Id"], {**_person(record), "country": record.get("Country"), "lifecycle_stage": "lead"})
    yield from _consent(record)


def account_rows(record: Record) -> Iterable[Row]:
    """Return an account as a company, unless it is a person."""
    if record.get("IsPersonAccount"):
        return
    values = {
        "name": record.get("Name"), "domain": domain(record), "industry": record.get("Industry"),
        "employees": record.get("NumberOfEmployees"), "revenue": record.get("AnnualRevenue"),
        "country": record.get("BillingCountry"), "created_at": record.get("CreatedDate"),
    }  # fmt: skip
    yield Row(Kind.COMPANY, record["Id"], values)


def amount(record: Record) -> Money | Amount | None:
    """Return an opportunity's amount; only orgs with several currencies say which (Quirk 13)."""
    value, code = record.get("Amount"), record.get("CurrencyIsoCode")
    if value is None:
        return None
    major = Decimal(str(value))
    return Money.of_major(major, code) if isinstance(code, str) else Amount(major)


def closed_at(record: Record) -> datetime | None:
    """Return the day on which an opportunity was closed; of an open one CloseDate is a hope (Quirk 13)."""
    day = record.get("CloseDate")
    return midnight(day) if record.get("IsClosed") and isinstance(day, date) else None


def _person(record: Record) -> dict[str, object]:
    return {
        "email": record.get("Email"), "first_name": record.get("FirstName"), "last_name": record.get("LastName"),
        "phone": record.get("Phone") or record.get("MobilePhone"), "job_title": record.get("Title"),
        "created_at": record.get("CreatedDate"), "owner": record.get("OwnerId"),
    }  # fmt: skip


def _consent(record: Record) -> Iterable[Row]:
    """Nothing where the token may not see the box; an empty box is no opt-in (Quirk 12)."""
    opted_out = record.get("HasOptedOutOfEmail")
    if opted_out is not None:
        values = {"channel": "email", "state": "denied" if opted_out else "unknown", "at": None}
        yield Row(Kind.CONSENT, record["Id"], values)


ROWS: Final[Mapping[str, Callable[[Record], Iterable[Row]]]] = {
    "contacts": contact_rows, "leads": lead_rows, "accounts": account_rows,
}  # fmt: skip

"""
What a HubSpot object says, as plain values. Pure: nothing here reaches the vendor.

Every property arrives as text or null, whatever its type (Quirk 3); the properties API says what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Final

from core.contract import Json, Merge, Money, Record

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SQLITE_INTEGER: Final = 2**63


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One kind of CRM object: its name in paths, its cursor property, what is read of it without being asked for."""

    name: str
    changed: str
    """Contacts say `lastmodifieddate`, everything else `hs_lastmodifieddate` (Quirk 2)."""
    _: KW_ONLY
    properties: tuple[str, ...]
    associations: tuple[str, ...] = ()


CONTACTS: Final = ObjectType(
    "contacts",
    "lastmodifieddate",
    properties=(
        "email", "hs_additional_emails", "hs_merged_object_ids", "firstname", "lastname", "phone", "mobilephone", "country",
        "hs_language", "jobtitle", "company", "associatedcompanyid", "lifecyclestage", "hs_lead_status", "hubspot_owner_id",
        "createdate", "lastmodifieddate", "city", "state", "website", "industry", "hs_email_optout",
    ),
)  # fmt: skip
COMPANIES: Final = ObjectType(
    "companies",
    "hs_lastmodifieddate",
    properties=(
        "name", "domain", "hs_additional_domains", "hs_merged_object_ids", "industry", "numberofemployees", "annualrevenue",
        "country", "city", "lifecyclestage", "type", "hubspot_owner_id", "createdate", "hs_lastmodifieddate",
    ),
)  # fmt: skip
DEALS: Final = ObjectType(
    "deals",
    "hs_lastmodifieddate",
    properties=(
        "dealname", "amount", "dealstage", "pipeline", "closedate", "hs_is_closed", "hs_is_closed_won", "deal_currency_code",
        "dealtype", "hubspot_owner_id", "hs_merged_object_ids", "createdate", "hs_lastmodifieddate",
    ),
    associations=("contacts", "companies"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Property:
    """What the properties API says of one property."""

    name: str
    type: str
    """bool, enumeration, date, datetime, string, number, ..."""
    field_type: str
    custom: bool
    """Made in this portal, not by HubSpot."""


def property_of(definition: Json) -> Property:
    """Return one entry of the properties API."""
    return Property(
        str(definition["name"]),
        str(definition.get("type") or "string"),
        str(definition.get("fieldType") or ""),
        definition.get("hubspotDefined") is not True,
    )


def chosen(known: Iterable[Property], wanted: Sequence[str], extra: Sequence[str]) -> dict[str, Property]:
    """
    Return the properties to read: *wanted* and *extra* as far as the portal has them, and every one made in the portal.

    `*` in *extra* is all of them. One that the portal does not have (any more) is left out: HubSpot would leave it out too.
    """
    names = {*wanted, *extra}
    return {p.name: p for p in sorted(known, key=lambda p: p.name) if p.custom or p.name in names or "*" in names}


def cast(text: object, of: Property) -> object:
    """Return a property's value by its type; None for what is empty or does not fit (a number property can hold junk)."""
    if text is None or text == "":
        return None
    value = str(text).strip()
    match of.type:
        case "number":
            return _number(value)
        case "bool":
            return {"true": True, "false": False}.get(value.lower())
        case "date" | "datetime":
            return moment(value)
        case "enumeration" if of.field_type == "checkbox":
            return several(value)
        case "enumeration" if of.field_type == "booleancheckbox":
            return {"true": True, "false": False}.get(value.lower())
        case _:
            return str(text)


def _number(value: str) -> int | float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    if not isfinite(number):
        return None
    if value.lstrip("+-").isdecimal():
        exact = int(value)
        return exact if -_SQLITE_INTEGER <= exact < _SQLITE_INTEGER else number
    return number


def moment(value: object) -> datetime | None:
    """Return the time that *value* says in ISO 8601 or in milliseconds since 1970 (both occur), aware UTC, or None."""
    text = str(value).strip()
    try:
        if text.lstrip("-").isdecimal():
            return EPOCH + timedelta(milliseconds=int(text))
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def to_ms(at: datetime) -> int:
    """Return milliseconds since 1970, rounded down: what search filters take."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def several(value: object) -> list[str]:
    """Return the parts of a value that holds several (`a;b`, or the list it was already cast to)."""
    parts = value if isinstance(value, list) else str(value or "").split(";")
    return [str(part).strip() for part in parts if str(part).strip()]


def record_of(result: Json, properties: Mapping[str, Property]) -> dict[str, object]:
    """Return an object as our streams hand it on: id, archived, and its properties by their types."""
    raw = result.get("properties") or {}
    return {
        "id": str(result["id"]),  # Quirk 3: text, though it looks like a number
        "properties": {name: cast(raw.get(name), known) for name, known in properties.items()},
    }


def merges(records: Iterable[Record]) -> list[Merge]:
    """Return who was merged into whom; only the winner tells (Quirk 8)."""
    return [
        Merge(loser, record["id"])
        for record in records
        for loser in several(record["properties"].get("hs_merged_object_ids"))
        if loser != record["id"]
    ]


def emails(record: Record) -> list[str]:
    """Return every address of a contact, the primary one first."""
    properties = record["properties"]
    return list(dict.fromkeys([*several(properties.get("email")), *several(properties.get("hs_additional_emails"))]))


def domains(record: Record) -> list[str]:
    """Return every domain of a company, the primary one first."""
    properties = record["properties"]
    return list(dict.fromkeys([*several(properties.get("domain")), *several(properties.get("hs_additional_domains"))]))


def employees(record: Record) -> int | None:
    """Return a company's number of employees, whole: the property takes any number."""
    number = record["properties"].get("numberofemployees")
    return None if number is None else round(number)


def phone(record: Record) -> object:
    """Return a contact's telephone number, else the mobile one."""
    return record["properties"].get("phone") or record["properties"].get("mobilephone")


def associated_company(record: Record) -> str | None:
    """Return the id of a contact's primary company; a number property, so cast to an integer by now."""
    company = record["properties"].get("associatedcompanyid")
    return None if company is None else str(company)


def flat(record: Record) -> dict[str, object]:
    """Return the columns of the landing table: the properties under their own names, then what we added to the record."""
    added = {name: value for name, value in record.items() if name != "properties"}
    return {**record["properties"], **added}


def amount(record: Record) -> Money | None:
    """Return a deal's amount; None without a currency, its own or the portal's."""
    value, code = record["properties"].get("amount"), record.get("currency")
    if value is None or not isinstance(code, str):
        return None
    money = Money.of_major(Decimal(str(value)), code)
    return money if abs(money.minor) < _SQLITE_INTEGER else None


def closed_at(record: Record) -> object:
    """Return when a deal was closed; on an open deal HubSpot's closedate is a hope (Quirk 12)."""
    return record["properties"].get("closedate") if record["properties"].get("hs_is_closed") else None


def lowest(ids: Iterable[object]) -> str | None:
    """Return one id of an association that may be to many, always the same one: the oldest (lowest) record."""
    return min((str(each) for each in ids), key=lambda each: (len(each), each), default=None)

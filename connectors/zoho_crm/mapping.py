"""
What a record of Zoho CRM says, as plain values. Pure: nothing here reaches the vendor.

Field names are each organisation's own: the standard ones listed here are read as far as it has them (Quirk 12).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from core.contract import Amount, Json, Kind, Money, Record, Row, midnight, parse_time

UNREADABLE: Final = frozenset({"subform", "imageupload", "fileupload", "profileimage"})
"""Types of fields that a list of records does not carry."""
_SQLITE_INTEGER: Final = 2**63


@dataclass(frozen=True, slots=True)
class Module:
    """One kind of record, under the API name of its module."""

    name: str
    _: KW_ONLY
    fields: tuple[str, ...]
    """Standard fields worth having, as far as the organisation has them."""


CONTACTS: Final = Module(
    "Contacts",
    fields=(
        "First_Name", "Last_Name", "Email", "Secondary_Email", "Phone", "Mobile", "Account_Name", "Title", "Department",
        "Mailing_City", "Mailing_State", "Mailing_Country", "Lead_Source", "Email_Opt_Out", "Owner", "Tag", "Created_Time",
    ),
)  # fmt: skip
LEADS: Final = Module(
    "Leads",
    fields=(
        "First_Name", "Last_Name", "Email", "Secondary_Email", "Phone", "Mobile", "Company", "Designation", "City", "State",
        "Country", "Industry", "Lead_Source", "Lead_Status", "Email_Opt_Out", "Owner", "Tag", "Created_Time",
    ),
)  # fmt: skip
ACCOUNTS: Final = Module(
    "Accounts",
    fields=(
        "Account_Name", "Website", "Industry", "Annual_Revenue", "Employees", "Billing_City", "Billing_Country", "Phone",
        "Account_Type", "Owner", "Tag", "Created_Time",
    ),
)  # fmt: skip
DEALS: Final = Module(
    "Deals",
    fields=(
        "Deal_Name", "Amount", "Currency", "Stage", "Probability", "Closing_Date", "Account_Name", "Contact_Name", "Pipeline",
        "Type", "Lead_Source", "Owner", "Tag", "Created_Time",
    ),
)  # fmt: skip


def chosen(known: Sequence[Json], wanted: Iterable[str]) -> list[str]:
    """Return the fields to read: *wanted* as far as the organisation has them, and every one of its own."""
    names = set(wanted)
    return [
        name
        for field in known
        if (name := str(field.get("api_name") or ""))
        and (name in names or field.get("custom_field") is True)
        and field.get("data_type") not in UNREADABLE
    ]


def lookup_id(value: Json) -> str | None:
    """Return the id that a lookup field points to: `{name, id}` or null."""
    found = value.get("id") if isinstance(value, dict) else None
    return str(found) if found else None


def tag_names(value: Json) -> list[str]:
    """Return the names of a record's tags, sorted: elements are objects, in some answers plain texts (Quirk 19)."""
    tags = value if isinstance(value, list) else []
    return sorted(str(tag.get("name") if isinstance(tag, dict) else tag) for tag in tags)


def addresses(fields: Sequence[str]) -> Callable[[Record], list[str]]:
    """Return what reads every address of a person from *fields*, the first one first."""

    def emails(record: Record) -> list[str]:
        return list(dict.fromkeys(text for field in fields if isinstance(text := record.get(field), str) and text))

    emails.__qualname__ = f"addresses{list(fields)}"  # the core tells mappings apart by their names
    return emails


def contact_rows(record: Record) -> Iterator[Row]:
    """Return a contact as a profile and a consent."""
    yield from _person(record, country=record.get("Mailing_Country"), job_title=record.get("Title"))


def lead_rows(record: Record) -> Iterator[Row]:
    """Return a lead as a profile and a consent."""
    yield from _person(record, country=record.get("Country"), job_title=record.get("Designation"))


def _person(record: Record, **more: Any) -> Iterator[Row]:
    key = str(record["id"])
    owner = record.get("Owner")
    yield Row(
        Kind.PROFILE,
        key,
        {
            "email": record.get("Email"),
            "first_name": record.get("First_Name"),
            "last_name": record.get("Last_Name"),
            "phone": record.get("Phone") or record.get("Mobile"),
            "created_at": parse_time(record.get("Created_Time")),
            "owner": owner.get("name") if isinstance(owner, dict) else None,
            **more,
        },
    )
    if "Email_Opt_Out" in record:  # Quirk 14: unticked says nothing, so it is no yes
        state = "denied" if record["Email_Opt_Out"] is True else "unknown"
        yield Row(Kind.CONSENT, key, {"channel": "email", "state": state, "at": parse_time(record.get("Modified_Time"))})


def won(record: Record) -> bool | None:
    """Return whether a deal was won (Quirk 15)."""
    probability = record.get("Probability")
    if probability is not None:
        return bool(probability == 100)
    stage = record.get("Stage")
    return stage.casefold() == "closed won" if isinstance(stage, str) else None


def closed_at(record: Record) -> object:
    """Return when a deal was closed; the Closing_Date of an open one is a hope (Quirk 15)."""
    probability, stage = record.get("Probability"), str(record.get("Stage") or "").casefold()
    closed = probability in (0, 100) if probability is not None else stage.startswith("closed")
    day = record.get("Closing_Date")
    try:
        return midnight(date.fromisoformat(str(day))) if closed and day else None
    except ValueError:
        return None


def amount(record: Record) -> Money | Amount | None:
    """Return a deal's amount in its currency, else the organisation's; in the workspace's where neither is known."""
    value, currency = record.get("Amount"), record.get("currency")
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    major = Decimal(str(value))
    if not isinstance(currency, str):
        return Amount(major)
    money = Money.of_major(major, currency)
    return money if abs(money.minor) < _SQLITE_INTEGER else None

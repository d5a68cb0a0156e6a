"""
What the sandbox keeps: records by object and id, as the vendor has them. No HTTP here; `sandbox` serves it.

Neutral ids become ids of 18 characters, whose first three say what they are of, and are known by both. `load` turns the neutral
rows of the demo's world into Contacts, Leads, Accounts and Opportunities; a lead who is to be a contact is converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, Literal

PREFIXES: Final = {
    "Contact": "003", "Lead": "00Q", "Account": "001", "Opportunity": "006", "Campaign": "701", "CampaignMember": "00v",
    "Organization": "00D",
}  # fmt: skip
_AUDIT: Final = "IsDeleted/b OwnerId/r CreatedDate/t SystemModstamp/t LastModifiedDate/t"
_PERSON: Final = "FirstName LastName Email/e Phone MobilePhone Title HasOptedOutOfEmail/b LeadSource MasterRecordId/r"
_SPELLED: Final = {
    "Contact": f"{_PERSON} AccountId/r Department MailingCountry MailingCity MailingAddress/a {_AUDIT}",
    "Lead": (
        f"{_PERSON} Company Status Country Rating IsConverted/b ConvertedContactId/r ConvertedAccountId/r Address/a {_AUDIT}"
    ),
    "Account": (
        "Name Website Industry NumberOfEmployees/i AnnualRevenue/c BillingCountry BillingAddress/a Type MasterRecordId/r "
        f"{_AUDIT}"
    ),
    "Opportunity": f"Name Amount/c StageName IsClosed/b IsWon/b CloseDate/d AccountId/r ContactId/r Probability/p {_AUDIT}",
    "Campaign": f"Name IsActive/b Status {_AUDIT}",
    "CampaignMember": f"CampaignId/r ContactId/r LeadId/r Status HasResponded/b {_AUDIT}",
    "Organization": "Name IsSandbox/b",
}
_TYPES: Final = {
    "": "string", "b": "boolean", "r": "reference", "t": "datetime", "d": "date", "i": "int", "c": "currency", "p": "percent",
    "e": "email", "a": "address",
}  # fmt: skip
_NAMES: Final = {
    "Contact": {
        "email": "Email", "first_name": "FirstName", "last_name": "LastName", "phone": "Phone", "job_title": "Title",
        "country": "MailingCountry",
    },
    "Lead": {
        "email": "Email", "first_name": "FirstName", "last_name": "LastName", "phone": "Phone", "job_title": "Title",
        "country": "Country",
    },
    "Account": {"name": "Name", "industry": "Industry", "employees": "NumberOfEmployees", "country": "BillingCountry"},
    "Opportunity": {"name": "Name", "stage": "StageName", "closed": "IsClosed", "won": "IsWon", "currency": "CurrencyIsoCode"},
}  # fmt: skip
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Contact": {"HasOptedOutOfEmail": False, "LastName": "Unknown"},
    "Lead": {
        "HasOptedOutOfEmail": False, "LastName": "Unknown", "Company": "[not provided]", "Status": "Open - Not Contacted",
        "IsConverted": False,
    },
    "Opportunity": {"IsClosed": False, "IsWon": False, "CloseDate": "2026-12-31"},
    "CampaignMember": {"Status": "Sent", "HasResponded": False},
}  # fmt: skip
Conversion = Literal["both", "contact", "new_row"]
"""What becomes of a lead's membership when the lead is converted; no page settles it."""


class State:
    """An org's records."""

    def __init__(self, now: Callable[[], datetime], conversion: Conversion, currencies: bool) -> None:
        self.now, self.conversion = now, conversion
        self.fields: dict[str, dict[str, str]] = {name: _spelled(name) for name in _SPELLED}
        if currencies:
            self.fields["Opportunity"]["CurrencyIsoCode"] = "picklist"
        self.records: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in _SPELLED}
        self.neutral: dict[str, str] = {}
        self._serial = 0

    def id_of(self, sobject: str, neutral: str) -> str:
        """Return the vendor's id of a neutral one; the same in every org."""
        short = neutral.rjust(12, "0") if neutral.isalnum() and neutral.isascii() and len(neutral) <= 12 else _digest(neutral)
        id_ = _whole(PREFIXES[sobject] + short)
        if self.neutral.setdefault(id_, neutral) != neutral:
            raise ValueError(f"{neutral!r} and {self.neutral[id_]!r} would have one id")
        return id_

    def make(self, sobject: str, values: Mapping[str, Any], id_: str | None = None) -> dict[str, Any]:
        """Insert a record with an id of its own, or the one given."""
        if id_ is None:
            self._serial += 1
            id_ = _whole(f"{PREFIXES[sobject]}xx{self._serial:010d}")
        now = self.now()
        record = {
            "IsDeleted": False, "OwnerId": _whole("005000000000001"), "CreatedDate": now, **_DEFAULTS.get(sobject, {}),
            **values, "Id": id_,
        }  # fmt: skip
        self.records[sobject][id_] = record
        self.stamp(record)
        return record

    def stamp(self, record: dict[str, Any], at: datetime | None = None) -> None:
        """Note a change; a stamp has whole seconds."""
        record["SystemModstamp"] = record["LastModifiedDate"] = (at or self.now()).astimezone(UTC).replace(microsecond=0)

    def live(self, sobject: str, id_: object) -> dict[str, Any] | None:
        record = self.records[sobject].get(str(id_))
        return None if record is None or record["IsDeleted"] else record

    # The neutral rows

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or change objects; KeyError for what an org does not have."""
        load = {"people": self._person, "companies": self._company, "deals": self._deal}[what]
        for row in rows:
            load(row)

    def _person(self, row: Mapping[str, Any]) -> None:
        neutral = str(row["id"])
        contact, lead = (self.records[of].get(self.id_of(of, neutral)) for of in ("Contact", "Lead"))
        now_lead = row.get("lifecycle_stage", "lead" if lead else None) == "lead" and not row.get("company_id")
        if contact is None and now_lead:
            self._put("Lead", row, {})
            return
        account = {"AccountId": self.id_of("Account", str(row["company_id"])) if row.get("company_id") else None}
        if contact is None and lead is not None and not lead["IsConverted"]:
            self._convert(lead, self._put("Contact", {**_back("Lead", lead), **row}, account)["Id"])
            return
        self._put("Contact", row, account if "company_id" in row else {})

    def _convert(self, lead: dict[str, Any], contact: str) -> None:
        lead |= {"IsConverted": True, "Status": "Closed - Converted", "ConvertedContactId": contact}
        self.stamp(lead)
        for row in [r for r in self.records["CampaignMember"].values() if r.get("LeadId") == lead["Id"] and not r["IsDeleted"]]:
            if self.conversion == "new_row":
                row["IsDeleted"] = True
                self.make("CampaignMember", {"CampaignId": row["CampaignId"], "ContactId": contact})
            else:
                row["ContactId"] = contact
                row["LeadId"] = lead["Id"] if self.conversion == "both" else None

    def _company(self, row: Mapping[str, Any]) -> None:
        website = {"Website": f"https://www.{row['domain']}/" if row["domain"] else None} if "domain" in row else {}
        self._put("Account", row, website)

    def _deal(self, row: Mapping[str, Any]) -> None:
        more: dict[str, Any] = {}
        if "amount" in row:
            more["Amount"] = None if row["amount"] is None else float(row["amount"])
        if row.get("closed_at"):
            more["CloseDate"] = row["closed_at"].date().isoformat()
        if "company_id" in row:
            more["AccountId"] = self.id_of("Account", str(row["company_id"])) if row["company_id"] else None
        if row.get("contact_ids"):
            more["ContactId"] = self.id_of("Contact", str(row["contact_ids"][0]))
        self._put("Opportunity", row, more)

    def _put(self, sobject: str, row: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
        id_ = self.id_of(sobject, str(row["id"]))
        values = {_NAMES[sobject][key]: value for key, value in row.items() if key in _NAMES[sobject]}
        values = {name: value for name, value in values.items() if name in self.fields[sobject]} | dict(more)
        for name, value in (row.get("extra") or {}).items():
            field = name if name in self.fields[sobject] else f"{name}__c"
            self.fields[sobject].setdefault(field, _type(value))
            values[field] = value
        record = self.records[sobject].get(id_) or self.make(sobject, {}, id_)
        record |= {name: value for name, value in values.items() if value is not None or name not in ("LastName", "CloseDate")}
        record["IsDeleted"] = False
        record["CreatedDate"] = row.get("created_at") or record["CreatedDate"]
        self.stamp(record, row.get("updated_at"))
        return record

    def ids_of(self, what: str, neutral: str) -> list[tuple[str, str]]:
        """Return the objects and ids that a neutral id stands for now; a converted lead's contact stands for it."""
        sobjects = {"people": ("Contact", "Lead"), "companies": ("Account",), "deals": ("Opportunity",)}[what]
        return [(of, id_) for of in sobjects if self.live(of, id_ := self.id_of(of, neutral)) is not None]

    def delete(self, sobject: str, id_: str, *, winner: str | None = None) -> None:
        """Put a record into the recycle bin; a merged one names its winner. Memberships go for good with their person."""
        record = self.records[sobject][id_]
        record["IsDeleted"] = True
        if winner is not None:
            record["MasterRecordId"] = winner
        self.stamp(record)
        members = self.records["CampaignMember"]
        for row in [r for r in members.values() if id_ in (r.get("ContactId"), r.get("LeadId"), r.get("CampaignId"))]:
            row["IsDeleted"] = True

    def purge(self, sobject: str, id_: str) -> None:
        """Delete for good: nothing is left to read."""
        self.delete(sobject, id_)
        del self.records[sobject][id_]

    def merge(self, sobject: str, loser: str, winner: str) -> None:
        """Make one record of two: the winner keeps what it has, and takes the loser's memberships and what it lacked."""
        lost, won = self.records[sobject][loser], self.records[sobject][winner]
        for name, value in lost.items():
            if won.get(name) in (None, ""):
                won[name] = value
        field = {"Contact": "ContactId", "Lead": "LeadId", "Account": "AccountId"}[sobject]
        for others in self.records.values():
            for other in list(others.values()):
                if other.get(field) == loser and other is not lost:
                    other["IsDeleted"] = other["IsDeleted"] or self._is_member(other.get("CampaignId"), field, winner)
                    other[field] = winner
                    self.stamp(other)
        self.delete(sobject, loser, winner=winner)
        won["MasterRecordId"] = None
        self.stamp(won)

    def _is_member(self, campaign: object, field: str, person: str) -> bool:
        rows = self.records["CampaignMember"].values() if campaign else ()
        return any(r["CampaignId"] == campaign and r.get(field) == person and not r["IsDeleted"] for r in rows)


def _back(sobject: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's values under their neutral names, and its own fields as extras."""
    known = {neutral: record.get(name) for neutral, name in _NAMES[sobject].items()}
    return {**known, "created_at": record["CreatedDate"], "extra": {n: v for n, v in record.items() if n.endswith("__c")}}


def _spelled(sobject: str) -> dict[str, str]:
    named = [entry.partition("/") for entry in _SPELLED[sobject].split()]
    return {"Id": "id"} | {name: _TYPES[kind] for name, _, kind in named}


def _type(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "double"
        case datetime():
            return "datetime"
        case _:
            return "string"


def _digest(neutral: str) -> str:
    return blake2b(neutral.encode(), digest_size=6).hexdigest()


def _whole(short: str) -> str:
    """Return 15 characters and the three that say which of them are capitals."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    parts = (short[at : at + 5] for at in (0, 5, 10))
    return short + "".join(letters[sum(1 << i for i, c in enumerate(part) if c.isascii() and c.isupper())] for part in parts)

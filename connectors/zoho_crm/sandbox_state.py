"""
What the sandbox keeps: records of four modules, their tags, and what was deleted. No HTTP here; `sandbox` serves it.

Zoho's ids have 19 digits; that of a neutral row is its own number behind a digit for the module, so a lead and the contact that
it becomes have two. A conversion is what happens to a lead that is loaded as a customer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

from connectors.zoho_crm.sandbox_form import problem
from core.contract import ListChange

ORGANISATION: Final = "4150868"
KINDS: Final = {"Leads": "1", "Contacts": "2", "Accounts": "3", "Deals": "4", "tags": "6"}
MODULES: Final = {"companies": "Accounts", "deals": "Deals"}
EMAILS: Final = ("Email", "Secondary_Email", "Email_3", "Email_4")
"""Where a person's addresses are; the last two are the organisation's own fields."""
USERS_ZONE: Final = timezone(timedelta(hours=5, minutes=30))
"""Of the user whose token it is: all times come in it."""
_PERSON: Final = {"first_name": "First_Name", "last_name": "Last_Name", "phone": "Phone", "language": "Language"}
_NAMES: Final = {
    "Contacts": {**_PERSON, "country": "Mailing_Country", "job_title": "Title"},
    "Leads": {**_PERSON, "country": "Country", "job_title": "Designation"},
    "Accounts": {"name": "Account_Name", "industry": "Industry", "employees": "Employees", "country": "Billing_Country"},
    "Deals": {"name": "Deal_Name", "stage": "Stage", "currency": "Currency"},
}
_PEOPLE: Final = (
    "First_Name Last_Name Email/email Secondary_Email/email Email_3/email* Email_4/email* Phone/phone Mobile/phone "
    "Language* Email_Opt_Out/boolean Owner/ownerlookup Tag Created_Time/datetime Modified_Time/datetime Lead_Source/picklist "
    "Record_Image/profileimage"
)
_FIELDS: Final = {
    "Contacts": f"{_PEOPLE} Account_Name/lookup Title Department Mailing_City Mailing_Country",
    "Leads": f"{_PEOPLE} Company Designation City Country Industry/picklist Lead_Status/picklist",
    "Accounts": "Account_Name Website/website Industry/picklist Annual_Revenue/currency Employees/integer Billing_Country "
    "Owner/ownerlookup Tag Created_Time/datetime Modified_Time/datetime",
    "Deals": "Deal_Name Amount/currency Currency/picklist Stage/picklist Probability/integer Closing_Date/date "
    "Account_Name/lookup Contact_Name/lookup Owner/ownerlookup Tag Created_Time/datetime Modified_Time/datetime",
}


@dataclass(slots=True)
class Stored:
    """One record."""

    id: str
    module: str
    created: datetime
    modified: datetime
    values: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, None] = field(default_factory=dict)
    """Ids, in the order in which they came."""
    became: str | None = None
    """Of a lead that was converted: the contact."""


@dataclass(frozen=True, slots=True)
class Gone:
    """One line of the list of deleted records."""

    id: str
    type: str
    at: datetime


class State:
    """The organisation's records."""

    def __init__(self, now: Callable[[], datetime], log: list[ListChange], *, carries_tags: bool) -> None:
        self.now = now
        self.log = log
        self.carries_tags = carries_tags
        self.records: dict[str, dict[str, Stored]] = {module: {} for module in _FIELDS}
        self.gone: dict[str, dict[str, Gone]] = {module: {} for module in _FIELDS}
        self.tags: dict[str, dict[str, str]] = {module: {} for module in _FIELDS}
        self.fields = {module: _definitions(spelled) for module, spelled in _FIELDS.items()}
        self._people: dict[str, dict[str, Any]] = {}
        self._serial = 90_000_000_000
        self.version = 0
        """Counts changes of records."""

    def serial(self, kind: str) -> str:
        self._serial += 1
        return vendor_id(kind, str(self._serial))

    # Loading ---------------------------------------------------------------------------------------------------------

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or change records by their neutral ids; keys left out stay."""
        put = self._person if what == "people" else self._other
        module = "" if what == "people" else MODULES[what]
        for row in rows:
            put(row, module)

    def _person(self, row: Mapping[str, Any], _: str) -> None:
        id_ = str(row["id"])
        whole = self._people[id_] = {**self._people.get(id_, {}), **row}
        lead, contact = vendor_id("Leads", id_), vendor_id("Contacts", id_)
        pre_sale = whole.get("lifecycle_stage") == "lead" and whole.get("company_id") is None
        if pre_sale and contact not in self.records["Contacts"]:
            self._write("Leads", lead, row, {"Company": "-"})
            return
        old = self.records["Leads"].get(lead)
        new = contact not in self.records["Contacts"]
        self._write("Contacts", contact, whole if new else row, {})
        if old is not None and old.became is None:
            old.became, old.modified = contact, self.now()
            self.version += 1
            if self.carries_tags:
                names = [self.tags["Leads"][tag] for tag in old.tags]
                there = {name: tag for tag, name in self.tags["Contacts"].items()}
                self.records["Contacts"][contact].tags |= dict.fromkeys(there[name] for name in names if name in there)

    def _other(self, row: Mapping[str, Any], module: str) -> None:
        self._write(module, vendor_id(module, str(row["id"])), row, {})

    def _write(self, module: str, id_: str, row: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        now = self.now()
        stored = self.records[module].get(id_)
        if stored is None:
            stored = self.records[module][id_] = Stored(id_, module, row.get("created_at") or now, now, dict(more))
            self.gone[module].pop(id_, None)
        stored.values |= {_NAMES[module][key]: value for key, value in row.items() if key in _NAMES[module]}
        stored.values |= _special(module, row, stored.values)
        for name, value in (row.get("extra") or {}).items():
            if name not in self.fields[module]:
                self.fields[module][name] = {"api_name": name, "data_type": "text", "custom_field": True}
            stored.values[name] = value
        stored.modified = row.get("updated_at") or now
        self.version += 1

    # What happens to records -----------------------------------------------------------------------------------------

    def living(self, what: str, id_: str) -> Stored:
        """Return the record of a neutral id; a person's contact before their lead."""
        for module in ("Contacts", "Leads") if what == "people" else (MODULES[what],):
            found = self.records[module].get(vendor_id(module, id_))
            if found is not None and found.became is None:
                return found
        raise KeyError(id_)

    def delete(self, what: str, id_: str, *, type_: str) -> None:
        """Delete to the recycle bin, or for good; the list of deleted records tells of both."""
        stored = self.living(what, id_)
        self.version += 1
        del self.records[stored.module][stored.id]
        self._people.pop(id_, None) if what == "people" else None
        self.gone[stored.module][stored.id] = Gone(stored.id, type_, self.now())

    def merge(self, what: str, loser: str, winner: str) -> None:
        """Make one record of two: the loser is deleted, the winner takes what it lacked and never says from whom."""
        lost, won = self.living(what, loser), self.living(what, winner)
        self.delete(what, loser, type_="recycle")
        if what == "people":
            had = list(dict.fromkeys(v for o in (won, lost) for n in EMAILS if (v := o.values.get(n))))
            won.values |= dict(zip(EMAILS, had[: len(EMAILS)], strict=False))
        won.values |= {n: v for n, v in lost.values.items() if won.values.get(n) in (None, "")}
        won.modified = self.now()
        for other in [r for module in self.records.values() for r in module.values()]:
            for name, value in other.values.items():
                if isinstance(value, dict) and value.get("id") == lost.id:
                    other.values[name] = {**value, "id": won.id}
                    other.modified = self.now()

    def tag(self, stored: Stored, tag: str, *, on: bool) -> None:
        """Put a tag on a record or take it off; only what really changes is logged, though every write counts as a change."""
        if (tag in stored.tags) is not on:
            self.log.append(ListChange(self.tags[stored.module][tag], "add" if on else "remove", neutral_id(stored.id)))
        stored.tags.pop(tag, None)
        if on:
            stored.tags[tag] = None
        stored.modified = self.now()
        self.version += 1

    def audiences(self) -> dict[str, frozenset[str]]:
        """Return the neutral ids of everybody alive with each tag, leads and contacts together."""
        found: dict[str, set[str]] = {}
        for module, tags in self.tags.items():
            for id_, name in tags.items():
                there = (r for r in self.records[module].values() if id_ in r.tags and r.became is None)
                found.setdefault(name, set()).update(neutral_id(record.id) for record in there)
        return {name: frozenset(members) for name, members in found.items()}

    def shown(self, stored: Stored, names: Iterable[str]) -> dict[str, Any]:
        """Return a record as the API gives it."""
        tags = [{"name": self.tags[stored.module][t], "id": t, "color_code": None} for t in stored.tags]
        known = {
            **stored.values, "Tag": tags, "Created_Time": text(stored.created), "Modified_Time": text(stored.modified),
            "Owner": {"name": "Bo Owner", "id": f"{ORGANISATION}000000225013", "email": "bo@example.com"},
            "Converted__s": stored.became is not None,
            "Converted_Contact": {"name": "", "id": stored.became} if stored.became else None,
        }  # fmt: skip
        return {"id": stored.id} | {name: known.get(name) for name in names if name in self.fields[stored.module]}


def upserted(state: State, module: str, row: Mapping[str, Any], unique: Iterable[str]) -> dict[str, Any]:
    """Insert a record, or change the one that has the same values in *unique*; return the row of the answer."""
    if not row.get("Last_Name"):
        return problem("MANDATORY_NOT_FOUND", "required field not found", api_name="Last_Name")
    if "@" not in str(row.get("Email")) or " " in str(row.get("Email")):
        return problem("INVALID_DATA", "invalid data", api_name="Email", expected_data_type="email")
    same = [
        record
        for record in state.records[module].values()
        if any(str(record.values.get(name)).lower() == str(row.get(name)).lower() for name in unique)
    ]
    stored = same[0] if same else Stored(state.serial(module), module, state.now(), state.now())
    state.records[module][stored.id] = stored
    stored.values |= row
    stored.modified = state.now()
    state.version += 1
    more = {"duplicate_field": "Email", "action": "update"} if same else {"duplicate_field": None, "action": "insert"}
    said = "record updated" if same else "record added"
    return {"code": "SUCCESS", **more, "details": {"id": stored.id}, "message": said, "status": "success"}


def vendor_id(kind: str, neutral: str) -> str:
    """Return the 19-digit id of a record."""
    if not neutral.isdecimal() or len(neutral) > 11:
        raise ValueError(f"a neutral id is a number of at most 11 digits, not {neutral!r}")
    return f"{ORGANISATION}{KINDS[kind]}{int(neutral):011d}"


def neutral_id(id_: str) -> str:
    """Return the neutral id behind a vendor's."""
    return str(int(id_[8:]))


def text(at: datetime) -> str:
    """Return a time as the vendor writes it: whole seconds, at the user's offset."""
    return at.astimezone(USERS_ZONE).isoformat(timespec="seconds")


def _special(module: str, row: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are no plain copies."""
    values: dict[str, Any] = {}
    if "email" in row or "additional_emails" in row:
        own = row.get("email", before.get("Email"))
        more = row.get("additional_emails", [before.get(n) for n in EMAILS[1:]])
        several = [own, *(each for each in more if each)]
        if len(several) > len(EMAILS):
            raise ValueError(f"the sandbox's organisation has {len(EMAILS)} fields for addresses")
        values |= dict.fromkeys(EMAILS) | dict(zip(EMAILS, several, strict=False))
    if module == "Contacts" or module == "Deals":
        for key, name, kind in (("company_id", "Account_Name", "Accounts"), ("contact_ids", "Contact_Name", "Contacts")):
            to = row.get(key) if key != "contact_ids" else next(iter(row.get(key) or ()), None)
            if key in row:
                values[name] = {"name": "", "id": vendor_id(kind, str(to))} if to else None
    if row.get("domain"):
        values["Website"] = f"https://www.{row['domain']}"
    if module == "Deals":
        values |= _deal(row)
    return values


def _deal(row: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "amount" in row:
        values["Amount"] = float(Decimal(row["amount"])) if row["amount"] is not None else None
    if "won" in row or "closed" in row:
        values["Probability"] = 100 if row.get("won") else 0 if row.get("closed") else 50
    closed = row.get("closed_at")
    if isinstance(closed, date):
        day = closed.astimezone(UTC).date() if isinstance(closed, datetime) else closed
        values["Closing_Date"] = day.isoformat()
    return values


def _definitions(spelled: str) -> dict[str, dict[str, Any]]:
    found = {}
    for entry in spelled.split():
        name, _, type_ = entry.rstrip("*").partition("/")
        found[name] = {"api_name": name, "data_type": type_ or "text", "custom_field": entry.endswith("*")}
    return found

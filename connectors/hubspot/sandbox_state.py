"""
What the sandbox keeps: objects, their search index that lags behind, and lists. No HTTP here; `sandbox` serves it.

Every value of a property is text or null, as at the vendor; `load` turns the neutral rows of the demo's world into that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

TYPES: Final = {"people": "contacts", "companies": "companies", "deals": "deals"}
"""The neutral name of a kind of object and the vendor's."""
CHANGED: Final = {"contacts": "lastmodifieddate", "companies": "hs_lastmodifieddate", "deals": "hs_lastmodifieddate"}
NAMES: Final = {
    "contacts": {
        "email": "email", "first_name": "firstname", "last_name": "lastname", "phone": "phone", "country": "country",
        "language": "hs_language", "job_title": "jobtitle", "lifecycle_stage": "lifecyclestage",
        "company_id": "associatedcompanyid", "additional_emails": "hs_additional_emails",
    },
    "companies": {
        "name": "name", "domain": "domain", "industry": "industry", "employees": "numberofemployees", "country": "country",
    },
    "deals": {
        "name": "dealname", "stage": "dealstage", "won": "hs_is_closed_won", "closed": "hs_is_closed", "amount": "amount",
        "currency": "deal_currency_code", "closed_at": "closedate",
    },
}  # fmt: skip
"""Neutral key to property, by type."""
_STANDARD: Final = {
    "contacts": (
        "email firstname lastname phone mobilephone country city state website industry company jobtitle hs_language/e "
        "lifecyclestage/e hs_lead_status/e hubspot_owner_id/e hs_additional_emails/m hs_merged_object_ids/m "
        "associatedcompanyid/n hs_email_optout/b createdate/t lastmodifieddate/t hs_object_id/n hs_timezone/e "
        "hs_analytics_num_visits/n hs_analytics_source/e num_notes/n date_of_birth"
    ),
    "companies": (
        "name domain hs_additional_domains/m hs_merged_object_ids/m industry/e numberofemployees/n annualrevenue/n country "
        "city lifecyclestage/e type/e hubspot_owner_id/e createdate/t hs_lastmodifieddate/t hs_object_id/n num_notes/n"
    ),
    "deals": (
        "dealname amount/n dealstage/e pipeline/e closedate/t hs_is_closed/b hs_is_closed_won/b deal_currency_code/e "
        "dealtype/e hubspot_owner_id/e hs_merged_object_ids/m createdate/t hs_lastmodifieddate/t hs_object_id/n"
    ),
}
_KINDS: Final = {
    "": ("string", "text"), "n": ("number", "number"), "e": ("enumeration", "select"), "m": ("enumeration", "checkbox"),
    "b": ("bool", "booleancheckbox"), "t": ("datetime", "date"), "d": ("date", "date"),
}  # fmt: skip


@dataclass(slots=True)
class Stored:
    """One object, with the versions that the search index may still be showing."""

    id: str
    created: datetime
    updated: datetime
    properties: dict[str, str | None] = field(default_factory=dict)
    linked: dict[str, list[str]] = field(default_factory=dict)
    archived_at: datetime | None = None
    versions: list[tuple[datetime, dict[str, str | None]]] = field(default_factory=list)


@dataclass(slots=True)
class StoredList:
    """One list, of contacts or of companies."""

    id: str
    name: str
    processing: str
    members: dict[str, datetime] = field(default_factory=dict)
    of: str = "contacts"


class State:
    """The portal's records."""

    def __init__(self, now: Callable[[], datetime], index_lag: timedelta) -> None:
        self.now = now
        self.index_lag = index_lag
        self.objects: dict[str, dict[str, Stored]] = {name: {} for name in NAMES}
        self.definitions = {name: _definitions(spelled) for name, spelled in _STANDARD.items()}
        self.stages: dict[str, str] = {}
        self.lists: dict[str, StoredList] = {}
        self.blocked: set[str] = set()
        """Addresses that can be no contact's any more."""
        self._serial = 10_000_000

    def serial(self) -> str:
        self._serial += 1
        return str(self._serial)

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or change objects by their id; keys left out stay."""
        of = TYPES[what]
        for row in rows:
            values = {NAMES[of][key]: value for key, value in row.items() if key in NAMES[of]}
            for name, value in (row.get("extra") or {}).items():
                self.definitions[of].setdefault(name, _definition(name, _kind(value), custom=True))
                values[name] = value
            if "dealstage" in values:
                values["dealstage"] = self._stage(str(values["dealstage"]))
            links = {
                "companies": [row["company_id"]] if row.get("company_id") else None if "company_id" not in row else [],
                "contacts": list(row["contact_ids"]) if "contact_ids" in row else None,
            }
            self.write(
                of, str(row["id"]), values, created=row.get("created_at"), updated=row.get("updated_at"),
                links={to: [str(each) for each in ids] for to, ids in links.items() if ids is not None},
            )  # fmt: skip

    def write(
        self,
        of: str,
        id_: str,
        values: Mapping[str, object],
        *,
        created: datetime | None = None,
        updated: datetime | None = None,
        links: Mapping[str, list[str]] | None = None,
    ) -> Stored:
        """Insert or change one object and stamp it; the index sees it when its lag is over."""
        if not id_.isdecimal():
            raise ValueError(f"a HubSpot id is a number, not {id_!r}")
        now = self.now()
        stored = self.objects[of].get(id_)
        if stored is None:
            stored = self.objects[of][id_] = Stored(id_, created or now, now, {"pipeline": "default"} if of == "deals" else {})
        stored.created, stored.updated, stored.archived_at = created or stored.created, updated or now, None
        stored.properties |= {name: text(value) for name, value in values.items()}
        stored.properties |= {"hs_object_id": id_, "createdate": text(stored.created), CHANGED[of]: text(stored.updated)}
        stored.linked |= dict(links or {})
        stored.versions.append((now, dict(stored.properties)))
        return stored

    def indexed(self, of: str) -> Iterable[tuple[Stored, Mapping[str, str | None]]]:
        """Return the objects as the search index has them: archived ones at once gone, changes late."""
        seen_until = self.now() - self.index_lag
        for stored in self.objects[of].values():
            while len(stored.versions) > 1 and stored.versions[1][0] <= seen_until:
                stored.versions.pop(0)
            written, properties = stored.versions[0]
            if stored.archived_at is None and written <= seen_until:
                yield stored, properties

    def live(self, of: str) -> list[Stored]:
        return [stored for stored in self.objects[of].values() if stored.archived_at is None]

    def by_email(self, *, additional: bool) -> dict[str, Stored]:
        """Return the live contacts by address in lower case, the primary ones winning."""
        found: dict[str, Stored] = {}
        for name in ("hs_additional_emails", "email") if additional else ("email",):
            for stored in self.live("contacts"):
                found |= {each: stored for each in (stored.properties.get(name) or "").lower().split(";") if each}
        return found

    def archive(self, of: str, ids: Iterable[str]) -> None:
        """Delete as the user interface does: the object is archived and leaves every list."""
        for id_ in ids:
            self.objects[of][id_].archived_at = self.now()
            self._unlist(of, id_)

    def forget(self, of: str, ids: Iterable[str]) -> None:
        """Delete for good, as the GDPR wants it: nothing is left to see."""
        for id_ in ids:
            del self.objects[of][id_]
            self._unlist(of, id_)

    def merge(self, of: str, loser: str, winner: str) -> None:
        """Make one object of two: the loser is gone, the winner names it and takes its addresses and what it lacked itself."""
        lost, won = self.objects[of].pop(loser), self.objects[of][winner]
        self._unlist(of, loser)
        values = {name: value for name, value in lost.properties.items() if won.properties.get(name) in (None, "")}
        values["hs_merged_object_ids"] = _joined(
            won.properties.get("hs_merged_object_ids"), loser, lost.properties.get("hs_merged_object_ids")
        )
        own, others = {"contacts": ("email", "hs_additional_emails"), "companies": ("domain", "hs_additional_domains")}.get(
            of, ("", "")
        )
        if others and values.get(own) is None:
            values[others] = _joined(won.properties.get(others), lost.properties.get(own), lost.properties.get(others))
        self.write(of, winner, values)
        for other in self.objects["deals"].values():
            ids = other.linked.get(of, [])
            if loser in ids:
                self.write("deals", other.id, {}, links={of: list(dict.fromkeys(winner if i == loser else i for i in ids))})
        if of == "companies":
            for contact in self.live("contacts"):
                if contact.properties.get("associatedcompanyid") == loser:
                    self.write("contacts", contact.id, {"associatedcompanyid": winner})

    def list_named(self, name: str) -> StoredList | None:
        return next((each for each in self.lists.values() if each.name == name), None)

    def make_list(
        self, name: str, processing: str = "MANUAL", members: Iterable[str] = (), *, of: str = "contacts"
    ) -> StoredList:
        made = StoredList(self.serial(), name, processing, dict.fromkeys(members, self.now()), of)
        self.lists[made.id] = made
        return made

    def _stage(self, label: str) -> str:
        stage = re.sub(r"\W", "", label.lower())
        self.stages[stage] = label
        return stage

    def _unlist(self, of: str, id_: str) -> None:
        for each in self.lists.values():
            if each.of == of:
                each.members.pop(id_, None)


def text(value: object) -> str | None:
    """Return a value as the vendor would send it."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case list() | tuple():
            return ";".join(str(each) for each in value)
        case _:
            return str(value)


def _joined(*parts: str | None) -> str:
    return ";".join(dict.fromkeys(each for part in parts for each in (part or "").split(";") if each))


def _kind(value: object) -> str:
    match value:
        case bool():
            return "b"
        case int() | float():
            return "n"
        case datetime():
            return "t"
        case date():
            return "d"
        case list():
            return "m"
        case _:
            return ""


def _definitions(spelled: str) -> dict[str, dict[str, Any]]:
    names = [entry.partition("/") for entry in spelled.split()]
    return {name: _definition(name, kind, custom=False) for name, _, kind in names}


def _definition(name: str, kind: str, *, custom: bool) -> dict[str, Any]:
    type_, field_type = _KINDS[kind]
    return {
        "name": name, "label": name, "type": type_, "fieldType": field_type, "groupName": "information", "description": "",
        "options": [], "hubspotDefined": not custom, "archived": False,
    }  # fmt: skip

"""
What the sandbox's account is and how it changes, without HTTP: contacts, lists, tags, custom fields, imports.

Ids are integers here and texts on the wire, as at the vendor.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from core.contract import ListChange

LIST = 1
STATUSES = {"subscribed": 1, "unsubscribed": 2, "cleaned": 3, "transactional": None, "archived": None}
"""A neutral status as the status on the one list; None is on no list."""
ZONE = timezone(timedelta(hours=-5))
NEVER = "0000-00-00 00:00:00"
MADE = "2026-01-02T03:04:05-05:00"
"""When each tag was made, and each put on somebody."""


@dataclass(slots=True)
class Contact:
    """Somebody."""

    id: int
    email: str
    created_at: datetime
    updated_at: datetime
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    deleted: bool = False
    anonymized: bool = False
    lists: dict[int, int] = field(default_factory=dict)
    """List to status: 1 active, 2 unsubscribed, 3 bounced."""
    values: dict[int, str] = field(default_factory=dict)
    """Custom field to value."""


@dataclass(slots=True)
class Import:
    """A bulk import."""

    rows: Sequence[Mapping[str, Any]]
    due_at: datetime
    succeeded: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    done: bool = False


class Account:
    """One account."""

    def __init__(self, now: Callable[[], datetime], change_log: list[ListChange], *, names_skipped: bool) -> None:
        self.now, self.change_log, self.names_skipped = now, change_log, names_skipped
        self.contacts: dict[int, Contact] = {}
        self._addresses: dict[str, int] = {}
        self.tags: dict[int, str] = {1: "welcome-series"}
        self.tagged: dict[int, tuple[int, int]] = {}
        """Association to (contact, tag)."""
        self._associations: dict[tuple[int, int], int] = {}
        self.fields: dict[int, dict[str, str]] = {}
        self.related: set[tuple[int, int]] = set()
        self.lists: dict[int, str] = {LIST: "Example news"}
        self.exclusions: list[dict[str, Any]] = [exclusion(1, "@blocked.example.com", "end")]
        self.imports: dict[str, Import] = {}
        self.queued: deque[Import] = deque()
        self.erased = 0
        """How many were deleted so far."""
        self._serial = 1

    def next_id(self) -> int:
        self._serial += 1
        return self._serial

    # People ----------------------------------------------------------------------------------------------------------

    def load(self, row: Mapping[str, Any]) -> None:
        """Insert or change somebody by the address they were loaded with; a row that says nothing new changes no stamp."""
        stamp = row.get("updated_at") or self.now()
        found = self.by_email(str(row["id"]))
        new = found is None
        contact = found or self.create(str(row["id"]), stamp)
        before = (contact.email, contact.first_name, contact.last_name, contact.deleted, dict(contact.lists))
        self._addresses.pop(_plain(contact.email), None)
        contact.email = str(row.get("email") or row["id"])
        self._addresses[_plain(contact.email)] = contact.id
        contact.first_name = row.get("first_name", contact.first_name) or ""
        contact.last_name = row.get("last_name", contact.last_name) or ""
        if new or "status" in row:
            status = row.get("status", "subscribed")
            contact.deleted = status == "archived"
            number = STATUSES[status]
            if number is None:
                contact.lists.pop(LIST, None)
            else:
                contact.lists[LIST] = number
        after = (contact.email, contact.first_name, contact.last_name, contact.deleted, dict(contact.lists))
        if before != after or "updated_at" in row:
            contact.updated_at = stamp

    def by_email(self, address: str) -> Contact | None:
        return self.contacts.get(self._addresses.get(_plain(address), 0))

    def create(self, address: str, at: datetime) -> Contact:
        id_ = self.next_id()
        self.contacts[id_] = Contact(id_, address, at, at)
        self._addresses[_plain(address)] = id_
        return self.contacts[id_]

    def erase(self, address: str) -> None:
        """Delete somebody: they vanish, with their tags."""
        contact = self.by_email(address)
        if contact is not None:
            self.erased += 1
            del self._addresses[_plain(contact.email)]
            del self.contacts[contact.id]
            for tag in self.tags:
                association = self._associations.pop((contact.id, tag), None)
                self.tagged.pop(association or 0, None)

    def excluded(self, address: str) -> bool:
        return any(e["matchType"] == "exact" and e["matchPhrase"].lower() == address.lower() for e in self.exclusions)

    # Tags and fields -------------------------------------------------------------------------------------------------

    def association(self, contact: int, tag: int) -> int | None:
        return self._associations.get((contact, tag))

    def tag(self, contact: Contact, tag: int) -> int:
        id_ = self.next_id()
        self.tagged[id_] = (contact.id, tag)
        self._associations[contact.id, tag] = id_
        contact.updated_at = self.now()
        self.change_log.append(ListChange(self.tags[tag], "add", contact.email.lower()))
        return id_

    def untag(self, association: int) -> None:
        contact_id, tag = self.tagged.pop(association)
        del self._associations[contact_id, tag]
        contact = self.contacts[contact_id]
        contact.updated_at = self.now()
        self.change_log.append(ListChange(self.tags[tag], "remove", contact.email.lower()))

    def set_value(self, contact: Contact, field_id: int, value: str) -> None:
        was, is_ = contact.values.get(field_id) == "yes", value == "yes"
        if contact.values.get(field_id) != value:
            contact.values[field_id] = value
            contact.updated_at = self.now()
        if was is not is_:
            self.change_log.append(
                ListChange(self.fields[field_id]["title"], "add" if is_ else "remove", contact.email.lower())
            )

    def audiences(self) -> dict[str, frozenset[str]]:
        """Return the addresses by tag, and by field of those who have it yes; a field hides a tag of its name. Newest first."""
        found: dict[str, set[str]] = {name: set() for name in self.tags.values()}
        for contact_id, tag in self.tagged.values():
            found[self.tags[tag]].add(self.contacts[contact_id].email.lower())
        fields = {
            made["title"]: {c.email.lower() for c in self.contacts.values() if c.values.get(id_) == "yes"}
            for id_, made in self.fields.items()
        }
        return {name: frozenset(members) for name, members in reversed((found | fields).items())}

    # Imports ---------------------------------------------------------------------------------------------------------

    def run_imports(self) -> None:
        """Carry out what is due."""
        while self.queued and self.queued[0].due_at <= self.now():
            one = self.queued.popleft()
            for row in one.rows:
                self._import(one, row)
            one.done = True

    def _import(self, one: Import, row: Mapping[str, Any]) -> None:
        address = str(row["email"])
        if self.excluded(address):
            if self.names_skipped:
                one.failed.append(address)
            return
        contact = self.by_email(address) or self.create(address, self.now())
        for each in row.get("fields", []):
            self.set_value(contact, int(each["id"]), str(each["value"]))
        for each in row.get("subscribe", []):
            if contact.lists.get(int(each["listid"])) not in (2, 3):
                contact.lists[int(each["listid"])] = 1
        for each in row.get("unsubscribe", []):
            contact.lists[int(each["listid"])] = 2
        one.succeeded.append(str(contact.id))

    # Shapes ----------------------------------------------------------------------------------------------------------

    def contact_json(self, contact: Contact) -> dict[str, Any]:
        return {
            "id": str(contact.id), "email": contact.email, "phone": contact.phone, "firstName": contact.first_name,
            "lastName": contact.last_name, "orgid": "0", "bounced_hard": "1" if 3 in contact.lists.values() else "0",
            "bounced_soft": "0", "deleted": str(int(contact.deleted)), "anonymized": str(int(contact.anonymized)),
            "cdate": local(contact.created_at), "udate": local(contact.updated_at), "deleted_at": NEVER,
            "created_utc_timestamp": utc(contact.created_at), "updated_utc_timestamp": utc(contact.updated_at), "links": {},
        }  # fmt: skip

    def tag_json(self, id_: int) -> dict[str, Any]:
        return {"id": str(id_), "tag": self.tags[id_], "tagType": "contact", "description": "", "cdate": MADE}

    def field_json(self, id_: int) -> dict[str, Any]:
        return {"id": str(id_), **self.fields[id_], "perstag": f"F{id_}", "visible": "1", "links": {}}

    def association_json(self, id_: int, contact: int, tag: int) -> dict[str, Any]:
        return {"id": str(id_), "contact": str(contact), "tag": str(tag), "cdate": MADE}

    def list_json(self, contact: Contact, list_id: int, status: int) -> dict[str, Any]:
        return {
            "contact": str(contact.id), "list": str(list_id), "status": str(status), "sdate": local(contact.created_at),
            "udate": local(contact.updated_at), "unsubreason": None, "campaign": None, "sourceid": "1",
        }  # fmt: skip


def exclusion(id_: int, phrase: str, how: str = "exact", channel: str = "allEmail") -> dict[str, Any]:
    return {"id": str(id_), "matchPhrase": phrase, "matchType": how, "channel": channel, "hidden": False, "lists": []}


def local(at: datetime) -> str:
    return at.astimezone(ZONE).isoformat(timespec="seconds")


def utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _plain(address: str) -> str:
    return address.strip().lower()


def looks_right(address: object) -> bool:
    return isinstance(address, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address) is not None

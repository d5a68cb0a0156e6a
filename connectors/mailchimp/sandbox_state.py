"""
What the sandbox's list is and how it changes, without HTTP: members, tags, and Mailchimp's rules about who may have which.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from core.contract import ListChange

LIST = "a6b5da1054"
TAGS_SHOWN = 50
STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")
FORGOTTEN = "{} was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list."
FAKE = "{} looks fake or invalid, please enter a real email address."


@dataclass(slots=True)
class Member:
    """Somebody on the list."""

    address: str
    contact_id: str
    status: str
    changed_at: datetime
    opted_at: datetime | None = None
    merge: dict[str, str] = field(default_factory=dict)
    language: str = ""
    country: str = ""
    tags: set[int] = field(default_factory=set)

    @property
    def key(self) -> str:
        return md5(self.address)


@dataclass(slots=True)
class Segment:
    """A tag (`static`) or a rule of the vendor's own (`saved`)."""

    id: int
    name: str
    type: str
    created_at: datetime


class Problem(Exception):  # noqa: N818 - the vendor's word
    """An `application/problem+json` to answer with."""

    def __init__(self, status: int, title: str, detail: str, **more: object) -> None:
        super().__init__(title)
        self.status, self.title, self.detail, self.more = status, title, detail, more


class MailingList:
    """The one list: its people by MD5 of their address, its segments by id."""

    def __init__(
        self, now: Callable[[], datetime], change_log: list[ListChange], *, tags_unsubscribed: bool, confirms_again: bool
    ) -> None:
        self.now, self.change_log = now, change_log
        self.tags_unsubscribed, self.confirms_again = tags_unsubscribed, confirms_again
        self.people: dict[str, Member] = {}
        self.forgotten: set[str] = set()
        self.segments = {1: Segment(1, "New subscribers", "saved", now())}
        self._serial = 0

    def load(self, row: Mapping[str, Any]) -> None:
        """Insert or change somebody; a row that says nothing new leaves last_changed as it is."""
        stamp = row.get("updated_at") or self.now()
        member = self.people.pop(md5(str(row["id"])), None)
        before = replace(member, merge=dict(member.merge)) if member else None
        if member is None:
            member = self._new(str(row["id"]), "subscribed", stamp)
        member.address = str(row.get("email") or row["id"])
        self.people[member.key] = member  # a change of address keeps the contact id and the tags
        if row.get("status", member.status) == "subscribed" and (member.status != "subscribed" or not member.opted_at):
            member.opted_at = stamp
        member.status = row.get("status", member.status)
        member.language, member.country = row.get("language", member.language) or "", row.get("country", member.country) or ""
        for name, tag in (("first_name", "FNAME"), ("last_name", "LNAME")):
            if name in row:
                member.merge[tag] = row[name] or ""
        if member != before or "updated_at" in row:
            member.changed_at = stamp

    def forget(self, address: str) -> None:
        self.people.pop(md5(address), None)
        self.forgotten.add(md5(address))

    def make(self, name: str, type_: str = "static") -> Segment:
        id_ = max(self.segments) + 1000
        self.segments[id_] = Segment(id_, name, type_, self.now())
        return self.segments[id_]

    def tag(self, id_: int, who: str) -> Member | None:
        member = self.listed(who)
        if member is None or (member.status in ("unsubscribed", "cleaned") and not self.tags_unsubscribed):
            return None
        if id_ in member.tags:
            return member if self.confirms_again else None
        member.tags.add(id_)
        member.changed_at = self.now()
        self.change_log.append(ListChange(self.segments[id_].name, "add", member.address.lower()))
        return member

    def untag(self, id_: int, who: str) -> Member | None:
        member = self.listed(who)
        if member is None or id_ not in member.tags:
            return None
        member.tags.remove(id_)
        member.changed_at = self.now()
        self.change_log.append(ListChange(self.segments[id_].name, "remove", member.address.lower()))
        return member

    def subscribe(self, row: Mapping[str, Any], *, update: bool, lenient: bool) -> tuple[str, Any]:
        who, status = str(row.get("email_address")), row.get("status")

        def error(text: str, code: str = "ERROR_GENERIC") -> tuple[str, Any]:
            return "errors", {"email_address": who, "error": text, "error_code": code, "field": "", "field_message": ""}

        if status not in STATUSES or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", who):
            return error("Please provide a valid email address and status.")
        if md5(who) in self.forgotten:
            return error(FORGOTTEN.format(who))
        if who.lower().startswith(("test@", "fake@")):
            return error(FAKE.format(who))
        merge = {str(tag): str(value) for tag, value in (row.get("merge_fields") or {}).items()}
        if not lenient and not merge.get("FNAME"):
            return error("Your merge fields were invalid.")
        member = self.people.get(md5(who))
        if member and member.status != "archived" and not update:
            return error(f"{who} is already a list member.", "ERROR_CONTACT_EXISTS")
        where = "updated_members" if member else "new_members"
        if member is None:
            member = self.people[md5(who)] = self._new(who, status, self.now())
        member.status, member.changed_at = status, self.now()  # an archived person is back, without the opt-out they had
        member.merge |= merge
        return where, self.member_json(member)

    def _new(self, address: str, status: str, at: datetime) -> Member:
        self._serial += 1
        return Member(address, f"c{self._serial:07x}", status, at)

    def listed(self, who: str) -> Member | None:
        member = self.people.get(md5(who))
        return member if member and member.status != "archived" else None

    def tagged(self, id_: int) -> list[Member]:
        return [m for m in self.people.values() if id_ in m.tags and m.status != "archived"]

    def segment_json(self, segment: Segment) -> dict[str, Any]:
        mailable = sum(m.status == "subscribed" for m in self.tagged(segment.id))
        stamp = segment.created_at.isoformat(timespec="seconds")
        return {"id": segment.id, "name": segment.name, "member_count": mailable, "type": segment.type, "created_at": stamp,
                "updated_at": stamp, "list_id": LIST, "_links": []}  # fmt: skip

    def member_json(self, m: Member) -> dict[str, Any]:
        tags = [{"id": id_, "name": self.segments[id_].name} for id_ in sorted(m.tags)]
        return {
            "id": m.key,
            "email_address": m.address,
            "contact_id": m.contact_id,
            "unique_email_id": m.key[:10],
            "status": m.status,
            "unsubscribe_reason": "N/A (Unsubscribed by admin)" if m.status == "unsubscribed" else "",
            "merge_fields": {"FNAME": m.merge.get("FNAME", ""), "LNAME": m.merge.get("LNAME", "")},
            "stats": {"avg_open_rate": 0, "avg_click_rate": 0},
            "timestamp_signup": "",
            "timestamp_opt": m.opted_at.astimezone(UTC).isoformat(timespec="seconds") if m.opted_at else "",
            "last_changed": second(m.changed_at).isoformat(),
            "language": m.language,
            "location": {"latitude": 0, "longitude": 0, "country_code": m.country, "timezone": ""},
            "tags_count": len(tags),
            "tags": tags[:TAGS_SHOWN],
            "list_id": LIST,
            "_links": [{"rel": "self", "method": "GET"}],
        }


def md5(address: str) -> str:
    return hashlib.md5(address.strip().lower().encode(), usedforsecurity=False).hexdigest()


def second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)


def chosen(answer: Any, keep: str, drop: str) -> Any:
    """Apply `fields` and `exclude_fields`: comma lists of dotted paths, which go through arrays."""
    if keep:
        answer = _kept(answer, [path.split(".") for path in keep.split(",")])
    for path in filter(None, drop.split(",")):
        _dropped(answer, path.split("."))
    return answer


def _kept(value: Any, paths: list[list[str]]) -> Any:
    if isinstance(value, list):
        return [_kept(item, paths) for item in value]
    if not isinstance(value, dict) or [] in paths:
        return value
    inner = {name: [path[1:] for path in paths if path[0] == name] for name in value}
    return {name: _kept(item, inner[name]) for name, item in value.items() if inner[name]}


def _dropped(value: Any, path: list[str]) -> None:
    if isinstance(value, list):
        for item in value:
            _dropped(item, path)
    elif isinstance(value, dict) and path[0] in value:
        if len(path) == 1:
            del value[path[0]]
        else:
            _dropped(value[path[0]], path[1:])


def not_found() -> Problem:
    return Problem(404, "Resource Not Found", "The requested resource could not be found.")


def invalid(detail: str) -> Problem:
    return Problem(400, "Invalid Resource", detail, errors=[{"field": "", "message": detail}])

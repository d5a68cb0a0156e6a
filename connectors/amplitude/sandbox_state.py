"""What the sandbox's project holds, without HTTP: users, events by the hour of their upload, cohorts, and their rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from core.contract import ListChange

APP_ID = 153957
TRAITS = ("email", "first_name", "last_name", "country")


def hour_of(at: datetime) -> datetime:
    """Return the beginning of its hour, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@dataclass(slots=True)
class User:
    """Somebody with a user id."""

    id: str
    amplitude_id: int
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Event:
    """One event as it was when it was uploaded."""

    id: str
    name: str
    at: datetime
    uploaded_at: datetime
    amplitude_id: int
    user_id: str | None
    device_id: str
    properties: Mapping[str, Any]
    user_properties: Mapping[str, Any] | None
    """None: the user was loaded later; what is known of them now will do."""


@dataclass(slots=True)
class Cohort:
    """A static cohort."""

    id: str
    name: str
    created_at: datetime
    members: set[str]
    owner: str
    archived: bool = False
    busy: int = 0
    """Changes that are refused because the last one is still being worked on."""


class State:
    """The project."""

    def __init__(self, now: Callable[[], datetime], change_log: list[ListChange], *, app_id: int) -> None:
        self.now, self.change_log, self.app_id = now, change_log, app_id
        self.users: dict[str, User] = {}
        self.events: dict[str, Event] = {}
        self.merged: dict[str, str] = {}
        self.cohorts: dict[str, Cohort] = {}
        self.flags: set[str] = set()
        """User properties that were set by identifying and are audiences."""
        self._serial = 900_000_000_000

    def user(self, user_id: str) -> User:
        """Return the user, made where unknown."""
        if user_id not in self.users:
            self._serial += 1
            self.users[user_id] = User(user_id, self._serial)
        return self.users[user_id]

    def load_user(self, row: Mapping[str, Any]) -> None:
        user = self.user(str(row["id"]))
        found = {name: row[name] for name in TRAITS if row.get(name) is not None}
        if row.get("created_at"):
            found["created_at"] = row["created_at"].isoformat()
        user.properties |= found | dict(row.get("extra") or {})

    def load_event(self, row: Mapping[str, Any]) -> None:
        said = row.get("user_id")
        user_id = self.merged.get(str(said), str(said)) if said is not None else None
        known = user_id in self.users
        user = self.user(user_id) if user_id is not None else None
        if user is None:
            self._serial += 1
        self.events[str(row["id"])] = Event(
            str(row["id"]), row["name"], row["at"], row.get("uploaded_at") or row["at"],
            user.amplitude_id if user else self._serial, user_id, f"D-{user_id or row['id']}", row.get("properties") or {},
            dict(user.properties) if user and known else None,
        )  # fmt: skip

    def forget(self, what: str, ids: Iterable[str]) -> None:
        """Delete users or events; KeyError for anything else."""
        forget: Callable[[str], object] = {"users": self._forget_user, "events": lambda id_: self.events.pop(id_, None)}[what]
        for id_ in ids:
            forget(id_)

    def _forget_user(self, id_: str) -> None:
        self.users.pop(id_, None)
        for cohort in self.cohorts.values():
            cohort.members.discard(id_)

    def set_property(self, user_id: str, name: str, value: object) -> None:
        """Set a user's property; a yes or no is an audience."""
        user = self.user(user_id)
        was = user.properties.get(name) is True
        user.properties[name] = value
        if isinstance(value, bool):
            self.flags.add(name)
            if was is not value:
                self.change_log.append(ListChange(name, "add" if value else "remove", user_id))

    def make_cohort(self, name: str, members: Iterable[str], owner: str) -> Cohort:
        id_ = f"{len(self.cohorts) + 1:07x}"
        self.cohorts[id_] = cohort = Cohort(id_, name, self.now(), set(), owner)
        self.change(cohort, "ADD", members)
        return cohort

    def change(self, cohort: Cohort, operation: str, ids: Iterable[str]) -> list[str]:
        """Change a cohort's members; return the ids that nobody has."""
        skipped = []
        for id_ in ids:
            if id_ not in self.users:
                skipped.append(id_)
            elif (id_ in cohort.members) is (operation == "REMOVE"):
                (cohort.members.add if operation == "ADD" else cohort.members.remove)(id_)
                self.change_log.append(ListChange(cohort.name, operation.lower(), id_))
        return skipped

    def audiences(self) -> Mapping[str, frozenset[str]]:
        found = {cohort.name: frozenset(cohort.members) for cohort in self.cohorts.values() if not cohort.archived}
        flagged = {
            name: frozenset(user.id for user in self.users.values() if user.properties.get(name) is True) for name in self.flags
        }
        return found | flagged

    def record(self, event: Event, spell: Callable[[datetime], str]) -> dict[str, Any]:
        """Return an event as an export has it."""
        known = event.user_properties
        if known is None:
            known = self.users[event.user_id].properties if event.user_id in self.users else {}
        session = event.at.replace(minute=0, second=0, microsecond=0).timestamp()
        return {
            "uuid": str(uuid5(NAMESPACE_URL, event.id)), "$insert_id": event.id, "app": self.app_id,
            "amplitude_id": event.amplitude_id, "user_id": event.user_id, "device_id": event.device_id,
            "session_id": int(session) * 1000 if event.user_id else -1, "event_id": 1, "event_type": event.name,
            "event_time": spell(event.at), "client_event_time": spell(event.at),
            "server_received_time": spell(event.uploaded_at), "server_upload_time": spell(event.uploaded_at),
            "processed_time": spell(event.uploaded_at), "event_properties": dict(event.properties),
            "user_properties": dict(known), "groups": {}, "group_properties": {}, "platform": "Web", "os_name": "Chrome",
            "country": "Norway", "city": "Oslo", "ip_address": "203.0.113.9", "paying": None, "data": {"first_event": False},
        }  # fmt: skip

    def cohort_json(self, cohort: Cohort) -> dict[str, Any]:
        made = int(cohort.created_at.timestamp())
        return {
            "id": cohort.id, "name": cohort.name, "appId": self.app_id, "size": len(cohort.members), "type": "redshift",
            "published": True, "archived": cohort.archived, "createdAt": made, "lastMod": made, "lastComputed": made,
            "description": "", "owners": [cohort.owner],
        }  # fmt: skip

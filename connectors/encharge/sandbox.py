"""
A small Encharge: one account behind the endpoints that the connector uses, and as unkind.

The vendor publishes no refusals; they are made in the one shape that its pages show. What no page settles is a switch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from uuid import NAMESPACE_URL, uuid5

from connectors.encharge.sandbox_shapes import User, fields_json, json_of, refused, tag_json, user_json
from core.contract import Ask, Endpoint, ListChange, Reply, Sandbox, Window, make_app

KEY: Final = "Zm9yLXRoZS1zYW5kYm94LW9ubHktMTIzNDU2Nzg5MA"
UNSUBSCRIBED: Final = {"subscribed": False, "unsubscribed": True, "cleaned": True}
"""A neutral status as the field's value; whoever is stored only has said nothing."""
SECOND: Final = 10
"""Requests a second before it says no; no page has a figure."""


class EnchargeSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the rate that is allowed.
        status: the account's.
        sorts: whether `sort` and `order` are heeded; else people come as they were made.
        caps_at: the most people of a page, whatever is asked for.
        flat: whether custom fields are beside the others or under `data`.
        unsubscribed: the name and the title of the field that says who unsubscribed; None for no such field.
        tells_all: whether a list of everybody has that field without being asked for it.
        tags_nobody: how tagging somebody unknown is answered.
        tag_again: whether making a tag that is there is refused.
    """

    base_path: ClassVar[str] = "/v1"

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        status: str = "active",
        sorts: bool = True,
        caps_at: int = 1000,
        flat: bool = True,
        unsubscribed: tuple[str, str] | None = ("unsubscribed", "Unsubscribed"),
        tells_all: bool = True,
        tags_nobody: Literal["404", "201"] = "404",
        tag_again: Literal["same", "refused"] = "same",
    ) -> None:
        super().__init__(now=now)
        self.status, self.sorts, self.caps_at, self.flat = status, sorts, caps_at, flat
        self.unsubscribed, self.tells_all, self.tags_nobody, self.tag_again = unsubscribed, tells_all, tags_nobody, tag_again
        self.users: dict[str, User] = {}
        self.tags: list[str] = ["trial"]
        self._changes = 0
        self._listed: tuple[object, Sequence[User]] = (None, [])
        self._addressed: tuple[int, Mapping[str, User]] = (-1, {})
        self._window = Window(SECOND * rate_factor, 1.0)
        self._lock = threading.RLock()
        self.app = make_app(self, self._endpoints(), self._admit, self._lock)

    # What a test or the demo does to it ------------------------------------------------------------------------------

    def settings(self) -> Mapping[str, object]:
        return {"api_key": KEY}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        _only_members(what)
        with self._lock:
            self._changes += 1
            for row in rows:
                self._load(row)

    def _load(self, row: Mapping[str, Any]) -> None:
        stamp = row.get("updated_at") or self.now()
        id_ = str(uuid5(NAMESPACE_URL, str(row["id"]).lower()))
        new = id_ not in self.users
        user = self.users.setdefault(id_, User(id_, None, stamp, stamp))
        before = (user.email, dict(user.fields), user.unsubscribed, user.archived)
        user.email = str(row.get("email") or row["id"])
        names = {"first_name": "firstName", "last_name": "lastName", "country": "country", "user_id": "userId"}
        user.fields |= {there: row[here] for here, there in names.items() if here in row}
        if new or "status" in row:
            status = row.get("status", "subscribed")
            user.unsubscribed, user.archived = UNSUBSCRIBED.get(status), status == "archived"
        if before != (user.email, dict(user.fields), user.unsubscribed, user.archived) or "updated_at" in row:
            user.updated_at = stamp

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Erase: the person vanishes."""
        _only_members(what)
        with self._lock:
            self._changes += 1
            for id_ in ids:
                self.users.pop(str(uuid5(NAMESPACE_URL, id_.lower())), None)

    def merge(self, what: str, loser: str, winner: str) -> None:
        """There is no merging here: the loser vanishes."""
        self.delete(what, [loser])

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            live = [user for user in self.users.values() if not user.archived]
            return {tag: frozenset(str(user.email).lower() for user in live if tag in user.tags) for tag in reversed(self.tags)}

    def user(self, address: str) -> User:
        """Return who has *address*."""
        return next(user for user in self.users.values() if str(user.email).lower() == address.lower())

    # HTTP ------------------------------------------------------------------------------------------------------------

    def _endpoints(self) -> list[Endpoint]:
        base = self.base_path
        return [
            Endpoint("GET", f"{base}/accounts/info", self._get_info),
            Endpoint("GET", f"{base}/fields", self._get_fields),
            Endpoint("GET", f"{base}/people/all", self._get_everybody),
            Endpoint("GET", f"{base}/people", self._get_some),
            Endpoint("GET", f"{base}/tags-management", lambda ask: Reply({"tags": [tag_json(t) for t in self.tags]})),
            Endpoint("POST", f"{base}/tags-management", self._post_tags, write=True),
            Endpoint("POST", f"{base}/tags", self._tag, write=True),
            Endpoint("DELETE", f"{base}/tags", self._untag, write=True),
            Endpoint("DELETE", f"{base}/people", self._delete_people, write=True),
        ]

    def _admit(self, ask: Ask) -> None:
        if not self._window.admits():
            raise refused(429, "Too many requests")
        if ask.headers.get("x-encharge-token") != KEY:
            raise refused(401, "Invalid token")

    def _get_info(self, ask: Ask) -> Reply:
        return Reply(
            {
                "accountId": 4711, "name": "Example AB", "status": self.status, "peopleCount": len(self.users),
                "timezone": "UTC", "site": "https://example.com", "services": {}, "activeServices": [],
            }
        )  # fmt: skip

    def _get_fields(self, ask: Ask) -> Reply:
        return Reply(fields_json(self.unsubscribed))

    def _get_everybody(self, ask: Ask) -> Reply:
        start, size = int(ask.one("offset") or 0), min(int(ask.one("limit") or 100), self.caps_at)
        found = self._everybody(ask, again=start == 0)
        asked = (ask.one("attributes") or "").split(",")
        return Reply({"people": [self._user_json(user, asked, everybody=True) for user in found[start : start + size]]})

    def _everybody(self, ask: Ask, *, again: bool) -> Sequence[User]:
        """Return the live ones in the order asked for, worked out anew where anything changed."""
        how = (self._changes, ask.one("ignoreAnonymous"), ask.one("sort"), ask.one("order"))
        if again or how != self._listed[0]:
            found = [user for user in self.users.values() if not user.archived]
            if ask.one("ignoreAnonymous") == "true":
                found = [user for user in found if not user.anonymous]
            stamp = {"updatedAt": lambda u: u.updated_at, "createdAt": lambda u: u.created_at}.get(ask.one("sort") or "")
            if self.sorts and stamp is not None:
                found.sort(key=stamp, reverse=ask.one("order") == "desc")
            self._listed = (how, found)
        return self._listed[1]

    def _get_some(self, ask: Ask) -> Reply:
        wanted = [(name.rpartition("[")[2].rstrip("]"), value) for name, value in ask.query if name.startswith("people[")]
        asked = (ask.one("attributes") or "").split(",")
        found = [user for by, value in wanted for user in self._known(by, value)]
        hidden = ask.one("includeArchived") != "true"
        return Reply({"users": [self._user_json(user, asked) for user in found if not (hidden and user.archived)]})

    def _known(self, by: str, value: str) -> Sequence[User]:
        """Return who has *value* as their identifier *by*."""
        if by == "id":
            return [self.users[value]] if value in self.users else []
        if self._changes != self._addressed[0]:
            self._addressed = (self._changes, {str(user.email).lower(): user for user in self.users.values()})
        if by == "email":
            return [user for user in [self._addressed[1].get(value.lower())] if user]
        return [user for user in self.users.values() if user.fields.get(by) == value]

    def _post_tags(self, ask: Ask) -> Reply:
        names = [str(one["tag"]) for one in json_of(ask)["tags"]]
        if self.tag_again == "refused" and set(names) & set(self.tags):
            raise refused(400, "Tag already exists")
        self.tags += [name for name in names if name not in self.tags]
        return Reply({"tags": [tag_json(name) for name in names]})

    def _tag(self, ask: Ask) -> Reply:
        user, names = self._target(ask)
        for name in names if user is not None else ():
            if name not in self.tags:
                self.tags.append(name)
            if user is not None and name not in user.tags:
                user.tags.append(name)
                self._moved(user, name, "add")
        return Reply({}, 201)  # whether anything is in it, no page says

    def _untag(self, ask: Ask) -> Reply:
        user, names = self._target(ask)
        for name in names:
            if user is not None and name in user.tags:
                user.tags.remove(name)
                self._moved(user, name, "remove")
        return Reply(status=204)

    def _delete_people(self, ask: Ask) -> Reply:
        """Archive, unless `force` says for good."""
        wanted = [(name.rpartition("[")[2].rstrip("]"), value) for name, value in ask.query if name.startswith("people[")]
        found = [user for by, value in wanted for user in self._known(by, value)]
        if not found:
            raise refused(404, "Person not found")
        for user in found:
            if ask.one("force") == "true":
                self.users.pop(user.id)
            else:
                user.archived = True
        self._changes += 1
        return Reply(status=204)

    def _moved(self, user: User, name: str, op: str) -> None:
        user.updated_at = self.now()
        self._changes += 1
        self.change_log.append(ListChange(name, op, str(user.email).lower()))

    def _target(self, ask: Ask) -> tuple[User | None, Sequence[str]]:
        """Return whom a tag call is for, and the tags, which a comma parts."""
        body = json_of(ask)
        by = next((by for by in ("id", "userId", "email") if body.get(by)), None)
        if not body.get("tag") or by is None:
            raise refused(400, "Please pass `tag` and one of `id`, `userId` or `email`")
        found = [user for user in self._known(by, body[by]) if not user.archived]
        if not found and self.tags_nobody == "404":
            raise refused(404, "Person not found")
        return (found[0] if found else None), [name.strip() for name in body["tag"].split(",")]

    def _user_json(self, user: User, asked: Sequence[str], *, everybody: bool = False) -> dict[str, Any]:
        custom: dict[str, Any] = {"plan": "pro"}
        name = self.unsubscribed[0] if self.unsubscribed else ""
        if name and (name in asked or (everybody and self.tells_all)):
            custom[name] = user.unsubscribed
        return user_json(user, custom if self.flat else {"data": custom})


SANDBOX = EnchargeSandbox


def _only_members(what: str) -> None:
    if what != "members":
        raise KeyError(what)

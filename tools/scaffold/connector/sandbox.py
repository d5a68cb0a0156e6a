"""A small Acme, behind the endpoints that the connector uses, and as unkind: keys checked, pages capped, rates kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from core.contract import Ask, Endpoint, ListChange, Refused, Reply, Sandbox, Window, make_app

TOKEN = "acme-sandbox-token-00000000"
MAX_PAGE, MAX_BATCH, RATE_PER_S = 100, 100, 10


class AcmeSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the ten requests a second that are allowed.
    """

    base_path: ClassVar[str] = "/v1"

    def __init__(self, *, now: Callable[[], datetime] | None = None, rate_factor: float = 1.0) -> None:
        super().__init__(now=now)
        self.contacts: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, tuple[str, set[str]]] = {}
        self._rate = Window(RATE_PER_S * rate_factor, 1)
        endpoints = [
            Endpoint("GET", "/v1/account", lambda _: Reply({"id": "acme-1"})),
            Endpoint("GET", "/v1/contacts", self._list_contacts),
            Endpoint("POST", "/v1/contacts/search", self._search),
            Endpoint("GET", "/v1/tags", self._list_tags),
            Endpoint("POST", "/v1/tags", self._make_tag, write=True),
            Endpoint("GET", "/v1/tags/{id}/members", self._list_members),
            Endpoint("POST", "/v1/tags/{id}/members", self._change_members, write=True),
        ]
        self.app = make_app(self, endpoints, self._admit)

    def settings(self) -> Mapping[str, object]:
        return {"token": TOKEN}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if what != "members":
            raise KeyError(what)
        for row in rows:
            stamp = row.get("updated_at") or self.now()
            kept = self.contacts.setdefault(row["id"].lower(), {"id": f"c{len(self.contacts) + 1}"})
            named = {key: row[key] for key in ("email", "first_name", "last_name", "status") if key in row}
            kept |= {**named, "updated_at": stamp.isoformat()}

    def delete(self, what: str, ids: Iterable[str]) -> None:
        for address in ids:
            gone = self.contacts.pop(address.lower(), None)
            for _, members in self.tags.values():
                members.discard(gone["id"] if gone else "")

    def audiences(self) -> Mapping[str, frozenset[str]]:
        address = {contact["id"]: key for key, contact in self.contacts.items()}
        return {name: frozenset(address[id] for id in members) for name, members in self.tags.values()}

    def _admit(self, ask: Ask) -> None:
        if ask.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, {"error": "bad_token"})
        if not self._rate.admits():
            raise Refused(429, {"error": "slow_down"}, headers={"retry-after": "1"})

    def _list_contacts(self, ask: Ask) -> Reply:
        since = ask.one("updated_since")
        after = datetime.fromisoformat(since) if since else None
        found = [c for c in self.contacts.values() if after is None or datetime.fromisoformat(c["updated_at"]) >= after]
        found.sort(key=lambda contact: (contact["updated_at"], contact["id"]))
        return _page(ask, "contacts", found)

    def _search(self, ask: Ask) -> Reply:
        asked = ask.json()["emails"]
        if len(asked) > MAX_BATCH:
            raise Refused(422, {"error": "too_many_emails"})
        found = [self.contacts[address.lower()] for address in asked if address.lower() in self.contacts]
        return Reply({"contacts": [{"id": contact["id"], "email": contact["email"]} for contact in found]})

    def _list_tags(self, ask: Ask) -> Reply:
        return Reply({"tags": [{"id": id, "name": name} for id, (name, _) in self.tags.items() if name == ask.one("name")]})

    def _make_tag(self, ask: Ask) -> Reply:
        name = ask.json()["name"]
        if any(name == other for other, _ in self.tags.values()):
            raise Refused(409, {"error": "name_taken"})
        id = f"t{len(self.tags) + 1}"
        self.tags[id] = (name, set())
        return Reply({"id": id, "name": name}, 201)

    def _list_members(self, ask: Ask) -> Reply:
        return _page(ask, "members", sorted(self._tag(ask)[1]))

    def _change_members(self, ask: Ask) -> Reply:
        name, members = self._tag(ask)
        wish = ask.json()
        if max(len(wish["add"]), len(wish["remove"])) > MAX_BATCH:
            raise Refused(422, {"error": "too_many_members"})
        address = {contact["id"]: key for key, contact in self.contacts.items()}
        told: dict[str, list[str]] = {"done": [], "noop": [], "not_found": []}
        for op in ("add", "remove"):
            for id in wish[op]:
                if id not in address:
                    told["not_found"].append(id)
                elif (id in members) is (op == "add"):
                    told["noop"].append(id)
                else:
                    members ^= {id}
                    self.change_log.append(ListChange(name, op, address[id]))
                    told["done"].append(id)
        return Reply(told)

    def _tag(self, ask: Ask) -> tuple[str, set[str]]:
        if ask.params["id"] not in self.tags:
            raise Refused(404, {"error": "no_such_tag"})
        return self.tags[ask.params["id"]]


def _page(ask: Ask, name: str, items: list[Any]) -> Reply:
    """Return the page that the cursor points at: the number of items before it."""
    size, at = min(int(ask.one("limit") or MAX_PAGE), MAX_PAGE), int(ask.one("cursor") or 0)
    following = at + size
    return Reply({name: items[at:following], "next": str(following) if following < len(items) else None})


SANDBOX = AcmeSandbox

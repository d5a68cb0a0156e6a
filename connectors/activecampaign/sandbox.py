"""
A small ActiveCampaign: one account behind the endpoints that the connector uses, and as unkind.

What no page of the vendor's settles is a switch of the constructor, so that the tests can have it both ways.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal

from connectors.activecampaign.sandbox_shapes import known, page, size_of, value_json
from connectors.activecampaign.sandbox_state import Account, Contact
from connectors.activecampaign.sandbox_writes import MINUTE, Writes
from core.contract import Ask, Endpoint, Refused, Reply, Sandbox, Window, make_app

KEY: Final = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"
URL: Final = "https://example.api-us1.com"
SECOND: Final = 5


class ActiveCampaignSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the rates that are allowed.
        forbids_every: each so-many-th request is answered 403 whatever the key; 0 is never.
        forbidden: paths that the key's user has no permission for.
        import_takes: how long an import is under way.
        names_skipped: whether an import names among its failures whom it leaves out.
        names_succeeded: whether it names those who went well.
        excludes_by: where `exclude_automations` has to be to count, in each contact or around them.
        tags_again: whether tagging somebody twice is answered as the first time, or refused.
        total_counts: whether `meta.total` counts all that match, or those above `id_greater` alone.
        field_answer: whether making a field is answered with it, or with a list of all.
        ignores: query parameters of `GET /contacts` that are not heeded.
    """

    base_path: ClassVar[str] = "/api/3"

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        forbids_every: int = 0,
        forbidden: Sequence[str] = (),
        import_takes: timedelta = timedelta(0),
        names_skipped: bool = True,
        names_succeeded: bool = True,
        excludes_by: Literal["contact", "payload"] = "contact",
        tags_again: Literal["same", "refused"] = "same",
        total_counts: Literal["all", "above"] = "all",
        field_answer: Literal["field", "fields"] = "field",
        ignores: Sequence[str] = (),
    ) -> None:
        super().__init__(now=now)
        self.state = Account(lambda: self.now(), self.change_log, names_skipped=names_skipped)
        windows = {what: Window(amount * rate_factor, 60.0) for what, amount in MINUTE.items()}
        self._writes = Writes(self.state, windows, import_takes, excludes_by, tags_again, field_answer)
        self.automated = self._writes.automated
        """Addresses for whom an import started automations."""
        self.names_succeeded, self.total_counts = names_succeeded, total_counts
        self.ignores, self.forbids_every, self.forbidden = frozenset(ignores), forbids_every, frozenset(forbidden)
        self._window = Window(SECOND * rate_factor, 1.0)
        self._served = 0
        self._paging: tuple[object, int, int, list[Contact]] = (None, 0, 0, [])
        self._lock = threading.RLock()
        self.app = make_app(self, self._endpoints(), self._admit, self._lock)

    # What a test or the demo does to it ------------------------------------------------------------------------------

    def settings(self) -> Mapping[str, object]:
        return {"url": URL, "api_key": KEY}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        _only_members(what)
        with self._lock:
            for row in rows:
                self.state.load(row)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete for good: the contact vanishes."""
        _only_members(what)
        with self._lock:
            for id_ in ids:
                self.state.erase(id_)

    def merge(self, what: str, loser: str, winner: str) -> None:
        """Merging shows as the loser's deletion."""
        self.delete(what, [loser])

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            self.state.run_imports()
            return self.state.audiences()

    # HTTP ------------------------------------------------------------------------------------------------------------

    def _endpoints(self) -> list[Endpoint]:
        reads: dict[str, Callable[[Ask], Reply]] = {
            "/users/me": lambda ask: Reply({"user": {"id": "1", "username": "ops", "email": "ops@example.com", "links": {}}}),
            "/contacts": self._get_contacts,
            "/contacts/{id}/contactTags": self._get_contact_tags,
            "/contacts/{id}/contactLists": self._get_contact_lists,
            "/contacts/{id}/fieldValues": self._get_contact_values,
            "/tags": self._get_tags,
            "/tags/{id}": lambda ask: Reply({"tag": self.state.tag_json(known(self.state.tags, ask, "Tag"))}),
            "/fields": self._get_fields,
            "/fields/{id}": lambda ask: Reply({"field": self.state.field_json(known(self.state.fields, ask, "Field"))}),
            "/fieldValues": self._get_values,
            "/lists": lambda ask: page(ask, "lists", [{"id": str(i), "name": n} for i, n in self.state.lists.items()]),
            "/lists/exclusions": self._get_exclusions,
            "/import/info": self._get_import,
        }
        found = [Endpoint("GET", self.base_path + path, handler) for path, handler in reads.items()]
        return found + [
            Endpoint(how, self.base_path + path, handler, write=True) for (how, path), handler in self._writes.table().items()
        ]

    def _admit(self, ask: Ask) -> None:
        self._served += 1
        self.state.run_imports()
        path = ask.path.removeprefix(self.base_path)
        if not self._window.admits():
            raise Refused(
                429, {"message": "Too Many Requests"},
                headers={"Retry-After": "30", "RateLimit-Limit": str(SECOND), "RateLimit-Remaining": "0"},
            )  # fmt: skip
        flaky = self.forbids_every and self._served % self.forbids_every == 0
        if ask.headers.get("api-token") != KEY or path in self.forbidden or flaky:
            raise Refused(403, {"message": "Forbidden"})

    # Reading ---------------------------------------------------------------------------------------------------------

    def _get_contacts(self, ask: Ask) -> Reply:
        above, size, start = int(ask.one("id_greater") or 0), size_of(ask), int(ask.one("offset") or 0)
        matching = self._matching(ask, above)
        first = bisect_right(matching, above, key=lambda c: c.id)
        found = matching[first + start : first + start + size]
        self._paging = (_filters(ask), found[-1].id if found else 0, self.state.erased, matching)
        total = len(matching) - (0 if self.total_counts == "all" else first)
        return Reply({"contacts": [self.state.contact_json(c) for c in found], "meta": {"total": str(total)}})

    def _matching(self, ask: Ask, above: int) -> list[Contact]:
        """Return all that match, by id; whoever goes on paging gets what they began with, unless somebody is gone by now."""
        *place, before = self._paging
        if above and place == [_filters(ask), above, self.state.erased]:
            return before
        address, ids = ask.one("email"), ask.every("ids[]")
        among: Iterable[Contact] = self.state.contacts.values()
        if address is not None and "email" not in self.ignores:
            among = filter(None, [self.state.by_email(address)])
        elif ids and "ids[]" not in self.ignores:
            among = (self.state.contacts[int(id_)] for id_ in ids if int(id_) in self.state.contacts)
        return sorted((c for c in among if self._matches(c, ask)), key=lambda c: c.id)

    def _matches(self, c: Contact, ask: Ask) -> bool:
        """Apply the filters that are known; one that is not known, or misspelt, is ignored and everybody matches."""
        asked = {name: value for name, value in ask.query if name not in self.ignores}
        changed = asked.get("filters[updated_after]")
        lists = c.lists if "listid" not in asked else {k: v for k, v in c.lists.items() if str(k) == asked["listid"]}
        return (
            ("tagid" not in asked or self.state.association(c.id, int(asked["tagid"])) is not None)
            and ("listid" not in asked or bool(lists))
            and ("status" not in asked or int(asked["status"]) in lists.values())
            and (changed is None or c.updated_at.replace(microsecond=0) > datetime.fromisoformat(changed))
        )

    def _contact(self, id_: object) -> Contact:
        contact = self.state.contacts.get(int(str(id_))) if str(id_).isdigit() else None
        if contact is None:
            raise Refused(404, {"message": f"No Result found for Subscriber with id {id_}"})
        return contact

    def _get_contact_tags(self, ask: Ask) -> Reply:
        contact = self._contact(ask.params["id"])
        mine = [(id_, tag) for id_, (who, tag) in self.state.tagged.items() if who == contact.id]
        return Reply({"contactTags": [self.state.association_json(id_, contact.id, tag) for id_, tag in mine]})

    def _get_contact_lists(self, ask: Ask) -> Reply:
        contact = self._contact(ask.params["id"])
        return Reply({"contactLists": [self.state.list_json(contact, *pair) for pair in contact.lists.items()]})

    def _get_contact_values(self, ask: Ask) -> Reply:
        contact = self._contact(ask.params["id"])
        return Reply({"fieldValues": [value_json(contact.id, *pair) for pair in contact.values.items()]})

    def _get_values(self, ask: Ask) -> Reply:
        wanted = (ask.one("filters[fieldid]"), ask.one("filters[val]"))
        every = ((c.id, f, v) for c in self.state.contacts.values() for f, v in c.values.items())
        return page(ask, "fieldValues", [value_json(*row) for row in every if (str(row[1]), row[2]) == wanted])

    def _get_tags(self, ask: Ask) -> Reply:
        exact, part = ask.one("filters[search][eq]"), ask.one("search")
        found = [
            self.state.tag_json(id_)
            for id_, name in self.state.tags.items()
            if (exact is None or name.casefold() == exact.casefold()) and (part is None or part.casefold() in name.casefold())
        ]
        return page(ask, "tags", found)

    def _get_fields(self, ask: Ask) -> Reply:
        return page(ask, "fields", [self.state.field_json(id_) for id_ in self.state.fields])

    def _get_exclusions(self, ask: Ask) -> Reply:
        reply = page(ask, "exclusions", self.state.exclusions)
        reply.body["meta"]["total"] = len(self.state.exclusions)  # a number here, text elsewhere
        return reply

    def _get_import(self, ask: Ask) -> Reply:
        batch = ask.one("batchId")
        if not batch:
            raise Refused(400, {"success": 0, "message": "'batchId' is a required field."})
        one = self.state.imports.get(batch)
        if one is None:
            raise Refused(404, {"message": "No Result found"})
        if not one.done:
            return Reply({"status": "waiting", "success": [], "failure": []})
        return Reply({"status": "completed", "success": one.succeeded if self.names_succeeded else [], "failure": one.failed})


SANDBOX = ActiveCampaignSandbox


def _filters(ask: Ask) -> object:
    return [pair for pair in ask.query if pair[0] != "id_greater"]


def _only_members(what: str) -> None:
    if what != "members":
        raise KeyError(what)

"""What the sandbox answers about lists and their members."""

from __future__ import annotations

from typing import Any, Final

from connectors.hubspot.sandbox_form import Ask, Refused, Reply, invalid, number, object_of, page
from connectors.hubspot.sandbox_state import State, StoredList, text
from core.contract import ListChange

MEMBERS_PAGE, LISTS_PAGE = 250, 500
OBJECT_TYPES: Final = {"contacts": "0-1", "companies": "0-2"}
"""What a list here may hold, and the vendor's id of that type; names are unique over all of them."""


class ListAnswers:
    """One method an endpoint."""

    def __init__(self, state: State, change_log: list[ListChange], *, membership_cap: int, name_conflict: int) -> None:
        self.state, self.change_log = state, change_log
        self.membership_cap, self.name_conflict = membership_cap, name_conflict

    def list_by_name(self, ask: Ask) -> Reply:
        found = self.state.list_named(ask.path["name"])
        if found is None or OBJECT_TYPES[found.of] != ask.path["object_type"]:
            raise Refused(404, "OBJECT_NOT_FOUND", "List does not exist.")
        return Reply({"list": _list(found)})

    def list_by_id(self, ask: Ask) -> Reply:
        return Reply({"list": _list(self._list(ask))})

    def list_search(self, ask: Ask) -> Reply:
        body = object_of(ask)
        count, offset = number(body.get("count", 20), 1, LISTS_PAGE), number(body.get("offset", 0), 0, None)
        named = [_list(each) for each in self.state.lists.values() if str(body.get("query", "")) in each.name]
        found = [each for each in named if body.get("objectTypeId") in (None, each["objectTypeId"])]
        shown = found[offset : offset + count]
        end = offset + len(shown)
        return Reply({"lists": shown, "offset": end, "hasMore": end < len(found), "total": len(found)})

    def list_create(self, ask: Ask) -> Reply:
        body = object_of(ask)
        of = next((name for name, type_ in OBJECT_TYPES.items() if type_ == body.get("objectTypeId")), None)
        if of is None or body.get("processingType") not in ("MANUAL", "SNAPSHOT", "DYNAMIC"):
            raise invalid("objectTypeId and processingType are required")
        if not str(body.get("name") or "").strip():
            raise invalid("name is required")
        if self.state.list_named(body["name"]) is not None:
            raise Refused(self.name_conflict, "VALIDATION_ERROR", "A list with that name already exists.")
        return Reply({"list": _list(self.state.make_list(body["name"], body["processingType"], of=of))})

    def members(self, ask: Ask) -> Reply:
        of, query = self._list(ask), ask.query
        limit, first = number(query.get("limit", "100"), 1, MEMBERS_PAGE), number(query.get("after", "0"), 0, None)
        ids = sorted(int(each) for each in of.members if int(each) >= first)
        results = [{"recordId": str(i), "membershipTimestamp": text(of.members[str(i)])} for i in ids[:limit]]
        return Reply({**page(results, str(ids[limit]) if len(ids) > limit else None), "total": len(of.members)})

    def change_members(self, ask: Ask) -> Reply:
        of, body = self._list(ask), object_of(ask)
        if of.processing == "DYNAMIC":
            raise invalid("Membership of a DYNAMIC list cannot be changed.")
        adds = [str(each) for each in body.get("recordIdsToAdd", [])]
        removes = [str(each) for each in body.get("recordIdsToRemove", [])]
        if not all(each.isdecimal() for each in (*adds, *removes)):
            raise invalid("record ids are numbers")
        if len(adds) + len(removes) > self.membership_cap:
            raise invalid("too many record ids")
        known = {stored.id for stored in self.state.live(of.of)} if adds or removes else set()
        added = [each for each in dict.fromkeys(adds) if each in known and each not in of.members]
        removed = [each for each in dict.fromkeys(removes) if each in known and each in of.members]
        of.members |= dict.fromkeys(added, self.state.now())
        for each in removed:
            del of.members[each]
        self.change_log += [ListChange(of.name, "add", each) for each in added]
        self.change_log += [ListChange(of.name, "remove", each) for each in removed]
        missing = [each for each in dict.fromkeys([*adds, *removes]) if each not in known]
        return Reply({"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing})

    def _list(self, ask: Ask) -> StoredList:
        found = self.state.lists.get(ask.path["list"])
        if found is None:
            raise Refused(404, "OBJECT_NOT_FOUND", "List does not exist.")
        return found


def _list(of: StoredList) -> dict[str, Any]:
    return {
        "listId": of.id, "name": of.name, "objectTypeId": OBJECT_TYPES[of.of], "processingType": of.processing,
        "processingStatus": "COMPLETE", "listVersion": 1, "size": len(of.members),
    }  # fmt: skip

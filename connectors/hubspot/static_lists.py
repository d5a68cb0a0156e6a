"""
Static lists of any type of object: found or made by name, then known by id; members added and removed in one call.

What a list holds is its object type, given when it is made: contacts (`lists.StaticList`) or companies (`lists.CompanyList`).
A list says nothing about consent: being on it, or leaving it, neither subscribes nor unsubscribes anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from connectors.hubspot import vendor
from core.contract import Api, Change, Json, Op, Outcome, Ref, Verdict
from core.errors import ProtocolError, RejectedError, TransientError

WRITABLE: Final = ("MANUAL", "SNAPSHOT")
"""Processing types whose members can be written; those of a DYNAMIC list follow its filter (Quirk 14)."""
ADDED: Final = ("recordsIdsAdded", "recordIdsAdded")
"""The published key, and the one that its neighbours make one expect (Quirk 15)."""
DEFAULT_CHUNK: Final = 1_000
"""Ids in one membership call. The vendor states no limit (Quirk 16); the core halves what is refused."""


def check_name(name: str) -> str | None:
    """A name is looked up as a step of a path, where gateways refuse a slash however it is encoded."""
    if not name.strip():
        return "a HubSpot list needs a name"
    if name != name.strip():
        return "HubSpot trims the names of lists: leave out the spaces at the ends"
    if "/" in name or "\\" in name or not name.isprintable():
        return "write the list's name without slashes and control characters"
    return None


def lookup(api: Api, object_type: str, name: str) -> str | None:
    """Return the id of the list of *object_type* called *name* (2026-03/crm/lists: by object type and name)."""
    answer = api.request("GET", vendor.path("crm/lists", "object-type-id", object_type, "name", name), allow=(404,))
    if answer.status == 404:
        return None
    found = _list_of(answer.body)
    if found.get("objectTypeId", object_type) != object_type:
        raise ProtocolError("the answer is a list of another type of object")  # its ids would be those of others
    if found.get("processingType") not in WRITABLE:
        raise RejectedError(
            "this list is an active one: its members follow a filter and cannot be written; name another list",
            code=str(found.get("processingType")),
        )
    return str(found["listId"])


def create(api: Api, object_type: str, name: str) -> str:
    """Make an empty static list; one of that name and type that somebody made meanwhile is taken instead."""
    body = {"name": name, "objectTypeId": object_type, "processingType": "MANUAL"}
    try:
        made = _list_of(api.post(vendor.path("crm/lists"), json=body))
        if made.get("name", name) != name or made.get("objectTypeId", object_type) != object_type:
            raise TransientError("the answer to a new list is about another one")
        return str(made["listId"])
    except RejectedError:  # Quirk 17: a name in use is 409 or 400
        found = lookup(api, object_type, name)
        if found is None:
            raise
        return found


def change(api: Api, list_id: str, adds: Sequence[Change], removes: Sequence[Ref], *, noun: str) -> Sequence[Outcome]:
    """Add and remove in one call (2026-03/crm/lists/memberships: add-and-remove). Ids only: addresses are refused."""
    body = api.put(
        vendor.path("crm/lists", list_id, "memberships", "add-and-remove"),
        json={
            "recordIdsToAdd": [each.ref.remote_id for each in adds],
            "recordIdsToRemove": [ref.remote_id for ref in removes],
        },
        repeat=False,  # harmless, but the second answer would call our own adds "already there" (Quirk 15)
    )
    added, removed = _ids(body, ADDED, bool(adds)), _ids(body, ("recordIdsRemoved",), bool(removes))
    missing = _ids(body, ("recordIdsMissing",), needed=False)
    if (added | removed) - {each.remote_id for each in (*removes, *(one.ref for one in adds))}:
        raise TransientError("the answer to a change of members is about others")  # so ours are not "already there"
    return [_outcome(Op.ADD, one.ref, added, missing, noun) for one in adds] + [
        _outcome(Op.REMOVE, ref, removed, missing, noun) for ref in removes
    ]


def members(api: Api, list_id: str) -> Iterator[Sequence[Ref]]:
    """Yield the records on the list in pages, lowest id first."""
    where = vendor.path("crm/lists", list_id, "memberships")
    after: str | None = None
    while True:
        body = api.get(where, limit=vendor.MEMBERS_PAGE, after=after)
        yield [Ref(str(member["recordId"])) for member in vendor.list_of(body, "results")]
        following = vendor.next_after(body)
        if following is None:
            return
        if following == after:
            raise ProtocolError("the vendor gave the same page token twice")
        after = following


def _outcome(op: Op, ref: Ref, confirmed: frozenset[str], missing: frozenset[str], noun: str) -> Outcome:
    """
    Return the verdict on one id. The answer has three lists; an id in none of them was already as it was to be (Quirk 15).

    That is only the documentation's word, hence a noop: it makes nobody ours.
    """
    if ref.remote_id in confirmed:
        return Outcome(ref, Verdict.DONE)
    if ref.remote_id in missing:
        if op is Op.ADD:
            return Outcome(ref, Verdict.NOT_FOUND, reason=f"no such {noun}")
        return Outcome(ref, Verdict.NOOP, reason=f"no such {noun}")
    return Outcome(ref, Verdict.NOOP, reason="already on the list" if op is Op.ADD else "already off the list")


def _ids(body: Json, keys: Sequence[str], needed: bool) -> frozenset[str]:
    for key in keys:
        if isinstance(body, dict) and isinstance(body.get(key), list):
            return frozenset(str(each) for each in body[key])
    if needed:
        raise ProtocolError(f"the answer to a change of members lacks {keys[0]!r}")
    return frozenset()


def _list_of(body: Json) -> Json:
    found = body.get("list") if isinstance(body, dict) else None
    if not isinstance(found, dict) or "listId" not in found:
        raise ProtocolError("the answer holds no list")
    return found

"""
Static lists of contacts as audiences: found or made by name, then known by id; members added and removed in one call.

A list says nothing about consent: being on it, or leaving it, neither subscribes nor unsubscribes anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, Field

from connectors.hubspot import vendor
from connectors.hubspot.mapping import several
from core.contract import Api, Audience, AudienceSet, Change, Json, Op, Outcome, Params, Person, Ref, Verdict
from core.errors import ProtocolError, RejectedError, TransientError

AUDIENCES = AudienceSet()
WRITABLE: Final = ("MANUAL", "SNAPSHOT")
"""Processing types whose members can be written; those of a DYNAMIC list follow its filter (Quirk 14)."""
ADDED: Final = ("recordsIdsAdded", "recordIdsAdded")
"""The published key, and the one that its neighbours make one expect (Quirk 15)."""
PERSON_PROPERTIES: Final = {"first_name": "firstname", "last_name": "lastname"}
DEFAULT_CHUNK: Final = 1_000
"""Ids in one membership call. The vendor states no limit (Quirk 16); the core halves what is refused."""


class ListParams(Params):
    """What a sync may say of its list besides the name."""

    chunk: int = Field(DEFAULT_CHUNK, ge=1, le=100_000, description="Contacts added and removed by one request.")


@AUDIENCES.add("list")
class StaticList(Audience):
    """A list of contacts that we keep."""

    Params = ListParams
    max_batch = DEFAULT_CHUNK
    repeat = "safe"  # members are a set: adding twice is adding once; 2026-03/crm/lists/memberships
    ids_from = "contacts"
    find_batch = vendor.BATCH

    def __init__(self, params: BaseModel) -> None:
        super().__init__(params)
        if isinstance(params, ListParams):
            self.max_batch = params.chunk  # type: ignore[misc]  # each sync may say its own

    def check_name(self, name: str) -> str | None:
        """A name is looked up as a step of a path, where gateways refuse a slash however it is encoded."""
        if not name.strip():
            return "a HubSpot list needs a name"
        if name != name.strip():
            return "HubSpot trims the names of lists: leave out the spaces at the ends"
        if "/" in name or "\\" in name or not name.isprintable():
            return "write the list's name without slashes and control characters"
        return None

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the id of the contact list called *name* (2026-03/crm/lists: by object type and name)."""
        where = vendor.path("crm/lists", "object-type-id", vendor.CONTACTS_TYPE, "name", name)
        answer = api.request("GET", where, allow=(404,))
        if answer.status == 404:
            return None
        found = _list_of(answer.body)
        if found.get("processingType") not in WRITABLE:
            raise RejectedError(
                "this list is an active one: its members follow a filter and cannot be written; name another list",
                code=str(found.get("processingType")),
            )
        return str(found["listId"])

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make an empty static list; one of that name that somebody made meanwhile is taken instead."""
        body = {"name": name, "objectTypeId": vendor.CONTACTS_TYPE, "processingType": "MANUAL"}
        try:
            made = _list_of(api.post(vendor.path("crm/lists"), json=body))
            if made.get("name", name) != name:
                raise TransientError("the answer to a new list is about another one")
            return str(made["listId"])
        except RejectedError:  # Quirk 17: a name in use is 409 or 400
            found = self.lookup(api, name)
            if found is None:
                raise
            return found

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """Return the contacts with each address, primary or additional; those that HubSpot does not know are left out."""
        wanted = {key.lower(): key for key in keys}
        found: dict[str, dict[str, Ref]] = {}
        addresses = list(wanted)
        for start in range(0, len(addresses), vendor.BATCH):
            body = {
                "idProperty": "email",
                "properties": ["email", "hs_additional_emails"],
                "inputs": [{"id": address} for address in addresses[start : start + vendor.BATCH]],
            }
            for result in vendor.read_batch(api, vendor.path("crm/objects", "contacts", "batch", "read"), body):
                for address in _addresses(result):
                    if address in wanted:  # Quirk 10: the one asked for may be an additional one
                        found.setdefault(wanted[address], {})[str(result["id"])] = Ref(str(result["id"]))
        return {key: list(refs.values()) for key, refs in found.items()}

    def create_people(self, api: Api, people: Sequence[Person]) -> Sequence[Outcome]:
        """
        Create contacts by upsert, a batch at a time. Neither a subscription nor an opt-out is stated for anybody.

        Returns:
            DONE with the contact's id where the answer has it, REJECTED where the vendor refuses that person, else RETRY.
        """
        made: dict[str, Outcome] = {}
        unique = list({person.key.lower(): person for person in people}.values())  # one address twice sinks a whole batch
        for start in range(0, len(unique), vendor.BATCH):
            made |= _created(api, unique[start : start + vendor.BATCH])
        return [made[person.key.lower()] for person in people]

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """Add and remove in one call (2026-03/crm/lists/memberships: add-and-remove). Ids only: addresses are refused."""
        body = api.put(
            vendor.path("crm/lists", audience_id, "memberships", "add-and-remove"),
            json={
                "recordIdsToAdd": [change.ref.remote_id for change in adds],
                "recordIdsToRemove": [ref.remote_id for ref in removes],
            },
            repeat=False,  # harmless, but the second answer would call our own adds "already there" (Quirk 15)
        )
        added, removed = _ids(body, ADDED, bool(adds)), _ids(body, ("recordIdsRemoved",), bool(removes))
        missing = _ids(body, ("recordIdsMissing",), needed=False)
        if (added | removed) - {each.remote_id for each in (*removes, *(change.ref for change in adds))}:
            raise TransientError("the answer to a change of members is about others")  # so ours are not "already there"
        return [_outcome(Op.ADD, change.ref, added, missing) for change in adds] + [
            _outcome(Op.REMOVE, ref, removed, missing) for ref in removes
        ]

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Return the list's contacts, lowest id first."""
        where = vendor.path("crm/lists", audience_id, "memberships")
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


def _outcome(op: Op, ref: Ref, confirmed: frozenset[str], missing: frozenset[str]) -> Outcome:
    """
    Return the verdict on one id. The answer has three lists; an id in none of them was already as it was to be (Quirk 15).

    That is only the documentation's word, hence a noop: it makes nobody ours.
    """
    if ref.remote_id in confirmed:
        return Outcome(ref, Verdict.DONE)
    if ref.remote_id in missing:
        if op is Op.ADD:
            return Outcome(ref, Verdict.NOT_FOUND, reason="no such contact")
        return Outcome(ref, Verdict.NOOP, reason="no such contact")
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


def _addresses(result: Json) -> set[str]:
    properties = result.get("properties") or {}
    both = [*several(properties.get("email")), *several(properties.get("hs_additional_emails"))]
    return {address.lower() for address in both}


def _created(api: Api, people: Sequence[Person]) -> dict[str, Outcome]:
    """Return the outcome by address; a batch that is refused whole is halved here, since the core halves only `apply`."""
    try:
        return _upsert(api, people)
    except RejectedError as error:
        if len(people) == 1:
            reason = error.code or f"status {error.status}"
            return {people[0].key.lower(): Outcome(Ref(people[0].key), Verdict.REJECTED, reason=reason, message=error.said)}
    middle = len(people) // 2
    return _created(api, people[:middle]) | _created(api, people[middle:])


def _upsert(api: Api, people: Sequence[Person]) -> dict[str, Outcome]:
    inputs = [
        {
            "idProperty": "email",
            "id": person.key,
            "objectWriteTraceId": str(number),  # so that errors name their input
            "properties": _properties(person),
        }
        for number, person in enumerate(people)
    ]
    where = vendor.path("crm/objects", "contacts", "batch", "upsert")
    answer = api.request("POST", where, json={"inputs": inputs}, repeat=True, allow=(207,))
    outcomes = {person.key.lower(): Outcome(Ref(person.key), Verdict.RETRY, reason="no answer") for person in people}
    for result in vendor.list_of(answer.body, "results"):
        for address in _addresses(result) & outcomes.keys():
            outcomes[address] = Outcome(Ref(str(result["id"])), Verdict.DONE)
    for error in vendor.list_of(answer.body, "errors", needed=False):
        context = error.get("context") or {}
        named = [people[int(n)].key.lower() for n in context.get("objectWriteTraceId", ()) if str(n).isdecimal()]
        named += [str(each).lower() for each in context.get("ids", ())]
        if not any(address in outcomes for address in named):
            raise RejectedError("an error names no person", status=207, code=str(error.get("category")))
        for address in named:
            reason, message = str(error.get("category") or "refused"), str(error.get("message") or "")
            outcomes[address] = Outcome(Ref(address), Verdict.REJECTED, reason=reason, message=message)
    return outcomes


def _properties(person: Person) -> dict[str, str]:
    """Only what is meant: what upsert does with properties that are left out is not documented."""
    named = {
        PERSON_PROPERTIES[name]: str(value) for name, value in person.values.items() if name in PERSON_PROPERTIES and value
    }
    return {"email": person.key, **named}

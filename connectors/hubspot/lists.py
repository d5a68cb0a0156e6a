"""
Static lists as audiences: of contacts, who are found by address or made, and of companies, which are known by their records.

How a list is found, made, changed and read is in `static_lists`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, Field

from connectors.hubspot import static_lists, vendor
from connectors.hubspot.mapping import COMPANIES, CONTACTS, several
from connectors.hubspot.static_lists import DEFAULT_CHUNK
from core.contract import Api, Audience, AudienceSet, Change, Json, Outcome, Params, Person, Ref, Verdict
from core.errors import RejectedError

AUDIENCES = AudienceSet()
PERSON_PROPERTIES: Final = {"first_name": "firstname", "last_name": "lastname"}


class ListParams(Params):
    """What a sync may say of its list besides the name."""

    chunk: int = Field(DEFAULT_CHUNK, ge=1, le=100_000, description="Contacts added and removed by one request.")


class CompanyListParams(Params):
    """What a sync may say of its list of companies besides the name."""

    chunk: int = Field(DEFAULT_CHUNK, ge=1, le=100_000, description="Companies added and removed by one request.")


@AUDIENCES.add("list")
class StaticList(Audience):
    """A list of contacts that we keep."""

    Params = ListParams
    max_batch = DEFAULT_CHUNK
    repeat = "safe"  # members are a set: adding twice is adding once; 2026-03/crm/lists/memberships
    ids_from = CONTACTS.name
    find_batch = vendor.BATCH

    def __init__(self, params: BaseModel) -> None:
        super().__init__(params)
        if isinstance(params, ListParams):
            self.max_batch = params.chunk  # type: ignore[misc]  # each sync may say its own

    def check_name(self, name: str) -> str | None:
        return static_lists.check_name(name)

    def lookup(self, api: Api, name: str) -> str | None:
        return static_lists.lookup(api, vendor.CONTACTS_TYPE, name)

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        return static_lists.create(api, vendor.CONTACTS_TYPE, name)

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
        return static_lists.change(api, audience_id, adds, removes, noun="contact")

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        return static_lists.members(api, audience_id)


@AUDIENCES.add("company_list")
class CompanyList(Audience):
    """
    A list of companies that we keep.

    A company is the record of it that the stream `companies` brought. Nobody is asked: a domain is no unique property here, and
    only search could look for one, which lags behind (Quirks 4 and 27).
    """

    Params = CompanyListParams
    of = "company"
    max_batch = DEFAULT_CHUNK
    repeat = "safe"
    ids_from = COMPANIES.name

    def __init__(self, params: BaseModel) -> None:
        super().__init__(params)
        if isinstance(params, CompanyListParams):
            self.max_batch = params.chunk  # type: ignore[misc]  # each sync may say its own

    def check_name(self, name: str) -> str | None:
        return static_lists.check_name(name)

    def lookup(self, api: Api, name: str) -> str | None:
        return static_lists.lookup(api, vendor.COMPANIES_TYPE, name)

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        return static_lists.create(api, vendor.COMPANIES_TYPE, name)

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        return static_lists.change(api, audience_id, adds, removes, noun="company")

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        return static_lists.members(api, audience_id)


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

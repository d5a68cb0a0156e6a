"""
The audience `tag`: of contacts and of leads, which are two tags of one name. 500 ids a call, others' tags left alone.

The remote id names both tags and says the name, `contacts' id/leads' id/name`: Zoho wants the name in every call, and goes by
the id. Who is found and who is made is `people`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.zoho_crm import people
from connectors.zoho_crm.mapping import CONTACTS, LEADS
from connectors.zoho_crm.objects import walk
from connectors.zoho_crm.vendor import API, MAX_TAGGED, ask, code_of, details_of, rows_of, said_of
from core.contract import Api, Audience, AudienceSet, Change, Json, Op, Outcome, Person, Ref, Verdict
from core.errors import NotFoundError, ProtocolError, RejectedError

AUDIENCES = AudienceSet()

MAX_NAME = 25  # characters of a tag's name; create-tags.html
NO_SUCH_RECORD = frozenset({"INVALID_DATA"})
TRY_AGAIN = frozenset({"INTERNAL_ERROR", "TOO_MANY_REQUESTS"})


@dataclass(frozen=True, slots=True)
class TagIds:
    """Both tags of one name; an id is empty where the module has none yet."""

    contacts: str
    leads: str
    name: str

    def dump(self) -> str:
        return f"{self.contacts}/{self.leads}/{self.name}"

    @classmethod
    def parse(cls, remote_id: str) -> TagIds:
        contacts, leads, name = remote_id.split("/", 2)  # an id is a number, a name may hold slashes
        return cls(contacts, leads, name)

    def of(self, module: str) -> str:
        return self.leads if module == LEADS.name else self.contacts

    def reference(self, module: str) -> dict[str, str]:
        """Return the tag as a call names it; where both are given, the id wins (Quirk 19)."""
        id_ = self.of(module)
        return {"name": self.name, "id": id_} if id_ else {"name": self.name}

    def among(self, tags: Json, module: str) -> bool:
        """Tell whether *tags* of a record hold this one: objects, or plain names in some answers."""
        return any(
            str(tag.get("id")) == self.of(module)
            if isinstance(tag, dict) and tag.get("id") and self.of(module)
            else str(tag.get("name") if isinstance(tag, dict) else tag).casefold() == self.name.casefold()
            for tag in (tags if isinstance(tags, list) else [])
        )


@AUDIENCES.add("tag")
class Tag(Audience):
    """A tag on contacts, and on the leads of people who are no contact."""

    max_batch = MAX_TAGGED
    concurrency = 4  # of the ten heavy calls at once that all apps of the organisation have together (Quirk 22)
    path = "/crm/v8/Contacts/actions/add_tags"
    repeat = "safe"  # tagging twice is tagging once; add-tags.html
    ids_from = "contacts"
    find_batch = 2_000

    def check_name(self, name: str) -> str | None:
        if not name or name != name.strip():
            return "a tag's name has no space at its ends and is not empty"
        if len(name) > MAX_NAME:
            return f"a Zoho tag's name has at most {MAX_NAME} characters, and {name!r} has {len(name)}"
        return None if name.isprintable() else "a tag's name holds no control characters"

    def lookup(self, api: Api, name: str) -> str | None:
        """Return both modules' tags of that name; one that only one module has is there already, with its members."""
        found = {module: _named(_tags(api, module), name) for module in _modules(api)}
        there = [tag for tag in found.values() if tag]
        if not there:
            return None
        ids = {module: str(tag["id"]) if tag else "" for module, tag in found.items()}
        return TagIds(ids[CONTACTS.name], ids.get(LEADS.name, ""), str(there[0]["name"])).dump()

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make the tag in each module; add_tags would make it too, but without saying so (Quirk 19)."""
        ids = {module: _create(api, module, name) for module in _modules(api)}
        return TagIds(ids[CONTACTS.name], ids.get(LEADS.name, ""), name).dump()

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """Ask by COQL, a hundred addresses a query."""
        return people.find(api, keys)

    def create_people(self, api: Api, people_: Sequence[Person]) -> Sequence[Outcome]:
        """Make contacts of them."""
        return people.create_people(api, people_)

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Tag and untag, one call for each way and module that has somebody in it.

        Returns:
            One outcome per member, adds first, in the order given; DONE only for whom the answer confirms.
        Raises:
            RejectedError: an answer that names nobody we asked for. NotFoundError: the tag was deleted.
        """
        tag = TagIds.parse(audience_id)
        asked = [(Op.ADD, change.ref) for change in adds] + [(Op.REMOVE, ref) for ref in removes]
        outcomes: dict[tuple[Op, str, str], Outcome] = {}
        for op in Op:
            for module in (CONTACTS.name, LEADS.name):
                refs = [ref for how, ref in asked if how is op and _module(ref) == module]
                if refs:
                    answered = _change(api, op, module, tag, refs)
                    outcomes |= {(op, module, ref.remote_id): _outcome(op, ref, answered, tag, module) for ref in refs}
        return [replace(outcomes[op, _module(ref), ref.remote_id], ref=ref) for op, ref in asked]

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """
        Read all records with their tags and keep those with ours: no query by tag is documented (Quirk 23).

        Raises:
            NotFoundError: no module has the tag any more.
        """
        tag = TagIds.parse(audience_id)
        modules = [module for module in _modules(api) if any(tag.among([one], module) for one in _tags(api, module))]
        if not modules:
            raise NotFoundError("the tag is no longer there")
        for module in modules:
            for rows in walk(api, module, ["Tag"]):
                yield [_ref(str(row["id"]), module) for row in rows if tag.among(row.get("Tag"), module)]

    def cost(self, adds: int, removes: int) -> int:
        """Adds and removes are calls of their own. Leads, who are not told apart here, are one more a batch and way."""
        return -(-adds // self.max_batch) + -(-removes // self.max_batch)


def _modules(api: Api) -> list[str]:
    return [CONTACTS.name, LEADS.name] if api.settings.leads else [CONTACTS.name]


def _module(ref: Ref) -> str:
    """Return the module of a member: the stream of contacts gives refs without one."""
    return LEADS.name if ref.object == LEADS.name else CONTACTS.name


def _ref(id_: str, module: str) -> Ref:
    return Ref(id_, object=LEADS.name if module == LEADS.name else None)


def _tags(api: Api, module: str) -> Sequence[Json]:
    return rows_of(ask(api, "GET", f"{API}/settings/tags", params={"module": module}), "tags")


def _named(tags: Sequence[Json], name: str) -> Json | None:
    """Return the tag of that name, the exact spelling first."""
    same = [tag for tag in tags if str(tag.get("name")).casefold() == name.casefold()]
    return min(same, key=lambda tag: (tag["name"] != name, str(tag["id"])), default=None)


def _create(api: Api, module: str, name: str) -> str:
    sent = {"params": {"module": module}, "json": {"tags": [{"name": name}]}}
    (row,) = rows_of(ask(api, "POST", f"{API}/settings/tags", allow=(400,), **sent), "tags") or ({},)
    id_ = details_of(row).get("id")
    if row.get("code") == "SUCCESS" and id_:
        return str(id_)
    if row.get("code") == "DUPLICATE_DATA" and (found := _named(_tags(api, module), name)):
        return str(found["id"])
    said = "its tags are used up: delete some, or take one that is there" if row.get("code") == "LIMIT_EXCEEDED" else "refused"
    raise RejectedError(f"the tag was not made for {module}: {said}", code=code_of(row) or None)


def _change(api: Api, op: Op, module: str, tag: TagIds, refs: Sequence[Ref]) -> dict[str, Json]:
    """Send one call and return its rows by record id."""
    if op is Op.ADD and not tag.of(module):  # only the other module had it when it was found
        tag = replace(tag, **{"leads" if module == LEADS.name else "contacts": _create(api, module, tag.name)})
    ids = list(dict.fromkeys(ref.remote_id for ref in refs))
    body: dict[str, Any] = {"tags": [tag.reference(module)], "ids": ids}
    if op is Op.ADD:
        body["over_write"] = False  # Quirk 5: true takes every other tag off the records
    verb = "add_tags" if op is Op.ADD else "remove_tags"
    try:
        answer = ask(api, "POST", f"{API}/{module}/actions/{verb}", json=body, repeat=True, allow=(400,))
    except RejectedError as error:
        if not any(tag.among([one], module) for one in _tags(api, module)):
            raise NotFoundError("the tag is no longer there", status=error.status, code=error.code) from error
        raise
    return _by_id(rows_of(answer), ids)


def _by_id(rows: Sequence[Json], ids: Sequence[str]) -> dict[str, Json]:
    """Return the rows by the record they are about: by the id they name, else by their place (Quirk 21)."""
    named = [details_of(row).get("id") for row in rows]
    told = [str(id_) if id_ else ids[at] if len(rows) == len(ids) else "" for at, id_ in enumerate(named)]
    if set(told) - set(ids):
        raise RejectedError("an answer names no record that was asked for")
    return dict(zip(told, rows, strict=True))


def _outcome(op: Op, ref: Ref, rows: Mapping[str, Json], tag: TagIds, module: str) -> Outcome:
    """Return the verdict on one record by its own row; the status of the whole says nothing (Quirk 21)."""
    row = rows.get(ref.remote_id)
    if row is None:
        return Outcome(ref, Verdict.RETRY, reason="not in the answer")
    code = code_of(row)
    if code == "SUCCESS":
        return _confirmed(op, ref, details_of(row), tag, module)
    if not code:
        raise ProtocolError("a row of the answer says neither success nor what is wrong")
    if code in NO_SUCH_RECORD:
        if op is Op.ADD:
            return Outcome(ref, Verdict.NOT_FOUND, reason="no such record")
        return Outcome(ref, Verdict.NOOP, reason="no such record, or not tagged")
    return Outcome(ref, Verdict.RETRY if code in TRY_AGAIN else Verdict.REJECTED, reason=code, message=said_of(row))


def _confirmed(op: Op, ref: Ref, details: Json, tag: TagIds, module: str) -> Outcome:
    tags = details.get("tags")
    if op is Op.ADD and details.get("not_added_tags"):  # Quirk 11
        return Outcome(ref, Verdict.REJECTED, reason="the record has as many tags as it may")
    if isinstance(tags, list) and tag.among(tags, module) is not (op is Op.ADD):
        return Outcome(ref, Verdict.RETRY, reason="not confirmed")
    return Outcome(ref, Verdict.DONE)

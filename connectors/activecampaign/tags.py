"""
The audience `tag`: one request for each person, by contact id; what is removed is the association, which has an id of its own.

Adding a tag is a call that confirms, and starts the automations that listen for it. The stream `tags` says which there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from connectors.activecampaign import people
from connectors.activecampaign.people import STREAMS
from connectors.activecampaign.vendor import by_offset, clean, contacts_by_id, object_of, rows_of
from core.contract import (
    Api,
    Audience,
    AudienceSet,
    Change,
    Deletions,
    Json,
    Kind,
    Outcome,
    Page,
    Person,
    Record,
    Ref,
    Row,
    Verdict,
    one_by_one,
)
from core.errors import NotFoundError, ProtocolError, RejectedError, TransientError

AUDIENCES = AudienceSet()


def _no_rows(_: Record) -> Iterator[Row]:
    """Return nothing: a tag is nobody."""
    yield from ()


@STREAMS.add("tags", kind=Kind.PROFILE, key="id", deletions=Deletions.ABSENCE, rows=_no_rows)
def tags(api: Api, cursor: str | None, resume: str | None) -> Iterator[Page]:
    """All tags, as a table of their names: who has one is not in it (DOCS/list-all-tags)."""
    for rows in by_offset(api, "/tags", "tags"):
        yield Page([clean(row) for row in rows])


class Known(Audience):
    """An audience of contacts."""

    repeat = "safe"
    ids_from = "contacts"
    find_batch = 20  # a request each

    def check_name(self, name: str) -> str | None:
        """Say what would not come back as it was written."""
        if not name.strip() or name != name.strip():
            return f"the name of a {self.kind} is not empty and has no space at its ends"
        return None if name.isprintable() else f"the name of a {self.kind} holds no control characters"

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """Ask for each address."""
        return people.find(api, keys)

    def create_people(self, api: Api, people_: Sequence[Person]) -> Sequence[Outcome]:
        """Create contacts who are on no list."""
        return people.create_people(api, people_)


@AUDIENCES.add("tag")
class Tag(Known):
    """A tag of contacts."""

    max_batch = 50  # requests are what it costs; so many are done within half a minute
    concurrency = 4  # five requests a second, each answered in less than one

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the id of the tag called so, the exact spelling first (DOCS/retrieve-all-tags)."""
        same: list[Json] = []
        for rows in by_offset(api, "/tags", "tags", filters__search__eq=name):
            same += [row for row in rows if row.get("tagType") == "contact" and _same(row.get("tag"), name)]
        best = min(same, key=lambda row: (row["tag"] != name, int(row["id"])), default=None)
        return None if best is None else str(best["id"])

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make a tag; one of that name that is there after all is taken instead (Quirk 12)."""
        body = {"tag": {"tag": name, "tagType": "contact", "description": "Kept by Tagalong"}}
        try:
            made = object_of(api.post("/tags", json=body), "tag")
            if not _same(made.get("tag", name), name):
                raise TransientError("the answer to a new tag is about another one")
            return str(made["id"])
        except RejectedError:
            found = self.lookup(api, name)
            if found is None:
                raise
            return found

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """Tag and untag one by one; an add's outcome carries the association's id, which removal needs (Quirk 13)."""
        added = [(change.ref, partial(_add, api, audience_id, change.ref)) for change in adds]
        return one_by_one(added + [(ref, partial(_remove, api, audience_id, ref)) for ref in removes])

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Everybody with the tag, whatever they said on any list."""
        api.get(f"/tags/{audience_id}")  # one that is gone is told as such, and not as one without members
        for rows in contacts_by_id(api, tagid=audience_id):
            yield [Ref(str(row["id"])) for row in rows if not people.is_gone(row)]

    def cost(self, adds: int, removes: int) -> int:
        """One request each; two for the removal of one whose association's id is not known."""
        return adds + removes


def _same(one: object, other: str) -> bool:
    return isinstance(one, str) and one.casefold() == other.casefold()  # Quirk 12: unique without regard to case


def _add(api: Api, tag: str, ref: Ref) -> Outcome:
    body = {"contactTag": {"contact": ref.remote_id, "tag": tag}}
    try:  # harmless to repeat, but "has the tag already" of our own doing would count as somebody else's: the core repeats it
        answer = api.request("POST", "/contactTags", json=body, allow=(404,))
    except RejectedError as error:
        held = _association(api, tag, ref.remote_id)  # Quirk 14: how a second time is answered, no page says
        if held is None:
            return Outcome(ref, Verdict.REJECTED, reason=error.code or f"status {error.status}", message=error.said)
        return Outcome(Ref(ref.remote_id, handle=held), Verdict.NOOP, reason="has the tag already")
    if answer.status == 404:
        return _not_found(answer.body, ref)
    made = object_of(answer.body, "contactTag")
    if (str(made.get("contact")), str(made.get("tag"))) != (ref.remote_id, tag):
        raise ProtocolError("tagged one contact, the vendor answered with another")
    return Outcome(Ref(ref.remote_id, handle=str(made["id"])), Verdict.DONE)


def _not_found(body: Json, ref: Ref) -> Outcome:
    """Return the outcome where the contact is gone; NotFoundError where it is not said to be the contact."""
    errors = body.get("errors") if isinstance(body, dict) else None
    said = " ".join(str(error.get("detail")) for error in errors or () if isinstance(error, dict)).lower()
    if "contact not found" not in said:
        raise NotFoundError("the tag, or the contact, is no longer there", status=404)
    return Outcome(ref, Verdict.NOT_FOUND, reason="no such contact")


def _remove(api: Api, tag: str, ref: Ref) -> Outcome:
    try:
        return _untag(api, tag, ref)
    except RejectedError as error:  # a call is of one person, so it is they who are refused
        return Outcome(ref, Verdict.REJECTED, reason=error.code or f"status {error.status}", message=error.said)


def _untag(api: Api, tag: str, ref: Ref) -> Outcome:
    if ref.handle is not None and _drop(api, ref.handle):
        return Outcome(ref, Verdict.DONE)
    held = _association(api, tag, ref.remote_id)  # the tag may have been taken off and put on again since
    if held is not None and _drop(api, held):
        return Outcome(ref, Verdict.DONE)
    return Outcome(ref, Verdict.NOOP, reason="has the tag no more")


def _drop(api: Api, association: str) -> bool:
    """Remove an association; False where it is gone already (404 "No Result found for SubscriberTag")."""
    return api.request("DELETE", f"/contactTags/{association}", allow=(404,)).status != 404


def _association(api: Api, tag: str, contact: str) -> str | None:
    """Return the id of the association of a tag with a contact: neither's own id (Quirk 13)."""
    answer = api.request("GET", f"/contacts/{contact}/contactTags", allow=(404,))
    if answer.status == 404:
        return None
    return next((str(row["id"]) for row in rows_of(answer.body, "contactTags") if str(row.get("tag")) == tag), None)

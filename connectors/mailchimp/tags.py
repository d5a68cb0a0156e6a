"""
The audience `tag`: a static segment of the list, which is the same object. Members go in and out by address, 500 a call.

Only the delta call is used: never PATCH, whose empty array wipes the tag, and never a call that carries the status of
somebody who is there already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connectors.mailchimp.members import address
from connectors.mailchimp.paging import PAGE_SIZE, Place, pages
from core.contract import Api, Audience, AudienceSet, Change, Json, Op, Outcome, Person, Ref, Verdict
from core.errors import ProtocolError, RejectedError, TransientError

AUDIENCES = AudienceSet()

MAX_MEMBERS = (
    500  # in each array of a call. https://mailchimp.com/developer/marketing/api/list-segments/batch-add-or-remove-members/
)
MAX_NAME = 100  # characters of a tag's name
LOOK_SINGLY = 10  # unconfirmed members up to this many are asked for one by one, more by reading the tag
ARCHIVED = "archived"  # Ref.object of somebody who is known, but put away
EVERYBODY = {"include_cleaned": True, "include_transactional": True, "include_unsubscribed": True}  # Quirk 9


class There(StrEnum):
    """How somebody whom an answer did not confirm stands."""

    ABSENT = "absent"
    ARCHIVED = "archived"
    TAGGED = "tagged"
    UNMAILABLE = "unmailable"
    """Unsubscribed or cleaned, and without the tag."""
    UNTAGGED = "untagged"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer names an address among its errors."""

    verdict: Verdict | None
    """None where the text does not decide."""
    reason: str
    text: str
    """As it came; it may hold addresses."""


def read_refusal(text: str) -> Refusal:
    """Return what an error's text means, as far as it can be relied on."""
    said = text.lower()
    if "permanently deleted" in said or "forgotten" in said:  # Quirk 10: never to be tried again and again
        return Refusal(Verdict.SUPPRESSED, "forgotten", text)
    if "fake or invalid" in said or "valid email" in said:
        return Refusal(Verdict.REJECTED, "looks fake or invalid", text)
    if "compliance state" in said:
        return Refusal(Verdict.SUPPRESSED, "compliance state", text)
    return Refusal(None, "refused", text)


@AUDIENCES.add("tag")
class Tag(Audience):
    """A tag of the connection's list."""

    max_batch = MAX_MEMBERS
    concurrency = 4  # Quirk 1
    repeat = "safe"  # tagging twice is tagging once
    ids_from = "members"
    find_batch = 50

    def check_name(self, name: str) -> str | None:
        if not name.strip() or name != name.strip():
            return "a tag's name has no space at its ends and is not empty"
        if len(name) > MAX_NAME:
            return f"a tag's name has at most {MAX_NAME} characters"
        return None if name.isprintable() else "a tag's name holds no control characters"

    def lookup(self, api: Api, name: str) -> str | None:
        """Search by prefix and compare whole names without case (Quirk 11)."""
        found = api.get(f"{_list(api)}/tag-search", name=name)
        tags = found["tags"]
        best = _named(name, tags)
        if best is None and int(found.get("total_items") or 0) > len(tags):  # the search has no pages; the segments have
            query = {"type": "static", "fields": "segments.id,segments.name,total_items"}
            every = pages(api, f"{_list(api)}/segments", "segments", Place(), **query)
            best = _named(name, [tag for page, _ in every for tag in page])
        return best

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make an empty tag; the cap on members given here is not documented, so there are none (Quirk 12)."""
        made = api.post(f"{_list(api)}/segments", json={"name": name, "static_segment": []})
        if str(made["name"]).casefold() != name.casefold():
            raise TransientError("the answer to a new tag is about another one")
        return str(made["id"])

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """Ask for each address by itself; there is no call for many."""
        return {key: ref for key in keys if (ref := self._find_one(api, key))}

    def _find_one(self, api: Api, key: str) -> Sequence[Ref]:
        member = _get_member(api, key.lower(), "email_address,status")
        if member is None:
            return ()
        # Quirk 13: to say that an archived person is absent would let create_people bring them back without their opt-out
        return (Ref(key.lower(), object=ARCHIVED if member.get("status") == "archived" else None),)

    def create_people(self, api: Api, people: Sequence[Person]) -> Sequence[Outcome]:
        """Create people as `transactional`: stored and taggable, never mailed; whoever is there already is left as they are."""
        outcomes: list[Outcome] = []
        for start in range(0, len(people), MAX_MEMBERS):
            outcomes += self._create_some(api, people[start : start + MAX_MEMBERS])
        return outcomes

    def _create_some(self, api: Api, people: Sequence[Person]) -> Sequence[Outcome]:
        body = api.post(
            _list(api),
            params={"skip_merge_validation": True, "skip_duplicate_check": True},  # required merge fields would refuse them
            json={"members": [_new_member(person) for person in people], "sync_tags": False, "update_existing": False},
        )
        made = _addresses(body["new_members"])
        errors = {str(error["email_address"]).lower(): error for error in body["errors"]}
        _check_names(errors, (person.key.lower() for person in people))
        return [_created(person.key.lower(), made, errors.get(person.key.lower())) for person in people]

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Put members into the tag and take them out, in one call.

        Returns:
            One outcome per member, adds first, in the order given; DONE only for whom the answer names.
        Raises:
            RejectedError: an error that names nobody we asked for.
        """
        asked = [(Op.ADD, change.ref) for change in adds] + [(Op.REMOVE, ref) for ref in removes]
        body = _change(api, audience_id, asked)
        done = {Op.ADD: _addresses(body["members_added"]), Op.REMOVE: _addresses(body["members_removed"])}
        if (done[Op.ADD] | done[Op.REMOVE]) - {ref.remote_id for _, ref in asked}:
            raise TransientError("the answer to a change of members is about others")  # so ours do not "have it already"
        refused = {str(who).lower(): read_refusal(str(e.get("error"))) for e in body["errors"] for who in e["email_addresses"]}
        _check_names(refused, (ref.remote_id for _, ref in asked), nobody=any(not e["email_addresses"] for e in body["errors"]))
        open_ = {
            ref.remote_id
            for op, ref in asked
            if ref.remote_id not in done[op]
            and ref.object != ARCHIVED
            and not ((refusal := refused.get(ref.remote_id)) and refusal.verdict)
        }
        there = _look(api, audience_id, open_)
        return [
            _outcome(op, ref, ref.remote_id in done[op], refused.get(ref.remote_id), there.get(ref.remote_id))
            for op, ref in asked
        ]

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Everybody with the tag, whatever their status (Quirk 9)."""
        for found in _tagged(api, audience_id):
            yield [Ref(who) for who in found]


def _outcome(op: Op, ref: Ref, confirmed: bool, refusal: Refusal | None, there: There | None) -> Outcome:
    """Return the verdict on one member; QUIRKS.md, 14 has the reasons."""
    if confirmed:
        return Outcome(ref, Verdict.DONE)
    if refusal and refusal.verdict:
        return Outcome(ref, refusal.verdict, reason=refusal.reason, message=refusal.text)
    again, said = (Verdict.REJECTED, refusal.text) if refusal else (Verdict.RETRY, "")  # an error said so, or nothing did
    match op, there:
        case Op.ADD, There.TAGGED:
            return Outcome(ref, Verdict.NOOP, reason="has the tag already")
        case Op.ADD, There.UNMAILABLE:
            return Outcome(ref, Verdict.SUPPRESSED, reason="unsubscribed or cleaned")
        case Op.ADD, There.UNTAGGED:
            return Outcome(ref, again, reason="not confirmed", message=said)
        case Op.ADD, _:
            return Outcome(ref, Verdict.NOT_FOUND, reason="archived" if ref.object == ARCHIVED else str(there))
        case Op.REMOVE, There.TAGGED:
            return Outcome(ref, again, reason="still has the tag", message=said)
        case _:
            return Outcome(ref, Verdict.NOOP, reason="has the tag no more")


def _created(who: str, made: set[str], error: Json) -> Outcome:
    ref = Ref(who)
    if who in made:
        return Outcome(ref, Verdict.DONE)
    if error is None:
        return Outcome(ref, Verdict.RETRY, reason="not confirmed")
    if error.get("error_code") == "ERROR_CONTACT_EXISTS":
        return Outcome(ref, Verdict.NOOP, reason="on the list already")
    refusal = read_refusal(str(error.get("error")))
    return Outcome(ref, refusal.verdict or Verdict.REJECTED, reason=refusal.reason, message=refusal.text)


def _change(api: Api, audience_id: str, asked: Sequence[tuple[Op, Ref]]) -> Json:
    """Send one delta. It is not marked repeatable: the answer to a second sending could not tell ours from theirs."""
    add = [ref.remote_id for op, ref in asked if op is Op.ADD and ref.object != ARCHIVED]
    remove = [ref.remote_id for op, ref in asked if op is Op.REMOVE and ref.object != ARCHIVED]
    if not add and not remove:
        return {"members_added": [], "members_removed": [], "errors": []}
    path = f"{_list(api)}/segments/{audience_id}"
    body = api.post(path, json={"members_to_add": add, "members_to_remove": remove})
    if not isinstance(body, dict) or not {"members_added", "members_removed", "errors"} <= body.keys():
        raise ProtocolError("the answer does not say who was added and who was removed")
    return body


def _look(api: Api, audience_id: str, open_: set[str]) -> Mapping[str, There]:
    """Return how those stand whom the answer confirmed neither way: rare, and worth a look each."""
    there: dict[str, There] = {}
    if len(open_) > LOOK_SINGLY:  # a batch sent again after a crash: all of it may be there already
        for found in _tagged(api, audience_id):
            there |= {who: There.TAGGED for who in found if who in open_}
            if len(there) == len(open_):
                return there
    return there | {who: _look_at_one(api, audience_id, who) for who in sorted(open_ - there.keys())}


def _look_at_one(api: Api, audience_id: str, who: str) -> There:
    member = _get_member(api, who, "status,tags,tags_count")
    if member is None:
        return There.ABSENT
    if member.get("status") == "archived":
        return There.ARCHIVED
    tags = member.get("tags") or []
    if int(member.get("tags_count") or 0) > len(tags):  # Quirk 15: at most 50 of them come with a member
        tags = api.get(f"{_list(api)}/members/{_hash(who)}/tags", count=PAGE_SIZE, fields="tags.id")["tags"]
    if any(str(tag["id"]) == audience_id for tag in tags):
        return There.TAGGED
    return There.UNMAILABLE if member.get("status") in ("unsubscribed", "cleaned") else There.UNTAGGED


def _tagged(api: Api, audience_id: str) -> Iterator[Sequence[str]]:
    path = f"{_list(api)}/segments/{audience_id}/members"
    for found, _ in pages(api, path, "members", Place(), fields="members.email_address,total_items", **EVERYBODY):
        yield [who for member in found if (who := address(member))]


def _get_member(api: Api, who: str, fields: str) -> Json:
    answer = api.request("GET", f"{_list(api)}/members/{_hash(who)}", params={"fields": fields}, allow=(404,))
    return None if answer.status == 404 else answer.body


def _hash(who: str) -> str:
    """Return the id of a member: MD5 of the lower-cased address (Quirk 16). Not for secrecy."""
    return hashlib.md5(who.strip().lower().encode(), usedforsecurity=False).hexdigest()


def _new_member(person: Person) -> Json:
    names = {"FNAME": person.values.get("first_name"), "LNAME": person.values.get("last_name")}
    merge = {tag: value for tag, value in names.items() if value}
    return {"email_address": person.key, "status": "transactional", "merge_fields": merge}


def _addresses(found: Sequence[Json]) -> set[str]:
    return {who for member in found if (who := address(member))}


def _check_names(errors: Iterable[str], asked: Iterable[str], *, nobody: bool = False) -> None:
    if nobody or set(errors) - set(asked):
        raise RejectedError("an error of the batch names nobody whom we asked for")


def _named(name: str, tags: Sequence[Json]) -> str | None:
    """Return the id of the tag of that name, the exact spelling first, then the oldest."""
    same = [tag for tag in tags if str(tag["name"]).casefold() == name.casefold()]
    return str(min(same, key=lambda tag: (tag["name"] != name, int(tag["id"])))["id"]) if same else None


def _list(api: Api) -> str:
    return f"/lists/{api.settings.list_id}"

"""
The audience `tag`: one request for each person, and only for those whom a look beforehand shows to need it.

The vendor says nothing about what it did, and does not say what becomes of a tag for nobody; so people are looked at first,
fifty at a time. Nobody is ever made, subscribed, unsubscribed, archived or deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from connectors.encharge.people import email_of, tag_names
from connectors.encharge.vendor import (
    SOME,
    Place,
    everybody,
    is_unsubscribed,
    some_people,
    tags_of,
    unsubscribed_name,
)
from core.contract import Api, Audience, AudienceSet, Change, Op, Outcome, Ref, Verdict, one_by_one
from core.errors import NotFoundError, ProtocolError, RejectedError

AUDIENCES = AudienceSet()

_NAME: Final = re.compile(r"[\w -]+")
"""Letters, digits, spaces, dashes, underscores (help.encharge.io/article/96-tags)."""


@AUDIENCES.add("tag")
class Tag(Audience):
    """A tag of people, known by its name: it has no other id."""

    max_batch = 2 * SOME
    concurrency = 3  # batches at once; the rate is the manifest's
    repeat = "safe"
    ids_from = "people"
    find_batch = SOME

    def check_name(self, name: str) -> str | None:
        """Say what the vendor would make something else of: a comma makes two tags (Quirk 2)."""
        if not name.strip() or name != name.strip():
            return "a tag's name is not empty and has no space at its ends"
        if not _NAME.fullmatch(name):
            return "an Encharge tag has letters, digits, spaces, dashes and underscores only"
        return None

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the tag called so as it is spelled there, the exact spelling first."""
        same = [str(tag["tag"]) for tag in tag_names(api) if str(tag["tag"]).casefold() == name.casefold()]
        return min(same, key=lambda spelled: (spelled != name, spelled), default=None)

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make a tag (DOCS: CreateAccountTags); how a second one of a name is answered is unconfirmed (Quirk 10)."""
        try:
            api.post("/tags-management", json={"tags": [{"tag": name, "description": "Kept by Tagalong"}]})
        except RejectedError:
            found = self.lookup(api, name)
            if found is None:
                raise
            return found
        return self.lookup(api, name) or name

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """Ask for people by address; those who are archived are hidden, and so not known (DOCS: GetSpecificPeople)."""
        wanted = {key.strip().lower(): key for key in keys}
        found: dict[str, list[Ref]] = {}
        for person in some_people(api, "email", list(wanted), "email"):
            key = wanted.get(email_of(person) or "")
            if key is None:
                raise ProtocolError("asked for some people, the vendor answered with others")
            found.setdefault(key, []).append(Ref(str(person["id"])))
        return found

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Look at the people, then tag and untag one by one whoever needs it.

        Returns:
            One outcome per member, adds first, in the order given; SUPPRESSED for whom has unsubscribed.
        Raises:
            NotFoundError: the tag is gone, or is called otherwise by now; tagging would make it anew (Quirk 10).
        """
        _check_there(api, audience_id)
        asked = [(Op.ADD, change.ref) for change in adds] + [(Op.REMOVE, ref) for ref in removes]
        name = unsubscribed_name(api)
        people = _look(api, [ref.remote_id for _, ref in asked], name)
        return one_by_one(
            [(ref, partial(_one, api, audience_id, op, ref, people.get(ref.remote_id), name)) for op, ref in asked]
        )

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Everybody with the tag: there is no list of them, so all people are read (Quirk 11)."""
        _check_there(api, audience_id)
        for found, _ in everybody(api, Place(), sort="createdAt", order="asc"):
            yield [Ref(str(person["id"])) for person in found if audience_id in tags_of(person)]

    def cost(self, adds: int, removes: int) -> int:
        """A request each, and for a batch a look at the tags, at the fields, and at the people fifty at a time."""
        both = adds + removes
        batches = -(-max(adds, removes) // self.max_batch)
        return both + -(-both // SOME) + 2 * batches


def _check_there(api: Api, tag: str) -> None:
    if all(str(one["tag"]) != tag for one in tag_names(api)):
        raise NotFoundError("there is no tag of that name any more", status=404)


def _look(api: Api, ids: Sequence[str], name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the people by id, with their tags and what they said to e-mail; whoever is gone or archived is left out."""
    found = {str(person["id"]): person for person in some_people(api, "id", list(dict.fromkeys(ids)), "tags", name)}
    if found.keys() - set(ids):
        raise ProtocolError("asked for some people, the vendor answered with others")
    return found


def _one(api: Api, tag: str, op: Op, ref: Ref, person: Mapping[str, Any] | None, name: str) -> Outcome:
    if person is None:
        return _absent(op, ref)
    has = tag in tags_of(person)
    if op is Op.ADD:
        if is_unsubscribed(person, name):
            return Outcome(ref, Verdict.SUPPRESSED, reason="unsubscribed")
        if has:
            return Outcome(ref, Verdict.NOOP, reason="has the tag already")
    elif not has:
        return Outcome(ref, Verdict.NOOP, reason="has the tag no more")
    # Quirk 1: the removal is a DELETE with a body. Both do once what they do twice
    method, body = "POST" if op is Op.ADD else "DELETE", {"tag": tag, "id": ref.remote_id}
    try:
        answer = api.request(method, "/tags", json=body, repeat=True, allow=(404,))
    except RejectedError as error:  # a call is of one person, so it is they who are refused
        return Outcome(ref, Verdict.REJECTED, reason=f"status {error.status}", message=error.said)
    return _absent(op, ref) if answer.status == 404 else Outcome(ref, Verdict.DONE)


def _absent(op: Op, ref: Ref) -> Outcome:
    return Outcome(ref, Verdict.NOT_FOUND if op is Op.ADD else Verdict.NOOP, reason="no such person, or archived")

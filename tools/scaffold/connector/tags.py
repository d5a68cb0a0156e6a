"""The audience `tag`: contacts have it or have it not; nothing else of them is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.contract import Api, Audience, AudienceSet, Change, Outcome, Ref, Verdict
from core.errors import RejectedError

AUDIENCES = AudienceSet()

MAX_BATCH = 100  # docs_url/tags#members
MAX_NAME = 50  # characters; docs_url/tags#create


@AUDIENCES.add("tag")
class Tag(Audience):
    """One tag. People are found by address and known by the contact's id from then on."""

    max_batch = MAX_BATCH
    find_batch = MAX_BATCH
    repeat = "safe"  # tagging twice is tagging once; docs_url/tags#members
    ids_from = "contacts"

    def check_name(self, name: str) -> str | None:
        return None if len(name) <= MAX_NAME else f"longer than {MAX_NAME} characters"

    def lookup(self, api: Api, name: str) -> str | None:
        for tag in api.get("/tags", name=name)["tags"]:
            if tag["name"] == name:
                return str(tag["id"])
        return None

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        return str(api.post("/tags", json={"name": name})["id"])

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        found: dict[str, list[Ref]] = {key: [] for key in keys}
        for contact in api.post("/contacts/search", json={"emails": list(keys)}, repeat=True)["contacts"]:
            found[contact["email"].lower()].append(Ref(str(contact["id"])))
        return found

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> list[Outcome]:
        """
        Give and take the tag (docs_url/tags#members).

        Returns:
            One outcome per member, adds first, in the order given.
        """
        added, removed = [change.ref for change in adds], list(removes)
        wish = {"add": [ref.remote_id for ref in added], "remove": [ref.remote_id for ref in removed]}
        answer = api.post(f"/tags/{audience_id}/members", json=wish, repeat=True)
        told = {str(id): Verdict(verdict) for verdict in ("done", "noop", "not_found") for id in answer[verdict]}
        if told.keys() != {*wish["add"], *wish["remove"]}:
            raise RejectedError("the answer does not speak of every member that was asked about")
        return [
            *(Outcome(ref, told[ref.remote_id]) for ref in added),
            *(Outcome(ref, _gone(told[ref.remote_id])) for ref in removed),
        ]

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        cursor: str | None = None
        while True:
            body: dict[str, Any] = api.get(f"/tags/{audience_id}/members", limit=MAX_BATCH, cursor=cursor)
            yield [Ref(str(id)) for id in body["members"]]
            cursor = body["next"]
            if cursor is None:
                return


def _gone(verdict: Verdict) -> Verdict:
    """Somebody whom the vendor does not know has no tag: already gone is success."""
    return Verdict.NOOP if verdict is Verdict.NOT_FOUND else verdict

"""Erasing a person, which the vendor tells apart from archiving by a flag whose default is to archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.encharge.vendor import DOCS
from core.contract import Api, Erasure, Outcome, Ref, Sought, Verdict

ERASURE: Final = Erasure(
    "deletes the person for good", docs_url=DOCS, by_hand="People > the person > Delete (not Archive)"
)  # fmt: skip


def erase(api: Api, sought: Sought) -> Sequence[Outcome]:
    """Delete whoever is known by one of the ids or addresses (Quirk 15)."""
    asked = [("id", id_) for id_ in dict.fromkeys((*sought.records.get("people", ()), *sought.of("person_id")))]
    asked += [("email", address) for address in sought.of("email")]
    found = []
    for by, value in asked:
        answer = api.request("DELETE", "/people", params={f"people[0][{by}]": value, "force": True}, allow=(404,))
        found.append(Outcome(Ref(value), Verdict.NOT_FOUND if answer.status == 404 else Verdict.DONE))
    return found

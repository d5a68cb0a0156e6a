"""Erasing a contact: here DELETE is for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.activecampaign.people import email_of
from connectors.activecampaign.vendor import DOCS, rows_of
from core.contract import Api, Erasure, Outcome, Ref, Sought, Verdict

ERASURE: Final = Erasure(
    "deletes the contact with its history",
    docs_url=f"{DOCS}/delete-contact",
    by_hand="Contacts > the contact > Actions > Delete, for good",
)


def erase(api: Api, sought: Sought) -> Sequence[Outcome]:
    """Delete the contacts that are known by their ids, and whoever else has one of the addresses (Quirk 21)."""
    ids = dict.fromkeys((*sought.records.get("contacts", ()), *sought.of("contact_id")))
    for address in sought.of("email"):
        rows = rows_of(api.get("/contacts", email=address), "contacts")
        # a filter that is ignored brings everybody (Quirk 7)
        ids |= dict.fromkeys(str(row["id"]) for row in rows if email_of(row) == address)
    found = []
    for id_ in ids:
        answer = api.request("DELETE", f"/contacts/{id_}", allow=(404,))
        found.append(Outcome(Ref(id_), Verdict.NOT_FOUND if answer.status == 404 else Verdict.DONE))
    return found

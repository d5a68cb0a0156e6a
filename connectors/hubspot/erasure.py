"""Erasing a contact as the GDPR wants it, which leaves nothing to restore; the ordinary DELETE keeps it for 90 days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connectors.hubspot import vendor
from core.contract import Api, Erasure, Outcome, Ref, Sought, Verdict

ERASURE: Final = Erasure(
    "deletes the contact for good, with all that hangs on it, and blocks the address",
    docs_url="https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide",
    by_hand="CRM > Contacts > the contact > Actions > Delete > Permanently delete (GDPR delete)",
)
PATH: Final = vendor.path("crm/objects", "contacts", "gdpr-delete")


def erase(api: Api, sought: Sought) -> Sequence[Outcome]:
    """
    Delete the contacts that are known by their ids, then whoever has one of the addresses.

    An address that is nobody's any more is put on the account's blocklist (Quirk 26), so that no form makes it a contact again.
    """
    ids = dict.fromkeys((*sought.records.get("contacts", ()), *sought.of("contact_id")))
    asked: list[Mapping[str, str]] = [{"objectId": id_} for id_ in ids]
    asked += [{"objectId": address, "idProperty": "email"} for address in sought.of("email")]
    found = []
    for body in asked:
        answer = api.request("POST", PATH, json=dict(body), allow=(404,), repeat=True)
        found.append(Outcome(Ref(body["objectId"]), Verdict.NOT_FOUND if answer.status == 404 else Verdict.DONE))
    return found

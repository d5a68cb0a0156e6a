"""Erasing a member for good, which the vendor tells apart from archiving (the reversible DELETE)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from core.contract import Api, Erasure, Outcome, Ref, Sought, Verdict

ERASURE: Final = Erasure(
    "deletes the member with all that is known of them; the address can never be imported again",
    docs_url="https://mailchimp.com/developer/marketing/api/list-members/delete-list-member/",
    by_hand="Audience > All contacts > the contact > Actions > Remove > Permanently delete",
)


def erase(api: Api, sought: Sought) -> Sequence[Outcome]:
    """Delete whoever has one of the addresses on the connection's list (Quirk 18); the paths of other lists are theirs."""
    found = []
    for address in sought.of("email"):
        # Quirk 16: the hash is of the lowered address
        key = hashlib.md5(address.lower().encode(), usedforsecurity=False).hexdigest()
        path = f"/lists/{api.settings.list_id}/members/{key}/actions/delete-permanent"
        answer = api.request("POST", path, allow=(404,), repeat=True)
        found.append(Outcome(Ref(key), Verdict.NOT_FOUND if answer.status == 404 else Verdict.DONE))
    return found

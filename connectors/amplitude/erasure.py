"""Asking for a user's deletion, which Amplitude does by itself some days later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.amplitude.vendor import DOCS
from core.contract import Api, Erasure, Outcome, Ref, Sought, Verdict, chunks
from core.errors import ProtocolError

ERASURE: Final = Erasure(
    "asks for the user's events and properties to be deleted from this project, within 30 days",
    docs_url=f"{DOCS}/user-privacy",
    by_hand="Users > the user > Delete user; other projects of the organisation have requests of their own",
)
PATH: Final = "/api/2/deletions/users"
BATCH: Final = 100
"""Users of one request."""


def erase(api: Api, sought: Sought) -> Sequence[Outcome]:
    """
    Ask for whoever has one of the user ids; people known by anything else cannot be asked for.

    A user asked for again within the same days joins the same job (Quirk 25), so asking twice does no harm.
    """
    found = []
    for some in chunks(sought.of("user_id"), BATCH):
        body = {"user_ids": list(some), "requester": "tagalong", "ignore_invalid_id": "True", "delete_from_org": "False"}
        answer = api.post(PATH, json=body, repeat=True)
        day = answer.get("day") if isinstance(answer, dict) else None
        if not isinstance(day, str):
            raise ProtocolError("the answer to a deletion request names no day")
        found += [Outcome(Ref(user_id), Verdict.PENDING, job=day) for user_id in some]
    return found

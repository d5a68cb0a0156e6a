"""
The audience `field`: a trait that is true for members of the segment and false for those who left it, by `identify` calls.

The Tracking API takes everything and confirms nothing: a 200 says that the call arrived. Nobody can be read back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from core.contract import Api, AudienceSet, Carrying, Change, Outcome, Ref, Verdict
from core.errors import RejectedError

AUDIENCES = AudienceSet()

MAX_ITEMS: Final = 2500  # a batch; more are answered 200 and dropped (docs_url/.../server/http-api/#batch)
MAX_BATCH_BYTES: Final = 490_000  # of the 500 KB that a batch may have
MAX_ITEM_BYTES: Final = 32_000  # of 32 KB
MAX_NAME: Final = 100
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED: Final = frozenset(
    {
        *("address", "age", "avatar", "birthday", "company", "createdat", "description", "email", "employees", "firstname"),
        *("gender", "id", "industry", "lastname", "name", "phone", "plan", "title", "username", "website"),
    }
)
"""Traits that mean something to Segment (docs_url/connections/spec/identify/#traits), without underscores and case."""


@AUDIENCES.add("field")
class Trait(Carrying):
    """A trait of users, known by the product's own user id; other traits may be written with it."""

    key_kind = "user_id"
    max_batch = MAX_ITEMS
    concurrency = 2
    repeat = "safe"  # a trait that is set twice is set

    def check_name(self, name: str) -> str | None:
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
            return f"a trait is called by letters, digits and underscores, {MAX_NAME} at most, and begins with a letter"
        if name.replace("_", "").lower() in RESERVED:
            return "Segment has a meaning of its own for it"  # Quirk 4
        return None

    def lookup(self, api: Api, name: str) -> str | None:
        """Return None: nobody can ask which traits there are."""
        return None

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Return *name*: a trait is there when somebody has it."""
        return name

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> list[Outcome]:
        """
        Set the trait to true or false (docs_url/.../server/http-api/#batch).

        Returns:
            One outcome per member, adds first, in the order given: SENT, or REJECTED for an id that no call can hold.
        """
        asked: list[tuple[Ref, dict[str, Any]]] = [(c.ref, {audience_id: True, **self.carried(c)}) for c in adds]
        asked += [(ref, {audience_id: False, **self.cleared()}) for ref in removes]  # Quirk 3
        calls = [_identify(traits, ref.remote_id, api.now) for ref, traits in asked]
        fits = [len(call) <= MAX_ITEM_BYTES for call in calls]
        for batch in pack(call for call, right in zip(calls, fits, strict=True) if right):
            # Quirk 5: sent again, the calls keep their ids, so that none is counted twice
            answer = api.post("/batch", content=batch, content_type="application/json", repeat=True)
            if not (isinstance(answer, Mapping) and answer.get("success") is True):
                raise RejectedError("Segment did not take the batch")
        return [
            Outcome(ref, Verdict.SENT) if right else Outcome(ref, Verdict.REJECTED, reason="its user id is too long for a call")
            for (ref, _), right in zip(asked, fits, strict=True)
        ]

    def cost(self, adds: int, removes: int) -> int:
        """As many calls as fit into each batch by count; long user ids or a long name make it a few requests more (Quirk 7)."""
        return -(-(adds + removes) // MAX_ITEMS)


def pack(calls: Iterable[bytes]) -> Iterator[bytes]:
    """Yield bodies of the batch request with *calls* in their order: each as full as count and bytes allow."""
    head, tail = b'{"batch":[', b'],"context":{"active":false}}'  # Quirk 6: what we say is no visit of theirs
    batch: list[bytes] = []
    size = len(head) + len(tail)
    for call in calls:
        if len(batch) == MAX_ITEMS or size + len(call) + 1 > MAX_BATCH_BYTES:
            yield head + b",".join(batch) + tail
            batch, size = [], len(head) + len(tail)
        batch.append(call)
        size += len(call) + 1
    if batch:
        yield head + b",".join(batch) + tail


def _identify(traits: Mapping[str, Any], user_id: str, at: datetime) -> bytes:
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    call: dict[str, Any] = {
        "type": "identify",
        "userId": user_id,
        "traits": dict(traits),
        "messageId": uuid4().hex,  # Quirk 5: true, false and true again within a day are three calls, and not one seen before
        "timestamp": stamp,
    }
    return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()

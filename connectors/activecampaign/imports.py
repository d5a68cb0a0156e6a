"""
The bulk import: up to 250 contacts a request, carried out later; what became of them is asked for afterwards.

It upserts by address and would make whoever is not there, so the addresses are read by id just before. It can put people on
lists and take them off: the two keys for that are never sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.contract import Api, Json
from core.errors import ProtocolError, RejectedError

MAX_CONTACTS: Final = 250
"""In one request (DOCS/bulk-import-contacts)."""
MAX_BYTES: Final = 400_000
"""Of one request's body (DOCS/bulk-import-contacts)."""
ENVELOPE: Final = 100
"""Bytes of a body around its contacts; more than there are."""


@dataclass(frozen=True, slots=True)
class Row:
    """A contact to be given a value of one custom field, and of others with it."""

    contact_id: str
    address: str
    value: str
    carried: Mapping[str, str] = field(default_factory=dict)
    """Field id to value; an empty one takes the value away."""

    def body(self, field_id: str) -> Mapping[str, Any]:
        """Return it as the vendor takes it. The key that spares the automations is here and around (Quirk 16)."""
        fields = [{"id": int(id_), "value": value} for id_, value in {**self.carried, field_id: self.value}.items()]
        return {"email": self.address, "fields": fields, "exclude_automations": True}


@dataclass(frozen=True, slots=True)
class Job:
    """An import under way: its number, and who is in it, for the answer names only some of them (Quirk 17)."""

    batch: str
    sent: Mapping[str, str]
    """Contact id to value."""

    def dump(self) -> str:
        """Return it as `Outcome.job` has it."""
        return json.dumps([self.batch, self.sent], separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Job:
        """Return what `dump` wrote."""
        batch, sent = json.loads(text)
        return cls(batch, sent)


def parts(rows: Sequence[Row], field_id: str) -> Iterator[Sequence[Row]]:
    """Yield *rows* in order, as many at a time as go into one request."""
    part: list[Row] = []
    size = ENVELOPE
    for row in rows:
        length = len(json.dumps(row.body(field_id), ensure_ascii=False, separators=(",", ":")).encode()) + 1
        if part and (len(part) == MAX_CONTACTS or size + length > MAX_BYTES):
            yield part
            part, size = [], ENVELOPE
        part.append(row)
        size += length
    if part:
        yield part


def start(api: Api, rows: Sequence[Row], field_id: str) -> Job:
    """
    Queue one request's worth (DOCS/bulk-import-contacts). An upsert without automations: harmless to repeat.

    Raises:
        RejectedError: nothing was queued; one bad row is enough for that (Quirk 15), and the core halves the batch.
    """
    body = {"contacts": [row.body(field_id) for row in rows], "exclude_automations": True}
    answer = api.post("/import/bulk_import", json=body, repeat=True)
    if not isinstance(answer, dict):
        raise ProtocolError("the answer to an import is no object")
    if str(answer.get("Success", answer.get("success"))) != "1":  # the capital is theirs, and only in this answer
        raise RejectedError("the import was not queued", code="not queued")
    if not isinstance(answer.get("batchId"), str) or not answer["batchId"]:
        raise ProtocolError("the answer to an import has no batchId")
    return Job(answer["batchId"], {row.contact_id: row.value for row in rows})


@dataclass(frozen=True, slots=True)
class Done:
    """What an import that ended says of itself."""

    succeeded: frozenset[str]
    """Contact ids."""
    failed: frozenset[str]
    """Addresses, in lower case."""


def look(api: Api, job: Job) -> Done | None:
    """Return what became of an import, or None while it is queued or runs (DOCS/bulk-import-status-info)."""
    answer: Json = api.get("/import/info", batchId=job.batch)
    if not isinstance(answer, dict) or "status" not in answer:
        raise ProtocolError("the answer about an import has no status")
    status = str(answer["status"]).lower()
    if status == "completed":
        named = [answer.get("success") or [], answer.get("failure") or []]
        if not all(isinstance(names, list) for names in named):
            raise ProtocolError("the answer about an import names nobody")
        return Done(frozenset(map(str, named[0])), frozenset(str(address).strip().lower() for address in named[1]))
    if any(word in status for word in ("fail", "error", "cancel", "abort")):
        return Done(frozenset(), frozenset())  # no page names such a status; whoever is not confirmed is looked at
    return None

"""
The audience `field`: a user property that is true for members and false for who left, set by the Identify API.

It applies to events that come afterwards, and nobody can ask whether it was taken, so the most that is ever said is `sent`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from connectors.amplitude.cohorts import AUDIENCES
from connectors.amplitude.vendor import ingestion
from core.contract import Api, Carrying, Change, Outcome, Ref, Verdict, chunks
from core.errors import ProtocolError

MAX_USERS: Final = 1000
"""Users in a request: what a Starter plan takes in a second; too long a body is refused (413, 414), and halved by the core."""
DEFAULT_MIN_ID_LENGTH: Final = 5
"""Characters that an id must have unless the request says otherwise. DOCS/http-v2"""
MAX_LENGTH: Final = 1024
"""Characters of a string. DOCS/identify"""
NOBODY: Final = frozenset({"", "anonymous", "nil", "none", "null", "n/a", "undefined", "unknown", "0"})
"""Ids that Amplitude takes for the mistake they are. DOCS/http-v2"""


@AUDIENCES.add("field")
class Field(Carrying):
    """A user property; its id is its name. Other properties may be written with it."""

    key_kind = "user_id"
    max_batch = MAX_USERS
    concurrency = 1
    path = "/identify"
    repeat = "safe"  # setting it twice is setting it once

    def check_name(self, name: str) -> str | None:
        if not name.strip() or name != name.strip():
            return "a user property's name has no space at its ends and is not empty"
        if name.startswith(("$", "[")):
            return "names that begin with $ or [ are Amplitude's own"
        if len(name) > MAX_LENGTH:
            return f"a user property's name has at most {MAX_LENGTH} characters"
        return None if name.isprintable() else "a user property's name holds no control characters"

    def lookup(self, api: Api, name: str) -> str | None:
        """Nobody can ask whether there is such a property (Quirk 21)."""
        return None

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """It is there as soon as somebody has it."""
        return name

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """Set the property; SENT is the most that is known of anybody. Ids that Amplitude drops in silence are refused here."""
        values = [(change.ref, operations({audience_id: True, **self.carried(change)})) for change in adds]
        values += [(ref, operations({audience_id: False, **self.cleared()})) for ref in removes]
        shortest: int = api.settings.min_id_length
        reasons = {ref.remote_id: wrong_with(ref.remote_id, shortest) for ref, _ in values}
        for some in chunks([(ref, value) for ref, value in values if not reasons[ref.remote_id]], MAX_USERS):
            _identify(api, [{"user_id": ref.remote_id, "user_properties": value} for ref, value in some])
        return [
            Outcome(ref, Verdict.REJECTED, reason=reason) if (reason := reasons[ref.remote_id]) else Outcome(ref, Verdict.SENT)
            for ref, _ in values
        ]

    def cost(self, adds: int, removes: int) -> int:
        """Additions and removals share requests."""
        size = MAX_USERS
        batches = range(0, max(adds, removes), size)
        return sum(-(-(max(0, min(size, adds - i)) + max(0, min(size, removes - i))) // size) for i in batches)


def operations(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return what is set and what is taken away: a value of `$unset` counts for nothing. DOCS/identify"""
    missing = {name: "-" for name, value in values.items() if value is None}
    present = {name: value for name, value in values.items() if value is not None}
    return {"$set": present, **({"$unset": dict(missing)} if missing else {})}


def wrong_with(user_id: str, shortest: int) -> str:
    """Return why Amplitude would drop *user_id*, or "" (Quirk 10)."""
    if user_id.strip().lower() in NOBODY:
        return "is no user id to Amplitude"
    if len(user_id) < shortest:
        return f"shorter than {shortest} characters: see min_id_length"
    return "longer than 1024 characters" if len(user_id) > MAX_LENGTH else ""


def _identify(api: Api, users: Sequence[object]) -> None:
    settings = api.settings
    form = {
        "api_key": settings.api_key.get_secret_value(),
        "identification": json.dumps(users, separators=(",", ":"), ensure_ascii=False),
        "min_id_length": settings.min_id_length if settings.min_id_length != DEFAULT_MIN_ID_LENGTH else None,
    }
    # a 200 is the word `success`, whatever its content type says (Quirk 11)
    answer = api.request("POST", ingestion(api, "/identify"), form=form, repeat=True, allow=(200,))
    said = answer.body.get("code") if isinstance(answer.body, dict) else str(answer.body).strip().lower()
    if said not in ("success", 200):
        raise ProtocolError("the answer does not say that the properties were taken", status=answer.status)

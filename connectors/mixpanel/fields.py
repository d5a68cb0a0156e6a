"""
The audience `field`: a profile property that is true or false, written 2000 people a call.

Mixpanel has no list to put people on; a cohort over the property is made there by hand. People are known by their distinct id,
and only those whom Mixpanel has are written: an update of anybody else would make a profile of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from connectors.mixpanel.profiles import ask, distinct_id, pages
from connectors.mixpanel.vendor import UPDATES, Plane, Settings, at
from core.contract import Answer, Api, AudienceSet, Carrying, Change, Json, Outcome, Ref, Verdict, chunks
from core.errors import ConfigError, Problem, ProtocolError, RejectedError

AUDIENCES = AudienceSet()

MAX_UPDATES: Final = 2000  # a call. https://docs.mixpanel.com/reference/profile-batch-update
MAX_NAME: Final = 255  # characters of a property's name; a bound of ours (QUIRKS.md, not settled)
_BAD: Final = {Verdict.SENT: 1, Verdict.RETRY: 2, Verdict.REJECTED: 3}
PLAIN: Final = {"1": 1, "0": 0}
FIELDS: Final = ("$", "properties")
"""What the name of a field at fault begins with."""


@AUDIENCES.add("field")
class Property(Carrying):
    """A property of the project's profiles; other properties may be written with it."""

    key_kind = "user_id"
    max_batch = MAX_UPDATES
    concurrency = 4
    path = UPDATES
    repeat = "safe"  # the same value twice is the same value
    ids_from = "profiles"
    find_batch = 1000  # one page of an answer
    seeded = True  # a property is there once somebody has it

    def check_name(self, name: str) -> str | None:
        if not name.strip() or name != name.strip():
            return "a property's name has no space at its ends and is not empty"
        if name.startswith(("$", "mp_")):
            return "names that begin with $ or mp_ are Mixpanel's own"
        if len(name) > MAX_NAME:
            return f"a property's name has at most {MAX_NAME} characters"
        return None if name.isprintable() else "a property's name holds no control characters"

    def lookup(self, api: Api, name: str) -> str | None:
        """
        Return *name* where somebody has the property.

        Raises:
            ConfigError: it holds something else than yes and no, which a sync would overwrite (Quirk 16).
        """
        results = ask(api, [name], where=f"defined({_property(name)})")["results"]
        values = [result.get("$properties", {}).get(name) for result in results]
        if any(value is not None and not isinstance(value, bool) for value in values):
            remedy = "name another; a sync writes true and false"
            raise ConfigError(Problem(f"the profile property {name!r} is in use for something else", remedy=remedy))
        return name if values else None

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Give the property to *seed*; without anybody there is nothing to make."""
        with suppress(RejectedError):  # they are added again with the others, and a refusal is theirs alone
            self._send(api, [(ref, {"$set": {name: True}}) for ref in seed])
        return name

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """Return whom Mixpanel has a profile of, by distinct id."""
        wanted = set(keys)
        found: dict[str, Sequence[Ref]] = {}
        for results, _ in pages(api, [], distinct_ids=json.dumps(list(keys))):
            found |= {id_: (Ref(id_),) for result in results if (id_ := distinct_id(result)) in wanted and id_ is not None}
        return found

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Set the property to true and to false.

        Returns:
            One outcome per member, adds first, in the order given.
        Raises:
            RejectedError: the batch was refused and nobody is named.
        """
        members = [(change.ref, {audience_id: True, **self.carried(change)}) for change in adds]
        members += [(ref, {audience_id: False, **self.cleared()}) for ref in removes]
        updates = [(at_, ref, some) for at_, (ref, values) in enumerate(members) for some in operations(values)]
        found: dict[int, Outcome] = {}
        for part in chunks(updates, MAX_UPDATES):
            for (at_, _, _), outcome in zip(part, self._send(api, [(ref, some) for _, ref, some in part]), strict=True):
                found[at_] = _worse(found.get(at_, outcome), outcome)
        return [found[at_] for at_ in range(len(members))]

    def _send(self, api: Api, updates: Sequence[tuple[Ref, Mapping[str, object]]]) -> Sequence[Outcome]:
        settings: Settings = api.settings
        if settings.token is None:
            raise ConfigError(Problem("a sync writes profile properties, and the connection has no `token`"))
        if not updates:
            return []
        token = settings.token.get_secret_value()
        # Quirk 14: our server is not where they are, and a $last_seen that moved would make the next pull read our own writes
        body = [
            {"$token": token, "$distinct_id": ref.remote_id, "$ip": "0", "$ignore_time": True, **operation}
            for ref, operation in updates
        ]
        answer = api.request(
            "POST",
            at(settings, Plane.INGESTION, UPDATES),
            params={"ip": 0, "strict": 1, "verbose": 1},
            json=body,
            repeat=True,
            allow=(400,),
        )
        return read_answer(answer, [ref for ref, _ in updates])

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Everybody who has the property true."""
        for results, _ in pages(api, [], where=f"{_property(audience_id)} == true"):
            yield [Ref(id_) for result in results if (id_ := distinct_id(result)) is not None]

    def cost(self, adds: int, removes: int) -> int:
        """As many updates as fit into each call, adds and removes together; a second update clears who leaves."""
        requests = 0
        each = 2 if self.cleared() else 1
        while adds or removes:
            some = min(adds, MAX_UPDATES), min(removes, MAX_UPDATES)  # of a batch
            requests += -(-(some[0] + each * some[1]) // MAX_UPDATES)
            adds, removes = adds - some[0], removes - some[1]
        return requests


def operations(values: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the updates of one profile: one that sets, and one that takes away what has no value (Quirk 19)."""
    missing = [name for name, value in values.items() if value is None]
    present = {name: value for name, value in values.items() if value is not None}
    taken: list[dict[str, object]] = [{"$unset": missing}] if missing else []
    return [{"$set": present}, *taken]


def _worse(one: Outcome, other: Outcome) -> Outcome:
    """Return what is to be said of a member whose updates came out differently: the worst of it."""
    return max(one, other, key=lambda outcome: _BAD.get(outcome.verdict, 0))


def read_answer(answer: Answer, refs: Sequence[Ref]) -> Sequence[Outcome]:
    """
    Return what an answer says of each of *refs*; it is the body that tells, a 200 may be a failure (Quirk 15).

    Raises:
        RejectedError: refused, and nobody is named; the core halves the batch.
    """
    body = answer.body
    plain = PLAIN.get(body.strip()) if isinstance(body, str) else body
    if type(plain) is int and plain in (0, 1):  # strict and verbose were not heard: nothing was looked at
        if plain == 0:
            raise RejectedError("the updates were refused", code="0")
        return [Outcome(ref, Verdict.SENT, reason="taken without being looked at") for ref in refs]
    if not isinstance(body, dict):
        raise ProtocolError("the answer to the updates does not say what became of them")
    failed = _failed(body, len(refs))
    if not failed:
        if answer.status == 200 and body.get("status") in (1, "OK") and not body.get("error"):
            return [Outcome(ref, Verdict.DONE) for ref in refs]
        raise RejectedError("the updates were refused", code="refused")
    counts = (body.get("num_good_events"), body.get("num_records_imported"))
    stored = len(refs) - len(failed) in [count for count in counts if type(count) is int]
    beside = (Verdict.DONE, "") if stored else (Verdict.RETRY, "not confirmed beside a refused one")
    verdicts = [(Verdict.REJECTED, failed[at_]) if at_ in failed else beside for at_ in range(len(refs))]
    return [Outcome(ref, verdict, reason=reason) for ref, (verdict, reason) in zip(refs, verdicts, strict=True)]


def _failed(body: Json, asked: int) -> dict[int, str]:
    """Return the places of the refused updates with the field that is at fault; RejectedError where one has no place."""
    failed: dict[int, str] = {}
    records: Any = body.get("failed_records") or ()
    for record in records:
        index = record.get("index") if isinstance(record, dict) else None
        if type(index) is not int or not 0 <= index < asked:
            raise RejectedError("an error of the batch names nobody", code="refused")
        field = str(record.get("field"))
        failed[index] = f"refused: {field[:60] if field.startswith(FIELDS) else 'update'}"  # else it may be an echo of a value
    return failed


def _property(name: str) -> str:
    return f"properties[{json.dumps(name, ensure_ascii=False)}]"

"""
The audience `field`: a custom field that says yes or no, written by bulk import both ways; other fields may go with it.

The only way here to take many people out at once. It starts no automations, and what it did is known later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from connectors.activecampaign.imports import MAX_CONTACTS, Done, Job, Row, look, parts, start
from connectors.activecampaign.people import addresses_of
from connectors.activecampaign.tags import AUDIENCES, Known
from connectors.activecampaign.vendor import PAGE, by_offset, rows_of
from core.contract import Api, Carrying, Change, Json, Outcome, Ref, Verdict
from core.errors import ConfigError, NotFoundError, Problem, RejectedError

YES, NO = "yes", "no"
TYPES: Final = frozenset({"text", "textarea", "hidden", "radio", "dropdown"})
"""Types of a field that can hold one word."""
CARRYING: Final = frozenset({"text", "textarea", "hidden", "number", "date", "datetime"})
"""Types of a field that can hold whatever somebody's value is, as text."""
LOOK_SINGLY: Final = 20
"""Whom an import names neither way: up to so many are looked at one by one."""


@AUDIENCES.add("field")
class Field(Known, Carrying):
    """A custom field of contacts."""

    max_batch = MAX_CONTACTS
    concurrency = 2

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the id of the field with that title, the exact spelling first (DOCS/retrieve-fields)."""
        best = _titled(_fields(api), name)
        if best is None:
            return None
        if best.get("type") not in TYPES:
            raise RejectedError(
                "the custom field of that title is no text and cannot say yes or no; name another", code=str(best.get("type"))
            )
        return str(best["id"])

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make a text field and show it for every list (DOCS/create-a-contact-custom-field)."""
        found = _make(api, name, "yes or no, kept by Tagalong") or self.lookup(api, name)  # Quirk 18
        if found is None:
            raise RejectedError("the custom field could not be made", code="field")
        _show(api, found)
        return found

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Queue imports that write yes and no.

        Returns:
            PENDING with the import that the member is in; whoever is gone is not sent, for an import would make them anew.
        """
        ids = self._ids(api, audience_id)
        asked = [(change.ref, YES, _written(ids, self.carried(change))) for change in adds]
        asked += [(ref, NO, _written(ids, self.cleared())) for ref in removes]
        addresses = addresses_of(api, [ref.remote_id for ref, _, _ in asked])
        rows = [
            Row(ref.remote_id, addresses[ref.remote_id], value, carried)
            for ref, value, carried in asked
            if ref.remote_id in addresses
        ]
        jobs: dict[str, str] = {}
        for part in parts(rows, audience_id):
            jobs |= dict.fromkeys((row.contact_id for row in part), start(api, part, audience_id).dump())
        return [_queued(ref, value, jobs.get(ref.remote_id)) for ref, value, _ in asked]

    def _ids(self, api: Api, audience_id: str) -> dict[str, str]:
        """
        Return the ids of the fields that go with it, by title, those made that are not there.

        Raises:
            NotFoundError: the audience's own field is gone; an import into it may well succeed, no page says.
            ConfigError: a field of that title is of a type that takes only some values.
        """
        if not self.params.fields:
            api.get(f"/fields/{audience_id}")
            return {}
        there = _fields(api)
        if not any(str(row.get("id")) == audience_id for row in there):
            raise NotFoundError("the custom field is gone")
        return {name: self._carrying(api, there, name) for name in self.params.fields}

    def _carrying(self, api: Api, there: Sequence[Json], name: str) -> str:
        row = _titled(there, name)
        if row is None:
            made = _make(api, name, "kept by Tagalong")
            row = {"id": made, "type": "text"} if made else _titled(_fields(api), name)
            if row is None:
                raise RejectedError("the custom field could not be made", code="field")
            _show(api, str(row["id"]))
        if row.get("type") not in CARRYING:
            remedy = "name another; text takes every value"
            raise ConfigError(
                Problem(f"the custom field {name!r} is a {row.get('type')}, which takes only some", remedy=remedy)
            )
        return str(row["id"])

    def settle(self, api: Api, audience_id: str, job: str) -> Mapping[str, Outcome] | None:
        """
        Return what an import did, or None while it runs.

        DONE for whom the answer names, or whose field holds the value; where it names too few to look at each, SENT for those
        who are not among the failed (Quirk 17).
        """
        asked = Job.parse(job)
        done = look(api, asked)
        if done is None:
            return None
        outcomes = {id_: Outcome(Ref(id_), Verdict.DONE) for id_ in asked.sent if id_ in done.succeeded}
        return outcomes | _unnamed(api, audience_id, asked, done)

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Everybody whose field says yes (DOCS/list-all-custom-field-values)."""
        api.get(f"/fields/{audience_id}")  # one that is gone is told as such, and not as one without members
        for rows in by_offset(api, "/fieldValues", "fieldValues", filters__fieldid=audience_id, filters__val=YES):
            yield [Ref(str(row["contact"])) for row in rows if _value(row, audience_id) == YES]

    def cost(self, adds: int, removes: int) -> int:
        """A look at the field (at all, where values go with it), addresses by the hundred, the import, a question after it."""
        both = adds + removes
        return -(-both // PAGE) + 3 * -(-both // MAX_CONTACTS)


def _fields(api: Api) -> list[Json]:
    """Return all custom fields (DOCS/retrieve-fields)."""
    return [row for rows in by_offset(api, "/fields", "fields") for row in rows]


def _titled(rows: Sequence[Json], name: str) -> Json | None:
    """Return the field with that title, the exact spelling first, then the oldest."""
    same = [row for row in rows if str(row.get("title")).casefold() == name.casefold()]
    return min(same, key=lambda row: (row["title"] != name, int(row["id"])), default=None)


def _make(api: Api, name: str, why: str) -> str | None:
    """Make a text field and return its id; None where the answer does not tell it, or there is one of that title after all."""
    try:
        made = api.post("/fields", json={"field": {"type": "text", "title": name, "descript": why, "visible": 1}})
    except RejectedError:
        return None
    field = made.get("field") if isinstance(made, dict) else None
    return str(field["id"]) if isinstance(field, dict) and field.get("id") else None


def _show(api: Api, field: str) -> None:
    """Show a field with every list: one of no list is not shown (DOCS/create-a-contact-custom-field)."""
    api.post("/fieldRels", json={"fieldRel": {"field": int(field), "relid": 0}})


def _written(ids: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """Return values as an import takes them, by field id: text, and nothing for one that is missing (Quirk 20)."""
    return {ids[name]: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return YES if value else NO
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def _queued(ref: Ref, value: str, job: str | None) -> Outcome:
    if job is not None:
        return Outcome(ref, Verdict.PENDING, job=job)
    if value == YES:
        return Outcome(ref, Verdict.NOT_FOUND, reason="no such contact")
    return Outcome(ref, Verdict.NOOP, reason="no such contact")


def _unnamed(api: Api, field: str, job: Job, done: Done) -> dict[str, Outcome]:
    """Return the outcomes of those whom the answer does not name as succeeded."""
    left = [id_ for id_ in job.sent if id_ not in done.succeeded]
    addresses = addresses_of(api, left) if left else {}
    singly = len(left) <= LOOK_SINGLY
    outcomes = {}
    for id_ in left:
        if id_ not in addresses:
            outcomes[id_] = _queued(Ref(id_), job.sent[id_], None)
        elif addresses[id_].lower() in done.failed:
            outcomes[id_] = Outcome(Ref(id_), Verdict.REJECTED, reason="failed in the import")
        elif not singly:
            outcomes[id_] = Outcome(Ref(id_), Verdict.SENT)
        elif _holds(api, field, id_, job.sent[id_]):
            outcomes[id_] = Outcome(Ref(id_), Verdict.DONE)
        else:  # a removal that did not happen is no removal, whatever the vendor thinks of the person
            verdict = Verdict.SUPPRESSED if job.sent[id_] == YES else Verdict.REJECTED
            outcomes[id_] = Outcome(Ref(id_), verdict, reason="left out by the import")
    return outcomes


def _holds(api: Api, field: str, contact: str, value: str) -> bool:
    """Return whether a contact's field has the value (DOCS/retrieve-a-contacts-field-values)."""
    answer = api.request("GET", f"/contacts/{contact}/fieldValues", allow=(404,))
    return answer.status != 404 and any(_value(row, field) == value for row in rows_of(answer.body, "fieldValues"))


def _value(row: Mapping[str, Any], field: str) -> str | None:
    """Return what a row says of *field*; None where it is of another one, as when a filter is ignored (Quirk 7)."""
    return str(row.get("value")).strip().lower() if str(row.get("field")) == field else None

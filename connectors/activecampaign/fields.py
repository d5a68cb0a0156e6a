"""
The audience `field`: a custom field that says yes or no, written by bulk import both ways.

The only way here to take many people out at once. It starts no automations, and what it did is known later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from connectors.activecampaign.imports import MAX_CONTACTS, Done, Job, Row, look, parts, start
from connectors.activecampaign.people import addresses_of
from connectors.activecampaign.tags import AUDIENCES, Known
from connectors.activecampaign.vendor import PAGE, by_offset, rows_of
from core.contract import Api, Change, Json, Outcome, Ref, Verdict
from core.errors import RejectedError

YES, NO = "yes", "no"
TYPES: Final = frozenset({"text", "textarea", "hidden", "radio", "dropdown"})
"""Types of a field that can hold one word."""
LOOK_SINGLY: Final = 20
"""Whom an import names neither way: up to so many are looked at one by one."""


@AUDIENCES.add("field")
class Field(Known):
    """A custom field of contacts."""

    max_batch = MAX_CONTACTS
    concurrency = 2

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the id of the field with that title, the exact spelling first (DOCS/retrieve-fields)."""
        same: list[Json] = []
        for rows in by_offset(api, "/fields", "fields"):
            same += [row for row in rows if str(row.get("title")).casefold() == name.casefold()]
        best = min(same, key=lambda row: (row["title"] != name, int(row["id"])), default=None)
        if best is None:
            return None
        if best.get("type") not in TYPES:
            raise RejectedError(
                "the custom field of that title is no text and cannot say yes or no; name another", code=str(best.get("type"))
            )
        return str(best["id"])

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make a text field and show it for every list (DOCS/create-a-contact-custom-field)."""
        body = {"field": {"type": "text", "title": name, "descript": "yes or no, kept by Tagalong", "visible": 1}}
        try:
            made = api.post("/fields", json=body)
        except RejectedError:  # there is one of that title after all
            made = None
        field = made.get("field") if isinstance(made, dict) else None
        found = str(field["id"]) if isinstance(field, dict) and field.get("id") else self.lookup(api, name)  # Quirk 18
        if found is None:
            raise RejectedError("the custom field could not be made", code="field")
        api.post("/fieldRels", json={"fieldRel": {"field": int(found), "relid": 0}})  # a field of no list is not shown
        return found

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Queue imports that write yes and no.

        Returns:
            PENDING with the import that the member is in; whoever is gone is not sent, for an import would make them anew.
        """
        api.get(f"/fields/{audience_id}")  # an import into a field that is gone may well succeed; no page says
        asked = [(change.ref, YES) for change in adds] + [(ref, NO) for ref in removes]
        addresses = addresses_of(api, [ref.remote_id for ref, _ in asked])
        rows = [Row(ref.remote_id, addresses[ref.remote_id], value) for ref, value in asked if ref.remote_id in addresses]
        jobs: dict[str, str] = {}
        for part in parts(rows, audience_id):
            jobs |= dict.fromkeys((row.contact_id for row in part), start(api, part, audience_id).dump())
        return [_queued(ref, value, jobs.get(ref.remote_id)) for ref, value in asked]

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
        """A look at the field, addresses by the hundred, the import, and one question after it."""
        both = adds + removes
        return -(-both // PAGE) + 3 * -(-both // MAX_CONTACTS)


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

"""
Members of a campaign, a few at a time: rows put in and taken out by collections of at most 200, and rows looked up.

A membership is a row with an id of its own, and that id is what removal needs. Many at once are `jobs`' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from connectors.salesforce import vendor
from connectors.salesforce.vendor import COLLECTION, LEAD_PREFIX, ROOT
from core.contract import Api, Json, Op, Outcome, Ref, Verdict, chunks
from core.errors import AuthError, NotFoundError, ProtocolError, QuotaExhausted, RejectedError, TransientError

Told = dict[tuple[Op, str], Outcome]
"""What became of each person, by direction and person id."""
NO_SUCH: Final = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"})
NOT_NOW: Final = frozenset({"UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG"})


def is_lead(person: str) -> bool:
    """Whether an id is a Lead's; each kind of object has its own first three characters."""
    return person.startswith(LEAD_PREFIX)


def object_of(person: str) -> str:
    """Return what `Ref.object` says of a person."""
    return "lead" if is_lead(person) else "contact"


def add_row(campaign: str, person: str) -> dict[str, str]:
    """Return a new member's fields: one of ContactId and LeadId, and no Status, which gives the campaign's default one."""
    return {"CampaignId": campaign, "LeadId" if is_lead(person) else "ContactId": person}


def added(ref: Ref, row: str | None, code: str | None, message: str = "") -> Outcome:
    """Return the verdict on an add by its row's id, or the code of its refusal (Quirk 18) and what was said with it."""
    person = Ref(ref.remote_id, handle=row, object=object_of(ref.remote_id))
    if row and code is None:
        return Outcome(person, Verdict.DONE)
    if code == "DUPLICATE_VALUE":
        return Outcome(person, Verdict.NOOP, reason="a member already")
    return Outcome(person, Verdict.NOT_FOUND if code in NO_SUCH else _refusal(code), reason=code or "refused", message=message)


def removed(ref: Ref, done: bool, code: str | None, message: str = "") -> Outcome:
    """Return the verdict on a removal."""
    if done:
        return Outcome(ref, Verdict.DONE)
    if code in NO_SUCH:
        return Outcome(ref, Verdict.NOOP, reason="no member any more")
    return Outcome(ref, _refusal(code), reason=code or "refused", message=message)


def _refusal(code: str | None) -> Verdict:
    return Verdict.RETRY if code in NOT_NOW else Verdict.REJECTED


def refuse_gone(api: Api, campaign: str) -> None:
    """Raise NotFoundError where the campaign is gone: its rows' refusals do not tell it from people who are (Quirk 19)."""
    if not vendor.ask(api, f"SELECT Id FROM Campaign WHERE Id = {vendor.text(campaign)}").records:
        raise NotFoundError("there is no such campaign", status=404)


def change(api: Api, campaign: str, adds: Sequence[Ref], removes: Sequence[Ref]) -> Told:
    """
    Take people out, then put people in; whoever is not in what is returned was not asked for.

    What was confirmed before a refusal is kept: told a second time that they are members, the core would take them for others'.
    """
    told: Told = {}
    try:
        for part in removals(api, campaign, removes):
            told |= part
        for some in chunks(adds, COLLECTION):
            told |= _insert(api, campaign, some)
    except (AuthError, QuotaExhausted, RejectedError, TransientError) as error:
        if not told or (isinstance(error, TransientError) and error.maybe_acted):
            raise
    return told


def _insert(api: Api, campaign: str, refs: Sequence[Ref]) -> Told:
    records = [{"attributes": {"type": "CampaignMember"}, **add_row(campaign, ref.remote_id)} for ref in refs]
    results = _results(api.post(f"{ROOT}/composite/sobjects", json={"allOrNone": False, "records": records}), len(refs))
    codes = [_code(result) for result in results]
    if all(code in NO_SUCH for code in codes):
        refuse_gone(api, campaign)
    return {
        (Op.ADD, ref.remote_id): added(ref, str(result.get("id") or "") or None, code, _said(result))
        for ref, result, code in zip(refs, results, codes, strict=True)
    }


def removals(api: Api, campaign: str, refs: Sequence[Ref]) -> Iterator[Told]:
    """Take people out by the ids of their rows, 200 a call; look those up that are not known, or no longer right (Quirk 20)."""
    stale = [ref for ref in refs if ref.handle is None]
    known: dict[str, Ref] = {ref.handle: ref for ref in refs if ref.handle is not None}
    for rows in chunks(list(known), COLLECTION):
        told: Told = {}
        for row, (code, said) in _delete(api, rows).items():
            if code in NO_SUCH:
                stale.append(known[row])
            else:
                told[Op.REMOVE, known[row].remote_id] = removed(known[row], code is None, code, said)
        yield told
    if not stale:
        return
    current = rows_of(api, campaign, [ref.remote_id for ref in stale])
    yield {
        (Op.REMOVE, ref.remote_id): Outcome(ref, Verdict.NOOP, reason="no member")
        for ref in stale
        if ref.remote_id not in current
    }
    found = {current[ref.remote_id]: ref for ref in stale if ref.remote_id in current}
    for rows in chunks(list(found), COLLECTION):
        codes = _delete(api, rows)
        yield {
            (Op.REMOVE, found[r].remote_id): removed(found[r], code is None, code, said) for r, (code, said) in codes.items()
        }


def _delete(api: Api, rows: Sequence[str]) -> Mapping[str, tuple[str | None, str]]:
    """Delete rows and return the code of each one's refusal, and what was said with it."""
    # not repeated behind our back: the second answer would say of our own removals that they had been gone
    asked = {"ids": ",".join(rows), "allOrNone": False}
    results = _results(api.delete(f"{ROOT}/composite/sobjects", params=asked, repeat=False), len(rows))
    return {row: (_code(result), _said(result)) for row, result in zip(rows, results, strict=True)}


def rows_of(api: Api, campaign: str, people: Sequence[str]) -> dict[str, str]:
    """
    Return the rows of *people* in this campaign, and no other's; of a converted lead also the one of its contact.

    Always by campaign and person: by person alone the row of another campaign would be found.
    """
    leads = [person for person in people if is_lead(person)]
    contacts = {person: person for person in people if not is_lead(person)}
    contacts |= {contact: lead for lead, contact in _converted(api, leads)}
    found: dict[str, str] = {}
    for field, wanted in (("ContactId", contacts), ("LeadId", {lead: lead for lead in leads})):
        for some in vendor.packed(list(wanted)):
            where = f"CampaignId = {vendor.text(campaign)} AND {field} IN {vendor.listed(some)}"
            for page in vendor.select(api, f"SELECT Id,{field} FROM CampaignMember WHERE {where}"):
                found |= {wanted[str(row[field])]: str(row["Id"]) for row in page}
    return found


def _converted(api: Api, leads: Sequence[str]) -> Iterator[tuple[str, str]]:
    for some in vendor.packed(leads):
        where = f"IsConverted = true AND Id IN {vendor.listed(some)}"
        for page in vendor.select(api, f"SELECT Id,ConvertedContactId FROM Lead WHERE {where}"):
            yield from ((str(row["Id"]), str(row["ConvertedContactId"])) for row in page if row["ConvertedContactId"])


def _results(body: Json, count: int) -> Sequence[Json]:
    """Return the rows of a collection's answer: a 200 even where every one of them failed, in the order asked."""
    if not isinstance(body, list) or len(body) != count or not all(isinstance(each, dict) for each in body):
        raise ProtocolError("the answer does not speak of every record that was sent")
    return body


def _code(result: Json) -> str | None:
    """Return None for a row that went well, else the code of its first error."""
    if result.get("success") is True:
        return None
    errors = result.get("errors") or [{}]
    return str(errors[0].get("statusCode") or "UNKNOWN")


def _said(result: Json) -> str:
    """Return the sentence of a row's first error, as it came."""
    return next((str(error.get("message") or "") for error in result.get("errors") or ()), "")

"""
Campaigns as audiences: found or made by name, then known by id; contacts and leads are their members, both by address.

How few members are changed is in `members`, how many in `jobs`. Nobody is made here, and nobody's own record is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import Field

from connectors.salesforce import jobs, members, vendor
from connectors.salesforce.members import Told, object_of
from connectors.salesforce.vendor import COLLECTION, ROOT
from core.contract import Api, Audience, AudienceSet, Change, Op, Outcome, Params, Ref, Verdict
from core.errors import ProtocolError, RejectedError

AUDIENCES = AudienceSet()
JOB_ABOVE: Final = 2_000
"""Members one way from which on one job is cheaper than collections of 200 (the card's figure)."""
JOB_REQUESTS: Final = 5
"""Made, filled, started; asked after once, and its results read once. A slow job or failed rows take more."""
MAX_NAME: Final = 80
MAX_BATCH: Final = 100_000
"""Members one way in one batch: as one job, some 6 MB of CSV of the 100 MB that are permitted."""


class CampaignParams(Params):
    """What a sync may say of its campaign besides the name."""

    campaign_id: str | None = Field(None, description="The campaign's id (701...), where several have the name.")


@AUDIENCES.add("campaign")
class Campaign(Audience):
    """A campaign whose members we keep."""

    Params = CampaignParams
    max_batch = MAX_BATCH
    repeat = "safe"  # a member who is one already is refused as DUPLICATE_VALUE
    ids_from = "contacts"
    find_batch = 400

    def check_name(self, name: str) -> str | None:
        if not name.strip() or name != name.strip():
            return "a campaign's name has no space at its ends and is not empty"
        if len(name) > MAX_NAME:
            return f"a campaign's name has at most {MAX_NAME} characters"
        return None if name.isprintable() else "a campaign's name holds no control characters"

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the campaign called *name*, or the one that the sync names by id (Quirk 17: names are not unique)."""
        wanted = self.params.campaign_id if isinstance(self.params, CampaignParams) else None
        where = f"Id = {vendor.text(wanted)}" if wanted else f"Name = {vendor.text(name)}"
        found = vendor.ask(api, f"SELECT Id,Name FROM Campaign WHERE {where} ORDER BY Id LIMIT 50").records
        exact = [each for each in found if wanted or each["Name"] == name] or found
        if wanted and not exact:
            raise RejectedError("there is no campaign with the id that campaign_id names", code="NOT_FOUND")
        if len(exact) > 1:
            raise RejectedError(
                f"{len(exact)} campaigns have this name; say which with campaign_id in the sync, or rename the others",
                code="AMBIGUOUS_NAME",
            )
        return str(exact[0]["Id"]) if exact else None

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make an active campaign with the org's own first status."""
        made = api.post(f"{ROOT}/sobjects/Campaign", json={"Name": name, "IsActive": True})
        if not isinstance(made, dict) or made.get("success") is not True or not made.get("id"):
            raise ProtocolError("the answer to a new campaign holds no id")
        return str(made["id"])

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """Return the contacts with each address, and where there is none the leads that are not converted (Quirk 16)."""
        wanted = {key.lower(): key for key in keys}
        found = _by_email(api, "Contact", wanted, "")
        rest = {address: key for address, key in wanted.items() if key not in found}
        return found | _by_email(api, "Lead", rest, " AND IsConverted = false")

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Take people out, then put people in: by collections, or more than JOB_ABOVE one way by a job, whose members are PENDING.

        Raises:
            NotFoundError: the campaign is gone.
        """
        # one person twice in a call is refused the second time, so each is sent once
        putting = list({change.ref.remote_id: change.ref for change in adds}.values())
        taking = list({ref.remote_id: ref for ref in removes}.values())
        if max(len(putting), len(taking)) > JOB_ABOVE:
            told = _by_jobs(api, audience_id, putting, taking)
        else:
            told = members.change(api, audience_id, putting, taking)
        asked = [*((Op.ADD, change.ref) for change in adds), *((Op.REMOVE, ref) for ref in removes)]
        return [told.get((op, ref.remote_id)) or Outcome(ref, Verdict.RETRY, reason="not sent") for op, ref in asked]

    def settle(self, api: Api, audience_id: str, job: str) -> Mapping[str, Outcome] | None:
        """Return what became of a job's members by person, or by row (their handle) where the job took them out."""
        return jobs.settle(api, job)

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Return the campaign's members; NotFoundError where it is gone, which the query itself would not say (Quirk 19)."""
        members.refuse_gone(api, audience_id)
        soql = f"SELECT Id,ContactId,LeadId FROM CampaignMember WHERE CampaignId = {vendor.text(audience_id)}"
        for page in vendor.select(api, soql):
            people = [(str(row["ContactId"] or row["LeadId"]), str(row["Id"])) for row in page]  # Quirk 9
            yield [Ref(person, handle=row, object=object_of(person)) for person, row in people]

    def cost(self, adds: int, removes: int) -> int:
        """Return the requests of `apply` and of settling its jobs, where every removal's row is known."""
        size = self.max_batch
        batches = range(0, max(adds, removes), size)
        return sum(_cost(min(size, max(0, adds - at)), min(size, max(0, removes - at))) for at in batches)


def _cost(adds: int, removes: int) -> int:
    if max(adds, removes) <= JOB_ABOVE:
        return -(-adds // COLLECTION) + -(-removes // COLLECTION)
    taken_out = JOB_REQUESTS if removes > JOB_ABOVE else -(-removes // COLLECTION)
    by_job = adds > JOB_ABOVE or (adds and removes > JOB_ABOVE)
    # a job that waits for another is looked at twice, before it is started and after, and each time after that one too
    waits = 3 if by_job and removes > JOB_ABOVE else 0
    return 1 + taken_out + (JOB_REQUESTS + waits if by_job else -(-adds // COLLECTION))


def _by_jobs(api: Api, campaign: str, adds: Sequence[Ref], removes: Sequence[Ref]) -> Told:
    """Removals first, as ever: a job of insertions waits for that of removals, and few removals go by collections."""
    members.refuse_gone(api, campaign)
    if len(removes) <= JOB_ABOVE:
        told = members.change(api, campaign, (), removes)
        return told | _pending(Op.ADD, adds, jobs.insertion(api, campaign, [ref.remote_id for ref in adds]))
    unknown = [ref.remote_id for ref in removes if ref.handle is None]
    rows = members.rows_of(api, campaign, unknown) if unknown else {}
    known = [Ref(r.remote_id, handle=r.handle or rows.get(r.remote_id), object=r.object) for r in removes]
    told = {(Op.REMOVE, ref.remote_id): Outcome(ref, Verdict.NOOP, reason="no member") for ref in known if not ref.handle}
    job = jobs.deletion(api, [ref.handle for ref in known if ref.handle]) if len(told) < len(known) else None
    told |= _pending(Op.REMOVE, [ref for ref in known if ref.handle], job)
    if adds:
        told |= _pending(Op.ADD, adds, jobs.insertion(api, campaign, [ref.remote_id for ref in adds], after=job))
    return told


def _pending(op: Op, refs: Sequence[Ref], job: str | None) -> Told:
    return {(op, ref.remote_id): Outcome(ref, Verdict.PENDING, job=job) for ref in refs}


def _by_email(api: Api, sobject: str, wanted: Mapping[str, str], also: str) -> dict[str, list[Ref]]:
    found: dict[str, list[Ref]] = {}
    for some in vendor.packed(list(wanted)):
        soql = f"SELECT Id,Email FROM {sobject} WHERE Email IN {vendor.listed(some)}{also} ORDER BY Id"
        for page in vendor.select(api, soql):
            for row in page:
                key = wanted.get(str(row["Email"]).lower())
                if key is not None:
                    found.setdefault(key, []).append(Ref(str(row["Id"]), object=object_of(str(row["Id"]))))
    return found

"""
Members of a campaign by the thousand: one ingest job of Bulk API 2.0 takes what hundreds of calls would (Bulk API 2.0 guide).

A job is made, given its rows, and told to start; what became of each row is asked for later. Of one campaign one job runs at a
time: an insertion that goes with a removal waits, made and filled but not started, until `settle` sees the removal ended.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from connectors.salesforce.members import add_row, added, removed
from connectors.salesforce.vendor import ROOT, table
from core.contract import Api, Outcome, Ref, Verdict
from core.errors import NotFoundError, ProtocolError, QuotaExhausted, TransientError

COLUMNS: Final = ("CampaignId", "ContactId", "LeadId")
ENDED: Final = frozenset({"JobComplete", "Failed", "Aborted"})
MAX_RESULT_BYTES: Final = 1_000_000_000
_AFTER: Final = " after "
"""Between the id of a job and that of the one it waits for."""


def insertion(api: Api, campaign: str, people: Sequence[str], *, after: str | None = None) -> str:
    """Put *people* in; return what `settle` is to be asked with. *after* is the id of a job that has to end first."""
    rows = [add_row(campaign, person) for person in sorted(people)]
    job = _filled(api, "insert", COLUMNS, rows)
    if after is not None:
        return f"{job}{_AFTER}{after}"
    _begin(api, job)
    return job


def deletion(api: Api, rows: Sequence[str]) -> str:
    """Take out the members with these row ids; return what `settle` is to be asked with, a job's id."""
    job = _filled(api, "delete", ("Id",), [{"Id": row} for row in sorted(rows)])
    _begin(api, job)
    return job


def settle(api: Api, job: str) -> Mapping[str, Outcome] | None:
    """
    Return what became of each row of a job, None while it runs: by person where it put people in, else by row id.

    Raises:
        NotFoundError: the vendor knows nothing of the job any more.
    """
    job_id, _, before = job.partition(_AFTER)
    if before and _state(api, before) not in ENDED:
        return None
    told = api.get(_path(job_id))
    state = str(told.get("state"))
    if state == "Open":
        _begin(api, job_id)
    if state not in ENDED:
        return None
    operation = str(told.get("operation"))
    read = {"insert": _inserted, "delete": _deleted}.get(operation)
    if read is None:
        raise ProtocolError("a job of ours is neither an insertion nor a deletion")
    found = read(_result(api, job_id, "successfulResults"))
    if state != "JobComplete" or told.get("numberRecordsFailed") != 0:  # Quirk 21: complete does not mean well
        found |= read(_result(api, job_id, "failedResults"))
    if state != "JobComplete":
        found |= _unprocessed(_result(api, job_id, "unprocessedrecords"))
    return found


def _filled(api: Api, operation: str, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    made = api.post(
        f"{ROOT}/jobs/ingest",
        json={"object": "CampaignMember", "operation": operation, "contentType": "CSV", "lineEnding": "LF"},
        repeat=True,  # a job that is never started does nothing
    )
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    job = str(made["id"])
    # a job takes its rows once, so a repeat would be refused though the first had arrived
    api.put(f"{_path(job)}/batches", content=out.getvalue().encode(), content_type="text/csv", repeat=False)
    return job


def _begin(api: Api, job: str) -> None:
    """Tell a job to start. Where that fails it may have started all the same; `settle` sees, and tells it again."""
    try:
        api.patch(_path(job), json={"state": "UploadComplete"}, repeat=True)
    except (TransientError, QuotaExhausted):
        return


def _state(api: Api, job: str) -> str:
    try:
        return str(api.get(_path(job)).get("state"))
    except NotFoundError:  # so old that nothing is kept of it
        return "JobComplete"


def _path(job: str) -> str:
    return f"{ROOT}/jobs/ingest/{job}"


def _result(api: Api, job: str, which: str) -> Iterator[Mapping[str, str]]:
    with (
        api.fetch(f"{_path(job)}/{which}", max_bytes=MAX_RESULT_BYTES, headers={"accept": "text/csv"}) as fetched,
        table(fetched.file) as rows,
    ):
        yield from rows


def _inserted(rows: Iterator[Mapping[str, str]]) -> dict[str, Outcome]:
    people = ((row.get("ContactId") or row["LeadId"], row) for row in rows)
    return {who: added(Ref(who), row.get("sf__Id") or None, *_refusal(row)) for who, row in people}


def _deleted(rows: Iterator[Mapping[str, str]]) -> dict[str, Outcome]:
    ids = ((row.get("Id") or row["sf__Id"], row) for row in rows)
    return {id_: removed(Ref(id_, handle=id_), not row.get("sf__Error"), *_refusal(row)) for id_, row in ids}


def _unprocessed(rows: Iterator[Mapping[str, str]]) -> dict[str, Outcome]:
    who = (row.get("ContactId") or row.get("LeadId") or row["Id"] for row in rows)
    return {each: Outcome(Ref(each), Verdict.RETRY, reason="the job ended before its turn") for each in who}


def _refusal(row: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the code and the text of a row's refusal: the file says `CODE:text:fields`, and the text may hold people."""
    code, _, text = (row.get("sf__Error") or "").partition(":")
    return code or None, text

"""
Bulk API 2.0 in the sandbox: jobs that read and jobs that write, which take their time and fail where they are told to.

A job is done `polls` questions after it was told to start; one in `failing` ends as Failed when half of its rows are done.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.salesforce.sandbox_form import QueryAnswers, csv_value, refused
from connectors.salesforce.sandbox_rows import RowAnswers, RowError
from connectors.salesforce.vendor import ROOT
from core.contract import Ask, Reply

MAX_BYTES: Final = 100_000_000
CSV: Final = "text/csv"


@dataclass(slots=True)
class Job:
    """One job, either way."""

    id: str
    operation: str
    state: str
    soql: str = ""
    columns: Sequence[str] = ()
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    """Read by it, or to be written by it."""
    good: list[Mapping[str, Any]] = field(default_factory=list)
    bad: list[Mapping[str, Any]] = field(default_factory=list)
    polls: int = 0


class JobAnswers:
    """One method an endpoint."""

    def __init__(self, queries: QueryAnswers, rows: RowAnswers, *, polls: int) -> None:
        self.queries, self.rows, self.polls = queries, rows, polls
        self.jobs: dict[str, Job] = {}
        self.failing = 0
        """How many of the next jobs fail half-way."""

    # Reading

    def query(self, ask: Ask) -> Reply:
        body = ask.json() or {}
        if body.keys() != {"operation", "query"} or body["operation"] not in ("query", "queryAll"):
            raise refused(400, "INVALIDJOB", "operation and query are expected")
        if " ORDER BY " in body["query"]:
            raise refused(400, "API_ERROR", "ORDER BY disables chunking")
        self.queries.read(body["query"], deleted=True)
        job = self._made(body["operation"], "UploadComplete", soql=body["query"])
        return Reply(self._told(job))

    def results(self, ask: Ask) -> Reply:
        job = self._job(ask)
        if job.state != "JobComplete":
            raise refused(400, "INVALIDJOBSTATE", "the job is not complete")
        locator, most = ask.one("locator") or "0", int(ask.one("maxRecords") or 50_000)
        if not locator.isdigit() or int(locator) % most:
            raise refused(400, "INVALID_LOCATOR", "invalid locator")
        start, end = int(locator), int(locator) + most
        part = job.rows[start:end]
        headers = {
            "Sforce-Locator": str(end) if end < len(job.rows) else "null", "Sforce-NumberOfRecords": str(len(part)),
        }  # fmt: skip
        return Reply(headers=headers, content=_csv(job.columns, part), content_type=CSV)

    # Writing

    def ingest(self, ask: Ask) -> Reply:
        body = ask.json() or {}
        if body.get("object") != "CampaignMember" or body.get("operation") not in ("insert", "delete"):
            raise refused(400, "INVALIDJOB", "members of campaigns are inserted or deleted")
        if body.get("contentType") != "CSV" or body.get("lineEnding") != "LF":
            raise refused(400, "INVALIDJOB", "CSV with LF is expected")
        job = self._made(body["operation"], "Open")
        return Reply({**self._told(job), "contentUrl": f"{ROOT.removeprefix('/')}/jobs/ingest/{job.id}/batches"})

    def upload(self, ask: Ask) -> Reply:
        job = self._job(ask)
        if job.state != "Open" or job.rows or len(ask.body) > MAX_BYTES or not ask.headers["content-type"].startswith(CSV):
            raise refused(400, "INVALIDJOBSTATE", "the job takes one upload of CSV")
        reader = csv.DictReader(io.StringIO(ask.body.decode()), lineterminator="\n")
        job.rows = list(reader)
        job.columns = tuple(reader.fieldnames or ())
        return Reply(status=201)

    def change(self, ask: Ask) -> Reply:
        job, state = self._job(ask), (ask.json() or {}).get("state")
        if state not in ("UploadComplete", "Aborted"):
            raise refused(400, "INVALIDJOBSTATE", "UploadComplete or Aborted is expected")
        if job.state == "Open":
            job.state = state
        return Reply(self._told(job))

    def status(self, ask: Ask) -> Reply:
        job = self._job(ask)
        if job.state in ("UploadComplete", "InProgress"):
            job.state, job.polls = "InProgress", job.polls - 1
            if job.polls <= 0:
                self._run(job)
        return Reply(self._told(job))

    def good(self, ask: Ask) -> Reply:
        job = self._job(ask)
        return self._rows(("sf__Id", "sf__Created", *job.columns), job.good)

    def bad(self, ask: Ask) -> Reply:
        job = self._job(ask)
        return self._rows(("sf__Id", "sf__Error", *job.columns), job.bad)

    def rest(self, ask: Ask) -> Reply:
        job = self._job(ask)
        return self._rows(job.columns, job.rows[len(job.good) + len(job.bad) :])

    def _run(self, job: Job) -> None:
        fails = self.failing > 0
        self.failing -= fails
        if job.operation.startswith("query"):
            query, rows = self.queries.read(job.soql, deleted=job.operation == "queryAll")
            job.columns, job.rows = query.fields, [] if fails else rows
        else:
            act: Callable[[Mapping[str, Any]], str] = {
                "insert": self.rows.insert, "delete": lambda row: self.rows.remove(row["Id"]),
            }[job.operation]  # fmt: skip
            for row in job.rows[: len(job.rows) // 2 if fails else None]:
                try:
                    job.good.append({"sf__Id": act(row), "sf__Created": csv_value(job.operation == "insert"), **row})
                except RowError as error:
                    job.bad.append({"sf__Id": "", "sf__Error": f"{error.code}:{error.message}:--", **row})
        job.state = "Failed" if fails else "JobComplete"

    def _made(self, operation: str, state: str, *, soql: str = "") -> Job:
        id_ = f"750xx{len(self.jobs):010d}AAA"
        self.jobs[id_] = Job(id_, operation, state, soql=soql, polls=self.polls)
        return self.jobs[id_]

    def _told(self, job: Job) -> dict[str, Any]:
        told = {"id": job.id, "operation": job.operation, "state": job.state, "apiVersion": 66.0}
        if job.state == "Failed":
            told["errorMessage"] = "InternalServerError : half-way"
        if not job.operation.startswith("query"):
            done = {"numberRecordsProcessed": len(job.good) + len(job.bad), "numberRecordsFailed": len(job.bad)}
            told |= {"object": "CampaignMember", **done}
        return told

    def _job(self, ask: Ask) -> Job:
        found = self.jobs.get(ask.params["job"])
        if found is None:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        return found

    def _rows(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Reply:
        return Reply(content=_csv(columns, rows), content_type=CSV)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_value(row.get(name)) for name in columns] for row in rows)
    return out.getvalue().encode()

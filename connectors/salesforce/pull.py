"""
Reading one kind of object: what changed since a time, deleted and merged ones among it, by a query or, if many, by a query job.

A `Place` is how far a pull has got and the resume token: the last row of a query, or a job and the row of its results. What a
record means is `mapping`'s.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final
from urllib.parse import quote_plus

from connectors.salesforce import vendor
from connectors.salesforce.mapping import ALWAYS, CONTACTS, ObjectType, changed_at, record_of
from connectors.salesforce.vendor import ROOT, Found
from core.contract import Api, Merge, Page, chunks, midnight
from core.errors import ProtocolError, RejectedError

PAGE: Final = 1_000
"""Records of one page of ours; an answer has up to 2,000, a job's results up to CHUNK."""
CHUNK: Final = 50_000
"""Records of one part of a job's results; we choose it (Bulk API 2.0: maxRecords)."""
MAX_CHUNK_BYTES: Final = 1_000_000_000
POLL_EVERY_S: Final = 5.0
POLL_LIMIT_S: Final = 3_600.0
TOO_MUCH: Final = ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE")
"""Codes of a query that only a job can answer."""
TOO_LONG: Final = (414, 431)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a pull has got."""

    after: tuple[str, str] | None = None
    """Of a query: SystemModstamp and Id of the last row read."""
    job: str | None = None
    locator: str | None = None
    """Of a job: the part of its results in hand; None is the first."""
    read: int = 0
    """Rows read of that part."""

    def token(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value}, separators=(",", ":"))

    @staticmethod
    def resumed(token: str | None) -> Place:
        """The place that *token* names; the beginning where there is none, or some other version wrote it."""
        try:
            parts = json.loads(token or "{}")
            after = parts.pop("after", None)
            return Place(**parts, after=(str(after[0]), str(after[1])) if after else None)
        except (TypeError, ValueError, AttributeError, LookupError):
            return Place()


def pull_objects(api: Api, of: ObjectType, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """All records of a type changed since *cursor*, oldest change first unless a job reads them."""
    reader = _Reader(api, of, cursor or midnight(api.settings.start))
    place = Place.resumed(resume)
    return reader.by_job(place) if place.job else reader.by_query(place.after)


def wanted(api: Api, of: ObjectType) -> tuple[str, ...]:
    """Return the names of the fields to read of a type: the usual ones and the connection's own."""
    own = tuple(api.settings.extra_fields.get(of.name, ()))
    user_id = (api.settings.user_id_field,) if of is CONTACTS and api.settings.user_id_field else ()
    return (*ALWAYS, *of.fields, *own, *user_id)


class _Reader:
    """One pull of one type. The fields are asked for first: one that the token may not see sinks a query (Quirk 5)."""

    def __init__(self, api: Api, of: ObjectType, since: datetime | None) -> None:
        self.api, self.of, self.since = api, of, since
        described = vendor.describe(api, of.sobject)
        self.fields: Mapping[str, str] = {name: described.fields[name] for name in described.spelled(wanted(api, of))}

    def by_query(self, after: tuple[str, str] | None) -> Iterator[Page]:
        """Read page by page; a job takes over where there is too much of it."""
        try:
            found = self._ask(after)
        except RejectedError as error:
            if error.code not in TOO_MUCH and error.status not in TOO_LONG:
                raise
            found = None
        if found is None or found.total > vendor.BULK_ABOVE:
            yield from self.by_job(Place())
            return
        while True:
            for part in chunks(found.records, PAGE):
                after = (str(part[-1]["SystemModstamp"]), str(part[-1]["Id"]))
                last = part[-1] is found.records[-1] and found.following is None
                yield self._page(part, None if last else Place(after=after))
            if found.following is None:
                return
            found = self._following(found.following, after)

    def by_job(self, place: Place) -> Iterator[Page]:
        """Have a job do it, and read its results a part at a time. Its id is kept before it is asked after."""
        job = place.job
        if job is None:
            body = self.api.post(f"{ROOT}/jobs/query", json={"operation": "queryAll", "query": self._soql(None)}, repeat=True)
            job = str(body["id"])
            place = Place(job=job)
            yield Page((), resume=place.token())
        self.api.poll(lambda: self._finished(job), every_s=POLL_EVERY_S, limit_s=POLL_LIMIT_S)
        following: Place | None = place
        while following is not None:
            following = yield from self._part(following)

    def _ask(self, after: tuple[str, str] | None) -> Found | None:
        """Return the first page behind *after*; None where the query is too long for an address (Quirk 6)."""
        soql = f"{self._soql(after)} ORDER BY SystemModstamp, Id"
        if len(quote_plus(soql)) > vendor.MAX_QUERY_CHARS:
            return None
        return vendor.ask(self.api, soql, deleted=True)

    def _following(self, path: str, after: tuple[str, str] | None) -> Found:
        try:
            return vendor.more(self.api, path)
        except RejectedError as error:
            if error.code != "INVALID_QUERY_LOCATOR":
                raise
        found = self._ask(after)  # Quirk 4: the locator is too old; the last row read says where to go on
        if found is None:
            raise ProtocolError("a query that was short enough is too long now")
        return found

    def _soql(self, after: tuple[str, str] | None) -> str:
        conditions = []
        if self.since is not None:
            conditions.append(f"SystemModstamp >= {vendor.instant(self.since)}")
        if after is not None:
            at = vendor.instant(datetime.fromisoformat(after[0]))
            later = f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {vendor.text(after[1])}))"
            conditions = [f"SystemModstamp >= {at}", later]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {','.join(self.fields)} FROM {self.of.sobject}{where}"

    def _finished(self, job: str) -> bool | None:
        state = str(self.api.get(f"{ROOT}/jobs/query/{job}").get("state"))
        if state in ("Failed", "Aborted"):
            # refused, not failed in passing: the core then forgets the job, and the next pull has another one made (Quirk 8)
            raise RejectedError("a query job did not end well; the next pull makes another one", code=state)
        return True if state == "JobComplete" else None

    def _part(self, place: Place) -> Generator[Page, None, Place | None]:
        """Read one part of a job's results from the place on; the generator returns the place that follows it."""
        where, asked = f"{ROOT}/jobs/query/{place.job}/results", {"maxRecords": CHUNK, "locator": place.locator}
        with (
            self.api.fetch(where, max_bytes=MAX_CHUNK_BYTES, params=asked, headers={"accept": "text/csv"}) as fetched,
            vendor.table(fetched.file) as rows,
        ):
            following = _following_part(place, fetched.headers.get("sforce-locator"))
            total = int(fetched.headers["sforce-numberofrecords"])
            read = sum(1 for _ in islice(rows, place.read))
            while read < total:
                due = min(PAGE, total - read)
                part = list(islice(rows, due))
                read += len(part)
                if len(part) < due:
                    raise ProtocolError("a job's results hold fewer rows than their header says")
                here = Place(job=place.job, locator=place.locator, read=read)
                yield self._page(part, here if read < total else following)
        return following

    def _page(self, rows: Sequence[Mapping[str, Any]], following: Place | None) -> Page:
        """Return rows as a page: live ones as records, merged ones with their winner, the rest of the deleted ones as gone."""
        records = [record_of(row, self.fields) for row in rows]
        gone = [record for record in records if record["IsDeleted"]]
        return Page(
            [record for record in records if not record["IsDeleted"]],
            cursor=max((at for at in map(changed_at, records) if at), default=None),
            resume=following.token() if following else None,
            deleted=[str(record["Id"]) for record in gone if not record.get("MasterRecordId")],
            merged=[Merge(str(r["Id"]), str(r["MasterRecordId"])) for r in gone if r.get("MasterRecordId")],  # Quirk 10
        )


def _following_part(place: Place, locator: str | None) -> Place | None:
    if locator is None or locator == "null":  # Quirk 7: the word, at the end
        return None
    if locator == place.locator:
        raise ProtocolError("the vendor names the part in hand as the next one")
    return Place(job=place.job, locator=locator)

"""
The streams `people` and `tags`: everybody who has an identity there, with their tags and what they said to e-mail.

There is no filter by time: changed people are read newest first, until one is older than the cursor, if the vendor sorts at
all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from connectors.encharge.vendor import UNSUBSCRIBED, Place, everybody, is_unsubscribed, tags_of, unsubscribed_name, value
from core.contract import Api, Deletions, Json, Kind, Page, Record, Row, StreamSet, midnight, parse_time
from core.errors import ProtocolError

STREAMS = StreamSet()
LOOKBACK: Final = timedelta(minutes=10)
FULL_EVERY: Final = timedelta(days=7)
"""How often all is read, to see who was archived or erased (Quirk 9)."""
STATES: Final = {True: "denied", False: "granted", None: "unknown"}


def email_of(record: Record) -> str | None:
    """Return the address as it is compared: trimmed, in lower case."""
    text = record.get("email")
    return text.strip().lower() if isinstance(text, str) and text.strip() else None


def rows(record: Record) -> Iterator[Row]:
    """Return a person as a profile and as a consent: one is mailable unless the field says no (Quirk 7)."""
    key = str(record["id"])
    yield Row(
        Kind.PROFILE,
        key,
        {
            "email": email_of(record),
            "first_name": record.get("firstName"),
            "last_name": record.get("lastName"),
            "phone": record.get("phone"),
            "country": record.get("country"),
            "created_at": parse_time(record.get("createdAt")),
        },
    )
    yield Row(Kind.CONSENT, key, {"channel": "email", "state": STATES[record[UNSUBSCRIBED]]})


@STREAMS.add(
    "people",
    kind=Kind.PROFILE,
    key="id",
    order="any",
    identifiers={"email": email_of, "user_id": "userId", "person_id": "id"},
    lookback=LOOKBACK,
    deletions=Deletions.ABSENCE,
    full_every=FULL_EVERY,
    rows=rows,
)
def people(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """People, newest change first where only changes are wanted, else oldest first (DOCS: GetAllPeople)."""
    name = unsubscribed_name(api)
    start = midnight(api.settings.start)
    since = max(filter(None, (cursor, start)), default=None)
    query: dict[str, object] = {"sort": "updatedAt", "order": "desc"} if since else {"sort": "createdAt", "order": "asc"}
    before: datetime | None = None
    heeded = since is not None and resume is None  # a broken pull does not know how the pages before were sorted
    for found, place in everybody(api, Place.parse(resume), **query):
        times = [parse_time(value(person, "updatedAt")) for person in found]
        heeded = heeded and _descending(before, times)
        before = times[-1]
        wanted = [_record(one, name) for one, at in zip(found, times, strict=True) if not (start and at and at < start)]
        yield Page(wanted, cursor=max(filter(None, times), default=None), resume=place.dump())
        if heeded and since and before and before < since:  # Quirk 8: if the order is not heeded, all is read
            return


def _descending(before: datetime | None, times: Sequence[datetime | None]) -> bool:
    """Return whether a page goes on from the one before, newest first; a person without a time breaks the order."""
    if not times or None in times:
        return False
    known = [at for at in ((before,) if before else ()) + tuple(times) if at]
    return all(one >= other for one, other in pairwise(known))


def _record(person: Json, name: str) -> dict[str, Any]:
    """Return a person with flat fields, tags as a list, and what they said to e-mail under one name."""
    data = person.get("data")
    flat: Mapping[str, Any] = {**(data if isinstance(data, dict) else {}), **person}
    kept = {key: None if said == "" else said for key, said in flat.items() if key != "data"}
    return kept | {"tags": tags_of(person), UNSUBSCRIBED: is_unsubscribed(person, name)}


def tag_names(api: Api) -> Sequence[Mapping[str, Any]]:
    """Return all tags of the account (DOCS: GetAccountTags); they are not paged."""
    body = api.get("/tags-management")
    tags = body.get("tags") if isinstance(body, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, dict) and tag.get("tag") for tag in tags):
        raise ProtocolError("the answer has no list 'tags' of tags with names")
    return tags


def _no_rows(_: Record) -> Iterator[Row]:
    """Return nothing: a tag is nobody."""
    yield from ()


@STREAMS.add("tags", kind=Kind.PROFILE, key="tag", deletions=Deletions.ABSENCE, rows=_no_rows)
def tags(api: Api, cursor: str | None, resume: str | None) -> Iterator[Page]:
    """All tags, as a table of their names; who has one is in `people`."""
    found = tag_names(api)
    if found:
        yield Page(found)

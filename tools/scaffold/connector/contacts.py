"""The stream `contacts`: everybody, as a profile and as a consent, oldest change first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from core.contract import Api, Deletions, Kind, Page, Record, Row, StreamSet, midnight, parse_time

STREAMS = StreamSet()

PAGE_SIZE: Final = 100  # docs_url/contacts#list
LOOKBACK: Final = timedelta(minutes=10)
"""Their servers have clocks of their own; what is asked for twice falls on the same row."""
CONSENT: Final = {"subscribed": "granted", "unsubscribed": "denied", "cleaned": "denied"}
"""Status to state; any other says neither yes nor no."""


def rows(record: Record) -> Iterator[Row]:
    """Return the contact as a profile and as a consent."""
    key = str(record["id"])
    names = {"first_name": record.get("first_name"), "last_name": record.get("last_name")}
    yield Row(Kind.PROFILE, key, {"email": record.get("email"), **names})
    state = CONSENT.get(str(record.get("status")), "unknown")
    yield Row(Kind.CONSENT, key, {"channel": "email", "state": state, "at": parse_time(record.get("updated_at"))})


@STREAMS.add(
    "contacts",
    kind=Kind.PROFILE,
    key="id",
    order="asc",
    identifiers={"email": "email"},
    lookback=LOOKBACK,
    deletions=Deletions.ABSENCE,  # nothing tells of them: a full pull finds out (docs_url/contacts#delete)
    rows=rows,
)
def contacts(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """Yield the contacts that changed at or after *cursor* (docs_url/contacts#list)."""
    since = cursor or midnight(api.settings.start)
    while True:
        body = api.get("/contacts", limit=PAGE_SIZE, updated_since=since, cursor=resume)
        resume = body["next"]  # Quirk 1
        times = [at for at in (parse_time(record.get("updated_at")) for record in body["contacts"]) if at]
        yield Page(body["contacts"], cursor=max(times, default=None), resume=resume)
        if resume is None:
            return

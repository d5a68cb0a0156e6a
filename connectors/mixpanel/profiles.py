"""
The stream `profiles`: what Mixpanel knows of people, by the Engage query; and its pages, which audiences read too.

Pages of a query are numbered within a session, a snapshot. A pull asks for what was updated since, and once a day for
everybody: much changes a profile without a trace (Quirk 11).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from connectors.mixpanel.events import DEVICE
from connectors.mixpanel.vendor import PROFILES, Plane, Settings, at, project
from core.contract import Api, BadRecord, Json, Page, Record, parse_time
from core.errors import ProtocolError, RejectedError

USUAL: Final = (
    "$email", "$name", "$first_name", "$last_name", "$phone", "$created", "$last_seen", "$country_code", "$city", "$timezone",
)  # fmt: skip
"""The properties that are always read; which there are is up to the customer."""


@dataclass(frozen=True, slots=True)
class Place:
    """A page of a query: its number within the session."""

    session: str
    page: int

    def dump(self) -> str:
        return json.dumps([self.session, self.page])

    @classmethod
    def parse(cls, text: str) -> Place:
        session, page = json.loads(text)
        return cls(session, page)


def pull_profiles(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """Profiles in no order, a thousand a page (DOCS/engage-query)."""
    settings: Settings = api.settings
    since = cursor.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") if cursor else None
    where = f'properties["$last_seen"] > "{since}"' if since else None
    names = (*USUAL, *settings.profile_properties)
    place = Place.parse(resume) if resume is not None else None
    for results, following in pages(api, names, place, where=where):
        records, bad = [], []
        for at_, result in enumerate(results):
            record = parse(result)
            if record is None:
                bad.append(BadRecord(f"profile {at_} of a page", "no distinct id"))
            else:
                records.append(record)
        seen = [time for record in records if (time := as_utc(record["properties"].get("$last_seen"))) is not None]
        yield Page(
            records, cursor=max(seen, default=None), resume=following.dump() if following else None, bad=bad
        )  # fmt: skip


def pages(
    api: Api, names: Sequence[str], place: Place | None = None, **query: object
) -> Iterator[tuple[Sequence[Json], Place | None]]:
    """
    Yield the results of each page of an Engage query, from *place* on, with the place of the next one; None after the last.

    Raises:
        RejectedError: the session is over; a query begins anew from its first page.
    """
    short = False
    while True:
        page = place.page if place else 0
        try:
            body = _within(place, ask(api, names, place, **query))
        except RejectedError:
            if not short:
                raise
            yield (), None  # what the short page said already
            return
        if int(body.get("page", page)) != page:
            raise ProtocolError(f"page {page} of the profiles was answered with another")
        # Quirk 10: `total` counts what is in the page; a page is short, too, where a profile of the snapshot was deleted since
        results, short = body["results"], len(body["results"]) < int(body["page_size"])
        place = None if not results or (short and page == 0) else Place(str(body["session_id"]), page + 1)
        yield results, place
        if place is None:
            return


def _within(place: Place | None, body: Json) -> Json:
    """Return *body*; RejectedError where its page is of another snapshot (Quirk 10)."""
    if place is not None and str(body["session_id"]) != place.session:
        raise RejectedError("the query's session is over", code="session")
    return body


def ask(api: Api, names: Sequence[str], place: Place | None = None, **query: object) -> Json:
    """Ask for one page of profiles with the properties *names*; None in *query* is left out."""
    settings: Settings = api.settings
    form = {**query, "output_properties": json.dumps(list(names))}
    if place is not None:
        form |= {"page": place.page, "session_id": place.session}
    body = api.post(at(settings, Plane.QUERY, PROFILES), params=project(settings), form=form, repeat=True)
    if (
        not isinstance(body, dict)
        or not isinstance(body.get("results"), list)
        or not {"session_id", "page_size"} <= body.keys()
    ):
        raise ProtocolError("the answer holds no page of profiles")
    return body


def parse(result: Json) -> dict[str, Any] | None:
    """Return a profile as the stream has it; None without an id."""
    id_ = distinct_id(result)
    properties = result.get("$properties")
    return None if id_ is None else {"distinct_id": id_, "properties": properties if isinstance(properties, dict) else {}}


def distinct_id(result: Json) -> str | None:
    """Return the profile's id as text, whatever it is in the answer (Quirk 12)."""
    value = result.get("$distinct_id")
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return str(value)


def user_id(record: Record) -> str | None:
    """Return the product's id of the person; None for a device that nobody signed in on."""
    id_: str = record["distinct_id"]
    return None if id_.startswith(DEVICE) else id_


def email(record: Record) -> object:
    return record["properties"].get("$email")


def columns(record: Record) -> Mapping[str, object]:
    """Return the columns of the landing table: every property by its own name, `$email` beside `email` (Quirk 12)."""
    return {**record["properties"], "distinct_id": record["distinct_id"]}


def as_utc(value: object) -> datetime | None:
    """Return a time of a profile: ISO 8601 without a zone, meaning UTC."""
    return parse_time(value, zone=UTC)

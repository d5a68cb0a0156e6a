"""
The stream `members`: everybody on the list, as a profile and as a consent.

A pull is incremental by last_changed inside a window whose upper end is fixed when it begins. Archived people are read apart;
people deleted for good only show by being absent from a full pull.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from connectors.mailchimp.paging import Place, pages
from core.contract import Api, BadRecord, Deletions, Json, Kind, Page, Record, Row, StreamSet, parse_time
from core.errors import ProtocolError

STREAMS = StreamSet()

ARCHIVED, LISTED = "archived", "listed"  # the two parts of an incremental pull, in this order
LOOKBACK = timedelta(minutes=10)  # last_changed has whole seconds, and the vendor's servers have clocks of their own

CONSENT = {"subscribed": "granted", "unsubscribed": "denied", "cleaned": "denied"}
"""Status to state. Pending, transactional and archived people said neither yes nor no."""


def address(record: Record) -> str | None:
    """Return the lower-cased address: the key, and the remote id that tags are pushed by."""
    value = record.get("email_address")
    return value.strip().lower() if isinstance(value, str) and value.strip() else None


def rows(record: Record) -> Iterator[Row]:
    """Return the member as a profile and as a consent."""
    key = address(record)
    if key is None:
        return
    merge, location = record.get("merge_fields") or {}, record.get("location") or {}
    yield Row(
        Kind.PROFILE,
        key,
        {
            "email": key,
            "first_name": merge.get("FNAME"),
            "last_name": merge.get("LNAME"),
            "phone": merge.get("PHONE"),
            "country": location.get("country_code"),
            "language": record.get("language"),
            "timezone": location.get("timezone"),
            "created_at": parse_time(record.get("timestamp_signup")) or parse_time(record.get("timestamp_opt")),
        },
    )
    state = CONSENT.get(str(record.get("status")), "unknown")
    changed_at = parse_time(record.get("last_changed"))
    at = (parse_time(record.get("timestamp_opt")) or changed_at) if state == "granted" else changed_at
    yield Row(Kind.CONSENT, key, {"channel": "email", "state": state, "at": at})


@STREAMS.add(
    "members",
    kind=Kind.PROFILE,
    key=address,
    order="asc",
    identifiers={"email": address, "contact_id": "contact_id"},  # Quirk 5: contact_id outlives a change of address
    lookback=LOOKBACK,
    deletions=Deletions.ABSENCE,  # Quirk 6
    full_every=timedelta(days=7),
    rows=rows,
)
def members(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """Members, oldest change first (https://mailchimp.com/developer/marketing/api/list-members/list-members-info/)."""
    path = f"/lists/{api.settings.list_id}/members"
    place = Place.parse(resume) if resume else Place(part=LISTED if cursor is None else ARCHIVED, until=_upper_bound(api.now))
    since = cursor or _midnight(api.settings.start)
    while True:
        window = {
            "since_last_changed": since.isoformat(timespec="seconds") if since else None,
            "before_last_changed": place.until,  # Quirk 4
            "sort_field": "last_changed",
            "sort_dir": "ASC",
            "exclude_fields": "_links,members._links",
        }
        status = ARCHIVED if place.part == ARCHIVED else None
        for found, following in pages(api, path, "members", place, status=status, **window):
            if following is None and place.part == ARCHIVED:
                following = Place(part=LISTED, until=place.until)
            yield _page(found, place.part, following)
        if place.part == LISTED:
            return
        place = Place(part=LISTED, until=place.until)


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day else None


def _upper_bound(now: datetime) -> str:
    """Return the next whole second: `before` excludes its own, and what changed in this one is to be seen."""
    return (now.replace(microsecond=0) + timedelta(seconds=1)).isoformat(timespec="seconds")


def _page(found: Any, part: str, following: Place | None) -> Page:
    records, gone, bad = [], [], []
    for member in found:
        record = _clean(member)
        key = address(record)
        if key is None:  # Quirk 7
            who = f"member {record.get('contact_id') or record.get('id')}"
            bad.append(BadRecord(who, "no e-mail address", who))  # stored under none, so none that is missed
        elif record.get("status") == "archived":  # Quirk 6: whether an unfiltered list has them, no page says
            gone.append(key)
        else:
            records.append(record)
    times = [at for at in (parse_time(record.get("last_changed")) for record in records) if at]
    return Page(
        records,
        cursor=max(times, default=None) if part == LISTED else None,
        resume=following.dump() if following else None,
        deleted=gone,
        bad=bad,
    )


def _clean(member: Json) -> dict[str, Any]:
    """Return the member with "" as missing, at any depth: Quirk 8, an empty time arrives as an empty text."""
    if not isinstance(member, dict):
        raise ProtocolError("a member is no object")
    return {
        name: _clean(value) if isinstance(value, dict) else None if value == "" else value
        for name, value in member.items()
        if name != "_links"
    }

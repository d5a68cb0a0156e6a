"""
How a stream is pulled: once as a list, then by the events feed.

A list has no `updated` filter (Quirk 1), so what changed is known only from events. They say *that* an object changed; what it
is now is asked for by its id at the pinned version, for the feed renders objects at the account's own (Quirk 2). Each stream
reads the feed for the types that touch its objects, and keeps its own checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from connectors.stripe.lists import PAGE_SIZE, Anchor, fetch, walk
from core.contract import Api, Page

LOOKBACK = timedelta(minutes=10)  # events of one second can appear out of order; a clock may be off
TRUSTED = timedelta(days=29)  # the feed keeps 30 days (docs.stripe.com/api/events); one day is for the pull itself
_TOKEN = re.compile(r"(?P<began>\d+):(?P<at>\d+):(?:#\d+|(?P<id>\w.*))")
"""When the pull began, the second that it got to, and the last row of a list or the number of a page of the feed."""
MAX_TYPES = 20  # docs.stripe.com/api/events/list#list_events-types


UNREADABLE = "unreadable"
"""The status of a record that lacks what it cannot be completed without; no status of the vendor's."""


class Touch(NamedTuple):
    """Something that an event says has changed: the object itself, or one that others rest on."""

    kind: str
    id: str


class Finisher:
    """Completes the records of a stream with what is elsewhere; made anew for each pull, so it may remember."""

    def one(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return the record as it is stored."""
        return record

    def page(self, records: Sequence[dict[str, Any]]) -> None:
        """Complete all of a page at once, in place."""


@dataclass(frozen=True, slots=True)
class Source:
    """What distinguishes one stream from another."""

    path: str
    _: KW_ONLY
    kind: str
    """Of a touch that is the object itself."""
    types: tuple[str, ...]
    """The events that touch its objects."""
    touched: Callable[[Mapping[str, Any]], Touch | None]
    """What an event touches; its ids only are believed."""
    resting_on: Callable[[Api, Touch], Iterator[str]]
    """The objects of the stream that rest on a touch of another kind."""
    params: Mapping[str, object] = field(default_factory=dict)
    expand: tuple[str, ...] = ()
    """What is expanded in one object; in a list each has `data.` before it."""
    since_start: bool = False
    """Whether `start` bounds the stream: what happened before is not wanted. What *is* has no start."""
    finisher: Callable[[Api, bool], Finisher] = lambda api, whole: Finisher()
    """Told whether the pull is of everything."""

    def __post_init__(self) -> None:
        if len(self.types) > MAX_TYPES:
            raise ValueError(f"{self.path}: the feed takes {MAX_TYPES} types at most")


def pull(source: Source, api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """
    Yield the whole list, or what changed since *cursor* where the feed still knows. After the list, what was not in it is gone.

    The resume token holds the time at which the pull began: that is what the checkpoint becomes, however often it broke.
    """
    token = _TOKEN.fullmatch(resume or "")
    began = _time(token["began"]) if token else api.now
    if api.now - began > TRUSTED:
        token, began = None, api.now
    if token and token["id"]:
        return _listed(source, api, began, Anchor(token["id"], int(token["at"])))
    if cursor is None or api.now - cursor > TRUSTED:  # Quirk 3: a pull of everything is the only way back
        return _listed(source, api, began, None)
    return _changed(source, api, began, _time(token["at"]) if token else cursor)


def _listed(source: Source, api: Api, began: datetime, after: Anchor | None) -> Iterator[Page]:
    start = _start(source, api)
    params: dict[str, object] = dict(source.params)
    if source.expand:
        params["expand[]"] = [f"data.{name}" for name in source.expand]
    if start is not None:
        params["created[gte]"] = start
    finisher = source.finisher(api, True)
    for chunk in walk(api, source.path, params, after=after):
        records = _finished(finisher, chunk.rows)
        token = f"{_seconds(began)}:{chunk.next.created}:{chunk.next.id}" if chunk.next else None
        yield Page(records, cursor=began, resume=token, whole=True)


def _changed(source: Source, api: Api, began: datetime, since: datetime) -> Iterator[Page]:
    finisher = source.finisher(api, False)
    for number, (at, ids) in enumerate(_batches(source, api, since)):
        found = {id: fetch(api, source.path, id, source.expand) for id in ids}
        live = [record for record in found.values() if record is not None]
        records = _finished(finisher, [record for record in live if _wanted(source, api, record)])
        gone = [id for id, record in found.items() if record is None]
        # numbered, so that no two pages have one token, however much rests on one touch
        yield Page(records, cursor=began, resume=f"{_seconds(began)}:{at}:#{number}", deleted=gone)
    yield Page([], cursor=began)


def _batches(source: Source, api: Api, since: datetime) -> Iterator[tuple[int, list[str]]]:
    """Yield up to a page of ids at a time, oldest change first, with the second of the event that the last came from."""
    seen: set[str] = set()
    batch: list[str] = []
    at = 0
    for touch, at in _touches(source, api, since):
        ids = iter([touch.id]) if touch.kind == source.kind else source.resting_on(api, touch)
        for id in ids:
            if id not in seen:
                seen.add(id)
                batch.append(id)
            if len(batch) == PAGE_SIZE:
                yield at, batch
                batch = []
    if batch:
        yield at, batch


def _touches(source: Source, api: Api, since: datetime) -> list[tuple[Touch, int]]:
    """Return what was touched since then, each once, by its last event, oldest first. The feed itself is newest first."""
    latest: dict[Touch, int] = {}
    query = {"types[]": list(source.types), "created[gte]": _seconds(since)}
    for chunk in walk(api, "/events", query):
        for event in chunk.rows:
            touch = source.touched(event)
            if touch is not None:
                latest.setdefault(touch, event["created"])
    return sorted(latest.items(), key=lambda found: found[1])


def _finished(finisher: Finisher, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Return the rows completed.

    One that cannot be is given as a stub that the mapping refuses: so the core makes it a dead letter, and knows that the
    object is still there.
    """
    records, stubs = [], []
    for row in rows:
        try:
            records.append(finisher.one(row))
        except (KeyError, TypeError, ValueError, AttributeError):
            stubs.append({"id": row["id"], "status": UNREADABLE})
    finisher.page(records)
    return [*records, *stubs]


def _wanted(source: Source, api: Api, record: Mapping[str, Any]) -> bool:
    start = _start(source, api)
    return start is None or record["created"] >= start


def _start(source: Source, api: Api) -> int | None:
    day = api.settings.start if source.since_start else None
    return None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _time(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)

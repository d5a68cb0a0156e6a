"""
The stream `events`: the raw export, read line by line, a window of days a request.

Nothing is held but the page at hand. A line that is no event ends the window as a failure: the vendor breaks off after a 200.
What becomes of late, repeated and merged events is in `QUIRKS.md`, 3 and 5 to 8; of repeats the store keeps the newest.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.mixpanel.vendor import EXPORT, Plane, Settings, at, project
from connectors.mixpanel.windows import Progress, Window, first_window, today_of
from core.contract import Api, BadRecord, Json, Page, parse_epoch
from core.errors import TransientError

PAGE: Final = 1000
"""Events that are handed over together."""
IDENTITY_EVENTS: Final = frozenset({"$identify", "$create_alias", "$merge"})
"""What is sent to join ids: nobody did them (Quirk 9)."""
DEVICE: Final = "$device:"
_MILLISECONDS: Final = 10**11
"""A time from here on is in milliseconds: in seconds it would be the year 5138."""

Event = dict[str, Any]


def pull_events(api: Api, cursor: str | None, resume: str | None) -> Iterator[Page]:
    """Events by windows of days, oldest first, and within a window in no order (DOCS/raw-event-export)."""
    settings: Settings = api.settings
    progress = Progress.parse(cursor) if cursor is not None else None
    first = first_window(settings, progress, today_of(settings, api.now))
    window = Window.parse(resume) if resume is not None else first
    while window is not None:
        window = yield from _pull_window(api, window)


def _pull_window(api: Api, window: Window) -> Generator[Page, None, Window | None]:
    """Yield the pages of *window*, return the next. Only the last page moves the cursor: half a window counts for nothing."""
    settings: Settings = api.settings
    span = window.replaces(settings)
    found: list[Event] = []
    bad: list[BadRecord] = []
    events = pages = 0
    for line in read_lines(api, window):
        if len(found) + len(bad) >= PAGE:
            pages += 1
            yield Page(found, resume=window.dump(pages), replaces=span, bad=bad)
            found, bad = [], []
        events += 1
        if line["event"] in IDENTITY_EVENTS:
            continue
        event = parse(line, settings)
        if event["time"] is None:
            bad.append(BadRecord(event["key"], "an event without a time"))
        else:
            found.append(event)
    if window.page and not events:  # Quirk 3: what its pages began to replace would all be gone
        raise TransientError("an export that broke off was answered with nothing the second time", maybe_acted=False)
    today = today_of(settings, api.now)
    following = window.after(events, today)
    progress = Progress(window.last, swept=today, span=window.next_span(events, today))
    yield Page(
        found,
        cursor=progress.dump(),
        resume=following.dump() if following else None,
        replaces=span if events else None,  # Quirk 3: an answer without any event is not believed so far
        bad=bad,
    )
    return following


def read_lines(api: Api, window: Window, *, limit: int | None = None) -> Iterator[Json]:
    """Yield the lines of the export, each an object with `event` and `properties`; TransientError for any other (Quirk 8)."""
    settings: Settings = api.settings
    query = {**project(settings), "from_date": window.first, "to_date": window.last, "time_in_ms": True, "limit": limit}
    for line in api.lines(at(settings, Plane.EXPORT, EXPORT), params=query):
        if not (isinstance(line, dict) and isinstance(line.get("event"), str) and isinstance(line.get("properties"), dict)):
            raise TransientError("the export was ended early; the window is read again", maybe_acted=False)
        yield line


def parse(line: Json, settings: Settings) -> Event:
    """Return a line as the stream has it: key, name, aware time, identifiers, and the properties as they came."""
    properties: Mapping[str, Any] = line["properties"]
    epoch_s = epoch_s_of(properties.get("time"))
    return {
        "key": _key(line, properties, epoch_s),
        "event": line["event"],
        "time": _time(epoch_s, settings.zone if settings.wall_clock else None),
        "user_id": _user_id(properties, settings),
        "distinct_id": _text(properties.get("distinct_id")),
        "properties": properties,
    }


def epoch_s_of(value: object) -> float | None:
    """Return an event's `time` in seconds since 1970, in whichever unit it came."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value / 1000 if abs(value) >= _MILLISECONDS else value


def _time(epoch_s: float | None, zone: ZoneInfo | None) -> datetime | None:
    """Return the time; with a *zone* the number is that zone's wall clock, written as if it were UTC (Quirk 4)."""
    said = parse_epoch(epoch_s)
    if said is None or zone is None:
        return said
    return said.replace(tzinfo=zone).astimezone(UTC)


def _key(line: Json, properties: Mapping[str, Any], epoch_s: float | None) -> str:
    """
    Return what makes an event the same event (Quirk 5).

    As at Mixpanel name, person, second and `$insert_id`; but of the person's ids the one that no merge changes later. Without
    an `$insert_id` it is the whole line.
    """
    insert_id = _text(properties.get("$insert_id"))
    if insert_id is None:
        text = json.dumps(line, sort_keys=True, ensure_ascii=False)
    else:
        who = next((found for name in _WHO if (found := _text(properties.get(name))) is not None), "")
        second = None if epoch_s is None else int(epoch_s)
        text = json.dumps([line["event"], who, second, insert_id], ensure_ascii=False)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


_WHO: Final = ("$device_id", "$user_id", "distinct_id")
"""Steadiest first: `distinct_id` is what the person is called today, in exports of old days too."""


def _user_id(properties: Mapping[str, Any], settings: Settings) -> str | None:
    """Return the product's own id of the person; None for somebody who was not signed in (Quirk 9)."""
    told = _text(properties.get("$user_id"))
    if told is not None:
        return told
    distinct_id = _text(properties.get("distinct_id"))
    if distinct_id is None or distinct_id.startswith(DEVICE):
        return None
    if settings.id_merge == "original" and distinct_id == _text(properties.get("$device_id")):
        return None
    return distinct_id


def _text(value: object) -> str | None:
    """Return an id as text: "0042" and 42 both come, and only the first may keep its zeros."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

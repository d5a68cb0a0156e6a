"""
The stream `events`: everything that was uploaded, hour by hour, and what an event means.

How the hours are asked for is `export.py`'s, how an archive is read `archive.py`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import IO, Any, Final

from connectors.amplitude.archive import read_lines, size_of
from connectors.amplitude.export import HOUR, Pace, TooMuchError, ask, newest_hour
from core.contract import Api, BadRecord, Kind, Page, Record, StreamSet, midnight, parse_time
from core.errors import ConfigError, ProtocolError

STREAMS = StreamSet()

PAGE_SIZE: Final = 1000  # events stored in one transaction
TOLERATED: Final = 3  # malformed lines that even a small archive may have; above 1000 events it is 0.1%
CONTEXT: Final = (
    "platform", "os_name", "os_version", "device_type", "device_family", "version_name",
    "language", "country", "region", "city",
)  # fmt: skip
"""Facts of the device and the place that are properties of an event unless it has its own of that name."""
EMAIL: Final = "email"
"""The user property that holds the address, by convention (Quirk 7)."""


def dedupe_id(record: Record) -> str | None:
    """Return the event's own id; where it has none, the id that the sender gave it, unique for its device (Quirk 5)."""
    if record.get("uuid"):
        return str(record["uuid"])
    inserted = record.get("$insert_id")
    return f"{record.get('device_id') or record.get('user_id') or ''}/{inserted}" if inserted else None


def happened_at(record: Record) -> datetime | None:
    """Return when it happened, which may be long before it was uploaded (Quirk 3)."""
    return parse_time(record.get("event_time"), zone=UTC)  # Quirk 4


def properties(record: Record) -> Mapping[str, object]:
    """
    Return the event's own properties by their plain names, then facts of its context, and as `user.NAME` what was known of
    the user at that time.
    """
    found = {name: record[name] for name in CONTEXT if record.get(name)}
    session = record.get("session_id")
    if isinstance(session, int) and session > 0:  # -1: outside any session
        found["session_id"] = session
    for name, value in _mapping(record.get("user_properties")).items():
        if name != EMAIL and value is not None:
            found[f"user.{name}"] = value
    found.update((name, value) for name, value in _mapping(record.get("event_properties")).items() if value is not None)
    return found


@STREAMS.add(
    "events",
    kind=Kind.EVENT,
    key=dedupe_id,
    order="asc",
    # in the order in which claims are tried; the vendor's own id joins devices, and is never somebody's key here (Quirk 6)
    identifiers={
        "user_id": "user_id",
        "email": f"user_properties.{EMAIL}",
        "amplitude_id": "amplitude_id",
        "device_id": "device_id",
    },
    fields={"name": "event_type", "time": happened_at, "properties": properties},
)
def events(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """
    Events by the hour of their upload, oldest first. The cursor is the next hour to ask for: it moves when an archive was read
    to its end, so one that breaks is asked for again from its first hour.
    """
    first = cursor or midnight(api.settings.start)
    newest = newest_hour(api.now)
    pace = Pace()
    while first is not None and first <= newest:
        hours = min(pace.hours, (newest - first) // HOUR + 1)
        with ExitStack() as stack:
            try:
                file = ask(api, stack, first, hours)
            except TooMuchError:
                pace.refused(hours)
                continue
            after = first + hours * HOUR
            if file is None:
                pace.answered(0)
                yield Page((), cursor=after)
            else:
                pace.answered(size_of(file))
                yield from _pages(file, first, after, api.settings.app_id)
        first = after


def _pages(file: IO[bytes], first: datetime, after: datetime, app_id: int) -> Iterator[Page]:
    """Yield the events of an archive; only the last page moves the cursor, so an archive that breaks is not passed."""
    lines = malformed = 0
    records: list[Record] = []
    bad: list[BadRecord] = []
    for place, line in read_lines(file):
        record = _parse(line)
        if record is None:
            bad.append(BadRecord(place, "is not a JSON object"))
        else:
            records.append(record)
        lines += 1
        if len(records) + len(bad) == PAGE_SIZE:
            malformed += len(bad)
            _check(records, first, after, app_id, begins=lines == PAGE_SIZE)
            yield Page(records, bad=bad)
            records, bad = [], []
    malformed += len(bad)
    if malformed > max(TOLERATED, lines // 1000):  # Quirk 8
        raise ProtocolError(f"{malformed} of an archive's {lines} lines are no events; the checkpoint is kept")
    _check(records, first, after, app_id, begins=lines < PAGE_SIZE)
    yield Page(records, cursor=after, bad=bad)


def _check(records: list[Record], first: datetime, after: datetime, app_id: int, *, begins: bool) -> None:
    """
    Refuse another project's events, and an archive that answers another question.

    Raises:
        ConfigError: the keys are not those of `app_id`.
        ProtocolError: nothing of the archive's beginning was uploaded in the hours asked for.
    """
    other = next((str(app) for record in records if (app := record.get("app")) is not None and str(app) != str(app_id)), None)
    if other is not None:
        raise ConfigError(f"the keys are of the project {other[:20]}, and app_id says {app_id}: correct one of them")
    uploaded = [parse_time(record.get("server_upload_time"), zone=UTC) for record in records] if begins else []
    if uploaded and not any(at is None or first <= at < after for at in uploaded):
        raise ProtocolError("the export gave an archive of other hours than were asked for; the checkpoint is kept")


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}

"""
The stream `daily`: for each day, user and name of event the sums of that day. They are no events: one row may be many.

Days are those of the property's zone, and whole ones only. The last three are read again with every pull and replaced, since
Google goes on counting for two days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.google_analytics.vendor import Settings
from core.contract import Api, BadRecord, Kind, Page, Range, Record, Row, chunks
from core.errors import ProtocolError

DIMENSIONS: Final = ("date", "eventName")
DAYS: Final = 30  # of one report: more days cost more tokens and are thresholded sooner; DOCS/quotas
LIMIT: Final = 50_000  # rows of an answer, of 250,000 that may be: what one answer holds is held in memory
PAGE: Final = 2000
LOOKBACK: Final = timedelta(days=3)  # numbers change for up to 48 hours (Quirk 3)
NOBODY: Final = frozenset({"", "(not set)", "(other)"})
"""Who the custom dimension does not name, and those whom Google folded together (Quirk 6)."""


def dimension(settings: Settings) -> str:
    """Return the API name of the dimension that says who somebody is."""
    return f"customUser:{getattr(settings, 'user_dimension', '')}"  # no settings yet where only the names are asked for


def pull_days(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """Yield the days from *cursor* to yesterday, DAYS at a time (DOCS/rest/v1beta/properties/runReport)."""
    settings: Settings = api.settings
    zone = zone_of(api)
    first = cursor.astimezone(zone).date() if cursor else settings.start
    today = api.now.astimezone(zone).date()
    starts = [first + timedelta(days=n) for n in range(0, max((today - first).days, 0), DAYS)]
    for start, end in pairwise([*starts, today]):
        yield from _pull_span(api, _Span(start, end, zone))


def zone_of(api: Api) -> ZoneInfo:
    """Return the property's zone, by a report that costs nearly nothing: no other answer tells it."""
    body = api.post(
        _report(api.settings),
        json={"dateRanges": [{"startDate": "yesterday", "endDate": "yesterday"}], "metrics": [{"name": "eventCount"}]},
        repeat=True,
    )
    try:
        return ZoneInfo(body["metadata"]["timeZone"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("the report does not tell the property's time zone") from error


def _report(settings: Settings) -> str:
    return f"/properties/{settings.property_id}:runReport"


@dataclass(frozen=True, slots=True)
class _Span:
    """Days of one report, *end* exclusive."""

    start: date
    end: date
    zone: ZoneInfo

    @property
    def replaces(self) -> Range:
        return Range(self.begins(self.start), self.begins(self.end))

    def begins(self, day: date) -> datetime:
        return datetime.combine(day, time.min, self.zone).astimezone(UTC)


def _pull_span(api: Api, span: _Span) -> Iterator[Page]:
    """Yield the rows of *span*. Only the last page moves the cursor: half a report counts for nothing."""
    settings: Settings = api.settings
    offset, count = 0, 1
    while offset < count:
        body = api.post(_report(settings), json=_question(settings, span, offset), repeat=True)
        found, count = body.get("rows") or [], int(body.get("rowCount") or 0)  # Quirk 2: no rows, no key
        if (not found and offset < count) or offset + len(found) > count:
            raise ProtocolError("the report's rows are not as many as it says")
        records = [_record(row, body) for row in found]
        offset += len(found)
        pages = list(chunks([one for one in records if str(one[dimension(settings)]) not in NOBODY], PAGE)) or [()]
        for page in pages[:-1]:
            yield Page([_timed(one, span) for one in page], replaces=span.replaces)
        yield Page(
            [_timed(one, span) for one in pages[-1]],
            cursor=span.begins(span.end) if offset >= count else None,
            replaces=span.replaces,
            bad=_untrustworthy(body, span) if offset >= count else (),
        )


def _question(settings: Settings, span: _Span, offset: int) -> dict[str, Any]:
    names = (*DIMENSIONS, dimension(settings))
    nobody = {"filter": {"fieldName": names[-1], "stringFilter": {"matchType": "EXACT", "value": "(not set)"}}}
    return {
        "dateRanges": [{"startDate": span.start.isoformat(), "endDate": (span.end - timedelta(days=1)).isoformat()}],
        "dimensions": [{"name": name} for name in names],
        "metrics": [{"name": name} for name in settings.metrics],
        "dimensionFilter": {"notExpression": nobody},
        "orderBys": [{"dimension": {"dimensionName": name}} for name in names],  # Quirk 4: else pages overlap
        "limit": str(LIMIT),
        "offset": str(offset),
        "returnPropertyQuota": True,
    }


def _record(row: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row by the names of its headers, metrics as numbers (Quirk 2)."""
    try:
        names = [head["name"] for head in body["dimensionHeaders"]]
        record: dict[str, Any] = dict(zip(names, (cell["value"] for cell in row["dimensionValues"]), strict=True))
        for head, cell in zip(body["metricHeaders"], row["metricValues"], strict=True):
            record[head["name"]] = int(cell["value"]) if head["type"] == "TYPE_INTEGER" else float(cell["value"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("a row of the report does not fit its headers") from error
    return record


def _timed(record: Mapping[str, Any], span: _Span) -> dict[str, Any]:
    """Return *record* with the beginning of its day, in the property's zone."""
    return {**record, "at": span.begins(datetime.strptime(record["date"], "%Y%m%d").date())}  # noqa: DTZ007 - a day has no zone


def rows(record: Record) -> Iterator[Row]:
    """Return the sums of a day as one row of that name, at the day's beginning, with the metrics as properties."""
    key = "|".join(str(value) for name, value in record.items() if name in DIMENSIONS or name.startswith("customUser:"))
    sums = {name: value for name, value in record.items() if isinstance(value, int | float)}
    yield Row(Kind.EVENT, key, {"name": record["eventName"], "time": record["at"], "properties": sums})


def _untrustworthy(body: Mapping[str, Any], span: _Span) -> Sequence[BadRecord]:
    """Return a dead letter for days whose figures Google itself does not vouch for (Quirk 6)."""
    metadata = body.get("metadata") or {}
    reasons = {
        "dataLossFromOtherRow": "Google folded users into (other)",
        "subjectToThresholding": "Google left small numbers out",
        "samplingMetadatas": "Google took a sample",
    }
    said = [reason for flag, reason in reasons.items() if metadata.get(flag)]
    days = f"{span.start.isoformat()} to {(span.end - timedelta(days=1)).isoformat()}"
    return [BadRecord(days, f"{'; '.join(said)}: figures of single users are not to be trusted")] if said else []

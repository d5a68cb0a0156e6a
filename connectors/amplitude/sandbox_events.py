"""The endpoints of events: the archive of a range of hours, as full, late and malformed as the vendor's, and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from connectors.amplitude.sandbox_archive import HOUR, Bulk, archive, encode
from connectors.amplitude.sandbox_state import State, hour_of
from core.contract import Ask, Refused, Reply

DELAY, MAX_RANGE = 3 * HOUR, timedelta(days=365)


class EventAnswers:
    """The endpoints of events, over *state* and what is made on the fly; the switches are those of `AmplitudeSandbox`."""

    def __init__(
        self,
        state: State,
        now: Callable[[], datetime],
        *,
        bulk: int,
        iso_times: bool,
        malformed_every: int,
        heavy_hours: int | None,
        heavy_events: int | None,
    ) -> None:
        self._state, self._now = state, now
        self._bulk = Bulk(bulk, hour_of(now()) - DELAY + HOUR, state.app_id)
        self._iso_times, self._malformed_every = iso_times, malformed_every
        self._heavy_hours, self._heavy_events = heavy_hours, heavy_events

    def export(self, ask: Ask) -> Reply:
        try:
            first, last = (datetime.strptime(str(ask.one(name)), "%Y%m%dT%H").replace(tzinfo=UTC) for name in ("start", "end"))
        except ValueError as error:
            raise refused(400, "invalid_range") from error
        hours = (last - first) // HOUR + 1
        if hours < 1 or last - first >= MAX_RANGE:
            raise refused(400, "invalid_range")
        if self._heavy_hours is not None and hours > self._heavy_hours:
            raise Refused(504)
        complete = hour_of(self._now()) - DELAY  # a later hour is not there yet, and nobody is told
        found: dict[datetime, list[dict[str, Any]]] = {}
        for event in self._state.events.values():
            if first <= (hour := hour_of(event.uploaded_at)) <= min(last, complete):
                found.setdefault(hour, []).append(self._state.record(event, self._spell))
        asked = [hour for n in range(hours) if (hour := first + n * HOUR) in found or self._bulk.numbers(hour)]
        total = sum(len(found.get(hour, ())) + len(self._bulk.numbers(hour)) for hour in asked)
        if self._heavy_events is not None and total > self._heavy_events:
            raise refused(400, "file_too_large")
        if not total:
            raise refused(404, "not_found")
        content = archive(self._state.app_id, ((hour, self._lines(hour, found.get(hour, ()))) for hour in asked))
        return Reply(content=content, content_type="application/zip")

    def _lines(self, hour: datetime, events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
        number = count(1)
        for lines in ((encode(event) for event in events), self._bulk.lines(hour)):
            for line in lines:
                yield line
                if self._malformed_every and next(number) % self._malformed_every == 0:
                    yield line[: len(line) // 2] + b"\n"

    def _spell(self, at: datetime) -> str:
        plain = at.astimezone(UTC).replace(tzinfo=None)
        return f"{plain.isoformat()}Z" if self._iso_times else str(plain)  # a fraction only where there is one

    def list_events(self, ask: Ask) -> Reply:
        names = sorted({event.name for event in self._state.events.values()})
        return Reply({"data": [{"name": name, "value": name} for name in names]})


def refused(status: int, code: str) -> Refused:
    """Return a refusal as the analytics API words it."""
    return Refused(status, {"error": {"http_code": status, "type": code, "message": f"Refused: {code}.", "metadata": {}}})

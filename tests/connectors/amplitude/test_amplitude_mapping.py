"""What an event means: its name, time, properties, claims and key, from recorded lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from amplitude_rows import payload

from connectors.amplitude.events import dedupe_id, happened_at, properties
from core.contract import pick


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-02 10:00:00.123000", datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-03-02 10:00:00.5", datetime(2026, 3, 2, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-02 10:00:00", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-02T10:00:00.123Z", datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-03-02T12:00:00+02:00", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times_in_both_spellings(text: object, at: datetime | None) -> None:
    """Quirk 4: a space and no zone is UTC; fraction digits vary."""
    assert at == happened_at({"event_time": text})


def test_what_an_event_says() -> None:
    """Plain names are the event's own; then its context, and what was known of the user then."""
    said = properties(payload("export_lines")["body"][0])

    assert {
        "format": "pdf", "path": "/reports", "country": "of the report", "platform": "Web", "os_name": "Chrome", "city": "Oslo",
        "session_id": 1772445600000, "user.plan": "pro",
    } == said  # fmt: skip


def test_identify_events_are_kept_under_their_name(events: Any) -> None:
    """Quirk 23: nobody did anything, and the claims count; -1 is no session."""
    record = payload("export_lines")["body"][1]

    assert "$identify" == pick(record, events.fields["name"])
    assert "session_id" not in properties(record)
    assert datetime(2026, 3, 2, 10, 0, 2, tzinfo=UTC) == happened_at(record)


def test_the_claims_of_an_event(events: Any) -> None:
    """Quirks 6 and 7: in the order in which they are tried, an id above 2^31 whole; the address is not kept as a property."""
    record = payload("export_lines")["body"][0]
    claims = {kind: pick(record, where) for kind, where in events.identifiers.items()}

    assert [("user_id", "42"), ("email", "ana@example.com"), ("amplitude_id", 900123456789), ("device_id", "C8F9E604")] == list(
        claims.items()
    )
    assert not any("@" in str(value) for value in properties(record).values())


def test_an_event_of_nobody_is_read(events: Any) -> None:
    """Anonymous, with nulls where objects are."""
    record = payload("export_lines")["body"][2]

    assert None is pick(record, events.identifiers["user_id"])
    assert "user.plan" not in properties(record)
    assert datetime(2026, 3, 2, 10, 0, 2, 500_000, tzinfo=UTC) == happened_at(record)


def test_the_key_of_an_event() -> None:
    """Quirk 5: its uuid; else the sender's id, which is only unique for its device; else it has none."""
    record = payload("export_lines")["body"][0]

    assert record["uuid"] == dedupe_id(record)
    assert "C8F9E604/a1-77" == dedupe_id({**record, "uuid": None})
    assert "42/a1-77" == dedupe_id({**record, "uuid": None, "device_id": None})
    assert None is dedupe_id({"event_type": "x"})

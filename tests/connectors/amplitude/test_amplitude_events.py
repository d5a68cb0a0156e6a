"""The stream `events`: which hours are asked for, what an answer means, and what an event is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from amplitude_rows import HOUR, NOON, SETTINGS, archive, event, ids_of, make_world, payload, pulled, spoil

from connectors.amplitude.events import dedupe_id, happened_at
from connectors.amplitude.export import AIM, MAX_HOURS, S3_EXPORT, Pace
from core.contract import Fault
from core.errors import ConfigError, ConnectorError, ProtocolError, RejectedError, TransientError
from core.sandbox import Reset, Rewritten, Truncated

EXPORT = "GET /api/2/export"
URL = "https://amplitude.com/api/2/export"


def _ranges(api: Any) -> list[tuple[str, str]]:
    """Return the ranges asked for, each once."""
    return list(dict.fromkeys((asked["start"], asked["end"]) for asked in api.recorder.said(EXPORT)))


def test_each_hour_is_taken_exactly_once(project: Any, events: Any, clock: Any) -> None:
    """Quirk 1: hour after hour over five pulls, no event is lost and none comes twice; both hours are inclusive."""
    got, cursor = pulled(events, project)
    for _ in range(5):
        clock.advance(timedelta(minutes=50))
        more, cursor = pulled(events, project, cursor)
        got += more
    ranges = [tuple(datetime.strptime(text, "%Y%m%dT%H") for text in asked) for asked in _ranges(project)]  # noqa: DTZ007 - UTC

    # 16:10 by now, so 13:00 is the last hour; the events are those from noon back
    assert ids_of(got) == sorted(f"e{n}" for n in range(30))
    assert NOON + 2 * HOUR == cursor
    assert all(end + HOUR == start for (_, end), (start, _) in pairwise(ranges))
    assert (datetime(2026, 2, 27), datetime(2026, 3, 2, 13)) == (ranges[0][0], ranges[-1][1])  # noqa: DTZ001 - UTC


@pytest.mark.parametrize(("minutes", "newest"), [(0, 9), (59, 9), (60, 10)])
def test_an_hour_that_is_not_complete_is_left_for_later(
    project: Any, events: Any, clock: Any, minutes: int, newest: int
) -> None:
    """Quirk 1: an hour can be had two hours after it closed; until then nobody asks for it."""
    clock.advance(timedelta(minutes=minutes))
    got, cursor = pulled(events, project)

    assert f"20260302T{newest:02}" == _ranges(project)[-1][1]
    assert NOON.replace(hour=newest + 1) == cursor
    assert not {f"e{n}" for n in range(12 - newest)} & set(ids_of(got))


def test_nothing_is_asked_where_there_is_no_new_hour(project: Any, events: Any) -> None:
    _, cursor = pulled(events, project)
    before = len(project.recorder.seen)

    assert ([], cursor) == pulled(events, project, cursor)
    assert before == len(project.recorder.seen)


def test_hours_without_events_are_no_error(make_project: Any, events: Any) -> None:
    """404 for an empty range (airbytehq/airbyte#6375) is no data: the cursor goes on to the end."""
    api = make_project()

    assert ([], NOON - 2 * HOUR) == pulled(events, api)


def test_a_404_has_to_be_said_twice(project: Any, events: Any) -> None:
    """Quirk 2: one that comes from something on the way passes no hours, at whichever request it comes."""
    before = project.served.count
    right = ids_of(pulled(events, project)[0])
    for at in range(project.served.count - before):
        spoil(project, at + 1, Fault(404, {}, b""))
        assert right == ids_of(pulled(events, project)[0])


def test_a_first_pull_of_a_year_takes_few_requests(make_project: Any, events: Any) -> None:
    """Ranges grow while archives are small, and never above 365 days."""
    api = make_project({"start": "2024-12-01"})
    api.sandbox.load("events", [event(f"e{n}", NOON - n * 5 * HOUR) for n in range(1, 2000)])
    got, cursor = pulled(events, api)
    hours = [_hours(*asked) for asked in _ranges(api)]

    assert (1999, NOON - 2 * HOUR) == (len(got), cursor)
    assert [24, 48, 96] == hours[:3]
    assert len(hours) < 12
    assert max(hours) <= MAX_HOURS


def _hours(start: str, end: str) -> int:
    first, last = (datetime.strptime(text, "%Y%m%dT%H") for text in (start, end))  # noqa: DTZ007 - UTC
    return (last - first) // HOUR + 1


def test_the_pace_heeds_sizes_and_refusals() -> None:
    pace = Pace()
    for size in (0, AIM // 4, AIM, AIM + 1, AIM + 1):
        pace.answered(size)
    assert 12 == pace.hours
    pace.refused(12)
    pace.answered(0)
    assert 6 == pace.hours
    pace.refused(1)
    assert 1 == pace.hours
    pace = Pace()
    for _ in range(20):
        pace.answered(0)
    assert MAX_HOURS == pace.hours


@pytest.mark.parametrize("switches", [{"heavy_hours": 1}, {"heavy_hours": 5}, {"heavy_events": 3}], ids=str)
def test_ranges_that_are_too_much_are_halved(make_project: Any, events: Any, switches: dict[str, int]) -> None:
    """Quirk 22: a 504 or a 400 is answered by asking for less, down to an hour; all events come, once."""
    api = make_project({"start": "2026-03-01"}, **switches)
    make_world(api.sandbox)
    got, cursor = pulled(events, api)

    assert ids_of(got) == sorted(f"e{n}" for n in range(3, 30))
    assert NOON - 2 * HOUR == cursor


@pytest.mark.parametrize(("status", "error"), [(504, TransientError), (400, RejectedError)])
def test_one_hour_that_is_too_much_is_told(make_project: Any, events: Any, status: int, error: type[ConnectorError]) -> None:
    """Quirk 22: there is nothing smaller to ask for, only the export to S3."""
    api = make_project({"start": "2026-03-01"}, **({"heavy_hours": 0} if status == 504 else {"heavy_events": 0}))
    make_world(api.sandbox)
    with pytest.raises(error, match="S3") as raised:
        pulled(events, api)

    assert S3_EXPORT in str(raised.value)
    assert status == raised.value.status
    seen = _ranges(api)
    start, end = seen[-1]
    assert start == end


def test_answers_that_never_end_are_too_much_too(make_project: Any, events: Any) -> None:
    """Quirk 22: the connection is lost each of five times while so many hours are sent."""
    api = make_project({"start": "2026-03-01"})
    make_world(api.sandbox)
    last = api.served.count + 5
    api.served.faults = lambda _method, _path, number: Reset(sent=10) if number <= last else None
    got, _ = pulled(events, api)

    assert ids_of(got) == sorted(f"e{n}" for n in range(3, 30))
    assert [24, 12, 12] == [_hours(*asked) for asked in _ranges(api)][:3]


@pytest.mark.parametrize(
    "spoiler",
    [Truncated(0.7), Truncated(0.0), Rewritten(lambda body: body[:200] + b"?" + body[201:])],
    ids=["cut short", "empty", "damaged"],
)
def test_an_archive_cut_short_is_asked_for_again_by_the_next_pull(make_project: Any, events: Any, spoiler: Any) -> None:
    """Typed; the cursor stays before the archive that broke, so nothing is lost, and what comes twice has the same keys."""
    api = make_project({"start": "2026-03-01"})
    make_world(api.sandbox)
    spoil(api, 2, spoiler)
    cursor, got = None, []
    with pytest.raises(ProtocolError):
        for page in events.pull(api, None, None):
            cursor, got = page.cursor or cursor, [*got, *page.records]
    assert datetime(2026, 3, 2, tzinfo=UTC) == cursor
    api.served.faults = None
    more, _ = pulled(events, api, cursor)

    assert ids_of({dedupe_id(r): r for r in (*got, *more)}.values()) == sorted(f"e{n}" for n in range(3, 30))


def test_an_archive_of_other_hours_is_no_answer(project: Any, events: Any) -> None:
    """The same archive for every question: the second is refused, and its hours are not passed."""
    first: list[bytes] = []

    def repeat(body: bytes) -> bytes:
        first.append(body)
        return first[0]

    project.served.faults = lambda *_: Rewritten(repeat)
    cursor = datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(ProtocolError, match="other hours"):
        for page in events.pull(project, cursor, None):
            cursor = page.cursor or cursor
    assert datetime(2026, 3, 2, tzinfo=UTC) == cursor


def test_malformed_lines_are_dead_letters(make_project: Any, events: Any) -> None:
    """Quirk 8: with their place, never their content; the rest goes on."""
    api = make_project(malformed_every=1200)
    api.sandbox.load("events", [event(f"e{n}", NOON - 4 * HOUR) for n in range(2500)])
    pages = list(events.pull(api, NOON - 4 * HOUR, None))

    places = [f"153957_2026-03-02_08#0.json.gz:{line}" for line in (1201, 2402)]
    assert [(place, "is not a JSON object") for place in places] == [
        (one.ref, one.reason) for page in pages for one in page.bad
    ]
    assert 2500 == sum(len(page.records) for page in pages)
    assert [None, None, NOON - 2 * HOUR] == [page.cursor for page in pages]


@pytest.mark.parametrize(("lines", "malformed", "fails"), [(10, 3, False), (10, 4, True), (5000, 5, False), (5000, 6, True)])
def test_too_many_malformed_lines_stop_the_stream(
    respx_mock: Any, fake_api: Any, events: Any, lines: int, malformed: int, fails: bool
) -> None:
    """Quirk 8: more than 0.1% (and more than 3 of a small archive) is a damaged export: the cursor does not pass it."""
    good = {**payload("export_lines")["body"][0], "server_upload_time": "2026-03-02 09:00:00"}
    content = archive([{**good, "uuid": f"u{n}"} for n in range(lines - malformed)] + [b'{"uuid": \n'] * malformed).getvalue()
    respx_mock.get(URL).respond(200, content=content, headers={"content-type": "application/zip"})
    pull = events.pull(fake_api("amplitude", SETTINGS), NOON - 3 * HOUR, None)
    if fails:
        with pytest.raises(ProtocolError, match="lines are no events"):
            assert not any(page.cursor for page in pull)
    else:
        assert malformed == sum(len(page.bad) for page in pull)


def test_keys_of_another_project_are_told_by_its_events(make_project: Any, events: Any) -> None:
    """Quirk 9: a test project without cohorts; no record of it is handed out."""
    api = make_project({"app_id": 999})
    make_world(api.sandbox)
    got = []
    with pytest.raises(ConfigError, match="153957, and app_id says 999"):
        for page in events.pull(api, None, None):
            got += page.records
    assert not got


def test_a_late_upload_keeps_its_own_time(project: Any, events: Any) -> None:
    """Quirk 3: an event of last month that is uploaded today comes with today's hours and last month's time."""
    january = datetime(2026, 1, 20, 8, 30, 0, 250_000, tzinfo=UTC)
    project.sandbox.load("events", [event("late", NOON - 3 * HOUR, at=january)])
    got, _ = pulled(events, project, NOON - 3 * HOUR)

    assert ["e3", "late"] == ids_of(got)
    assert january == happened_at(next(record for record in got if record["$insert_id"] == "late"))


@pytest.mark.parametrize("iso_times", [False, True])
def test_both_spellings_are_pulled_alike(make_project: Any, events: Any, iso_times: bool) -> None:
    api = make_project(iso_times=iso_times)
    at = NOON - 5 * HOUR
    api.sandbox.load("events", [event("whole", at), event("part", at + timedelta(microseconds=123_000))])
    got, _ = pulled(events, api)

    assert {at, at + timedelta(microseconds=123_000)} == {happened_at(record) for record in got}

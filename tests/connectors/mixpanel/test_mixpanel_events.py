"""The export: windows of days, the project's calendar and clock, repeats, merges, exports that break off."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixpanel_rows import NOON, SETTINGS, event, payload

from connectors.mixpanel import Settings
from connectors.mixpanel.events import parse
from connectors.mixpanel.windows import LONGEST_SPAN, Progress, Window, first_window, today_of, window
from core.contract import Page, Range
from core.errors import ProtocolError, RejectedError, TransientError

EXPORT = "GET /api/2.0/export"
LINE = payload("export").json()
LATER = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
"""Half past midnight of the third in Stockholm."""


def _settings(**values: Any) -> Settings:
    return Settings.model_validate({**SETTINGS, **values})


def _line(**properties: Any) -> Any:
    return {"event": "Page Viewed", "properties": {**LINE["properties"], **properties}}


def _keys(pages: list[Page]) -> list[str]:
    return [record["properties"]["$insert_id"] for page in pages for record in page.records]


def _spans(api: Any) -> list[tuple[str, str]]:
    return [(query["from_date"], query["to_date"]) for query, _ in api.recorder.of(EXPORT)]


def test_every_event_comes_with_its_properties(project: Any, pulled: Any) -> None:
    """Names stay plain, so that a filter on `path` finds `path`."""
    project.sandbox.load("events", [event(n, n / 10, properties={"path": f"/{n}", "$browser": "Opera"}) for n in range(250)])
    pages = pulled(project, "events")

    assert {str(n) for n in range(250)} == set(_keys(pages))
    record = next(record for page in pages for record in page.records if record["properties"]["$insert_id"] == "7")
    assert ("Page Viewed", NOON - timedelta(days=0.7), "42") == (record["event"], record["time"], record["user_id"])
    assert ("/7", "Opera") == (record["properties"]["path"], record["properties"]["$browser"])


# Windows ---------------------------------------------------------------------------------------------------------------


def test_a_first_pull_of_a_year_takes_four_requests(make_project: Any, pulled: Any) -> None:
    """Sixty are all there are in an hour; the days are asked for in order, each once."""
    api = make_project({"start": "2025-03-03"})
    api.sandbox.load("events", [event(n, n) for n in range(365)])
    pages = pulled(api, "events")

    assert 365 == len(_keys(pages))
    firsts = ["2025-03-03", "2025-03-17", "2025-05-12", "2025-12-22"]
    assert list(zip(firsts, ["2025-03-16", "2025-05-11", "2025-12-21", "2026-03-02"], strict=True)) == _spans(api)
    assert Progress(date(2026, 3, 2), swept=date(2026, 3, 2), span=284) == Progress.parse(str(pages[-1].cursor))


@pytest.mark.parametrize(
    ("first", "last", "span", "events", "expected"),
    [
        pytest.param(1, 14, 14, 0, 56, id="nothing: four times as wide"),
        pytest.param(1, 14, 14, 1_400_000, 10, id="a hundred thousand a day"),
        pytest.param(1, 14, 14, 28_000_000, 1, id="two million a day: never less than a day"),
        pytest.param(1, 14, 14, 500_000, 28, id="as many as bring a million"),
        pytest.param(60, 60, 14, 3, 14, id="today alone is no measure"),
        pytest.param(60, 60, 14, 2_000_000, 1, id="unless it is too much already"),
    ],
)
def test_windows_widen_and_narrow_by_what_they_bring(first: int, last: int, span: int, events: int, expected: int) -> None:
    """Quirk 2: a request costs the same however much it brings, and a broken one is read again whole."""
    day = date(2026, 1, 1)
    today = day + timedelta(days=59)
    one = Window(day + timedelta(days=first - 1), day + timedelta(days=last - 1), span=span)
    assert expected == one.next_span(events, today)


@given(st.integers(0, 2000), st.lists(st.integers(0, 5_000_000), min_size=1, max_size=8))
def test_windows_cover_every_day_once(days: int, bring: list[int]) -> None:
    """Whatever they bring: none is left out, none asked for twice, none after today."""
    today = date(2026, 3, 2)
    one: Window | None = window(today - timedelta(days=days), today, 14)
    asked: list[int] = []
    number = 0
    while one is not None:
        assert 1 <= one.days <= LONGEST_SPAN
        asked += range(one.first.toordinal(), one.last.toordinal() + 1)
        one = one.after(bring[number % len(bring)], today)
        number += 1
    assert list(range(today.toordinal() - days, today.toordinal() + 1)) == asked


def test_a_late_event_is_found_once_a_day(project: Any, pulled: Any, clock: Any) -> None:
    """Quirk 3: between, only the day at hand is asked for; one request a pull."""
    first = pulled(project, "events")[-1].cursor
    project.recorder.seen.clear()
    clock.advance(timedelta(hours=2))
    project.sandbox.load("events", [event("late", 6, uploaded_at=clock()), event("new", -0.05)])
    second = pulled(project, "events", first)
    clock.advance(timedelta(hours=20))
    third = pulled(project, "events", second[-1].cursor)

    assert ["new"] == _keys(second)
    assert {"new", "late"} == set(_keys(third))
    assert [("2026-03-02", "2026-03-02"), ("2026-02-21", "2026-03-03")] == _spans(project)


def test_nothing_before_start_is_asked_for_again() -> None:
    """The days that are looked at again do not reach back beyond the first that is wanted."""
    settings = _settings(start="2026-02-25")
    one = first_window(settings, Progress(date(2026, 3, 1), swept=date(2026, 3, 1), span=40), date(2026, 3, 2))
    assert one == Window(date(2026, 2, 25), date(2026, 3, 2), span=40)
    assert first_window(_settings(start="2026-03-09"), None, date(2026, 3, 2)) is None


def test_the_span_that_was_learned_is_kept() -> None:
    """A busy project's sweep is cut into as many requests as it takes."""
    one = first_window(_settings(), Progress(date(2026, 3, 1), swept=date(2026, 3, 1), span=4), date(2026, 3, 2))
    assert one == Window(date(2026, 2, 20), date(2026, 2, 23), span=4)


def test_a_resume_token_of_another_version_begins_anew() -> None:
    """The core takes a RejectedError for "start over"."""
    with pytest.raises(RejectedError):
        Window.parse("2026-01-01")


def test_a_window_replaces_less_than_it_asked_for() -> None:
    """Quirk 3: a day less at each end, in the zone that days are of."""
    one = Window(date(2026, 2, 20), date(2026, 3, 2), span=14)
    utc, stockholm = one.replaces(_settings()), one.replaces(_settings(days="project"))

    assert Range(datetime(2026, 2, 21, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)) == utc
    assert Range(datetime(2026, 2, 20, 23, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC)) == stockholm
    assert Window(date(2026, 3, 1), date(2026, 3, 2), span=14).replaces(_settings()) is None


# Calendar and clock ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "days", "now", "expected"),
    [
        pytest.param("Europe/Stockholm", "utc", LATER, date(2026, 3, 2), id="east, days of UTC"),
        pytest.param("Europe/Stockholm", "project", LATER, date(2026, 3, 3), id="east, days of the project"),
        pytest.param("America/Los_Angeles", "utc", datetime(2026, 3, 3, 2, tzinfo=UTC), date(2026, 3, 2), id="west"),
        pytest.param("America/Los_Angeles", "project", datetime(2026, 3, 3, 2, tzinfo=UTC), date(2026, 3, 2), id="west, own"),
        pytest.param("UTC", "utc", NOON, date(2026, 3, 2), id="utc"),
    ],
)
def test_today_is_the_projects(zone: str, days: str, now: datetime, expected: date) -> None:
    """Quirk 2: a later day is refused."""
    assert expected == today_of(_settings(timezone=zone, days=days), now)


def test_a_day_in_the_future_tells_of_the_timezone(make_project: Any, pulled: Any, clock: Any) -> None:
    """Quirk 2: with a zone east of the project's the vendor refuses the day, and the message says what to set."""
    clock.at = LATER
    api = make_project({"days": "project"}, timezone="America/Los_Angeles")
    assert pulled(api, "events")
    wrong = make_project({"days": "project", "timezone": "Europe/Stockholm"}, timezone="America/Los_Angeles")
    with pytest.raises(RejectedError, match="timezone") as caught:
        pulled(wrong, "events")
    assert "to_date" == caught.value.code


@pytest.mark.parametrize(
    ("told", "at"),
    [
        pytest.param(datetime(2026, 3, 2, 13, tzinfo=UTC), datetime(2026, 3, 2, 12, tzinfo=UTC), id="winter"),
        pytest.param(datetime(2026, 7, 2, 14, tzinfo=UTC), datetime(2026, 7, 2, 12, tzinfo=UTC), id="summer"),
        pytest.param(datetime(2025, 10, 26, 2, 30, tzinfo=UTC), datetime(2025, 10, 26, 0, 30, tzinfo=UTC), id="autumn's hour"),
    ],
)  # fmt: skip
def test_a_wall_clock_becomes_utc(told: datetime, at: datetime) -> None:
    """Quirk 4: an old project's time is Stockholm's clock written as UTC; the property stays as it came."""
    line = _line(time=int(told.timestamp()))
    record = parse(line, _settings(days="project"))

    assert at == record["time"]
    assert int(told.timestamp()) == record["properties"]["time"]
    assert told == parse(line, _settings(days="project", times="utc"))["time"]


def test_times_come_in_seconds_and_milliseconds() -> None:
    """Quirk 4: both are understood, and one event has one key in either."""
    seconds, milliseconds = (parse(_line(time=time), _settings()) for time in (1772445600, 1772445600250))

    assert datetime(2026, 3, 2, 10, tzinfo=UTC) == seconds["time"]
    assert datetime(2026, 3, 2, 10, 0, 0, 250_000, tzinfo=UTC) == milliseconds["time"]
    assert seconds["key"] == milliseconds["key"]


@pytest.mark.parametrize("wall_clock", [True, False], ids=["wall clock", "true UTC"])
def test_an_old_project_is_read_by_its_own_days(make_project: Any, pulled: Any, clock: Any, wall_clock: bool) -> None:
    """Quirk 4, both ways: every event of a year's edges comes, at its true time."""
    clock.at = LATER
    api = make_project(old_project=True, wall_clock=wall_clock)
    rows = [event(n, n * 1.3 - 0.470003) for n in range(20)]
    api.sandbox.load("events", rows)
    found = {r["properties"]["$insert_id"]: r["time"] for page in pulled(api, "events") for r in page.records}

    assert {row["id"]: row["at"].replace(microsecond=row["at"].microsecond // 1000 * 1000) for row in rows} == found
    assert "2026-03-03" == _spans(api)[-1][1]


# Repeats, merges, ids --------------------------------------------------------------------------------------------------


def test_without_an_insert_id_the_line_is_the_key(project: Any, pulled: Any) -> None:
    """Quirk 5: two that differ in anything are two, and the key is the same each time."""
    rows = [event(n, 1, insert_id=None, properties={"path": f"/{n % 2}"}) for n in range(2)]
    project.sandbox.load("events", rows)
    first, second = ({r["key"] for page in pulled(project, "events") for r in page.records} for _ in range(2))

    assert 2 == len(first)
    assert first == second


def test_persons_may_share_an_insert_id() -> None:
    """Quirk 5: senders number by person; name, person, second and id together are the event."""
    ours = {"$insert_id": "digest", "$device_id": None}
    keys = {
        parse(_line(**ours, distinct_id=who, **{"$user_id": who}, time=time), _settings())["key"]
        for who in ("1", "2") for time in (1772445600, 1772445601)
    }  # fmt: skip
    assert 4 == len(keys)


def test_the_key_outlives_a_merge(project: Any, pulled: Any) -> None:
    """Quirks 5 and 7: `distinct_id` is what the person is called today, in old events too."""
    project.sandbox.load("events", [event(1, user_id=None, device_id="1f0c")])
    (before,) = (record for page in pulled(project, "events") for record in page.records)
    project.sandbox.merge("users", "$device:1f0c", "42")
    (after,) = (record for page in pulled(project, "events") for record in page.records)

    assert before["key"] == after["key"]
    assert ("$device:1f0c", None) == (before["distinct_id"], before["user_id"])
    assert ("42", "42") == (after["distinct_id"], after["user_id"])


@pytest.mark.parametrize(
    ("id_merge", "properties", "user_id"),
    [
        ("simplified", {"distinct_id": "42", "$user_id": "42"}, "42"),
        ("simplified", {"distinct_id": "$device:1f0c", "$user_id": None}, None),
        ("simplified", {"distinct_id": "42", "$user_id": None, "$device_id": None}, "42"),
        ("simplified", {"distinct_id": 42, "$user_id": None}, "42"),
        ("simplified", {"distinct_id": "0042", "$user_id": None}, "0042"),
        ("simplified", {"distinct_id": "", "$user_id": None}, None),
        ("original", {"distinct_id": "1f0c", "$user_id": None, "$device_id": "1f0c"}, None),
        ("original", {"distinct_id": "1f0c", "$user_id": "42", "$device_id": "1f0c"}, "42"),
        ("original", {"distinct_id": "42", "$user_id": None, "$device_id": "1f0c"}, "42"),
    ],
)
def test_who_an_event_is_of(id_merge: str, properties: dict[str, Any], user_id: str | None) -> None:
    """Quirk 9: a device is nobody's user id."""
    assert user_id == parse(_line(**properties), _settings(id_merge=id_merge))["user_id"]


def test_events_that_join_ids_are_nobodys_doing(project: Any, pulled: Any) -> None:
    """Quirk 9."""
    names = ("$identify", "$create_alias", "$merge", "Signed Up")
    project.sandbox.load("events", [event(name, name=name) for name in names])
    assert ["Signed Up"] == _keys(pulled(project, "events"))


# Breaking off ----------------------------------------------------------------------------------------------------------


def test_an_event_without_a_time_is_a_dead_letter(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """One bad event does not stop a day's."""
    import json

    text = "\n".join(json.dumps(line) for line in (_line(time="soon"), _line()))
    respx_mock.get("https://data.mixpanel.com/api/2.0/export").respond(200, text=text)
    (page,) = pulled(fake_api("mixpanel", SETTINGS), "events")
    assert (1, 1) == (len(page.records), len(page.bad))


@pytest.mark.parametrize(
    ("last", "error"),
    [
        pytest.param(b'{"error":"terminated early"}\n', TransientError, id="an object that is no event"),
        pytest.param(b'"terminated early"\n', TransientError, id="a text"),
        pytest.param(b"terminated early\n", ProtocolError, id="no JSON"),
        pytest.param(b'{"event":"Page Viewed","prop', ProtocolError, id="half a line"),
        pytest.param(b'{"event":"Page Viewed"}\n', TransientError, id="an event without properties"),
    ],
)
@pytest.mark.parametrize("after", [0, 3])
def test_an_export_that_ends_with_a_marker_is_no_success(
    project: Any, pulled: Any, last: bytes, error: type[Exception], after: int
) -> None:
    """Quirk 8: the status was 200 long ago; whatever the marker is, the window failed."""
    project.sandbox.load("events", [event(n, 1) for n in range(9)])
    project.sandbox.break_off = (after, last)
    with pytest.raises(error):
        pulled(project, "events")


def test_the_recorded_marker_is_no_success(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """Quirk 8: as an error object at the end."""
    respx_mock.get("https://data.mixpanel.com/api/2.0/export").mock(return_value=payload("export_terminated"))
    with pytest.raises(TransientError):
        pulled(fake_api("mixpanel", SETTINGS), "events")


def test_pages_before_the_end_of_a_window_leave_the_cursor(project: Any, pulled: Any) -> None:
    """Quirk 8: each has a token of its own, and all lead back to the window's beginning."""
    project.sandbox.load("events", [event(n, 1) for n in range(2500)])
    *before, last = pulled(project, "events")
    tokens = [page.resume for page in before if page.records]

    assert [1000, 1000, 500] == [len(page.records) for page in (*before, last) if page.records]
    assert {None} == {page.cursor for page in before if len(page.records) == 1000}
    assert len(tokens) == len(set(tokens))
    whole = [_keys(pulled(project, "events", resume=token)) for token in tokens[:2]]
    assert [2500, 2500] == [len(keys) for keys in whole]
    assert last.resume is None


def test_a_big_export_is_never_held(make_project: Any) -> None:
    """Quirk 6: of 15,000 events at most some pages' worth is in memory."""
    import tracemalloc

    from core.registry import load_connector

    api = make_project(bulk_events=15_000, bulk_days=10)
    stream = load_connector("mixpanel").streams(api.settings)["events"]
    tracemalloc.start()
    try:
        count = sum(len(page.records) for page in stream.pull(api, None, None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 15_000 == count
    assert peak < 10_000_000  # held at once they take more than twice that


def test_bulk_events_know_their_days(make_project: Any) -> None:
    """The sandbox's own: each made-up event is in the export of one day."""
    state = make_project(bulk_events=5_000, bulk_days=9).sandbox.project
    days = [date(2026, 2, 20) + timedelta(days=n) for n in range(11)]
    each = [b"".join(state.exported(day, day, ms=True)).splitlines() for day in days]
    whole = b"".join(state.exported(days[0], days[-1], ms=True)).splitlines()

    assert 5_000 == len(whole) == len(set(whole))
    assert whole == [line for lines in each for line in lines]
    assert 10 == sum(bool(lines) for lines in each)

"""The calendar, each rule by its name: whose zone, which week, and the days on which clocks change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from asking import PLACE, members, wrong
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_events import edge as slow_edge
from reference_events import moment as slow_moment
from smallworld import AS_OF, World, ago, definitions, vocabulary

from core.clock import iso, to_us
from core.config.model import Segment
from core.segments.calendar import around, edge_us, instant_us, known_zone, own_moment_us
from core.segments.evaluate import evaluate
from core.segments.tree_constants import PERSON, Edge, OwnMoment, Unit
from core.store import Store

STOCKHOLM, NEW_YORK, TOKYO = ZoneInfo("Europe/Stockholm"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")
BEGIN, END = datetime(1995, 1, 1), datetime(2037, 1, 1)  # noqa: DTZ001 - what a clock shows
ZONES = (
    "Europe/Stockholm", "America/New_York", "Asia/Tokyo", "Africa/Cairo", "America/Sao_Paulo", "Australia/Lord_Howe",
    "Pacific/Apia", "Pacific/Kiritimati", "Asia/Kathmandu", "America/St_Johns", "UTC",
)  # fmt: skip


def at(text: str, zone: ZoneInfo = STOCKHOLM) -> int:
    """Return microseconds of what a clock in *zone* shows."""
    return to_us(datetime.fromisoformat(text).replace(tzinfo=zone))


def visitors(*texts: str, zone: ZoneInfo = STOCKHOLM, **person: object) -> World:
    """Return a world of one person for each time: made then, and seen then."""
    world = World()
    for text in texts:
        id_ = world.person(created_at=at(text, zone), **person)
        world.event(id_, "Order", at(text, zone))
    return world


@pytest.mark.parametrize(
    ("period", "inside", "outside"),
    [
        ('this("day")', ("2026-03-30T00:00",), ("2026-03-29T23:59:59",)),
        ('previous("day")', ("2026-03-29T00:00", "2026-03-29T23:59:59"), ("2026-03-28T23:59", "2026-03-30T00:00")),
        ('this("week")', ("2026-03-30T00:00",), ("2026-03-29T23:59:59",)),
        ('previous("week")', ("2026-03-23T00:00", "2026-03-29T23:59:59"), ("2026-03-22T23:59", "2026-03-30T00:00")),
        ('this("month")', ("2026-03-01T00:00", "2026-03-30T11:00"), ("2026-02-28T23:59:59",)),
        ('previous("month")', ("2026-02-01T00:00", "2026-02-28T23:59:59"), ("2026-01-31T23:59", "2026-03-01T00:00")),
        ('this("quarter")', ("2026-01-01T00:00",), ("2025-12-31T23:59:59",)),
        ('previous("quarter")', ("2025-10-01T00:00", "2025-12-31T23:59:59"), ("2025-09-30T23:59", "2026-01-01T00:00")),
        ('this("year")', ("2026-01-01T00:00",), ("2025-12-31T23:59:59",)),
        ('previous("year")', ("2025-01-01T00:00", "2025-12-31T23:59:59"), ("2024-12-31T23:59", "2026-01-01T00:00")),
    ],
)
def test_a_period_begins_at_its_first_midnight_and_ends_before_the_next(
    shared: Store, period: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    """Of times and of events alike: start inclusive, end exclusive."""
    world = visitors(*inside, *outside)
    expected = list(range(1, len(inside) + 1))
    assert expected == members(shared, world, f"during(created_at, {period})")
    assert expected == members(shared, world, f'did("Order", during={period})')


def test_what_is_ahead_of_now_is_in_this_period_of_a_date_and_never_of_events(shared: Store) -> None:
    """A trial that ends tomorrow ends this month; an event of tomorrow is not seen."""
    world = visitors("2026-03-31T12:00")
    assert [1] == members(shared, world, 'during(created_at, this("month"))')
    assert [] == members(shared, world, 'did("Order", during=this("month"))')


def test_calendar_words_use_the_segments_zone_else_the_workspaces(shared: Store) -> None:
    """23:30 on 28 February in New York is already March in Stockholm."""
    world = visitors("2026-02-28T23:30", zone=NEW_YORK)
    assert [1] == members(shared, world, 'did("Order", during=this("month"))')
    assert [] == members(shared, world, 'did("Order", during=this("month"))', tz=NEW_YORK)
    assert [1] == members(shared, world, 'did("Order", during=previous("month"))', tz=NEW_YORK)
    assert [1] == members(shared, world, 'did("Order", during=previous("month"))', timezone=NEW_YORK)
    assert [1] == members(shared, world, 'during(created_at, previous("month"))', timezone=NEW_YORK)


def test_which_period_is_this_one_is_told_by_the_zone_too(shared: Store) -> None:
    """At 00:30 on 1 April in Tokyo it is still March in New York."""
    now = datetime(2026, 3, 31, 15, 30, tzinfo=UTC)
    world = visitors("2026-03-31T08:00", zone=NEW_YORK)
    assert [] == members(shared, world, 'did("Order", during=this("month"))', tz=TOKYO, as_of=now)
    assert [1] == members(shared, world, 'did("Order", during=this("month"))', tz=NEW_YORK, as_of=now)


@pytest.mark.parametrize(
    "text",
    [
        'did("Order", during=this("month"))',
        'during(created_at, this("month"))',
        'did("Order", since="2026-03-01")',
        'created_at >= date("2026-03-01")',
        'not created_at < date("2026-03-01")',
        'sequence("Order", without("Signed Up"), within="1d", during=this("month"))',
        'last_event("Order", since=date("2026-03-01"))',
    ],
)
def test_with_tz_person_the_calendar_is_each_persons_own(shared: Store, text: str) -> None:
    """One moment: 1 March in Tokyo, still February in New York; whoever says no zone lives in the workspace's."""
    world = World()
    zones = ("Asia/Tokyo", "America/New_York", None, "the moon", " europe/LONDON ")
    tokyo, _new_yorker, nowhere, moon, london = (world.person(timezone=zone) for zone in zones)
    for person in range(1, 6):
        world.profiles[person - 1]["created_at"] = at("2026-03-01T00:30")
        world.event(person, "Order", at("2026-03-01T00:30"))

    assert [tokyo, nowhere, moon] == members(shared, world, text, tz="person")  # 23:30 in London
    assert london == 5
    everybody = [1, 2, 3, 4, 5]
    assert everybody == members(shared, world, text)


def test_days_are_the_persons_own_with_tz_person(shared: Store) -> None:
    """22:30 and 23:30 UTC are one day in London, and two in Stockholm."""
    world = World()
    for zone in ("Europe/London", "Europe/Stockholm", None):
        person = world.person(timezone=zone)
        for hour in ("22:30", "23:30"):
            world.event(person, "Order", at(f"2026-02-10T{hour}", ZoneInfo("UTC")))
    assert [1] == members(shared, world, 'days_active("Order") == 1', tz="person")
    assert [2, 3] == members(shared, world, 'days_active("Order") == 2', tz="person")


def test_an_event_filter_speaks_of_the_persons_own_calendar_too(shared: Store) -> None:
    world = World()
    for zone in ("Asia/Tokyo", "America/New_York"):
        world.event(world.person(timezone=zone), "Order", ago(days=1), at="2026-03-01T00:00:00+01:00")
    text = 'did("Order", where=at >= date("2026-03-01"))'
    assert [1] == members(shared, world, text, tz="person")
    assert [1, 2] == members(shared, world, text)
    assert [1] == members(shared, world, 'did("Order", where=during(at, this("month")))', tz="person")


def test_a_persons_zone_is_the_one_they_had_at_the_time(shared: Store) -> None:
    """And a set that rests on it is told as approximate where the store cannot know."""
    world = World()
    person = world.person(timezone="America/New_York", created_at=at("2026-03-01T00:30"))
    world.history = [
        ("profile", person, "timezone", "Asia/Tokyo", ago(days=20)),
        ("profile", person, "timezone", "America/New_York", ago(days=5)),
    ]
    text = 'during(created_at, this("month"))'
    assert [] == members(shared, world, text, tz="person")
    assert [1] == members(shared, world, text, tz="person", as_of=AS_OF - timedelta(days=10))
    segment = Segment("s", text, place=PLACE, timezone="person")
    found = evaluate(shared, definitions({"s": segment}), as_of=AS_OF - timedelta(days=10))
    assert any("timezone" in note for note in found.approximate["segment.s"])


def test_weeks_begin_with_the_workspaces_week_start(shared: Store) -> None:
    """On Monday 30 March the week is one day old, or two if it begins on Sunday, or three on Saturday."""
    world = visitors("2026-03-30T09:00", "2026-03-29T09:00", "2026-03-28T09:00", "2026-03-22T09:00", "2026-03-21T09:00")
    text = 'did("Order", during={}("week"))'
    for start, this, previous in (("monday", [1], [2, 3]), ("sunday", [1, 2], [3, 4]), ("saturday", [1, 2, 3], [4, 5])):
        assert this == members(shared, world, text.format("this"), week_start=start)
        assert previous == members(shared, world, text.format("previous"), week_start=start)
    assert [1, 2, 3, 4, 5] == members(shared, world, 'did("Order", during=this("month"))', week_start="sunday")


def test_another_week_start_or_a_workspaces_zone_is_another_definition() -> None:
    """So that what was approved before is asked about again."""

    def hashed(tz: ZoneInfo | str | None = None, **options: object) -> str:
        segment = Segment("s", 'did("Order", during=this("week"))', place=PLACE, timezone=tz)  # type: ignore[arg-type]
        return definitions({"s": segment}, **options).sets["segment.s"].definition

    found = [hashed(), hashed(week_start="sunday"), hashed("person"), hashed("person", timezone=TOKYO), hashed(TOKYO)]
    assert len(found) == len(set(found))
    assert hashed() == hashed(week_start="monday")


# --- clocks that change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "zone", "utc"),
    [
        ("2026-03-29T00:00", "Europe/Stockholm", "2026-03-28T23:00:00Z"),
        ("2026-03-30T00:00", "Europe/Stockholm", "2026-03-29T22:00:00Z"),
        ("2026-10-25T00:00", "Europe/Stockholm", "2026-10-24T22:00:00Z"),
        ("2026-10-26T00:00", "Europe/Stockholm", "2026-10-25T23:00:00Z"),
        ("2026-03-29T02:30", "Europe/Stockholm", "2026-03-29T01:00:00Z"),  # never shown: the moment of the change
        ("2026-10-25T02:30", "Europe/Stockholm", "2026-10-25T00:30:00Z"),  # shown twice: the first
        ("2026-04-24T00:00", "Africa/Cairo", "2026-04-23T22:00:00Z"),  # the clock goes from 24:00 to 01:00
        ("2011-12-30T00:00", "Pacific/Apia", "2011-12-30T10:00:00Z"),  # the day that was left out
    ],
)
def test_daylight_saving_is_right(local: str, zone: str, utc: str) -> None:
    assert utc == iso(instant_us(datetime.fromisoformat(local), ZoneInfo(zone)))


def test_a_day_of_23_hours_is_a_day(shared: Store) -> None:
    """The 29th of March began 34.5 hours before 11:30 on the 30th, not 35.5."""
    world = World()
    for hours in (34.5, 34.5 + 1e-6):
        world.event(world.person(), "Order", ago(hours=hours))
    assert [1] == members(shared, world, 'did("Order", during=previous("day"))')


@settings(deadline=None)
@given(
    st.datetimes(BEGIN, END),
    st.sampled_from(ZONES),
    st.sampled_from(list(Unit)),
    st.integers(-2, 2),
    st.integers(0, 6),
)
def test_edges_are_those_found_by_counting_days(now: datetime, zone: str, unit: Unit, step: int, first_day: int) -> None:
    """In each zone and at any time, also for the bounds within which everybody's own lie."""
    edge = Edge(unit, step, zone, first_day if unit is Unit.WEEK else 0)
    now_us = to_us(now.replace(tzinfo=UTC))
    found = edge_us(edge, zone, now_us)
    assert slow_edge(edge, zone, now_us) == found
    low, high = around(Edge(unit, step, PERSON, edge.first_day), now_us)
    assert low <= found <= high


@settings(deadline=None)
@given(
    st.datetimes(BEGIN, END).map(lambda d: d.replace(second=0, microsecond=0)),
    st.sampled_from(ZONES),
)
def test_moments_are_those_found_by_looking_at_the_clock(local: datetime, zone: str) -> None:
    found = own_moment_us(zone, "UTC", local.isoformat())
    assert slow_moment(local, zone) == found
    low, high = around(OwnMoment(local.isoformat()), 0)
    assert low <= found <= high


@pytest.mark.parametrize(
    "text",
    [
        'did("Order", during=this("month"))',
        'created_at > date("2026-01-01")',
        'days_active("Order") > 1',
        'not did("Order", where=at > date("2026-01-01"))',
    ],
)
def test_with_tz_person_a_set_rests_on_the_streams_that_give_the_zone(text: str) -> None:
    def rests(tz: str | None) -> frozenset[str]:
        words = vocabulary()
        streams = tuple(replace(s, keys=False) for s in words.streams)
        segment = Segment("s", text, place=PLACE, timezone=tz)  # type: ignore[arg-type]
        return definitions({"s": segment}, words=replace(words, streams=streams)).sets["segment.s"].rests_on

    assert "crm.contacts" in rests("person")
    assert "created_at" in text or "crm.contacts" not in rests(None)


def test_a_segments_zone_is_one_that_there_is_or_person() -> None:
    from pydantic import ValidationError

    from core.config.tables import SegmentTable

    assert "person" == SegmentTable(where="x", tz="person").tz  # type: ignore[arg-type]
    assert STOCKHOLM == SegmentTable(where="x", tz="Europe/Stockholm").tz  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="'persona' is no time zone"):
        SegmentTable(where="x", tz="persona")  # type: ignore[arg-type]


def test_a_zone_is_known_by_its_name_in_any_case() -> None:
    assert "Europe/Stockholm" == known_zone(" europe/stockholm")
    for text in ("", "CEST?", "../etc/passwd", "\0", None, 5, "x" * 10_000):
        assert known_zone(text) is None


# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        ('during(created_at, this("fortnight"))', "is no period of the calendar", '"fortnight"'),
        ('during(created_at, this())', "a period is needed here", "this"),
        ('during(created_at, last("month"))', "a period is needed here", "last"),
        ('during(mrr, this("month"))', "not a time", "mrr"),
        ('created_at > this("month")', "stands inside during only", "this"),
        ('exists(previous("month"))', "stands inside during only", "previous"),
        ('did("Order", during=previous("month"), until="2026-01-01")', "exclude each other", '"2026'),
        ('did("Order", since="2026-02-01", until="2026-02-01")', "until is not after since", "did"),
        ('created_at < date("soon")', "is no date", '"soon"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("personal", [False, True])
def test_errors_of_calendar_words_say_what_and_where(text: str, said: str, at: str, personal: bool) -> None:
    message, rest = wrong(text, personal=personal)
    assert said in message
    assert rest.startswith(at)


def test_companies_have_the_workspaces_calendar(shared: Store) -> None:
    """They have no zone of their own: `tz = "person"` on a segment of companies is the workspace's."""
    world = World(companies=[{"id": 1, "created_at": at("2026-03-01T00:00")}, {"id": 2, "created_at": at("2026-02-28T23:59")}])
    world.write(shared)
    text = 'during(company.created_at, this("month"))'
    segment = Segment("s", text, place=PLACE, timezone="person", of="company")
    assert [1] == list(evaluate(shared, definitions({"s": segment}), as_of=AS_OF).sets["segment.s"])

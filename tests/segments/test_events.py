"""The words of events, each rule by its name: the last one, the middle one, regularity, stopping and beginning again."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from asking import PLACE, members, wrong
from random_events import busy_world, event_text
from reference import Reference
from smallworld import AS_OF, World, ago, definitions

from core.config.model import Segment
from core.segments.calendar import WEEKDAYS
from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.segments.tree import Did
from core.store import Store

WEEK = 7


def did(*days: float, name: str = "Order", **properties: object) -> World:
    """Return a world of one person with one event at each of *days* ago."""
    world = World()
    world.person()
    for day in days:
        world.event(1, name, ago(days=day), **properties)
    return world


def test_last_event_looks_at_the_latest_one_only(shared: Store) -> None:
    """Who failed and then paid did not fail last; who has no such event is out, and in the complement."""
    world = World()
    recovered, failing, silent = world.person(), world.person(), world.person()
    for person, days, status in (
        (recovered, 3, "failed"),
        (recovered, 2, "paid"),
        (failing, 3, "paid"),
        (failing, 2, "failed"),
    ):
        world.event(person, "Order", ago(days=days), status=status)

    assert [failing] == members(shared, world, 'last_event("Order", status="failed")')
    assert [recovered, silent] == members(shared, world, 'not last_event("Order", status="failed")')
    assert [failing] == members(shared, world, 'last_event("Order", where=status.startswith("f"))')
    assert [recovered, failing] == members(shared, world, 'last_event("Order")')


def test_last_event_in_a_window_and_of_one_connection(shared: Store) -> None:
    """What is asked is the latest of those in the window, and from the connection."""
    world = did(2, status="paid")
    world.event(1, "Order", ago(days=40), "app.events", status="failed")

    assert [1] == members(shared, world, 'last_event("Order", status="failed", between_ago=("60d", "30d"))')
    assert [1] == members(shared, world, 'last_event("Order", status="failed", source="app")')
    assert [] == members(shared, world, 'last_event("Order", status="failed")')


def test_of_two_last_events_at_one_moment_the_later_stored_counts(shared: Store) -> None:
    world = did(1, status="failed")
    world.event(1, "Order", ago(days=1), status="paid")
    assert [1] == members(shared, world, 'last_event("Order", status="paid")')
    assert [] == members(shared, world, 'last_event("Order", status="failed")')


def test_last_event_without_a_filter_is_did() -> None:
    assert isinstance(definitions({"s": 'last_event("Order")'}).sets["segment.s"].condition, Did)


@pytest.mark.parametrize(
    ("numbers", "middle"), [((7,), 7), ((1, 9), 5), ((5, 1, 9), 5), ((1, 2, 3, 10), 2.5), ((2, 2, 2, 9), 2), ((-1, "x", 3), 1)]
)
def test_median_is_the_middle_number_or_the_mean_of_the_middle_two(
    shared: Store, numbers: tuple[object, ...], middle: float
) -> None:
    """What is no number is not among them."""
    world = World()
    world.person()
    for number in numbers:
        world.event(1, "Order", ago(days=1), ms=number)
    assert [1] == members(shared, world, f'median("Order", "ms") == {middle}')


def test_median_of_nothing_is_missing(shared: Store) -> None:
    world = did(1)
    assert [] == members(shared, world, 'median("Order", "ms") < 5')
    assert [1] == members(shared, world, 'missing(median("Order", "ms"))')


def test_regularly_counts_rolling_periods_that_end_now(shared: Store) -> None:
    """Three of four weeks: two events in one week are one, and a week ago sharp is the week before."""
    text = 'regularly("Order", 3, of=4, every="7d")'
    assert [1] == members(shared, did(1, 8, 22), text)
    assert [] == members(shared, did(1, 2, 22), text)
    assert [1] == members(shared, did(0, 7, 14), text)
    assert [1] == members(shared, did(7, 14, 21), text)
    assert [] == members(shared, did(1, 8, 28), text)  # 28 days ago sharp is before the four weeks
    assert [1] == members(shared, did(1, 8, 27.9), text)
    assert [] == members(shared, did(), text)


def test_stopped_is_in_the_span_before_the_last_one_and_not_in_the_last(shared: Store) -> None:
    text = 'stopped("Order", "30d")'
    assert [1] == members(shared, did(40), text)
    assert [1] == members(shared, did(30), text)  # 30 days ago sharp is the span before
    assert [] == members(shared, did(40, 29.9), text)
    assert [] == members(shared, did(60), text)  # 60 days ago sharp is before both
    assert [] == members(shared, did(), text)
    assert [1] == members(shared, did(40, 29.9), text, as_of=AS_OF + timedelta(days=19))


def test_restarted_was_away_for_a_whole_span_and_there_before(shared: Store) -> None:
    text = 'restarted("Order", "30d")'
    assert [1] == members(shared, did(1, 70), text)
    assert [1] == members(shared, did(1, 60), text)  # 60 days ago sharp is before both spans
    assert [] == members(shared, did(1), text)  # new, not back
    assert [] == members(shared, did(1, 45, 70), text)  # never away
    assert [] == members(shared, did(70), text)  # not back
    assert [] == members(shared, did(1, 59.9), text)


@pytest.mark.parametrize(
    "word",
    [
        'did("Order"{})',
        'count("Order"{}) > 0',
        'days_active("Order"{}) > 0',
        'distinct("Order", "ms"{}) > 0',
        'sum("Order", "ms"{}) > 0',
        'avg("Order", "ms"{}) > 0',
        'min("Order", "ms"{}) > 0',
        'max("Order", "ms"{}) > 0',
        'median("Order", "ms"{}) > 0',
        'exists(first_time("Order"{}))',
        'last_event("Order"{})',
        'regularly("Order", 1, of=50, every="30d"{})',
        'stopped("Order", "5d"{})',
        'restarted("Order", "5d"{})',
        'sequence("Order", "Signed Up"{})',
    ],
)
def test_every_event_word_takes_every_window_and_every_filter(shared: Store, word: str) -> None:
    """Each is true of somebody whose events lie in the window and pass the filter, and false where they do not."""
    world = World()
    world.person()
    for days in (4, 400) if "restarted" in word else (8,):
        world.event(1, "Order", ago(days=days), "app.events", plan="pro", ms=7)
    world.event(1, "Signed Up", ago(days=3), "app.events", plan="pro", ms=7)
    windows = ['last="9d"', 'since="2026-03-01"', 'until="2026-03-29"', 'during=this("month")', 'during=this("year")']
    outside = ['last="2d"', 'since="2026-03-29"', 'until="2025-01-01"', 'during=this("day")', 'during=previous("day")']
    filters = ['plan="pro"', "plan=['pro', 'team']", "where=ms > 5", "where=plan.startswith('p')", 'source="app"']
    misses = ['plan="team"', "plan=['x', 'team']", "where=ms > 8", "where=missing(plan)", 'source="web"']
    if "restarted" in word:
        windows = ['since="2020-01-01"', 'until="2026-03-29"', 'last="500d"', 'between_ago=("500d", "1d")']
    else:
        windows += ['between_ago=("9d", "7d")']
        outside += ['between_ago=("7d", "5d")', 'during=previous("week")']
    if "sequence" in word:
        filters += ["where=prop('plan') == 'pro'"]
    for argument in (*windows, *filters, ""):
        assert [1] == members(shared, world, word.format(f", {argument}" if argument else "")), argument
    for argument in (*outside, *misses):
        assert [] == members(shared, world, word.format(f", {argument}")), argument


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        ('regularly("Order", 3)', "needs of= and every=", "regularly"),
        ('regularly("Order", 5, of=4, every="7d")', "5 of 4 periods cannot be", "5,"),
        ('regularly("Order", 0, of=4, every="7d")', "a whole number from 1", "0,"),
        ('regularly("Order", 1.5, of=4, every="7d")', "a whole number from 1", "1.5"),
        ('regularly("Order", 1, of=5000, every="7d")', "a whole number from 1", "5000"),
        ('regularly("Order", 1, of=4, every="week")', "is no duration", '"week"'),
        ('stopped("Order")', "needs a duration", "stopped"),
        ('restarted("Order", "30")', "is no duration", '"30"'),
        ('median("Order")', "needs a property", "median"),
        ('median("Order", 5) > 1', "the name of a property", "5)"),
        ('last_event("Order", last="30")', "is no duration", '"30"'),
        ('did("Order", during="month")', "a period is needed here", '"month"'),
        ('did("Order", during=this("mont"))', "is no period of the calendar", '"mont"'),
        ('did("Order", during=this("month"), since="2026-01-01")', "during and since exclude each other", '"2026-01-01"'),
        ('this("month")', "stands inside during only", "this"),
        ('during(email, this("month"))', "is a text, not a time", "email"),
        ('during(created_at, "month")', "a period is needed here", '"month"'),
        ('during(created_at)', "needs a period", "during"),
    ],
)  # fmt: skip
def test_errors_of_event_words_say_what_and_where(text: str, said: str, at: str) -> None:
    message, rest = wrong(text)
    assert said in message
    assert rest.startswith(at)


# --- the engine and the reference ----------------------------------------------------------------------------------------

WORDS = (
    "did", "last_event", "median", "regularly", "stopped", "restarted", "days_active", "count", "during", "first_time", "date",
)  # fmt: skip


def test_the_engine_and_the_reference_agree_on_event_words(shared: Store) -> None:
    """Over busy people, in every zone, with each day as the first of the week; each word true of some and false of some."""
    true, false = Counter[str](), Counter[str]()
    for seed in range(40):
        chance = Random(seed)
        world = busy_world(chance, 8)
        texts = [event_text(chance) for _ in range(25)]
        zones = [chance.choice((None, "person", "person", ZoneInfo("America/New_York"))) for _ in texts]
        segments = {f"s{n}": Segment(f"s{n}", text, place=PLACE, timezone=zones[n]) for n, text in enumerate(texts)}
        defined = definitions(segments, week_start=chance.choice(WEEKDAYS))
        world.write(shared)
        if seed % 2:
            ensure_indexes(shared, defined)
        as_of = AS_OF - timedelta(hours=chance.choice((0, 0, 9.5, 34.5, 200)))

        found = evaluate(shared, defined, as_of=as_of)

        reference = Reference(world, defined, as_of, past=as_of < AS_OF)
        for n, text in enumerate(texts):
            expected = reference.members(f"segment.s{n}")
            assert sorted(expected) == list(found.sets[f"segment.s{n}"]), (seed, text, zones[n])
            for word in (word for word in WORDS if f"{word}(" in text):
                true[word] += len(expected)
                false[word] += 8 - len(expected)
    assert dict.fromkeys(WORDS, (True, True)) == {word: (true[word] > 20, false[word] > 20) for word in WORDS}

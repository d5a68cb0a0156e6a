"""Leaves that several threads bring up to date: the same bits, whatever becomes of the others; and what is read for them."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from smallworld import AS_OF, World, ago, definitions

from core.clock import from_us, to_us
from core.segments import few, incremental_again, incremental_passed, parallel
from core.segments.calendar import edge_us, stands_everywhere
from core.segments.compile import compile_leaf
from core.segments.evaluate import Evaluation, evaluate, read_facts
from core.segments.incremental_passed import Passed
from core.segments.incremental_reach import Passing
from core.segments.indexes import ensure_indexes
from core.segments.rests import leaves_of_people
from core.segments.tree import ProfileField
from core.segments.tree_constants import PERSON, Ago, Edge, Type, Unit
from core.store import Store
from core.store.changes import watch

LATER = AS_OF + timedelta(hours=1)
FIRSTS = [datetime(2026 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(14)]
ZONES = sorted(
    {
        tuple(first.astimezone(ZoneInfo(zone)).utcoffset() for first in FIRSTS): zone
        for zone in sorted(available_timezones())
        if zone.startswith(("Pacific/", "Etc/", "Asia/Ka", "America/N", "Europe/S"))
    }.values()
)
"""One of each that show the same time all the year."""
TEXTS = {
    "a": 'country == "SE" and not did("Order", last="7d")',
    "b": 'median("Page Viewed", "ms") > 40 or median("Page Viewed", "ms") < 20',
    "c": 'sequence("Page Viewed", "Order", within="7d")',
    "d": 'last_event("Page Viewed", path="/docs")',
    "e": 'crm.score > 3 and crm.score < 7 and within_last(created_at, "30d")',
    "f": 'count("Order", last="30d") > 2',
    "g": 'did("Page Viewed", path="/docs")',
    "h": 'count("Never Sent") + crm.score > 3 and not 0 * sum("Never Sent", "ms") + crm.score > 8',
}


@pytest.fixture
def world(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Twelve people of whom leaves are kept, after which something happened to four; two threads ask, however few they are."""
    monkeypatch.setattr(parallel, "FROM_PEOPLE", 0)
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    world = World()
    for n in range(12):
        id_ = world.person(country=("SE", "NO")[n % 2], created_at=ago(days=3 * n))
        world.contacts.append({"profile_id": id_, "score": n})
        for m in range(n):
            world.event(id_, "Page Viewed", ago(days=m, hours=n), ms=m * 9, path=("/docs", "/")[m % 3 == 0])
            world.event(id_, "Order", ago(days=m, hours=n - 0.5))
    world.write(store)
    ensure_indexes(store, definitions(TEXTS))
    watch(store)
    found(store, AS_OF, keep=True)
    with store.atomic() as conn:
        conn.execute("UPDATE profiles SET country = 'SE' WHERE id = 2")
        conn.execute("UPDATE crm__contacts SET score = 5 WHERE profile_id = 1")
        conn.execute("INSERT INTO changes (what, id) VALUES ('person', 1), ('person', 2)")
        conn.executemany(
            "INSERT INTO events (stream_id, key, name_id, time, profile_id, properties) "
            "VALUES (6, ?, (SELECT id FROM event_names WHERE name = ?), ?, ?, ?)",
            [("x", "Order", to_us(LATER) - 1, 3, "{}"), ("y", "Page Viewed", to_us(LATER) - 2, 4, '{"path":"/","ms":900}')],
        )
    return store


def found(store: Store, at: datetime, **options: Any) -> Evaluation:
    return evaluate(store, definitions(TEXTS), as_of=at, **options)


@pytest.fixture
def askers(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """By thread, the leaves that it brought up to date, once each of the two had something to ask."""
    asked: dict[str, set[str]] = {}
    both = threading.Barrier(2)
    real = incremental_again._asked

    def spied(conn: sqlite3.Connection, group: incremental_again.Group) -> Any:
        name = threading.current_thread().name
        if name not in asked:
            asked[name] = set()
            both.wait(60)
        asked[name] |= group.queries.keys()
        return real(conn, group)

    monkeypatch.setattr(incremental_again, "_asked", spied)
    return asked


def test_several_threads_bring_up_the_bits_that_one_does(
    world: Store, askers: dict[str, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads people's rows is asked by the evaluation's own thread, the rest by whichever is free."""
    together = found(world, LATER)
    threads = {name: set(leaves) for name, leaves in askers.items()}
    monkeypatch.setattr(parallel, "FROM_PEOPLE", 10**9)
    alone, whole = found(world, LATER), found(world, LATER, reuse=False)

    assert {"MainThread", "leaves-0"} == threads.keys()
    assert "everyone" in threads["MainThread"]
    assert not threads["MainThread"] & threads["leaves-0"]
    assert together.sets == alone.sets == whole.sets
    assert together.brought_up == alone.brought_up > 8
    assert whole.sets != found(world, AS_OF, reuse=False).sets  # so there was something to bring up


@pytest.mark.parametrize("broken", ["choose", "among", "tables"])
def test_what_another_connection_cannot_do_the_own_one_is_asked(
    world: Store, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Its table cannot be made, or what is asked of it fails: nothing is missing, and nothing is evaluated whole for that."""
    failed: list[str] = []
    real = getattr(incremental_again, broken)

    def fail(conn: sqlite3.Connection, *args: Any) -> Any:
        if conn is not world.conn:
            failed.append(broken)
            raise sqlite3.OperationalError("disk I/O error")
        return real(conn, *args)

    monkeypatch.setattr(incremental_again, broken, fail)
    brought = found(world, LATER)

    assert failed
    assert brought.sets == found(world, LATER, reuse=False).sets
    assert brought.brought_up > 8


def test_a_reader_that_is_gone_is_done_without(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = parallel._begun_together

    def begun(conn: sqlite3.Connection, readers: parallel.Readers) -> bool:
        done = real(conn, readers)
        for reader in readers:
            reader.close()
        return done

    monkeypatch.setattr(parallel, "_begun_together", begun)
    brought = found(world, LATER)
    monkeypatch.undo()

    assert brought.sets == found(world, LATER, reuse=False).sets
    assert brought.brought_up > 8


def test_what_fails_everywhere_is_told(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no table behind."""

    def fail(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(incremental_again, "bits_of", fail)
    with pytest.raises(Exception, match="disk is full"):
        found(world, LATER)

    assert [] == world.conn.execute("SELECT name FROM temp.sqlite_master").fetchall()


# --- what is looked at ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["b", "c", "d", "f", "g"])
def test_of_the_few_who_changed_no_other_event_is_looked_at(world: Store, name: str) -> None:
    """The people lead, and what each of them did is found by an index; the last event by that of all properties."""
    known = definitions(TEXTS)
    facts = read_facts(world, known, to_us(LATER))
    facts.among = True
    leaf: Any = next(iter(leaves_of_people(known.sets[f"segment.{name}"].condition, "person")))
    query = compile_leaf(leaf, facts).sql
    with few.among(world.conn):
        plan = [row[3] for row in world.conn.execute(f"EXPLAIN QUERY PLAN {query.text}", query.params)]

    assert "SCAN temp.among" in plan
    assert "USE TEMP B-TREE FOR GROUP BY" not in plan  # they come in the order of their ids
    of_events = [step for step in plan if "events" in step and "(" in step]
    assert all(step.startswith("SEARCH") and "profile_id=?" in step for step in of_events), plan
    last = [step for step in of_events if "_all (profile_id=? AND time<?)" in step]
    assert bool(last) == (name in "bd"), plan


def test_readings_of_several_edges_find_whom_each_went_past(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are looked for in one reading, and of each alone."""
    facts = read_facts(world, definitions(TEXTS), to_us(LATER))
    edges = [Ago(n * 6 * 3_600_000_000) for n in range(200)]
    passings = [Passing(subject, edge) for subject in (ProfileField("created_at", Type.TIME), "Order") for edge in edges]

    def told(at_once: int, most: int) -> list[list[int] | None]:
        monkeypatch.setattr(incremental_passed, "AT_ONCE", at_once)
        monkeypatch.setattr(incremental_passed, "MOST", most)
        passed = Passed(world.conn, facts, to_us(AS_OF - timedelta(days=2)), to_us(LATER))
        passed.look(passings)
        return [None if (people := passed.by(passing)) is None else list(people) for passing in passings]

    alone = told(1, 100_000)
    assert 12 == len({id_ for people in alone[:200] for id_ in people or ()})
    assert told(50, 100_000) == told(200, 100_000) == alone
    assert told(1, 3) == told(50, 3)
    assert {True, False} == {people is None for people in told(50, 3)}


@pytest.mark.parametrize(("unit", "often"), [(Unit.DAY, False), (Unit.WEEK, True), (Unit.MONTH, True), (Unit.YEAR, True)])
def test_where_a_period_stands_everywhere_it_stands_in_each_zone(unit: Unit, often: bool) -> None:
    """So nobody's zone need be looked for: hour by hour over the days around the beginning of a year."""
    edge, told = Edge(unit, 0, zone=PERSON), set()
    for hours in range(24 * 9):
        then = to_us(datetime(2026, 12, 28, tzinfo=UTC) + timedelta(hours=hours))
        now = then + 3_600_000_000
        stands = stands_everywhere(edge, then, now)
        moved = [zone for zone in ZONES if edge_us(edge, zone, then) != edge_us(edge, zone, now)]
        assert not (stands and moved), (from_us(then), moved)
        told |= {stands, *(["moved"] if moved else [])}

    assert {"moved", False, *([True] if often else [])} == told

"""Leaves that several threads ask: the same bits from the same commit, and nothing is left behind."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyroaring import BitMap
from smallworld import AS_OF, World, ago, definitions

from core.config.model import Place, Segment, Trait
from core.errors import StoreError
from core.segments import parallel, together
from core.segments.definitions import Definitions
from core.segments.dialect import Sql
from core.segments.evaluate import Evaluation, evaluate
from core.store import Store

PLACE = Place("tagalong.toml", 7, "segments")
PEOPLE = "SELECT id FROM profiles"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads ask, however small the store is."""
    monkeypatch.setattr(parallel, "FROM_PEOPLE", 0)
    monkeypatch.setattr(parallel, "cores", lambda: 2)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """By thread, what it asked once each of the two had something to ask."""
    queries: dict[str, list[str]] = {}
    both = threading.Barrier(2)

    def spied(real: Any) -> Any:
        def spy(conn: sqlite3.Connection, query: Sql, *how: int) -> Any:
            name = threading.current_thread().name
            if name not in queries:
                queries[name] = []
                both.wait(60)
            queries[name].append(query.text)
            return real(conn, query, *how)

        return spy

    for name in ("bits_of", "bits_of_several"):
        monkeypatch.setattr(together, name, spied(getattr(together, name)))
    return queries


def small_world() -> World:
    world = World(companies=[{"id": 1, "live": 1, "employees": 12}, {"id": 2, "live": 1, "employees": 3}])
    for n in range(8):
        id_ = world.person(country=("SE", "NO")[n % 2], company_id=1 + n % 2, email=f"{'ÅBCD'[n % 4]}{n}@example.com".lower())
        world.contacts.append({"profile_id": id_, "score": n, "stage": ("lead", "customer")[n % 2], "tags": ["a", "b"]})
        for m in range(n):
            world.event(id_, "Page Viewed", ago(days=m + 1, hours=n), ms=m, path="/docs")
            world.event(id_, "Order", ago(days=m, hours=n), ms=m * 2)
    return world


def defined(**more: str | Segment) -> Definitions:
    segments: dict[str, str | Segment] = {
        "a": 'email.matches("^[åb]") and country == "SE"',
        "b": 'median("Page Viewed", "ms") > 1 or did("Order", last="2d")',
        "c": 'sequence("Page Viewed", "Order", within="7d") and not segment("a")',
        "d": 'crm.score > 3 and crm.contacts.tags == "a"',
        "e": "engaged > 4 and bucket('half') < 0.5",
        "f": "percentile(count('Order')) > 50 and any_user(crm.score > 5)",
        "g": "sql('SELECT id AS profile_id FROM profiles WHERE id > 3') and count('Order') < 5",
        "h": Segment("h", "company.employees > 4 and any_user(count('Order') > 5)", place=PLACE, of="company"),
    }
    traits = {"engaged": Trait("engaged", place=PLACE, value="count('Page Viewed') + 1")}
    return definitions(segments | more, traits=traits)


def found(store: Store, **more: str | Segment) -> Evaluation:
    return evaluate(store, defined(**more), as_of=AS_OF)


@pytest.mark.usefixtures("forced")
def test_several_threads_give_the_bits_that_one_gives(
    store: Store, asked: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regular expressions, medians and buckets are there for each; a trait's table is the evaluation's own."""
    small_world().write(store)

    together = found(store)
    monkeypatch.setattr(parallel, "FROM_PEOPLE", 10**9)
    alone = found(store)

    assert {"MainThread", "leaves-0"} == asked.keys()
    assert (together.sets, together.failed) == (alone.sets, {})
    assert all(together.sets.values())
    assert "temp." in asked["MainThread"][0]
    assert not any("temp." in query for query in asked["leaves-0"])


@pytest.mark.parametrize(("people", "cores"), [(parallel.FROM_PEOPLE, 2), (0, 1)], ids=["small store", "one core"])
def test_where_it_does_not_pay_one_thread_asks(store: Store, monkeypatch: pytest.MonkeyPatch, people: int, cores: int) -> None:
    small_world().write(store)
    monkeypatch.setattr(parallel, "FROM_PEOPLE", people)
    monkeypatch.setattr(parallel, "cores", lambda: cores)

    with parallel.snapshot(store) as readers:
        assert not readers


# --- one state ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def writer(store: Store, store_path: Path) -> Iterator[Store]:
    """Another connection to a store with people in it."""
    small_world().write(store)
    with Store(store_path) as other:
        yield other


def write(other: Store) -> None:
    with other.atomic() as conn:
        conn.execute("INSERT INTO profiles (changed_at) VALUES (0)")


def people(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT count(*) FROM profiles").fetchone()[0])


def between(monkeypatch: pytest.MonkeyPatch, writer: Store, times: int) -> list[int]:
    """Commit after each of so many connections has begun; return, as they come, how many people each sees."""
    seen: list[int] = []
    real = parallel._begin

    def begin(conn: sqlite3.Connection) -> None:
        real(conn)
        seen.append(people(conn))
        if len(seen) <= times:
            write(writer)

    monkeypatch.setattr(parallel, "_begin", begin)
    return seen


@pytest.mark.usefixtures("forced")
def test_all_see_one_commit_though_somebody_commits_between(
    store: Store, writer: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = between(monkeypatch, writer, 1)

    with parallel.snapshot(store) as readers:
        write(writer)
        states = [people(conn) for conn in (store.conn, *readers)]

    assert [8, 9] == seen[:2]  # the first time they did not
    assert [9, 9] == seen[2:] == states
    assert 10 == people(store.conn)


@pytest.mark.usefixtures("forced")
def test_where_others_do_nothing_but_commit_one_thread_asks(
    store: Store, writer: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = between(monkeypatch, writer, 10**9)
    monkeypatch.setattr(parallel, "TRIES", 3)

    with parallel.snapshot(store) as readers:
        assert not readers
        held = people(store.conn)
        write(writer)
        assert held == people(store.conn)

    assert 6 == len(seen)
    assert found(store).sets["segment.a"]


@pytest.mark.usefixtures("forced")
def test_a_write_under_way_is_neither_seen_nor_waited_for(store: Store, writer: Store) -> None:
    with writer.atomic() as conn:
        conn.execute("DELETE FROM profiles")
        with parallel.snapshot(store) as readers:
            assert [8, 8] == [people(one) for one in (store.conn, *readers)]


@pytest.mark.usefixtures("forced")
def test_inside_a_transaction_its_own_changes_are_seen(store: Store) -> None:
    small_world().write(store)
    with store.atomic() as conn:
        conn.execute("UPDATE profiles SET country = 'FI' WHERE id = 1")
        with parallel.snapshot(store) as readers:
            assert not readers
        assert [1] == list(found(store, fi='country == "FI"').sets["segment.fi"])


@pytest.mark.usefixtures("forced")
def test_a_store_that_is_only_read_is_asked_by_several(store: Store, store_path: Path, asked: dict[str, list[str]]) -> None:
    small_world().write(store)
    with Store(store_path, read_only=True) as reading:
        assert found(reading).sets["segment.a"]
    assert "leaves-0" in asked


@pytest.mark.usefixtures("forced")
def test_where_no_connection_can_be_had_one_thread_asks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    small_world().write(store)

    def none(*_: Any, **__: Any) -> Store:
        raise StoreError("too many open files")

    monkeypatch.setattr(parallel, "Store", none)
    with parallel.snapshot(store) as readers:
        assert not readers


# --- what fails --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("forced")
def test_a_leaf_that_fails_fails_alone(store: Store) -> None:
    small_world().write(store)
    made = defined(gone='crm.stage == "lead"')
    store.conn.execute("UPDATE catalogue SET missing_since = 1 WHERE field = 'stage'")

    evaluation = evaluate(store, made, as_of=AS_OF)

    assert {"segment.gone": "crm.contacts.stage is no longer there"} == evaluation.failed
    assert evaluation.sets["segment.d"]


@pytest.mark.usefixtures("forced")
def test_what_the_store_cannot_answer_is_told_as_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    small_world().write(store)
    made = defined()
    store.conn.execute("DROP TABLE crm__contacts")
    said = []
    for at_least in (0, 10**9):
        monkeypatch.setattr(parallel, "FROM_PEOPLE", at_least)
        with pytest.raises(StoreError) as told:
            evaluate(store, made, as_of=AS_OF)
        said.append(str(told.value))

    assert said[0] == said[1]
    assert "no such table: crm__contacts" in said[0]


@pytest.mark.usefixtures("forced")
def test_a_thread_goes_on_after_a_query_that_fails(store: Store) -> None:
    small_world().write(store)
    queries = {"bad": "SELECT nothing FROM profiles", "no ids": "SELECT NULL", "good": PEOPLE, "own": "SELECT 7"}
    with parallel.snapshot(store) as readers:
        answered = together.ask(readers[0], (), {n: (Sql(q), None) for n, q in queries.items()}, "SELECT 7".__eq__)

    assert {"good": BitMap(range(1, 9)), "own": BitMap([7])} == answered


# --- what is left ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("forced")
def test_threads_and_connections_are_gone_afterwards(
    store: Store, asked: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world().write(store)
    opened: list[sqlite3.Connection] = []
    real = parallel._begun_together

    def begun(conn: sqlite3.Connection, readers: parallel.Readers) -> bool:
        opened.extend(readers)
        return real(conn, readers)

    monkeypatch.setattr(parallel, "_begun_together", begun)

    found(store)

    assert "leaves-0" in asked
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leaves-")]
    assert [1] == [len(opened)]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
    with store.atomic() as conn:  # no reader stands in the way
        conn.execute("DELETE FROM profiles")
    assert (0, 0) == store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[:2]


@pytest.mark.usefixtures("forced")
def test_an_interrupt_ends_what_the_other_threads_are_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    small_world().write(store)
    under_way = threading.Event()
    real = together.bits_of

    def bits_of(conn: sqlite3.Connection, query: Sql) -> BitMap:
        if conn is store.conn:
            assert under_way.wait(60)
            raise KeyboardInterrupt
        under_way.set()
        return real(conn, query)

    monkeypatch.setattr(together, "bits_of", bits_of)
    queries: dict[int, tuple[Sql, None]] = {n: (Sql(ENDLESS), None) for n in range(3)}

    with parallel.snapshot(store) as readers, pytest.raises(KeyboardInterrupt):
        together.ask(store.conn, readers, queries, lambda _: False)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leaves-")]


@pytest.mark.usefixtures("forced")
def test_the_functions_that_segments_call_are_there_for_all(store: Store) -> None:
    with parallel.snapshot(store) as readers:
        (said,) = [one.execute("SELECT tagalong_fold('Å'), tagalong_matches('^a', 1, 'ab')").fetchone() for one in readers]

    assert ("å", 1) == said


@pytest.mark.parametrize("cores", [2, 4, 64])
def test_all_readers_together_hold_so_many_pages(store: Store, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(parallel, "FROM_PEOPLE", 0)
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    with parallel.snapshot(store) as readers:
        assert min(cores, parallel.MOST_THREADS) - 1 == len(readers)
        held = {
            schema: sum(-one.execute(f"PRAGMA {schema}.cache_size").fetchone()[0] for one in readers)
            for schema in ("main", "temp")
        }
        mapped = [one.execute("PRAGMA mmap_size").fetchone()[0] for one in readers]

    assert max(held.values()) <= parallel.CACHE_KB
    assert {0} == set(mapped)


@pytest.mark.parametrize("many", [0, 1, 2, 999, 1_000, 1_001])
def test_ids_are_made_numbers_a_part_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    parts: list[int] = []

    class Spied:
        @staticmethod
        def loads(text: str) -> Any:
            parts.append(len(text))
            return orjson.loads(text)

    monkeypatch.setattr(parallel, "PART", 50)
    monkeypatch.setattr(parallel, "orjson", Spied)
    ids = list(range(0, many * 37, 37))
    query = Sql("SELECT value FROM json_each(?)", (orjson.dumps(ids).decode(),))

    assert BitMap(ids) == parallel.bits_of(store.conn, query)
    assert max(parts, default=0) <= 62
    assert many < 999 or len(parts) > 50

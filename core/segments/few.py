"""
The store with only a few people in it: what a leaf is asked of when all others are known already.

Temporary tables stand before those of the same names and hold the rows of these people and of their companies, so that a leaf's
own SQL reads nothing else; events are led by the people themselves (`Facts.among`). A query that finds a way round is slow,
never wrong: whoever asks keeps of the answer those whom they asked about.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from pyroaring import BitMap

from core.segments.dialect import AMONG, PERSON, Sql, quoted
from core.segments.facts import Facts, LeafFailed
from core.segments.relation import Relation
from core.segments.tree import Leaf, Value, values_of

_OWNED: Final = ("subscriptions", "payments")


@contextmanager
def among(conn: sqlite3.Connection) -> Iterator[None]:
    """Have a table for the people that are asked about, for as long as the block lasts."""
    conn.execute(f"CREATE TABLE {AMONG} (person INTEGER PRIMARY KEY)")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # a connection that is no more; with its transaction the table goes as well
            conn.execute(f"DROP TABLE {AMONG}")


def choose(conn: sqlite3.Connection, people: BitMap) -> None:
    """Make *people* those that are asked about."""
    conn.execute(f"DELETE FROM {AMONG}")
    conn.execute(f"INSERT INTO {AMONG} SELECT value FROM json_each(?)", (json.dumps(list(people)),))


@contextmanager
def few(conn: sqlite3.Connection, people: BitMap, landings: Iterable[str]) -> Iterator[None]:
    """Choose *people*, and put their rows before all others, those of the landing tables named too, while the block lasts."""
    choose(conn, people)
    made: list[str] = []
    try:
        for name in ("profiles", "answers", *_OWNED, *landings):
            made.append(name)
            whose = "id" if name == "profiles" else "profile_id"
            _copy(conn, name, f"SELECT t.* FROM {AMONG} CROSS JOIN main.{quoted(name)} t ON t.{whose} = {PERSON}", whose)
            if name in _OWNED:
                _add_companies(conn, name)
        yield
    finally:
        for name in made:
            conn.execute(f"DROP TABLE IF EXISTS temp.{quoted(name)}")


def _copy(conn: sqlite3.Connection, name: str, rows: str, key: str) -> None:
    conn.execute(f"CREATE TEMP TABLE {quoted(name)} AS {rows}")
    conn.execute(f"CREATE INDEX temp.{quoted(f'few_{name}')} ON {quoted(name)} ({key})")
    if name == "profiles":
        conn.execute(f"CREATE INDEX temp.few_profiles_company ON {quoted(name)} (company_id)")


def _add_companies(conn: sqlite3.Connection, name: str) -> None:
    """Add the rows of the people's companies, whoever of them they came from."""
    conn.execute(f"CREATE INDEX temp.{quoted(f'few_{name}_company')} ON {quoted(name)} (company_id)")
    conn.execute(f"CREATE UNIQUE INDEX temp.{quoted(f'few_{name}_id')} ON {quoted(name)} (id)")
    companies = "SELECT DISTINCT company_id FROM temp.profiles WHERE company_id IS NOT NULL"
    rows = f"SELECT t.* FROM ({companies}) c CROSS JOIN main.{name} t ON t.company_id = c.company_id"
    conn.execute(f"INSERT OR IGNORE INTO temp.{name} {rows}")


@contextmanager
def values_once(facts: Facts, leaves: Iterable[Leaf], relate: Callable[[Value, Facts], Relation]) -> Iterator[list[Sql]]:
    """
    Have the values that several of *leaves* look at asked once for all of them: leaves are to be compiled inside the block.

    Yields:
        The queries of these values, to be given to `tables` wherever the leaves are asked.
    """
    asked = Counter(value for leaf in leaves for value in dict.fromkeys(values_of(leaf)))
    known: dict[object, Relation] = {}
    queries: list[Sql] = []
    for value in (value for value, often in asked.items() if often > 1):
        try:
            found = relate(value, facts)
        except LeafFailed:
            continue  # each of the leaves will tell
        known[value] = Relation(Sql(f"SELECT p, v FROM temp.few_value_{len(queries)}"), zero=found.zero)
        queries.append(found.sql)
    try:
        facts.values = known
        yield queries
    finally:
        facts.values = {}


@contextmanager
def tables(conn: sqlite3.Connection, values: Iterable[Sql]) -> Iterator[None]:
    """Hold each of *values*, asked of the chosen people, in a table that leaves compiled for it read."""
    made: list[str] = []
    try:
        for number, query in enumerate(values):
            made.append(name := f"few_value_{number}")
            conn.execute(f"CREATE TEMP TABLE {name} AS SELECT p, v FROM ({query.text})", query.params)
            conn.execute(f"CREATE INDEX temp.{name}_of ON {name} (p)")
        yield
    finally:
        for name in made:
            conn.execute(f"DROP TABLE IF EXISTS temp.{name}")

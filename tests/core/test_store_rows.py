"""The hot path of storing: many rows in one statement, one spelling for a hash, plans that do not outlive their columns."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.pulled import CONTACT, World, contact, stream

from core.contract import Category
from core.store import Store
from core.store.reading import encode
from core.store.rows import Turned, insert, insert_each


def test_rows_beyond_one_statements_parameters_are_all_written() -> None:
    """SQLite takes 32,766 parameters; rows written are counted over all statements, those ignored are not."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("CREATE TABLE t (a PRIMARY KEY, b)")
        rows = [(n, n * 2) for n in range(40_000)]
        assert 40_000 == insert(conn, "INSERT INTO t VALUES", rows)
        assert 1 == insert(conn, "INSERT OR IGNORE INTO t VALUES", [(7, 0), (-1, 5)])
        assert 2 == insert(conn, "INSERT INTO t VALUES", [(7, 1), (8, 1)], "ON CONFLICT (a) DO UPDATE SET b = excluded.b")
        assert 0 == insert(conn, "INSERT INTO t VALUES", [])
        assert (40_001, 1) == conn.execute("SELECT count(*), (SELECT b FROM t WHERE a = 8) FROM t").fetchone()


def test_a_value_that_goes_into_several_columns_is_bound_once() -> None:
    """Every row keeps its own, beside what all rows share, over statements too."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("CREATE TABLE t (shared, a, b, c, d)")
        rows = [(f"k{n}", n) for n in range(20_000)]
        assert 20_000 == insert(conn, "INSERT INTO t VALUES", rows, same=("s",), again=2)
        wrong = "SELECT count(*) FROM t WHERE shared <> 's' OR a <> 'k' || d OR b <> a OR c <> a"
        assert (0, 20_000) == conn.execute(f"SELECT ({wrong}), count(DISTINCT a) FROM t").fetchone()


def test_rows_of_several_kinds_go_in_together_in_the_order_given() -> None:
    """Each of its own kind, by its subject; the table is in that order, and pages that are only appended to stay full."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("CREATE TABLE t (position, kind, subject, value)")
        rows = [(n, f"a{n}", f"b{n}") for n in range(15_000)]
        insert_each(conn, "INSERT INTO t VALUES", rows, [(0, "a"), (1, "b")])
        expected = [(at, kind, n, f"{kind}{n}") for n in range(15_000) for at, kind in enumerate("ab")]
        assert expected == conn.execute("SELECT * FROM t ORDER BY rowid").fetchall()


def test_rows_that_are_kept_as_columns_are_written_like_others() -> None:
    """Over statements too; columns that are not equally long are refused, for else a value would get into another row."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("CREATE TABLE t (shared, a, b, c)")
        rows = Turned([f"k{n}" for n in range(20_000)], range(20_000))
        assert 20_000 == insert(conn, "INSERT INTO t VALUES", rows, same=("s",), again=1)
        assert [("s", key, key, n) for key, n in rows] == conn.execute("SELECT * FROM t ORDER BY rowid").fetchall()
        conn.execute("CREATE TABLE u (position, subject, value)")
        insert_each(conn, "INSERT INTO u VALUES", Turned((1, 2), ("a", "c"), ("b", "d")), [(0,), (1,)])
        assert [(0, 1, "a"), (1, 1, "b"), (0, 2, "c"), (1, 2, "d")] == conn.execute("SELECT * FROM u").fetchall()
        with pytest.raises(ValueError, match="size"):
            insert(conn, "INSERT INTO u VALUES", Turned((1, 2), (1, 2, 3), (1, 2)))


def test_values_that_sqlite_can_bind_are_stored_as_they_are(tmp_path: Path) -> None:
    """What is told of None, bytes and truth values, so that nobody is asked to adapt them, changes none of them."""
    with Store(tmp_path / "a.db") as store:
        store.conn.execute("CREATE TEMP TABLE t (a, b, c, d, e)")
        store.conn.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", (None, b"\x00\xff", b"", True, False))
        kinds = "SELECT typeof(a), typeof(b), typeof(c), typeof(d), typeof(e) FROM t"
        assert ("null", "blob", "blob", "integer", "integer") == store.conn.execute(kinds).fetchone()
        assert (None, b"\x00\xff", b"", 1, 0) == store.conn.execute("SELECT * FROM t").fetchone()


@pytest.mark.parametrize("value", [{"a": 2**70, "b": 1}, {"b": 1, "a": {"d": 1, "c": None}}, {1: 2, 3: 4}, {"a": [1.5, "å"]}])
def test_a_value_is_spelled_one_way_whatever_the_order_of_its_keys(value: dict[object, object]) -> None:
    """Else a record that did not change would count as changed."""
    assert encode(value) == encode(dict(reversed(value.items())))
    assert b" " not in encode(value)


def test_a_lone_surrogate_has_no_spelling() -> None:
    """It could not be stored either."""
    with pytest.raises(ValueError, match="surrogates"):
        encode({"a": "\ud800"})


def test_values_find_their_columns_whatever_the_shape_of_the_record(tmp_path: Path) -> None:
    """Records in another order, with fields missing, null, added, of another type, or too large an integer among equal ones."""
    pages = [
        [contact(1, n=1, t="a", d={"x": 1}), contact(2, n=2, t="b", d={"x": 2}), contact(3, t="c", n=2**70, d={"x": 3})],
        [contact(4, t="d", n=None, d={"x": 4}), contact(5, n=5), contact(6, d={"x": 6}, n=6, t="f")],
        [contact(7, n=7, t=8, d={"x": 1.5}, new=True), contact(8, n=8, t="h", d={"x": 8})],
    ]
    records = [record for page in pages for record in page]
    world = World(tmp_path / "a.db", crm=(Category.CRM, [stream("contacts", records, **CONTACT)]))
    assert world.pull("crm").complete

    assert [
        ("1", "1", "a", 1.0, None),
        ("2", "2", "b", 2.0, None),
        ("3", str(2**70), "c", 3.0, None),
        ("4", None, "d", 4.0, None),
        ("5", "5", None, None, None),
        ("6", "6", "f", 6.0, None),
        ("7", "7", "8", 1.5, 1),
        ("8", "8", "h", 8.0, None),
    ] == world.rows('SELECT key, n, t, "d.x", new FROM crm__contacts ORDER BY key')

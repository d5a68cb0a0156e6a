"""The store itself: its file, its migrations, and what it says when it cannot be written."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlite_utils import Database
from support.pulled import CONTACT, World, contact, stream

import core.store.db as db_module
from core.contract import Category
from core.errors import StoreError
from core.store.db import Store
from core.store.schema import known_migrations, migrations

pytestmark = pytest.mark.usefixtures("migrated_anew")


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Whatever the umask, and so are the files that SQLite puts beside it."""
    old = os.umask(0)
    try:
        with Store(tmp_path / "a.db") as store:
            store.conn.execute("CREATE TABLE x (a)")
            for path in tmp_path.iterdir():
                assert 0o600 == stat.S_IMODE(path.stat().st_mode), path
    finally:
        os.umask(old)


def test_reopening_migrates_nothing(tmp_path: Path) -> None:
    """And loses nothing."""
    with Store(tmp_path / "a.db") as store, store.atomic() as conn:
        conn.execute("INSERT INTO settings VALUES ('a', 'b')")
    with Store(tmp_path / "a.db") as store:
        assert [("a", "b")] == store.conn.execute("SELECT * FROM settings").fetchall()
        assert [] == migrations.pending(store.db)


@pytest.mark.parametrize("at", range(1, len(known_migrations()) + 1))
def test_a_kill_while_migrating_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Whichever migration it happens in, the next start makes the whole schema."""
    calls = 0
    record = migrations._record_applied

    def killed(database: Database, name: str) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        record(database, name)

    monkeypatch.setattr(migrations, "_record_applied", killed)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path / "a.db")
    plain = sqlite3.connect(tmp_path / "a.db")
    assert [] == plain.execute("SELECT name FROM sqlite_master").fetchall()
    plain.close()
    monkeypatch.undo()
    with Store(tmp_path / "a.db") as store:
        assert known_migrations() == {m.name for m in migrations.applied(store.db)}


def test_answers_of_before_get_the_column_of_measures(tmp_path: Path) -> None:
    """A store that was made when answers had none keeps its rows, and can be asked what a score measures."""
    with Store(tmp_path / "a.db") as store, store.atomic() as conn:
        conn.execute("INSERT INTO answers (stream_id, key, record_key, survey) VALUES (1, 'k', 'k', 'NPS')")
        conn.execute("ALTER TABLE answers DROP COLUMN measure")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'm010_measures'")
    with Store(tmp_path / "a.db") as store:
        assert [("NPS", None)] == store.conn.execute("SELECT survey, measure FROM answers").fetchall()


def _open(path: Path, ready: object, failed: object) -> None:
    ready.wait()
    try:
        with Store(path) as store:
            store.conn.execute("SELECT count(*) FROM settings").fetchone()
    except BaseException as error:
        failed.put(repr(error))


def test_processes_that_open_a_new_file_at_once_take_turns(tmp_path: Path) -> None:
    """One makes the schema, the others find it."""
    context = multiprocessing.get_context("fork")
    for turn in range(3):
        ready, failed = context.Barrier(4), context.Queue()
        processes = [context.Process(target=_open, args=(tmp_path / f"{turn}.db", ready, failed)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert failed.empty(), failed.get()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """An old program must not write what it does not understand."""
    with Store(tmp_path / "a.db") as store, store.atomic() as conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tagalong', 'm999_future', 'later')"
        )
    with pytest.raises(StoreError, match="newer tagalong"):
        Store(tmp_path / "a.db")


def test_what_is_no_database_says_so(tmp_path: Path) -> None:
    """Rather than a traceback."""
    (tmp_path / "a.db").write_text("this is a diary\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(tmp_path / "a.db")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "none" / "a.db")


def test_a_full_disk_writes_nothing_of_the_step(tmp_path: Path) -> None:
    """Neither records nor checkpoint of the page, and the pages before it stay; with room again the pull goes on."""
    records = [contact(i, f"p{i}@example.com", text="x" * 500) for i in range(600)]
    world = World(tmp_path / "a.db", crm=(Category.CRM, [stream("contacts", records, size=100, **CONTACT)]))
    pages = world.one("PRAGMA page_count")
    world.store.conn.execute(f"PRAGMA max_page_count = {pages + 80}")
    with pytest.raises(StoreError, match="the disk is full; nothing of this step was written"):
        world.pull("crm")
    stored = world.one("SELECT count(*) FROM crm__contacts")
    assert 0 < stored < 600
    assert (str(stored),) == world.rows("SELECT resume FROM checkpoints")[0]
    assert stored == world.one("SELECT count(*) FROM subjects") == world.one("SELECT live_count FROM streams")
    assert not world.store.conn.in_transaction
    world.store.conn.execute("PRAGMA max_page_count = 1000000")
    assert world.pull("crm").complete
    assert 600 == world.one("SELECT count(*) FROM crm__contacts")


def test_a_locked_database_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the wait; nothing of the step was written."""
    monkeypatch.setattr(db_module, "BUSY_TIMEOUT_S", 0.1)
    with Store(tmp_path / "a.db") as one, Store(tmp_path / "a.db") as two, one.atomic():
        with pytest.raises(StoreError, match="locked by another process"), two.atomic():
            pass
        assert not two.conn.in_transaction


def test_a_read_only_file_is_a_clear_error(tmp_path: Path) -> None:
    """`status` reads; what writes is told why it cannot."""
    Store(tmp_path / "a.db").close()
    with Store(tmp_path / "a.db", read_only=True) as store:
        assert [] == store.conn.execute("SELECT * FROM runs").fetchall()
        with pytest.raises(StoreError, match="cannot be written"), store.atomic() as conn:
            conn.execute("INSERT INTO settings VALUES ('a', 'b')")


def test_a_block_that_raises_is_rolled_back_to_where_it_began(tmp_path: Path) -> None:
    """An inner one alone, an outer one whole."""
    with Store(tmp_path / "a.db") as store:
        with store.atomic() as conn:
            conn.execute("INSERT INTO settings VALUES ('outer', '1')")
            with pytest.raises(ZeroDivisionError), store.atomic():
                conn.execute("INSERT INTO settings VALUES ('inner', '1')")
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), store.atomic() as conn:
            conn.execute("DELETE FROM settings")
            raise ZeroDivisionError
        assert [("outer", "1")] == store.conn.execute("SELECT * FROM settings").fetchall()

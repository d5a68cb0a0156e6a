"""An older store is copied before it is migrated, once, whole, and for its owner only."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlite_utils import Database

from core.errors import StoreError
from core.store import backups, copies
from core.store.db import Store
from core.store.schema import known_migrations, migrations

pytestmark = pytest.mark.usefixtures("migrated_anew")
NOTHING_LEFT = {"a.db", "a.db-wal", "a.db-shm"}


def outdated(path: Path, *, rows: int = 1) -> Path:
    """Make a store that lacks the last migrations, and holds some rows."""
    with Store(path) as store, store.atomic() as conn:
        for number in range(rows):
            conn.execute("INSERT INTO settings VALUES (?, ?)", (f"row {number}", "x" * 400))
        conn.execute("DROP TABLE backups")
        conn.execute("DROP TABLE history_begins")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'm018_upkeep'")
    return path


def copies_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.*.backup"))


def rows_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        return int(conn.execute("SELECT count(*) FROM settings WHERE key LIKE 'row %'").fetchone()[0])


def applied(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as conn:
        return {name for (name,) in conn.execute("SELECT name FROM _sqlite_migrations")}


def test_a_store_with_rows_is_copied_before_the_first_step(tmp_path: Path) -> None:
    """The copy is the store of before, sound, for its owner only, and known to the store of after."""
    path = outdated(tmp_path / "a.db", rows=3)
    with Store(path) as store:
        (copy,) = copies_of(path)
        (known,) = backups.backups(store.conn)
    assert (copy, backups.UPGRADE, copy.stat().st_size) == (known.path, known.why, known.size)
    assert known.version in copy.name
    assert 0o600 == stat.S_IMODE(copy.stat().st_mode)
    assert 3 == rows_of(copy)
    assert known_migrations() - {"m018_upkeep"} == applied(copy)
    with closing(sqlite3.connect(copy)) as conn:
        assert [("ok",)] == conn.execute("PRAGMA integrity_check").fetchall()
        assert [(str(known.made_at),)] == conn.execute("SELECT value FROM settings WHERE key = 'copied_at'").fetchall()
    assert not (tmp_path / f"{copy.name}-wal").exists()
    with Store(copy) as store:
        assert known_migrations() == {m.name for m in migrations.applied(store.db)}, "a copy can be used as it is"


def test_a_new_store_and_an_empty_one_are_not_copied(tmp_path: Path) -> None:
    with Store(tmp_path / "new.db") as store:
        assert [] == backups.backups(store.conn)
    path = outdated(tmp_path / "a.db", rows=0)
    with Store(path) as store:
        assert [] == backups.backups(store.conn)
    assert [] == copies_of(path)


def _open(path: Path, ready: Any, failed: Any) -> None:
    ready.wait()
    try:
        with Store(path) as store:
            assert 1 == len(backups.backups(store.conn))
    except BaseException as error:
        failed.put(repr(error))


def test_processes_that_open_an_older_store_at_once_make_one_copy(tmp_path: Path) -> None:
    path = outdated(tmp_path / "a.db", rows=500)
    context = multiprocessing.get_context("fork")
    ready, failed = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_open, args=(path, ready, failed)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert failed.empty(), failed.get()
    assert 1 == len(copies_of(path))


@pytest.mark.parametrize("where", ["_fill", "_durable", "_put"])
def test_a_kill_while_copying_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Not even a kill that cleans nothing up: the part has another name, and the next copy takes it away."""
    path = outdated(tmp_path / "a.db")
    before = getattr(copies, where)

    def killed(*arguments: object) -> None:
        if where == "_fill":
            before(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, where, killed)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        Store(path)
    monkeypatch.undo()
    assert [] == copies_of(path)
    assert "m018_upkeep" not in applied(path)
    assert [copies.PART] == [left.suffix for left in tmp_path.iterdir() if left.name not in NOTHING_LEFT]

    with Store(path):  # a restart, at once
        assert not [left for left in tmp_path.iterdir() if left.suffix == copies.PART]
        assert 1 == len(copies_of(path))


def test_without_room_for_the_copy_nothing_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = outdated(tmp_path / "a.db", rows=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
    with pytest.raises(StoreError, match=r"needs \d+ kB in .*has 20 kB left; make room first; the upgrade did not begin"):
        Store(path)
    monkeypatch.undo()
    assert "m018_upkeep" not in applied(path)
    assert {left.name for left in tmp_path.iterdir()} <= NOTHING_LEFT
    with Store(path):
        assert 1 == len(copies_of(path)), "with room again it goes on"


def test_a_copy_that_is_not_sound_is_not_kept_and_stops_the_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = outdated(tmp_path / "a.db")
    monkeypatch.setattr(copies, "is_sound", lambda _: False)
    with pytest.raises(StoreError, match="not sound"):
        Store(path)
    assert [] == copies_of(path)
    assert "m018_upkeep" not in applied(path)


def test_an_upgrade_that_fails_names_the_copy_and_takes_all_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And tried again and again (a supervisor restarts the daemon) it keeps one copy, not one a try."""
    path = outdated(tmp_path / "a.db", rows=2)

    def broken(_database: Database, _name: str) -> None:
        raise sqlite3.OperationalError("no such column: x")

    monkeypatch.setattr(migrations, "_record_applied", broken)
    for _ in range(3):
        with pytest.raises(StoreError, match="taken back whole") as raised:
            Store(path)
        (copy,) = copies_of(path)
        assert f"tagalong backup --restore {copy}" in str(raised.value)
        assert "m018_upkeep" not in applied(path)
        assert 2 == rows_of(path)
    monkeypatch.undo()
    with Store(path) as store:
        assert copies_of(path) == [known.path for known in backups.backups(store.conn)]
    assert 1 == len(copies_of(path))


def test_the_copies_of_the_last_three_versions_are_kept(tmp_path: Path) -> None:
    """The latest of each; what is not ours to remove stays."""
    path = outdated(tmp_path / "a.db")
    stamps = {"m009": "20250101T000000000000Z", "m010": "20250201T000000000000Z", "m011": "20250301T000000000000Z"}
    for version, stamp in stamps.items():
        copies.copy_database(path, tmp_path / f"a.db.{version}.{stamp}.backup", at=1)
    theirs = tmp_path / "a.db.old.m001.20240101T000000000000Z.backup"
    theirs.write_text("another database's")
    with Store(path) as store:
        known = {known.path.name.split(".")[2] for known in backups.backups(store.conn)}
    assert {"m010", "m011"} < known
    assert 3 == len(known)
    assert not (tmp_path / f"a.db.m009.{stamps['m009']}.backup").exists()
    assert theirs.exists()


def test_a_damaged_copy_of_an_earlier_upgrade_does_not_stop_this_one(tmp_path: Path) -> None:
    path = outdated(tmp_path / "a.db")
    earlier = tmp_path / "a.db.m003.20260101T000000000000Z.backup"
    earlier.write_bytes(b"half of a file that was once a copy")
    with Store(path) as store:
        assert not store.is_outdated()
        assert earlier not in {one.path for one in backups.backups(store.conn)}
    assert earlier.exists()

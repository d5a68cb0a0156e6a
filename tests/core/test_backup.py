"""A copy while others write, and a copy put back: whole, refused while somebody is there, and nothing lost."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.story import Story, held, ids

from core.errors import StoreError
from core.store import Store, backups, copies, leases, refusals
from core.upkeep.backup import back_up, put_back

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOW


def filled(path: Path, rows: int = 2000) -> Path:
    with Store(path) as store, store.atomic() as conn:
        conn.executemany("INSERT INTO settings VALUES (?, ?)", [(f"row {n}", "x" * 900) for n in range(rows)])
    return path


def pairs(path: Path) -> tuple[int, int]:
    """Return how many there are of each of two rows that are always written together."""
    with closing(sqlite3.connect(path)) as conn:
        left, right = (f"SELECT count(*) FROM settings WHERE key LIKE '{side} %'" for side in ("left", "right"))
        return conn.execute(left).fetchone()[0], conn.execute(right).fetchone()[0]


def test_a_copy_is_of_one_moment_though_others_write_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody waits for it: at every step another connection writes."""
    database = filled(tmp_path / "a.db")
    monkeypatch.setattr(copies, "STEP_PAGES", 20)
    steps: list[tuple[int, int]] = []
    with Store(database) as writer:
        writer.conn.execute("PRAGMA busy_timeout = 0")

        def write(done: int, of: int) -> None:
            steps.append((done, of))
            with writer.atomic() as conn:
                for side in ("left", "right"):
                    conn.execute("INSERT INTO settings VALUES (?, 'x')", (f"{side} {len(steps)}",))

        made = back_up(database, tmp_path / "copy.db", clock=clock, on_step=write)
    assert len(steps) > 10
    assert steps[-1][0] == steps[-1][1]
    assert (0, 0) == pairs(made.path), "what was written after the copy began is not in it"
    assert (len(steps), len(steps)) == pairs(database)
    assert 0o600 == stat.S_IMODE(made.path.stat().st_mode)
    assert made.size == made.path.stat().st_size
    with Store(database, read_only=True) as store:
        assert [(made.path, backups.COMMAND)] == [(one.path, one.why) for one in backups.backups(store.conn)]


def test_threads_that_write_in_pairs_are_copied_in_pairs(tmp_path: Path) -> None:
    database, ended = filled(tmp_path / "a.db"), threading.Event()

    def write() -> None:
        with Store(database) as store:
            number = 0
            while not ended.is_set():
                number += 1
                with store.atomic() as conn:
                    conn.execute("INSERT INTO settings VALUES (?, 'x')", (f"left {number}",))
                    conn.execute("INSERT INTO settings VALUES (?, 'x')", (f"right {number}",))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = [pairs(back_up(database, tmp_path / f"{n}.db", clock=clock).path) for n in range(5)]
    finally:
        ended.set()
        thread.join()
    assert all(left == right for left, right in counts)


def test_a_folder_gets_a_file_named_by_its_time_and_what_is_there_stays(tmp_path: Path) -> None:
    database, folder = filled(tmp_path / "a.db", 1), tmp_path / "copies"
    folder.mkdir()
    made = back_up(database, folder, clock=clock)
    assert folder / "a-20260302T120000Z.db" == made.path
    with pytest.raises(StoreError, match="is there already"):
        back_up(database, folder, clock=clock)
    before = made.path.stat().st_ino
    back_up(database, folder, clock=clock, replace=True)
    assert before != made.path.stat().st_ino
    assert [made.path] == list(folder.iterdir()), "nothing is left beside it"
    for force in (False, True):
        with pytest.raises(StoreError, match="is the database itself"):
            back_up(database, database, clock=clock, replace=force)


def test_what_a_killed_copy_left_is_taken_away_by_a_later_one(tmp_path: Path) -> None:
    """Not the part of one that is being made."""
    database, folder = filled(tmp_path / "a.db", 1), tmp_path / "copies"
    folder.mkdir()
    old, new, other = (
        folder / f".{name}.part" for name in ("a-20260301T000000Z.db.x", "a-20260302T110000Z.db.y", "b-2026.db.z")
    )
    for part in (old, new, other):
        part.write_text("half")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    back_up(database, folder, clock=clock)
    assert [False, True, True] == [part.exists() for part in (old, new, other)]


def test_a_target_that_comes_up_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    database, target = filled(tmp_path / "a.db", 1), tmp_path / "copy.db"

    def meanwhile(done: int, of: int) -> None:
        target.write_text("somebody else's")

    with pytest.raises(StoreError, match="is there already"):
        back_up(database, target, clock=clock, on_step=meanwhile)
    assert "somebody else's" == target.read_text()


def test_an_interrupted_copy_leaves_nothing(tmp_path: Path) -> None:
    database = filled(tmp_path / "a.db", 1)

    def interrupted(done: int, of: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "there").mkdir()
    with pytest.raises(KeyboardInterrupt):
        back_up(database, tmp_path / "there", clock=clock, on_step=interrupted)
    assert [] == list((tmp_path / "there").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    database = filled(tmp_path / "a.db", 1)
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(database, Path("/proc/nowhere/copy.db"), clock=clock)
    with pytest.raises(StoreError, match="no database yet"):
        back_up(tmp_path / "none.db", tmp_path / "copy.db", clock=clock)


def test_a_copy_that_cannot_be_written_down_is_told_of(tmp_path: Path) -> None:
    """Of a file that takes no more writes a copy is wanted most; who erases somebody has to know that it is there."""
    database, target = filled(tmp_path / "a.db", 1), tmp_path / "copy.db"
    with closing(sqlite3.connect(database)) as conn, conn:
        conn.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tagalong', 'm999_x', '')")
    with pytest.raises(StoreError, match=r"a newer tagalong.*copy\.db is whole, but nothing is noted of it"):
        back_up(database, target, clock=clock)
    assert copies.is_sound(target)


# --- put back ------------------------------------------------------------------------------------------------------


def test_a_copy_put_back_is_held_and_what_was_there_is_kept(make: Callable[..., Story]) -> None:
    story = make()
    story.people(1, 2)
    story.sync()
    database, copy = story.folder / "tagalong.db", story.folder / "copy.db"
    back_up(database, copy, clock=lambda: story.now)
    story.people(3)
    story.sync()
    later = back_up(database, story.folder / "later.db", clock=lambda: story.now)

    done = put_back(database, copy, clock=lambda: story.now)
    assert {"vips": ["restored"]} == held(story.sync())
    assert ids(1, 2, 3) == story.there()
    assert done.aside is not None
    assert done.carried
    with closing(sqlite3.connect(done.aside)) as conn:
        assert [(3,)] == conn.execute("SELECT count(*) FROM ledger").fetchall()
    with story.store() as store:
        known = {one.path: one.why for one in backups.backups(store.conn)}
        assert [] == store.conn.execute("SELECT * FROM leases").fetchall()
    assert {done.aside: backups.REPLACED, copy: backups.COMMAND, later.path: backups.COMMAND} == known
    assert 0o600 == stat.S_IMODE(database.stat().st_mode)
    assert copy.exists()


def test_nothing_is_put_back_while_somebody_is_there(tmp_path: Path) -> None:
    """A lease is told by its name; a process without one, by the file that it has open."""
    database = filled(tmp_path / "a.db", 3)
    copy = back_up(database, tmp_path / "copy.db", clock=clock).path
    with leases.hold(database, "daemon", clock), pytest.raises(StoreError, match=f"daemon is held by process {os.getpid()}"):
        put_back(database, copy, clock=clock)
    with Store(database) as reader:
        reader.conn.execute("SELECT * FROM settings").fetchone()
        with pytest.raises(StoreError, match="another process has it open"):
            put_back(database, copy, clock=clock, force=True)
    put_back(database, copy, clock=clock)
    assert not list(tmp_path.glob(".*")), "nothing is left beside it"


def test_a_kill_as_the_copy_takes_its_place_loses_nothing_that_must_not_be_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was forgotten and where copies are is in the file before it has its name: nobody would carry it over afterwards."""
    database = filled(tmp_path / "a.db", 3)
    copy = back_up(database, tmp_path / "copy.db", clock=clock).path
    later = back_up(database, tmp_path / "later.db", clock=clock).path

    def killed(_folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("core.upkeep.backup.sync_folder", killed)
    with pytest.raises(KeyboardInterrupt):
        put_back(database, copy, clock=clock)
    with Store(database) as store:
        assert later in {one.path for one in backups.backups(store.conn)}
        assert backups.REPLACED in {one.why for one in backups.backups(store.conn)}


def test_what_is_no_sound_copy_is_refused_and_nothing_moves(tmp_path: Path) -> None:
    database = filled(tmp_path / "a.db", 3)
    copy = back_up(database, tmp_path / "copy.db", clock=clock).path
    before = database.stat().st_ino
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE x (a)")
    newer = back_up(database, tmp_path / "newer.db", clock=clock).path
    with closing(sqlite3.connect(newer)) as conn, conn:
        conn.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tagalong', 'm999_x', 'later')")
    for name, told in {"copy": "damaged", "other": "no database of", "newer": "newer tagalong", "none": "no such file"}.items():
        with pytest.raises(StoreError, match=told):
            put_back(database, tmp_path / f"{name}.db", clock=clock, force=True)
    assert before == database.stat().st_ino
    assert not list(tmp_path.glob("*.replaced"))


def test_a_damaged_database_is_replaced_only_when_somebody_insists(tmp_path: Path) -> None:
    database = filled(tmp_path / "a.db", 3)
    copy = back_up(database, tmp_path / "copy.db", clock=clock).path
    database.write_bytes(b"this is a diary\n" * 100)
    with pytest.raises(StoreError, match=r"damaged.*--force"):
        put_back(database, copy, clock=clock)
    done = put_back(database, copy, clock=clock, force=True)
    assert (False, True) == (done.carried, database.exists())
    assert done.aside is not None
    assert done.aside.read_bytes().startswith(b"this is a diary")
    with Store(database) as store:
        assert 3 == store.conn.execute("SELECT count(*) FROM settings WHERE key LIKE 'row %'").fetchone()[0]


def test_a_no_that_was_said_again_since_the_copy_stands_when_it_is_put_back(tmp_path: Path) -> None:
    """It was lifted when the copy was made; what the file set aside knows is later."""
    database, copy = tmp_path / "t.db", tmp_path / "copy.db"
    ann, bo = ("email", "ann@example.com"), ("email", "bo@example.com")
    with Store(database) as store, store.atomic() as conn:
        for who in (ann, bo):
            refusals.enter(conn, *who, channel="email", reason="", at=1)
        refusals.lift(conn, *ann, channel="email", at=2)
    back_up(database, copy, clock=clock)
    with Store(database) as store, store.atomic() as conn:
        refusals.enter(conn, *ann, channel="email", reason="by letter", at=3)
        refusals.lift(conn, *bo, channel="email", at=4)

    put_back(database, copy, clock=clock)
    with Store(database) as store:
        # whoever was let off meanwhile is asked about again: nobody is added by a copy
        assert [("ann@example.com", 3), ("bo@example.com", 1)] == [(o.value, o.since) for o in refusals.standing(store.conn)]

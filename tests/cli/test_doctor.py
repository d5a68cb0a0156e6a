"""`tagalong doctor`: each thing that can be wrong is named, with what to do; nothing is written, and nothing falls over."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyroaring import BitMap
from workspace import CONFIG, USAGE, Type

from core.clock import to_us, utc_now
from core.doctor import machine
from core.service.daemon_state import Running, note_running
from core.store import Store, leases

Break = Callable[[Path, sqlite3.Connection], None]


@pytest.fixture
def well(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, dict[str, Any]]]:
    """Return what examines a workspace in which all is well until the test does something to it."""
    monkeypatch.setattr(machine.sqlite3, "sqlite_version_info", (3, 51, 3))
    monkeypatch.setattr(machine, "LEAST_FREE", 1000)
    type_("sync")
    type_("backup", "copy.db")

    def examine(*words: str, code: int = 0) -> dict[str, dict[str, Any]]:
        said = type_("doctor", "--json", *words)
        found = {one["check"]: one for one in said.json["checks"]}
        assert code == said.code, found
        return found

    return examine


def test_all_is_well_and_nothing_is_written(type_: Type, tmp_path: Path, well: Callable[..., Any]) -> None:
    database = tmp_path / "tagalong.db"
    before, files = database.read_bytes(), {file.name for file in tmp_path.iterdir()}
    found = well("--deep")
    assert {"passed"} == {one["grade"] for one in found.values()}
    assert {"config", "connectors", "versions", "disk", "file modes", "database", "schema", "pages", "write-ahead log"} < set(
        found
    )
    assert {
        "backups",
        "clock",
        "connections",
        "streams",
        "leases",
        "intents",
        "dead letters",
        "held",
        "alerts",
        "daemon",
    } < set(found)
    assert {"indexes", "references", "sets", "ledger", "names in segments"} < set(found)
    assert "indexes" not in well()
    assert before == database.read_bytes()
    beside = {file.name: file.stat().st_size for file in tmp_path.iterdir() if file.name not in files}
    assert beside.keys() <= {"tagalong.db-wal", "tagalong.db-shm"}
    assert 0 == beside.get("tagalong.db-wal", 0)
    assert "FAILED" not in type_("doctor").out


def _run_ahead(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("UPDATE runs SET started_at = ?", (to_us(utc_now() + timedelta(hours=3)),))


def _apart(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("INSERT INTO settings VALUES ('clock_ahead\x1fexports', '6000')")


def _stale(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("UPDATE streams SET completed_at = completed_at - 40 * 3600 * 1000000 WHERE name = 'usage'")


def _failing(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("UPDATE runs SET status = 'failed', error = 'usage.csv is not there' WHERE kind = 'pull'")


def _dead_owner(folder: Path, conn: sqlite3.Connection) -> None:
    now = to_us(utc_now())
    conn.execute(
        "INSERT INTO leases VALUES ('sync.x', 'o', ?, 999999999, 'gone', ?, ?, NULL)", (socket.gethostname(), now, now)
    )


def _hung(folder: Path, conn: sqlite3.Connection) -> None:
    started, old = leases.process_started(1), to_us(utc_now() - timedelta(hours=1))
    conn.execute("INSERT INTO leases VALUES ('sync.x', 'o', ?, 1, ?, ?, ?, NULL)", (socket.gethostname(), started, old, old))


def _open_intent(folder: Path, conn: sqlite3.Connection) -> None:
    old = to_us(utc_now() - timedelta(days=3))
    conn.execute("INSERT INTO intents (audience_id, sync, run_id, written_at, job) VALUES (1, 'nordics', 1, ?, 'j1')", (old,))


def _given_up(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute(
        "INSERT INTO dead_letters (what, connection, key, reason, first_at, last_at, given_up_at)"
        " VALUES ('member', 'exports', 'k', 'no', 1, 1, 1)"
    )


def _held(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("INSERT INTO holds (target, kind, reason, since) VALUES ('nordic_to_exports', 'removals', 'many', 1)")


def _old_copy(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("UPDATE backups SET made_at = ?", (to_us(utc_now() - timedelta(days=9)),))


def _no_copy(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("DELETE FROM backups")


def _open_modes(folder: Path, conn: sqlite3.Connection) -> None:
    (folder / "tagalong.db.crm.token").write_text("{}")
    (folder / "tagalong.db.crm.token").chmod(0o640)


def _half_forgotten(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("INSERT INTO forgettings (name, subject, state, begun_at) VALUES ('x', x'00', 'begun', 1)")


def _key_gone(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("INSERT INTO forgotten (digest, forgetting) VALUES (x'00', 'x')")


def _list_gone(folder: Path, conn: sqlite3.Connection) -> None:
    """As where a copy of before the first forgetting was put back with `cp`."""
    (folder / "tagalong.db.person.key").write_text("ab" * 32)
    (folder / "tagalong.db.person.key").chmod(0o600)


def _config(text: str) -> Break:
    return lambda folder, conn: [None, (folder / "tagalong.toml").write_text(text)][0]


def _older(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'm018_upkeep'")


def _newer(folder: Path, conn: sqlite3.Connection) -> None:
    conn.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tagalong', 'm999_x', 'later')")


def _unseen(folder: Path, conn: sqlite3.Connection) -> None:
    (folder / "tagalong.toml").write_text(CONFIG.replace("Page Viewed", "Page Vewed"))


CASES: dict[str, tuple[Break, str, int, str]] = {
    "clock": (_run_ahead, "clock", 1, "a run at"),
    "apart": (_apart, "clock", 3, "1:40:00 ahead of exports at its last pull"),
    "stale": (_stale, "streams", 3, "stale: exports.usage"),
    "failing": (_failing, "connections", 1, "never pulled well"),
    "dead-owner": (_dead_owner, "leases", 3, "sync.x (process 999999999"),
    "hung": (_hung, "leases", 1, "not renewed"),
    "intent": (_open_intent, "intents", 3, "nordics: 1 since"),
    "given-up": (_given_up, "dead letters", 3, "1 given up"),
    "held": (_held, "held", 3, "nordic_to_exports"),
    "old-copy": (_old_copy, "backups", 3, "the last is of"),
    "no-copy": (_no_copy, "backups", 3, "no copy was ever made"),
    "forgetting": (_half_forgotten, "forgettings", 3, "1 not ended"),
    "key-gone": (_key_gone, "person key", 1, "holds the key that people were forgotten with"),
    "list-gone": (_list_gone, "person key", 3, "knows of nobody who was forgotten"),
    "modes": (_open_modes, "file modes", 1, "tagalong.db.crm.token"),
    "config": (_config("[workspace]\nnonsense = 1\n"), "config", 1, "nonsense"),
    "older": (_older, "schema", 3, "1 migrations are pending"),
    "newer": (_newer, "schema", 1, "newer tagalong"),
    "unseen": (_unseen, "names in segments", 3, "Page Vewed"),
}


def test_a_file_that_cannot_be_written_is_said(well: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """All that reads goes well, and no pull does."""
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("tagalong.db") and real(path, mode))
    found = well(code=1)
    assert "cannot be written by the user who asks" in found["file modes"]["told"]
    assert "tagalong.db" in found["file modes"]["told"]


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_with_what_to_do(tmp_path: Path, well: Callable[..., Any], case: str) -> None:
    change, check, code, told = CASES[case]
    with closing(sqlite3.connect(tmp_path / "tagalong.db")) as conn, conn:
        change(tmp_path, conn)
    found = well(code=code)
    assert told in found[check]["told"]
    assert found[check]["remedy"]
    grade = "failed" if code == 1 else "warned"
    assert [check] == [name for name, one in found.items() if one["grade"] in ("warned", "failed")], found
    assert grade == found[check]["grade"]


DEEP: dict[str, tuple[str, str, str]] = {
    "ours": ("UPDATE audiences SET owned = ?", "ledger", "do not say what its rows say"),
    "waiting": ("UPDATE audiences SET waiting = ?", "ledger", "do not say what its rows say"),
    "blob": ("UPDATE member_sets SET members = substr(?, 1, 3)", "sets", "member_sets.members"),
    "reference": (
        "UPDATE ledger SET audience_id = audience_id + 99 WHERE ? IS NOT NULL",
        "references",
        "ledger rows of no audience",
    ),
}


@pytest.mark.parametrize("case", DEEP)
def test_only_the_deep_look_holds_rows_against_each_other(tmp_path: Path, well: Callable[..., Any], case: str) -> None:
    statement, check, told = DEEP[case]
    with closing(sqlite3.connect(tmp_path / "tagalong.db")) as conn, conn:
        conn.execute(statement, (BitMap([1, 2, 77]).serialize(),))
    well()
    assert told in well("--deep", code=1)[check]["told"]


def test_an_index_that_lies_is_found_by_the_deep_look(tmp_path: Path, well: Callable[..., Any]) -> None:
    with closing(sqlite3.connect(tmp_path / "tagalong.db")) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        conn.execute("UPDATE sqlite_master SET sql = replace(sql, '(email)', '(user_id)') WHERE name = 'profiles_email'")
        conn.commit()
    found = well("--deep", code=1)
    assert "profiles_email" in found["indexes"]["told"]
    assert "REINDEX" in found["indexes"]["remedy"]


@pytest.mark.parametrize("damage", ["no database at all", "cut short", "pages of noise"])
def test_a_broken_database_is_said_without_a_traceback(
    tmp_path: Path, type_: Type, well: Callable[..., Any], damage: str
) -> None:
    database = tmp_path / "tagalong.db"
    whole = database.read_bytes()
    match damage:
        case "no database at all":
            database.write_bytes(b"this is a diary\n" * 300)
        case "cut short":
            database.write_bytes(whole[: len(whole) // 2])
        case _:
            database.write_bytes(whole[:4096] + b"\x5a" * (len(whole) - 4096))
    found = well("--deep", code=1)
    failed = [one for one in found.values() if one["grade"] == "failed"]
    assert any("backup --restore" in one["remedy"] for one in failed), failed
    said = type_("doctor")
    assert "Traceback" not in said.out + said.err
    assert "unexpected" not in said.out + said.err


def test_without_a_database_or_a_config_it_says_so(tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sqlite3, "sqlite_version_info", (3, 51, 3))
    monkeypatch.setattr(machine, "LEAST_FREE", 1000)
    said = type_("doctor", "--json")
    assert (0, "skipped") == (said.code, {one["check"]: one["grade"] for one in said.json["checks"]}["database"])
    assert not (tmp_path / "tagalong.db").exists()
    (tmp_path / "tagalong.toml").unlink()
    assert 1 == type_("doctor").code


@pytest.mark.parametrize(
    ("free", "grade"), [(500, "failed"), (2_000, "warned"), (10**12, "passed")], ids=["full", "no room for a copy", "room"]
)
def test_room_on_the_disk(well: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, free: int, grade: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert grade == well(code={"failed": 1, "warned": 3, "passed": 0}[grade])["disk"]["grade"]


@pytest.mark.parametrize(
    ("version", "grade"),
    [((3, 35, 4), "failed"), ((3, 40, 1), "noted"), ((3, 50, 7), "passed"), ((3, 50, 6), "noted"), ((3, 51, 2), "noted")],
)
def test_versions_with_known_faults(
    well: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], grade: str
) -> None:
    monkeypatch.setattr(machine.sqlite3, "sqlite_version_info", version)
    assert grade == well(code=1 if grade == "failed" else 0)["versions"]["grade"]


def test_it_runs_beside_a_daemon_and_says_which_config_that_has(tmp_path: Path, well: Callable[..., Any]) -> None:
    database, noon = tmp_path / "tagalong.db", datetime(2026, 3, 2, 12, tzinfo=UTC)
    with leases.hold(database, "daemon", utc_now), Store(database) as store:
        note_running(store, Running(noon, loaded_at=noon, digest="x"))
        with store.atomic() as conn:
            conn.execute("INSERT INTO settings VALUES ('in the middle', 'of a transaction')")
            assert "the config of 2026-03-02 12:00Z" in well()["daemon"]["told"]
        note_running(store, Running(noon, loaded_at=noon, digest="x", refused_at=noon, refusal="tagalong.toml:3: nonsense"))
        assert "tagalong.toml:3: nonsense" in well(code=3)["daemon"]["told"]


def test_unreadable_rows_are_no_alarm(tmp_path: Path, type_: Type, well: Callable[..., Any]) -> None:
    (tmp_path / "data/usage.csv").write_text(USAGE + "4,u2,not a time,Page Viewed,/home\n")
    type_("pull")
    assert "1, all to be tried again" == well()["dead letters"]["told"]

"""`tagalong status --check`: one line a trouble, the exit code of the worst, and a store that is only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from workspace import CONFIG, Type

from core.clock import to_us, utc_now
from core.config.load import load_config
from core.service.daemon_state import Running, note_running
from core.service.health import Trouble, exit_code, troubles
from core.store import Store, leases

HOURLY = CONFIG.replace('folder = "out"\n', 'folder = "out"\nschedule = "1h"\n')


@pytest.fixture
def look(type_: Type, tmp_path: Path) -> Callable[..., list[Trouble]]:
    """Return what is wrong some hours after everything was synced once, by a config with a schedule."""
    (tmp_path / "tagalong.toml").write_text(HOURLY)
    type_("sync")
    began = utc_now()

    def at(hours: float = 0.0) -> list[Trouble]:
        return troubles(load_config(tmp_path / "tagalong.toml", {}), lambda: began + timedelta(hours=hours))

    return at


def whats(found: list[Trouble]) -> list[tuple[str, str]]:
    return [(one.what, one.subject) for one in found]


def change(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "tagalong.db")) as conn, conn:
        conn.execute(statement, values)


def daemon_was_here(folder: Path, at: datetime, *, stopped: datetime | None = None) -> None:
    with Store(folder / "tagalong.db") as store:
        note_running(store, Running(at, loaded_at=at, digest="x", stopped_at=stopped))


def test_all_is_well_in_one_line(type_: Type, look: Callable[..., list[Trouble]]) -> None:
    assert [] == look()
    said = type_("status", "--check")
    assert (0, "All is well.\n") == (said.code, said.out)
    assert [] == type_("status", "--check", "--json").json["troubles"]


def test_nothing_that_succeeds_for_twice_the_interval_is_told(look: Callable[..., list[Trouble]]) -> None:
    """And no sooner: one late run is no news."""
    assert [] == look(1.9)
    late = look(2.2)
    assert ("overdue", "exports") in whats(late)
    assert ("stale", "exports") in whats(late)
    assert 1 == exit_code(late)


def test_a_stale_source_without_a_schedule_is_held(tmp_path: Path, look: Callable[..., list[Trouble]]) -> None:
    (tmp_path / "tagalong.toml").write_text(CONFIG)
    assert [] == look(23.9)
    old = look(24.1)
    assert [("stale", "exports")] == whats(old)
    assert 4 == exit_code(old)


def test_a_daemon_that_was_here_lately_is_missed(tmp_path: Path, look: Callable[..., list[Trouble]]) -> None:
    """Killed or stopped; not where none ever was, none is needed, or it is there; and not for ever."""
    now = utc_now()
    daemon_was_here(tmp_path, now - timedelta(hours=3))
    (missing,) = look()
    assert ("daemon", 1) == (missing.what, exit_code([missing]))
    with leases.hold(tmp_path / "tagalong.db", "daemon", lambda: now):
        assert [] == look()
        now -= timedelta(seconds=400)  # what renews it renews it for then
        change(tmp_path, "UPDATE leases SET renewed_at = renewed_at - 400000000")
        assert "hangs" in look()[0].reason
    now = utc_now()
    daemon_was_here(tmp_path, now - timedelta(days=30), stopped=now - timedelta(days=8))
    assert [] == look()
    daemon_was_here(tmp_path, now - timedelta(days=30), stopped=now - timedelta(days=6))
    assert ["daemon"] == [one.what for one in look()]
    (tmp_path / "tagalong.toml").write_text(CONFIG)
    assert [] == look(), "nothing has a schedule"


def test_each_trouble_is_a_line_and_the_worst_comes_first(
    type_: Type, tmp_path: Path, look: Callable[..., list[Trouble]]
) -> None:
    now = to_us(utc_now())
    change(
        tmp_path,
        "INSERT INTO holds (target, kind, reason, since) VALUES ('nordic_to_exports', 'removals', 'too\nmany', ?)",
        now,
    )
    change(
        tmp_path,
        "INSERT INTO dead_letters (what, connection, key, reason, first_at, last_at)"
        " VALUES ('member', 'exports', 'k', 'no', ?, ?)",
        now, now,
    )  # fmt: skip
    assert [4, 4] == [exit_code(look()), type_("status", "--check").code]
    change(tmp_path, "UPDATE runs SET status = 'waiting', error = 'used up' WHERE kind = 'sync' AND name = 'regions'")
    change(tmp_path, "UPDATE runs SET status = 'failed', error = 'it is \x1b[31maway' WHERE kind = 'pull'")
    said = type_("status", "--check")
    lines = said.out.splitlines()
    assert ["failed", "held", "dead letters", "waiting"] == [line.partition(":")[0] for line in lines]
    assert "\x1b" not in said.out
    assert "nordic_to_exports: too many" in lines[1]
    assert (1, False) == (said.code, type_("status", "--check", "--json").json["ok"])


def test_it_reads_only_and_says_so_where_it_cannot(type_: Type, tmp_path: Path, look: Callable[..., list[Trouble]]) -> None:
    """An older store is not migrated by a probe, and a broken one has no traceback."""
    database = tmp_path / "tagalong.db"
    change(tmp_path, "DELETE FROM _sqlite_migrations WHERE name = 'm018_upkeep'")
    before = database.read_bytes()
    assert ["database"] == [one.what for one in look()]
    assert before == database.read_bytes()
    database.write_bytes(b"this is a diary\n" * 100)
    said = type_("status", "--check")
    assert (1, "tagalong doctor" in said.out) == (said.code, True)
    for file in tmp_path.glob("tagalong.db*"):
        file.unlink()
    assert 1 == type_("status", "--check").code
    assert not database.exists()


def test_a_store_in_which_nothing_was_ever_done_is_not_well(type_: Type, tmp_path: Path) -> None:
    """`tagalong status` makes the file; that it is there is no pull."""
    type_("status")
    assert (tmp_path / "tagalong.db").exists()
    said = type_("status", "--check")
    assert (1, "never run: nothing was ever pulled (start the daemon, or `tagalong sync`)\n") == (said.code, said.out)
    type_("pause", "--all")
    assert 0 == type_("status", "--check").code
    type_("resume", "--all")
    type_("pull")
    assert 0 == type_("status", "--check").code


def test_a_probe_compiles_no_segment(type_: Type, look: Callable[..., list[Trouble]], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a store of millions that is what would take its time."""
    for heavy in ("core.segments.definitions.define", "core.segments.vocabulary.read_vocabulary", "core.run.connections_under"):
        monkeypatch.setattr(heavy, lambda *_, **__: pytest.fail("a segment was looked at"))
    assert 0 == type_("status", "--check").code


def test_what_is_paused_or_not_enabled_is_no_trouble(type_: Type, tmp_path: Path, look: Callable[..., list[Trouble]]) -> None:
    type_("pause", "--all")
    assert [] == look(10)
    type_("resume", "--all")
    (tmp_path / "tagalong.toml").write_text(HOURLY.replace('schedule = "1h"\n', 'schedule = "1h"\nenabled = false\n'))
    assert [] == look(10)

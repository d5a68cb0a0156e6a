"""A newer version upgrades the store while an older one is at work: an upgrade waits for nobody."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from support.eventually import PATIENCE_S
from support.story import Story
from test_scheduler import SELDOM, FakeWork, daemon_of, looks_of
from test_timetable import connection

from core.config.watch import ConfigWatch
from core.errors import NewerStoreError
from core.service.daemon import run_daemon
from core.store import Store


def upgrade(path: Path) -> None:
    """Do what a newer version does when it opens the file: another table in place of one that this version writes."""
    with closing(sqlite3.connect(path, timeout=PATIENCE_S)) as conn, conn:
        conn.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tagalong', 'm999_x', 'later')")
        conn.execute("CREATE TABLE settings_by_owner (owner TEXT, key TEXT, value TEXT)")


def test_who_has_the_file_open_writes_no_more(store: Store) -> None:
    """Its tables are another version's by now; what it has read it may go on reading."""
    with store.atomic() as conn:
        conn.execute("INSERT INTO settings VALUES ('before', '1')")
    upgrade(store.path)
    with pytest.raises(NewerStoreError, match="upgraded it while this one ran"), store.atomic() as conn:
        conn.execute("INSERT INTO settings VALUES ('after', '1')")
    rows = store.conn.execute("SELECT key FROM settings WHERE key IN ('before', 'after')").fetchall()
    assert ([("before",)], False) == (rows, store.conn.in_transaction)


def test_a_sync_under_way_sends_no_batch_more(tmp_path: Path) -> None:
    """Each batch has its intent written first; without a place for it nobody is sent."""
    story = Story(tmp_path, kind="mail")
    story.people(*range(1, 8))
    story.vendor.fault = lambda where: upgrade(tmp_path / "tagalong.db") if where == "before apply" else None
    with pytest.raises(NewerStoreError, match="start the newer one"):
        story.sync()
    assert 1 == len(story.vendor.sizes)


def test_a_daemon_ends_and_says_why(store: Store) -> None:
    """Else each of its jobs would fail for ever, and `restart: always` would never have the newer one started."""
    work = FakeWork(store)
    daemon = daemon_of(store, work, [connection("crm", SELDOM)], [])
    looked = looks_of(daemon)
    with structlog.testing.capture_logs() as logs:
        thread = threading.Thread(target=daemon.run)
        thread.start()
        looked(1)  # it has the file open: one that begins after the upgrade is refused by `Store`
        upgrade(store.path)
        thread.join(timeout=PATIENCE_S)
        alive = thread.is_alive()
        daemon.stop.set()
    assert not alive
    assert isinstance(daemon.error, NewerStoreError)
    (line,) = (line for line in logs if line["event"] == "daemon_outdated")
    assert "a newer tagalong has upgraded it" in line["reason"]


class Upgraded(ConfigWatch):
    """Somebody upgrades the store before the daemon's first look."""

    def changed(self) -> bool:
        upgrade(self.path.with_name("tagalong.db"))
        return False


def test_its_command_fails_with_the_reason(tmp_path: Path) -> None:
    """As an error that the command line tells, with 1."""
    story = Story(tmp_path)
    with pytest.raises(NewerStoreError, match="start the newer one"):
        run_daemon(story.hub(), files=Upgraded(tmp_path / "tagalong.toml"))

"""A run in the third year costs what one of the first week did: what only ever grows is looked up, never gone through."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.story import Story

from core.clock import to_us
from core.store import Store, succession

ROWS = 1_500
"""Of each sort of past."""
EVERY = 5
"""SQLite's steps from one count to the next."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How many steps SQLite took for each statement, in all stores of the test."""
    counted: Counter[str] = Counter()
    opened = Store.__init__

    def open_(store: Store, *args: Any, **options: Any) -> None:
        opened(store, *args, **options)
        now = [""]

        def count() -> int:
            counted[now[0]] += EVERY
            return 0

        store.conn.set_trace_callback(lambda statement: now.__setitem__(0, re.sub(r"\d+", "", statement)[:60]))
        store.conn.set_progress_handler(count, EVERY)

    monkeypatch.setattr(Store, "__init__", open_)
    yield counted


def _years(conn: sqlite3.Connection, story: Story, audience_id: int) -> None:
    """Write what years of runs leave: what failed and was held, approvals that have ended, who was joined or is gone."""
    then = to_us(story.now - timedelta(days=200))
    numbers = [(n,) for n in range(ROWS)]
    (stream,) = conn.execute("SELECT id FROM streams WHERE name = 'contacts'").fetchone()
    conn.execute("DELETE FROM runs WHERE name = 'held'")  # one that has never run to its end
    for sql in (
        f"INSERT INTO runs (kind, name, started_at, finished_at, status) SELECT 'sync', 'held', {then}, {then} + ?1, 'held'",
        f"INSERT INTO runs (kind, name, started_at, finished_at, status) SELECT 'pull', 'crm', {then}, {then} + ?1, 'failed'",
        f"INSERT INTO approvals (target, kind, adds, removes, at, expires_at)"
        f" SELECT 'other', 'members', x'', x'', {then}, {then} + ?1",
        f"INSERT INTO profile_aliases (old_id, new_id, at) SELECT 100000 + ?1, 1, {then}",
        f"INSERT INTO intents (audience_id, sync, run_id, written_at, settled_at) SELECT 0, 'vips', 0, {then}, {then} + ?1",
        f"INSERT INTO intents (audience_id, sync, run_id, written_at, settled_at) SELECT {audience_id}, 'vips', 0, {then}, ?1",
        f"INSERT INTO churn (audience_id, at, run_id, adds, removes, owned_before) SELECT {audience_id}, {then}, ?1, 1, 1, 9",
        f"INSERT INTO subjects (stream_id, ref, trust, live, dirty) SELECT {stream}, 'gone' || ?1, 'key', 0, 0",
    ):
        conn.executemany(sql, numbers)


def test_years_of_runs_make_a_run_no_dearer(tmp_path: Any, steps: Counter[str]) -> None:
    story = Story(tmp_path)
    story.add_sync("held", audience_name="Others")
    story.people(*range(1, 30))
    for _ in range(3):
        story.sync()
    steps.clear()
    story.sync()
    before = Counter(steps)
    with story.store() as store, store.atomic() as conn:
        (audience_id,) = conn.execute("SELECT id FROM audiences WHERE sync = 'vips'").fetchone()
        _years(conn, story, audience_id)
    steps.clear()
    story.sync()

    dearer = {statement: (before[statement], after) for statement, after in steps.items() if after > before[statement] + ROWS}
    assert dearer == {}
    assert steps.total() < 1.3 * before.total()


def test_records_that_are_gone_are_found_from_either_side(store: Store) -> None:
    """Whichever is less: the members of an audience, or all records of a stream that are gone."""
    with store.atomic() as conn:
        for n in range(60):
            conn.execute(
                "INSERT INTO subjects (stream_id, ref, trust, live) VALUES (?, ?, 'key', ?)", (1 + n % 2, f"r{n}", n % 3 % 2)
            )
            conn.execute(
                "INSERT INTO ledger (audience_id, member_key, profile_id, remote_id, state, at) VALUES (?, ?, ?, ?, ?, 0)",
                (1 + n % 5 // 4, f"k{n}", n or None, f"r{n}", ("ours", "unsure", "foreign", "not_found")[n % 4]),
            )
    few, many = (sorted(succession.dead(store.conn, 1, 1, members=members)) for members in (0, 1_000))

    assert few == many
    assert [12, 20, 32, 36, 48, 56, 8] == [profile for _, _, profile in many]

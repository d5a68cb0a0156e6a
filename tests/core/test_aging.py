"""Old history goes, in small steps; what is now stays, and so does every answer about a time within the horizon."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from structlog.testing import capture_logs
from support.story import Story, held, ids

from core.cli.group_sizes import history as changes_of
from core.clock import to_us
from core.config.load import load_config
from core.config.model import Retention
from core.errors import ConfigError
from core.run import sync
from core.segments.evaluate import evaluate
from core.segments.moves import days, members_at, moves
from core.store import Store, aging, holds, memberships
from core.store.aging import begins, prune
from core.store.past import fields_at
from core.store.runs import finish_run, has_completed, last_finished, start_run
from core.upkeep.prune import EVERY, Pruner, pruned_at

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NOTHING = Retention(runs=None)
KEPT = timedelta(days=60)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every boundary between two steps is met."""
    monkeypatch.setattr(aging, "BATCH", 3)
    monkeypatch.setattr(aging, "READ", 7)


# --- fields --------------------------------------------------------------------------------------------------------


def with_fields(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    with store.atomic() as conn:
        for person in range(1, 9):
            conn.execute("INSERT INTO profiles (id, country, job_title, changed_at) VALUES (?, 'SE', 'x', 0)", (person,))
            for field in ("country", "job_title", "email"):
                for day in sorted(rng.sample(range(150), rng.randrange(0, 7))):
                    value = rng.choice(["SE", "NO", None])
                    at = to_us(NOW - day * DAY)
                    conn.execute("INSERT INTO field_history VALUES ('profile', ?, ?, ?, ?)", (field, person, at, value))


def fields_then(store: Store, at: datetime) -> list[Any]:
    rows = [{"id": person, "country": "SE", "job_title": "x", "email": None} for person in range(1, 9)]
    return [fields_at(store.conn, "profile", row, to_us(at)) for row in rows]


@pytest.mark.parametrize("seed", range(6))
def test_fields_within_the_horizon_answer_as_before(tmp_path: Path, small_steps: None, seed: int) -> None:
    with Store(tmp_path / "a.db") as store:
        with_fields(store, seed)
        times = [NOW - KEPT + n * timedelta(hours=7) for n in range(200)]
        before = [fields_then(store, at) for at in times]
        (done,) = prune(store, Retention(runs=None, field_history=KEPT), NOW)
        assert before == [fields_then(store, at) for at in times]
        assert NOW - KEPT == done.before
        old = store.conn.execute("SELECT count(*) FROM field_history WHERE from_at <= ?", (to_us(done.before),)).fetchone()[0]
        fields = store.conn.execute("SELECT count(*) FROM (SELECT DISTINCT field, of_id FROM field_history)").fetchone()[0]
        assert old <= fields, "one value of each field is left from before"
        assert [0] == [one.rows for one in prune(store, Retention(runs=None, field_history=KEPT), NOW)]


def test_before_the_horizon_it_is_said_to_be_approximate(tmp_path: Path) -> None:
    """A value that was let go of is not taken for none."""
    with Store(tmp_path / "a.db") as store:
        with store.atomic() as conn:
            conn.execute("INSERT INTO profiles (id, country, job_title, changed_at) VALUES (1, 'FI', 'boss', 0)")
            for field, days_ago, value in (
                ("country", 120, "SE"),
                ("country", 70, "NO"),
                ("country", 5, "FI"),
                ("job_title", 140, "boss"),
            ):
                conn.execute(
                    "INSERT INTO field_history VALUES ('profile', ?, 1, ?, ?)", (field, to_us(NOW - days_ago * DAY), value)
                )
        row, at = {"id": 1, "country": "FI", "job_title": "boss"}, to_us(NOW - 100 * DAY)
        assert ({**row, "country": "SE"}, []) == fields_at(store.conn, "profile", row, at)
        prune(store, Retention(runs=None, field_history=KEPT), NOW)
        assert ({**row, "country": "NO"}, ["country"]) == fields_at(store.conn, "profile", row, at)
        assert NOW - KEPT == begins(store.conn, "field_history")


def test_segments_within_the_horizon_answer_as_before(make: Callable[..., Story]) -> None:
    """Evaluated, with `changed` too; and before it they say that they can only guess."""
    story = make(
        segments={"vip": 'lifecycle_stage == "vip"', "moved": 'changed(lifecycle_stage, last="20d")'}, now=NOW - 120 * DAY
    )
    rng = random.Random(5)
    story.people(*range(1, 13))
    for _ in range(16):
        for person in range(1, 13):
            if rng.random() < 0.3:
                story.people(person, stage=rng.choice(["vip", "lead", "other"]))
        story.now += 7 * DAY
        sync(story.hub(), source_guards=(), size_guards=())
    end = story.now
    times = [end - 38 * DAY + n * 3 * DAY for n in range(13)]

    def answers() -> list[Any]:
        with story.store() as store:
            definitions = story.hub().definitions(store)
            found = [evaluate(store, definitions, as_of=at) for at in times]
            return [(one.sets, one.approximate) for one in found]

    before = answers()
    assert len({str(sets) for sets, _ in before}) > 5, "the world did move"
    with story.store() as store:
        assert prune(store, Retention(runs=None, field_history=KEPT), end)[0].rows > 10
    assert before == answers()
    with story.store() as store:
        old = evaluate(store, story.hub().definitions(store), as_of=end - 90 * DAY)
    assert any("before its history begins" in text for text in old.approximate["segment.vip"])
    assert any("before its history begins" in text for text in old.approximate["segment.moved"])


# --- memberships ---------------------------------------------------------------------------------------------------


def with_memberships(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    at = NOW - 150 * DAY
    for run in range(1, 80):
        at += timedelta(hours=rng.randrange(1, 60))
        people = {group: BitMap(p for p in range(1, 30) if rng.random() < 0.9 and p % 3 == n) for n, group in enumerate("abc")}
        if run < 60 or seed % 2:
            changed = {f"partition.stage.{group}": members for group, members in people.items() if rng.random() < 0.4}
            memberships.record(store, changed, definitions={}, run_id=run, as_of=to_us(min(at, NOW)))


@pytest.mark.parametrize("seed", range(6))
def test_memberships_within_the_horizon_answer_as_before(tmp_path: Path, small_steps: None, seed: int) -> None:
    with Store(tmp_path / "a.db") as store:
        with_memberships(store, seed)
        sets = [f"partition.stage.{group}" for group in "abc"]
        times = [NOW - KEPT + n * timedelta(hours=31) for n in range(46)]

        def answers() -> list[Any]:
            found: list[Any] = [members_at(store.conn, name, to_us(at)) for name in sets for at in times]
            found += [
                moves(store.conn, "stage", "abc", since=since, until=until) for since in times[::9] for until in times[::7]
            ]
            found += [days(store.conn, name, until=NOW, zone=UTC, count=55) for name in sets]
            found += [changes_of(store, name, to_us(at), 1) for name in sets for at in times]
            return found

        before, now = answers(), [memberships.recorded(store.conn, name) for name in sets]
        (done,) = prune(store, Retention(runs=None, memberships=KEPT), NOW)
        assert done.rows > 10
        assert before == answers()
        assert now == [memberships.recorded(store.conn, name) for name in sets]
        assert 0 == prune(store, Retention(runs=None, memberships=KEPT), NOW)[0].rows
        later = prune(store, Retention(runs=None, memberships=KEPT), NOW + 20 * DAY)[0]
        assert [members_at(store.conn, name, to_us(NOW)) for name in sets] == [one.members for one in now if one]
        assert later.rows >= 0


def test_moves_from_before_the_horizon_begin_where_the_history_does(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        with_memberships(store, 1)
        prune(store, Retention(runs=None, memberships=KEPT), NOW)
        found = moves(store.conn, "stage", "abc", since=NOW - 149 * DAY, until=NOW)
        assert found is not None
        assert found.since > found.asked
        (first,) = store.conn.execute("SELECT min(at) FROM membership_history").fetchone()
        assert to_us(found.since) == first


# --- runs ----------------------------------------------------------------------------------------------------------


def test_runs_go_and_what_hangs_on_them_stays(make: Callable[..., Story], small_steps: None) -> None:
    """The next run is no first run, its churn is remembered, and who was there before us is still theirs."""
    story = make(now=NOW - 400 * DAY)
    theirs = story.vendor.make("Vips", ["77"])
    story.people(*range(1, 13), 77)
    story.sync()
    for _ in range(4):
        story.now += DAY
        story.sync()
    with story.store() as store:
        run = start_run(store, "pull", "crm", at=story.now)  # killed
        failed = start_run(store, "sync", "vips", at=story.now)
        finish_run(store, failed, "failed", at=story.now, requests={"crm": {"GET": 3}})
        story.now += 395 * DAY
        found = prune(store, Retention(runs=timedelta(days=180)), story.now)
        assert found[0].rows > 5
        assert has_completed(store.conn, "vips")
        last = last_finished(store.conn, "sync", "vips")
        assert last is not None
        assert "failed" == last.status
        assert [(1,)] == store.conn.execute("SELECT count(*) FROM runs WHERE kind = 'sync' AND status = 'done'").fetchall()
        assert [(0,)] == store.conn.execute(
            "SELECT count(*) FROM requests WHERE run_id NOT IN (SELECT id FROM runs)"
        ).fetchall()
        assert store.conn.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone(), "the last that did not end"
    story.people(13)
    story.people(*range(1, 9), stage="other")
    report = story.sync(attended=False)
    assert {"vips": ["removals"]} == held(report), "more than half: as ever"
    assert "77" in story.vendor.audiences[theirs]
    assert ids(*range(1, 14), 77) == story.there()


def test_without_the_last_intent_an_audience_would_be_read_as_foreign(make: Callable[..., Story]) -> None:
    """That something was ever sent there is what says that it need not be read, as before a first write; nor be readable."""
    story = make(now=NOW - 400 * DAY)
    story.vendor.make("Vips", ["77"])
    story.people(1, 2, 3)
    story.sync()
    story.now += 390 * DAY
    story.vendor.readable = False
    for keep, leaves, there in ((True, 1, ids(2, 3, 77)), (False, 2, ids(2, 3, 77))):
        with story.store() as store, store.atomic() as conn:
            prune(store, Retention(), story.now) if keep else conn.execute("DELETE FROM intents")
        story.people(leaves, stage="lead")
        story.sync()
        assert there == story.there(), "nobody is ever taken out of a list that was never written and cannot be read"


def test_open_intents_and_letters_that_wait_stay(tmp_path: Path) -> None:
    old = to_us(NOW - 400 * DAY)
    with Store(tmp_path / "a.db") as store:
        with store.atomic() as conn:
            for settled in (old, old, None, old):
                conn.execute(
                    "INSERT INTO intents (audience_id, sync, run_id, written_at, settled_at) VALUES (1, 's', 1, ?, ?)",
                    (old, settled),
                )
            conn.execute("INSERT INTO intent_members (intent_id, op, member_key) SELECT id, 'add', 'k' FROM intents")
            for key, given_up, dropped in (("a", old, None), ("b", None, None), ("c", to_us(NOW), None), ("d", None, old)):
                conn.execute(
                    "INSERT INTO dead_letters (what, connection, key, reason, first_at, last_at, given_up_at, dropped_at)"
                    " VALUES ('member', 'crm', ?, 'no', ?, ?, ?, ?)",
                    (key, old, old, given_up, dropped),
                )
        prune(store, Retention(dead_letters=timedelta(days=200)), NOW)
        assert [(3,), (4,)] == store.conn.execute("SELECT id FROM intents ORDER BY 1").fetchall()
        assert [(3,), (4,)] == store.conn.execute("SELECT intent_id FROM intent_members ORDER BY 1").fetchall()
        assert [("b",), ("c",)] == store.conn.execute("SELECT key FROM dead_letters ORDER BY 1").fetchall()


# --- how -----------------------------------------------------------------------------------------------------------


def test_approvals_go_when_they_have_long_ended(tmp_path: Path) -> None:
    """Those of members last a day, those of a text until it is another."""
    with Store(tmp_path / "a.db") as store:
        with store.atomic() as conn:
            for days in (300, 182, 179):
                holds.approve_members(conn, "vips", BitMap([days]), BitMap(), at=to_us(NOW - days * DAY))
            holds.approve_text(conn, "vips", "retarget", "tag Vips", at=to_us(NOW - 300 * DAY))
        (done,) = prune(store, Retention(runs=timedelta(days=180)), NOW)

        assert 2 == done.rows
        assert [("members",), ("retarget",)] == store.conn.execute("SELECT kind FROM approvals ORDER BY kind").fetchall()
        assert holds.approved_text(store.conn, "vips", "retarget", "tag Vips")


def test_by_default_only_runs_go_and_a_dry_run_lets_go_of_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        with_fields(store, 1)
        with_memberships(store, 1)
        for n in range(5):
            finish_run(store, start_run(store, "pull", "crm", at=NOW - (300 - n) * DAY), "done", at=NOW - (300 - n) * DAY)
        dump = list(store.conn.iterdump())
        told = prune(store, Retention(field_history=KEPT, memberships=KEPT), NOW, dry_run=True)
        assert dump == list(store.conn.iterdump())
        assert [(one.what, one.rows > 0) for one in told] == [("runs", True), ("memberships", True), ("field_history", True)]
        assert told == prune(store, Retention(field_history=KEPT, memberships=KEPT), NOW), "it told exactly what then went"
        assert ["runs"] == [one.what for one in prune(store, Retention(), NOW)]
        assert [] == prune(store, NOTHING, NOW)


def test_others_write_between_any_two_steps_and_a_stop_ends_it(tmp_path: Path, small_steps: None) -> None:
    with Store(tmp_path / "a.db") as store, Store(tmp_path / "a.db") as other:
        other.conn.execute("PRAGMA busy_timeout = 0")
        with_fields(store, 3)
        asked = 0

        def stopping() -> bool:
            nonlocal asked
            asked += 1
            with other.atomic() as conn:
                conn.execute("INSERT OR REPLACE INTO settings VALUES ('asked', ?)", (str(asked),))
            return asked > 4

        some = prune(store, Retention(runs=None, field_history=KEPT), NOW, stopping=stopping)
        rest = prune(store, Retention(runs=None, field_history=KEPT), NOW)
        assert 0 < some[0].rows < some[0].rows + rest[0].rows


def test_the_daemon_does_so_once_a_day(make: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> None:
    story = make()
    pruner, found = Pruner(story.hub()), []
    with story.store():
        pass
    for hours in (0, 1, 22, 2, 1):
        story.now += timedelta(hours=hours)
        with capture_logs() as logs:
            pruner.look()
        found.append([line["event"] for line in logs])
    assert [["history_pruned"], [], [], ["history_pruned"], []] == found
    story.now += EVERY
    monkeypatch.setattr("core.upkeep.prune.prune", lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("full")))
    with capture_logs() as logs:
        pruner.look()
        pruner.look()
    assert ["history_not_pruned"] == [line["event"] for line in logs], "said once"
    monkeypatch.undo()
    pruner.look()
    with story.store() as store:
        assert story.now == pruned_at(store)


def test_its_thread_ends_with_the_daemon(make: Callable[..., Story]) -> None:
    hub = make().hub()
    pruner = Pruner(hub, look_s=0.01)
    looked = threading.Event()
    pruner.look = looked.set
    pruner.start()
    assert looked.wait(60)
    hub.stop.set()
    pruner.close(within_s=60)
    assert not pruner._thread.is_alive()


# --- the config ----------------------------------------------------------------------------------------------------


def config(folder: Path, retention: str, segment: str = "") -> Any:
    (folder / "tagalong.toml").write_text(
        f"[workspace.retention]\n{retention}\n"
        '[connections.crm]\nconnector = "files"\n'
        '[connections.crm.streams.accounts]\npath = "a.csv"\nkind = "profile"\nkey = "id"\n'
        f'identifiers = {{ user_id = "id" }}\nfields = {{ lifecycle_stage = "stage" }}\n{segment}'
    )
    return load_config(folder / "tagalong.toml", {})


def test_what_the_config_says_is_kept(tmp_path: Path) -> None:
    assert Retention() == config(tmp_path, "").workspace.retention
    found = config(
        tmp_path, 'runs = "forever"\nmemberships = "2y"\nfield_history = "90d"\ndead_letters = "10w"'
    ).workspace.retention
    assert Retention(runs=None, memberships=730 * DAY, field_history=90 * DAY, dead_letters=70 * DAY) == found


@pytest.mark.parametrize("value", ['"30d"', '"34d"', '"1y "x"', "90", '"often"', '"0y"', "true"])
def test_what_the_guards_need_cannot_be_let_go_of(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"retention\.runs|not TOML"):
        config(tmp_path, f"runs = {value}")


@pytest.mark.parametrize(
    ("window", "told"),
    [("", "without end"), (', last="91d"', "13w back"), (', since="2026-01-01"', "without end"), (', last="90d"', None)],
)
def test_a_segment_that_looks_further_back_than_is_kept_is_refused(tmp_path: Path, window: str, told: str | None) -> None:
    """At load, with its place: else it would change by itself when the history goes."""
    from core.cli.definitions import definitions_of

    segment = f"[segments.moved]\nwhere = 'changed(lifecycle_stage{window})'\n"
    definitions_of(config(tmp_path, "", segment))
    found = config(tmp_path, 'field_history = "90d"', segment)
    if told is None:
        definitions_of(found)
        return
    with pytest.raises(ConfigError, match=told) as raised:
        definitions_of(found)
    (problem,) = raised.value.problems
    assert ("segments.moved", 12) == (problem.key, problem.line)

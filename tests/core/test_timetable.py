"""What is due when, with a clock that the tests move and runs that they write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.clock import to_us
from core.config.model import Config, ConnectionConfig, Cron, Every, Place, Schedule, SyncConfig, Workspace
from core.service.timetable import Timetable
from core.store import Store, leases
from core.store.pauses import pause, resume
from core.store.runs import finish_run, start_run

NOON = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)
PLACE = Place("tagalong.toml", 1, "x")
MINUTE = timedelta(minutes=1)
Ran = Callable[..., None]


def connection(name: str, schedule: Schedule | None, *, enabled: bool = True) -> ConnectionConfig:
    return ConnectionConfig(name, "acme", place=PLACE, schedule=schedule, enabled=enabled)


def sync(name: str, schedule: Schedule | None, *, to: str = "mail", enabled: bool = True) -> SyncConfig:
    return SyncConfig(
        name, place=PLACE, segment="s", to=to, audience_kind="tag", audience_name=name, schedule=schedule, enabled=enabled
    )  # fmt: skip


def timetable(connections: list[ConnectionConfig], syncs: list[SyncConfig], **rests_on: set[str]) -> Timetable:
    config = Config(
        Path("/x/tagalong.toml"),
        Workspace(Path("/x/t.db"), timezone=ZoneInfo("Europe/Stockholm")),
        connections={c.name: c for c in connections},
        syncs={s.name: s for s in syncs},
    )
    return Timetable(config, {name: frozenset(names) for name, names in rests_on.items()}, NOON)


@pytest.fixture
def ran(store: Store) -> Ran:
    """`ran("pull", "crm", started, finished, status)` writes a run; without a finish it is still under way."""

    def write(kind: str, name: str, started: datetime, finished: datetime | None = None, status: str = "done") -> None:
        run_id = start_run(store, kind, name, at=started)
        if finished is not None:
            finish_run(store, run_id, status, at=finished)

    return write


QUARTER = Every(15 * MINUTE)


def test_a_pull_that_was_broken_off_goes_on_at_once(store: Store, ran: Ran) -> None:
    """Until it is through, what rests on it is held."""
    store.conn.execute("INSERT INTO connections (id, name, connector, category) VALUES (1, 'crm', 'acme', 'crm')")
    store.conn.execute(
        "INSERT INTO streams (connection_id, name, kind, trust, landing) VALUES (1, 'contacts', 'profile', 'key', '')"
    )
    table = timetable([connection("crm", QUARTER)], [])
    ran("pull", "crm", NOON, NOON + MINUTE)
    ran("pull", "crm", NOON + 2 * MINUTE)
    assert {"pull.crm": NOON + 15 * MINUTE} == table.due(store.conn, NOON + 3 * MINUTE)
    store.conn.execute("UPDATE streams SET reading = 2")
    assert table.due(store.conn, NOON + 3 * MINUTE)["pull.crm"] <= NOON + 3 * MINUTE
    with leases.hold(store.path, "connection.crm", lambda: NOON):  # somebody goes on with it by hand
        assert {"pull.crm": NOON + 15 * MINUTE} == table.due(store.conn, NOON + 3 * MINUTE)


def test_what_never_ran_is_due_at_the_start(store: Store) -> None:
    """And only once, however often it is asked."""
    table = timetable([connection("crm", QUARTER)], [])

    assert {"pull.crm": NOON} == table.due(store.conn, NOON)
    assert {"pull.crm": NOON} == table.due(store.conn, NOON + 10 * MINUTE)


def test_due_times_come_from_the_last_finished_run(store: Store, ran: Ran) -> None:
    """A restart does not repeat it, and one that was killed in between is due again."""
    table = timetable([connection("crm", QUARTER)], [])
    ran("pull", "crm", NOON - 5 * MINUTE, NOON - 4 * MINUTE)
    ran("pull", "crm", NOON - MINUTE)  # killed: it never finished

    assert {"pull.crm": NOON + 10 * MINUTE} == table.due(store.conn, NOON)


def test_a_run_that_began_later_than_now_puts_nothing_off(store: Store, ran: Ran) -> None:
    """The clock was ahead when it ran and has been set right since: nothing would be done until it is as late again."""
    table = timetable([connection("crm", QUARTER)], [])
    ran("pull", "crm", NOON + timedelta(days=2), NOON + timedelta(days=2))

    assert {"pull.crm": NOON} == table.due(store.conn, NOON + MINUTE)


def test_many_missed_times_are_one(store: Store, ran: Ran) -> None:
    """After a weekend asleep there is one due time, in the past."""
    table = timetable([connection("crm", Cron("0 * * * *"))], [])
    ran("pull", "crm", NOON - timedelta(days=2), NOON - timedelta(days=2))

    assert {"pull.crm": NOON - timedelta(hours=47)} == table.due(store.conn, NOON)
    ran("pull", "crm", NOON + MINUTE, NOON + 2 * MINUTE)
    assert {"pull.crm": NOON + timedelta(hours=1)} == table.due(store.conn, NOON + 3 * MINUTE)


def test_a_run_that_failed_waits_for_its_next_time_and_one_that_was_stopped_does_not(store: Store, ran: Ran) -> None:
    """A vendor that is down is not asked again and again; a shutdown in the middle is taken up at the start."""
    table = timetable([connection("crm", QUARTER), connection("bill", QUARTER)], [])
    ran("pull", "crm", NOON, NOON + MINUTE, "failed")
    ran("pull", "bill", NOON - 20 * MINUTE, NOON - 19 * MINUTE)
    ran("pull", "bill", NOON, NOON + MINUTE, "stopped")

    assert {"pull.crm": NOON + 15 * MINUTE, "pull.bill": NOON - 5 * MINUTE} == table.due(store.conn, NOON + 2 * MINUTE)


def test_cron_is_read_in_the_zone_of_the_workspace(store: Store, ran: Ran) -> None:
    """Six in Stockholm is five in UTC in January."""
    table = timetable([connection("mail", QUARTER)], [sync("s", Cron("0 6 * * *"))], s={"mail"})
    ran("sync", "s", NOON, NOON)

    assert datetime(2026, 1, 17, 5, 0, tzinfo=UTC) == table.due(store.conn, NOON)["sync.s"]


@pytest.mark.parametrize(
    ("target", "left"),
    [
        ("sync.s", {"pull.crm", "pull.mail"}),
        ("connection.mail", {"pull.crm"}),
        ("connection.crm", {"pull.mail", "sync.s"}),
        ("all", set()),
    ],
)
def test_what_is_paused_is_not_due(store: Store, target: str, left: set[str]) -> None:
    """A sync, a connection with what is pushed to it, or everything; until it is resumed."""
    table = timetable([connection("crm", QUARTER), connection("mail", QUARTER)], [sync("s", QUARTER)])
    everything = {"pull.crm", "pull.mail", "sync.s"}

    pause(store, target, at=NOON)
    assert left == set(table.due(store.conn, NOON))
    resume(store, target)
    assert everything == set(table.due(store.conn, NOON))


def test_what_is_not_enabled_is_never_due(store: Store) -> None:
    """Nor a sync to a connection that is not."""
    table = timetable(
        [connection("crm", QUARTER, enabled=False), connection("mail", QUARTER)],
        [sync("a", QUARTER, enabled=False), sync("b", QUARTER, to="crm")],
    )

    assert {"pull.mail": NOON} == table.due(store.conn, NOON)


def test_a_sync_without_a_schedule_follows_the_pulls_that_it_rests_on(store: Store, ran: Ran) -> None:
    """After each complete one; a failed one is none, nor is another connection's; without any, hourly."""
    table = timetable(
        [connection("crm", QUARTER), connection("bill", QUARTER), connection("mail", QUARTER)], [sync("s", None)], s={"crm"}
    )
    ran("sync", "s", NOON, NOON + MINUTE)
    ran("pull", "crm", NOON + 2 * MINUTE, NOON + 3 * MINUTE, "failed")
    ran("pull", "bill", NOON + 2 * MINUTE, NOON + 3 * MINUTE)
    assert NOON + timedelta(hours=1) == table.due(store.conn, NOON + 4 * MINUTE)["sync.s"]

    ran("pull", "crm", NOON + 5 * MINUTE, NOON + 6 * MINUTE)
    assert NOON + 6 * MINUTE == table.due(store.conn, NOON + 7 * MINUTE)["sync.s"]

    ran("sync", "s", NOON + 7 * MINUTE, NOON + 8 * MINUTE)
    assert NOON + timedelta(hours=1) + 7 * MINUTE == table.due(store.conn, NOON + 9 * MINUTE)["sync.s"]


def test_a_connection_without_a_schedule_is_pulled_before_a_sync_that_rests_on_it(store: Store, ran: Ran) -> None:
    """The sync waits for that pull, whatever becomes of it, and the pull is not due again before the next sync."""
    table = timetable([connection("files", None), connection("mail", QUARTER)], [sync("s", QUARTER)], s={"files"})
    ran("pull", "mail", NOON, NOON)
    ran("pull", "files", NOON - MINUTE, NOON - MINUTE)
    assert {"pull.files"} == set(table.due(store.conn, NOON)) - {"pull.mail"}

    ran("pull", "files", NOON + MINUTE, NOON + 2 * MINUTE, "failed")
    assert {"sync.s"} == set(table.due(store.conn, NOON + 3 * MINUTE)) - {"pull.mail"}

    ran("sync", "s", NOON + 3 * MINUTE, NOON + 4 * MINUTE)
    due = table.due(store.conn, NOON + 5 * MINUTE)
    assert (NOON + 18 * MINUTE, False) == (due["sync.s"], "pull.files" in due)
    assert {"pull.files"} == set(table.due(store.conn, NOON + 18 * MINUTE)) - {"pull.mail"}


def test_a_sync_waits_for_a_pull_that_is_due_before_it(store: Store, ran: Ran) -> None:
    """After a night off both are due; the sync would otherwise be held for a source that is about to be fresh."""
    table = timetable([connection("crm", QUARTER), connection("mail", QUARTER)], [sync("s", QUARTER)], s={"crm"})
    ran("pull", "crm", NOON - timedelta(hours=9), NOON - timedelta(hours=9))
    ran("pull", "mail", NOON, NOON)
    ran("sync", "s", NOON - timedelta(hours=9), NOON - timedelta(hours=9))
    assert {"pull.crm"} == {key for key, at in table.due(store.conn, NOON).items() if at <= NOON}

    ran("pull", "crm", NOON + MINUTE, NOON + 40 * MINUTE)  # so slow that it is due again when it ends
    due = table.due(store.conn, NOON + 41 * MINUTE)
    assert {"pull.crm", "pull.mail", "sync.s"} == {key for key, at in due.items() if at <= NOON + 41 * MINUTE}


def test_a_connection_that_is_only_pushed_to_is_not_pulled(store: Store) -> None:
    """`streams = []` says so."""
    table = timetable([replace(connection("mail", QUARTER), streams=())], [sync("s", QUARTER)])

    assert {"sync.s": NOON} == table.due(store.conn, NOON)


def test_two_syncs_without_schedules_on_one_such_connection_do_not_chase_each_other(store: Store, ran: Ran) -> None:
    """The pull made for one of them makes the other no sooner due: both are hourly."""
    table = timetable(
        [connection("files", None), connection("mail", QUARTER)], [sync("a", None), sync("b", None)], a={"files"}, b={"files"}
    )
    ran("pull", "files", NOON, NOON + MINUTE)
    ran("sync", "a", NOON + MINUTE, NOON + MINUTE)
    ran("sync", "b", NOON + 2 * MINUTE, NOON + 2 * MINUTE)
    ran("pull", "files", NOON + 3 * MINUTE, NOON + 3 * MINUTE)

    due = table.due(store.conn, NOON + 4 * MINUTE)
    assert (NOON + 61 * MINUTE, NOON + 62 * MINUTE) == (due["sync.a"], due["sync.b"])


def test_a_paused_connection_is_not_waited_for(store: Store) -> None:
    """Whether the sync may rest on what is stored is for the guards to say."""
    table = timetable([connection("files", None), connection("mail", QUARTER)], [sync("s", QUARTER)], s={"files"})
    pause(store, "connection.files", at=NOON)

    assert {"pull.mail", "sync.s"} == set(table.due(store.conn, NOON))


def test_a_quota_that_ran_out_puts_everything_of_the_connection_off(store: Store) -> None:
    """Pulls from it and pushes to it are due when there is one again."""
    until = NOON + timedelta(hours=5)
    with store.atomic() as conn:
        conn.execute(
            "INSERT INTO connections (name, connector, category, resume_at) VALUES ('mail', 'acme', 'email', ?)",
            (to_us(until),),
        )
    table = timetable([connection("crm", QUARTER), connection("mail", QUARTER)], [sync("s", QUARTER)])

    assert {"pull.crm": NOON, "pull.mail": until, "sync.s": until} == table.due(store.conn, NOON)

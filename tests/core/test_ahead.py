"""A clock that was ahead and has been set right since: what was written meanwhile must not rule until that time comes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.story import NOON, Story, held, ids

from core.clock import MICROSECOND, from_us, to_us
from core.config.model import Every
from core.live.drift import What
from core.live.repair import drift
from core.planning.approve import approve
from core.store.ahead import AGES, ENDS, STAMPS, apart, set_right
from core.store.db import Store
from core.store.holders import HOLDERS, columns_of

DAYS = timedelta(days=5)
OTHERS = {
    "what vendors date, and when a row of theirs was written": "answers company_rows consents deals events payments"
    " profile_rows subscriptions tickets profiles.created_at companies.created_at subjects merges vanished",
    "a note that nothing is counted from": "_sqlite_migrations alert_endpoints backups catalogue event_properties"
    " event_sources forgetting_steps forgettings history_begins identifiers identity_cuts pauses refusals streams.removed_at"
    " connections.removed_at",
    "looked at for lying ahead where it is read": "checkpoints budgets leases outages",
    "set by what the vendor calls now, and let go of where another bears our clock out": "connections.resume_at"
    " connections.kept_until",
    "begun anew": "kept_state",
}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Twelve in an audience; then a run by a clock five days ahead, and the clock is right again."""
    story = Story(tmp_path)
    story.people(*range(1, 13))
    story.sync()
    story.pass_time(DAYS)
    story.people(13)
    story.sync()
    story.pass_time(-DAYS)
    return story


def test_plans_are_as_of_now_once_a_vendor_bears_the_clock_out(story: Story) -> None:
    """Else who has not ordered for a week would be told so five days early, for five days."""
    story.vendor.clock = story.now + timedelta(minutes=15)
    story.people(14)
    report = story.sync()

    assert story.now - timedelta(minutes=1) <= report.as_of <= story.now
    assert ids(*range(1, 15)) == story.there()
    with story.store() as store:
        assert [] == store.conn.execute("SELECT planned_at FROM audiences WHERE planned_at > ?", (to_us(story.now),)).fetchall()


@pytest.mark.parametrize("said", [None, DAYS, -DAYS], ids=["nothing", "we are behind", "we are ahead still"])
def test_a_clock_that_nobody_bears_out_changes_nothing(story: Story, said: timedelta | None) -> None:
    """It may be this one that is wrong: what is written down would be thrown back by five days, and removed too early."""
    story.vendor.clock = None if said is None else story.now + said
    story.people(14)
    report = story.sync()

    assert report.as_of > story.now
    assert ids(*range(1, 15)) == story.there()
    with story.store() as store:  # for the doctor to tell
        assert ({} if said is None else {"crm": timedelta(minutes=15) - said}) == apart(store.conn)


def test_a_pause_counted_from_a_time_that_has_not_come_is_over_once_a_vendor_bears_the_clock_out(story: Story) -> None:
    """A vendor that says nothing of the time asked for half an hour: until then, and for five days, nobody would ask it."""
    story.vendor.clock = story.now + timedelta(minutes=15)
    with story.store() as store, store.atomic() as conn:
        until = to_us(story.now + DAYS + timedelta(minutes=30))
        conn.execute(
            "INSERT INTO connections (name, connector, category, resume_at, kept_until) VALUES ('mail', 'm', 'email', ?1, ?1)",
            (until,),
        )
    story.sync()

    with story.store() as store:
        asked = "SELECT resume_at, kept_until FROM connections WHERE name = 'mail'"
        assert (None, None) == store.conn.execute(asked).fetchone()


def test_what_is_let_through_goes_though_a_clock_was_ahead(story: Story) -> None:
    """An approval holds for a day: by a plan as of in five days it would be over before it began."""
    story.vendor.clock = story.now + timedelta(minutes=15)
    story.people(*range(1, 9), stage="lead")
    assert {"vips": ["removals"]} == held(story.sync())
    approve(story.hub(), "vips", send=False)
    story.vendor.clock = story.now + timedelta(minutes=15)

    assert {} == held(story.sync())
    assert ids(*range(9, 14)) == story.there()


def test_what_was_pulled_by_a_clock_that_was_ahead_is_not_fresh_for_that(story: Story) -> None:
    """Another connection's vendor bore the clock out: by that alone nothing of this one was pulled."""
    story.schedule = Every(timedelta(hours=1))
    story.pass_time(timedelta(hours=3))
    with story.store() as store:
        assert set_right(store, story.now) is not None
    story.people(14)
    story.sync()

    assert ids(*range(1, 15)) == story.there()


def test_a_pull_is_as_old_as_it_is_by_the_vendors_clock(tmp_path: Path) -> None:
    """When the next run comes that time is past, so nothing lies ahead any more; and who said no since is not known of."""
    story = Story(tmp_path, schedule=Every(timedelta(hours=1)))
    story.people(1)
    story.vendor.clock = story.now
    story.pass_time(timedelta(minutes=100))
    story.sync()
    story.people(2)
    story.pass_time(timedelta(minutes=5))
    story.vendor.clock = story.now
    story.sync()

    assert ids(1, 2) == story.there()


def test_who_was_sent_by_a_clock_that_was_ahead_does_not_settle_for_ever(story: Story) -> None:
    """The vendor lost them, and a reading would take them for on their way until that time came."""
    story.vendor.clock = story.now = story.now + timedelta(hours=3)
    next(iter(story.vendor.audiences.values())).pop("13")
    with story.store() as store:
        (found,) = drift(story.hub(), store)

    assert 1 == found.count(What.MISSING)


def test_nothing_changes_places(tmp_path: Path) -> None:
    """What came after a plan comes after it still, and what is due a day later is due a day from now."""
    with Store(tmp_path / "store.db") as store, store.atomic() as conn:
        ahead, day = to_us(NOON + DAYS), timedelta(days=1) // MICROSECOND
        conn.execute(
            "INSERT INTO audiences (connection, account, kind, name, remote_id, made_by_us, planned_at) VALUES"
            " ('c', 'a', 'tag', 'n', 'r', 1, ?)",
            (ahead,),
        )
        for id_, at in enumerate((ahead - 1, ahead + 1, to_us(NOON) - 7)):
            conn.execute("INSERT INTO profiles (id, live, changed_at) VALUES (?, 1, ?)", (id_ + 1, at))
            conn.execute("INSERT INTO field_history VALUES ('profile', 'email', 1, ?, ?)", (at, str(id_)))
        conn.execute(
            "INSERT INTO dead_letters (what, connection, stream, key, reason, first_at, last_at, next_try_at) VALUES"
            " ('record', 'c', 's', 'k', '', ?1, ?1, ?2)",
            (ahead, ahead + day),
        )
    with Store(tmp_path / "store.db") as store:
        assert DAYS == set_right(store, NOON)
        planned = store.conn.execute("SELECT planned_at FROM audiences").fetchone()[0]
        changed = [at for (at,) in store.conn.execute("SELECT changed_at FROM profiles ORDER BY id")]
        history = [value for (value,) in store.conn.execute("SELECT value FROM field_history ORDER BY from_at")]
        due = store.conn.execute("SELECT next_try_at FROM dead_letters").fetchone()[0]

        assert changed[2] == to_us(NOON) - 7
        assert changed[0] < planned < changed[1] < to_us(NOON)
        assert ["2", "0", "1"] == history
        assert NOON + timedelta(days=1) == from_us(due)
        assert set_right(store, NOON) is None


def test_every_time_in_the_store_was_thought_of() -> None:
    """A column that says when we did something is given a time that has come, or is named here with why not."""
    times = {
        (table, column)
        for table, text in HOLDERS.items()
        for column in columns_of(text)
        if column in {"at", "since", "as_of", "time"} or column.endswith(("_at", "_until", "_since", "not_before"))
    }
    known = {(table, column) for of in (STAMPS, AGES) for table, columns in of.items() for column in columns}
    known |= {(table, end) for table, (end, _) in ENDS.items()}

    assert known <= times
    named = {word for words in OTHERS.values() for word in words.split()}
    assert [] == sorted(f"{table}.{column}" for table, column in times - known if not {table, f"{table}.{column}"} & named)

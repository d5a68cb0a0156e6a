"""What is told, and that it is told once: states and messages in the store, nothing sent."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.audiences import Verdict
from support.story import PLACE, Story

from core.alerts.conditions import look_around
from core.alerts.look import look
from core.config.model import AlertConfig, AlertState, Every
from core.errors import AuthError, TransientError
from core.pulling.fill import pull
from core.store.holds import holds
from core.store.pauses import pause, resume
from core.store.runs import Status, finish_run, start_run

TEAM = AlertConfig("team", "slack", place=PLACE, url="https://hooks.example.com/x")


def tell(story: Story, **options: Any) -> list[tuple[str, str, str]]:
    """Look, and return the messages that are new: what, subject, state."""
    return [(one["what"], one["subject"], one["state"]) for one in messages(story, **options)]


def messages(story: Story, *, daemon: bool = True, **options: Any) -> list[dict[str, Any]]:
    with story.store() as store:
        (last,) = store.conn.execute("SELECT coalesce(max(id), 0) FROM alert_outbox").fetchone()
        look(store, story.config(), story.now, daemon=daemon, **options)
        rows = store.conn.execute("SELECT notice FROM alert_outbox WHERE id > ? ORDER BY id", (last,))
        return [json.loads(notice) for (notice,) in rows]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Ten people who were synced once; a team that is told of everything."""
    made = Story(tmp_path, alerts={"team": TEAM}, schedule=Every(timedelta(minutes=15)))
    made.people(*range(10))
    made.sync()
    assert [] == tell(made)
    return made


def ran(story: Story, status: str, *, kind: str = "pull", name: str = "crm", error: str | None = None) -> None:
    story.pass_time(timedelta(seconds=10))
    with story.store() as store:
        finish_run(store, start_run(store, kind, name, at=story.now), status, at=story.now, error=error)


def test_a_thousand_failing_runs_are_one_alert_and_their_end_is_one(story: Story) -> None:
    """Without the states each run would page somebody."""
    story.alerts["team"] = replace(TEAM, on=frozenset({AlertState.FAILED, AlertState.RECOVERED}))
    with story.store() as store:
        told = 0
        for n in range(1000):
            story.pass_time(timedelta(minutes=15))
            finish_run(store, start_run(store, "pull", "crm", at=story.now), "failed", at=story.now, error="no answer")
            if n < 100 or n % 10 == 0:  # the looks are what takes time here
                told += look(store, story.config(), story.now, daemon=True)
    assert 1 == told
    ran(story, "waiting")  # neither well nor ill
    ran(story, "stopped")
    assert [] == tell(story)
    ran(story, "done")
    assert [("over", "connection.crm", "failed")] == tell(story)
    ran(story, "done")
    assert [] == tell(story)


def test_a_failure_says_since_when_why_how_often_and_what_to_do(story: Story) -> None:
    """Told late, it still says when it began."""
    ran(story, "done")
    ran(story, "failed", error="crm: refused https://api.example.com/x for ann@example.com")
    began = story.now
    ran(story, "failed", error="crm: refused https://api.example.com/x for ann@example.com")
    (message,) = messages(story)

    assert began.isoformat().replace("+00:00", "Z") == message["since"]
    assert "crm: refused [link] for [address]" == message["reason"]
    assert ({"runs": 2}, "tagalong check crm") == (message["counts"], message["remedy"])


def test_what_is_held_is_told_once_and_so_is_its_end(story: Story) -> None:
    """With the numbers, and what lets it go."""
    story.people(*range(10), stage="lead")
    story.sync(attended=False)
    (message,) = messages(story)
    assert ("begun", "sync.vips", "held") == (message["what"], message["subject"], message["state"])
    assert ({"adds": 0, "removes": 10}, "tagalong approve vips") == (message["counts"], message["remedy"])
    story.sync(attended=False)
    assert [] == tell(story)
    story.people(*range(10))
    story.sync(attended=False)
    assert [("over", "sync.vips", "held")] == tell(story)


def test_a_source_that_grows_stale_is_told_without_any_run(story: Story) -> None:
    """Two due times missed; and as overdue, where nobody is told that it is stale."""
    story.alerts["pager"] = replace(TEAM, name="pager", on=frozenset({AlertState.OVERDUE, AlertState.RECOVERED}))
    with story.store() as store:
        store.conn.execute("UPDATE streams SET took_s = 0")
    story.pass_time(timedelta(minutes=29))
    assert [] == tell(story)
    story.pass_time(timedelta(minutes=3))
    assert [("begun", "connection.crm", "overdue")] * 2 == sorted(tell(story))
    story.alerts["team"] = replace(TEAM, on=frozenset({AlertState.STALE, AlertState.RECOVERED}))
    assert [("begun", "connection.crm", "stale")] == tell(story)
    story.sync()
    assert [
        ("over", "connection.crm", "overdue"), ("over", "connection.crm", "stale"),
    ] == sorted(tell(story))  # fmt: skip


def test_too_many_refused_in_one_run(story: Story) -> None:
    """Above 20 and a twentieth; a run in which nothing is sent says nothing of it."""
    story.vendor.verdicts |= {str(n): Verdict.REJECTED for n in range(100, 121)}
    story.people(*range(100, 160))
    story.sync()
    (message,) = messages(story)
    assert ("sync.vips", "rejected", {"rejected": 21, "of": 60}) == (message["subject"], message["state"], message["counts"])
    for _ in range(3):  # those of before are tried again, and that is no news
        story.sync()
    assert [("over", "sync.vips", "rejected")] == tell(story)


@pytest.mark.parametrize(("limit", "told"), [({"rejected_share": 0.5, "rejected_count": 0}, 0), ({"rejected_count": 4}, 1)])
def test_the_limit_of_refusals_is_the_alerts_own(story: Story, limit: dict[str, Any], told: int) -> None:
    """A share or a count."""
    story.alerts["team"] = replace(TEAM, **{"rejected_share": 0.0, **limit})
    story.vendor.verdicts |= {str(n): Verdict.REJECTED for n in range(100, 105)}
    story.people(*range(100, 120))
    story.sync()
    assert told == len(tell(story))


def test_one_outage_is_one_alert(story: Story) -> None:
    """Its streams are stale and its syncs are held for the same reason; who is not told of the cause is told of that."""
    story.alerts["holds"] = replace(TEAM, name="holds", on=frozenset({AlertState.HELD, AlertState.RECOVERED}))
    story.vendor.pull_fault = lambda _page: (_ for _ in ()).throw(AuthError("the token was revoked"))
    for _ in range(5):
        story.sync()
        pull(story.hub())
    with story.store() as store:
        look(store, story.config(), story.now, daemon=True)
        told = store.conn.execute("SELECT alert, subject, state FROM alert_states ORDER BY 1, 2").fetchall()
    assert [("holds", "sync.vips", "held"), ("team", "connection.crm", "failed")] == told

    story.vendor.pull_fault = None
    story.pass_time()
    pull(story.hub())
    assert [("over", "connection.crm", "failed")] == tell(story)  # the sync has not run since, and says nothing new
    story.sync()
    assert [("over", "sync.vips", "held")] == tell(story)


def test_a_failed_sync_says_what_failed(story: Story) -> None:
    """By the text that may be shown."""
    story.people(10)
    story.vendor.fault = lambda _where: (_ for _ in ()).throw(TransientError("no answer in time"))
    story.sync()
    (message,) = messages(story)
    assert ("sync.vips", "failed") == (message["subject"], message["state"])
    assert "no answer in time" in message["reason"]


def test_nothing_ran_while_the_daemon_was_down_and_that_is_told_at_its_start(story: Story) -> None:
    """Before any run makes it well; a schedule of which nobody knows anything counts from the start."""
    story.syncs["vips"] = replace(story.syncs["vips"], schedule=Every(timedelta(hours=1)))
    story.pass_time(timedelta(hours=9))
    told = tell(story, began_at=story.now)
    assert [("begun", "connection.crm", "overdue"), ("begun", "sync.vips", "overdue")] == told

    story.add_sync("others", schedule=Every(timedelta(hours=1)), audience_name="Others")
    began = story.now
    story.pass_time(timedelta(minutes=119))
    assert [] == tell(story, began_at=began)
    story.pass_time(timedelta(minutes=2))
    assert [("begun", "sync.others", "overdue")] == tell(story, began_at=began)


def test_a_pause_is_no_end(story: Story) -> None:
    """What was told stands until it goes on; nothing new is told of what somebody stopped."""
    ran(story, "failed")
    tell(story)
    with story.store() as store:
        pause(store, "connection.crm", at=story.now)
    story.pass_time(timedelta(hours=9))
    assert [] == tell(story)
    with story.store() as store:
        resume(store, "connection.crm")
    ran(story, "done")
    assert ("over", "connection.crm", "failed") in tell(story)


def test_what_is_taken_out_of_the_config_is_forgotten_without_a_word(story: Story) -> None:
    """The sync, the state, the alert with all that waits for it."""
    ran(story, "failed", kind="sync", name="vips")
    assert 1 == len(tell(story))
    story.alerts["team"] = replace(TEAM, on=frozenset({AlertState.HELD}))
    assert [] == tell(story)
    story.alerts["team"] = TEAM
    assert [("begun", "sync.vips", "failed")] == tell(story)
    story.syncs["vips"] = replace(story.syncs["vips"], enabled=False)
    assert [] == tell(story)
    with story.store() as store:
        assert 0 == store.conn.execute("SELECT count(*) FROM alert_states").fetchone()[0]
    story.alerts.clear()
    assert [] == tell(story)
    with story.store() as store:
        assert 0 == store.conn.execute("SELECT count(*) FROM alert_outbox").fetchone()[0]


def test_a_command_tells_only_whoever_asked_for_it(story: Story) -> None:
    """`when = "always"` is for those who have no daemon."""
    ran(story, "failed")
    assert [] == tell(story, daemon=False)
    story.alerts["cron"] = replace(TEAM, name="cron", when="always")
    assert [("begun", "connection.crm", "failed")] == tell(story, daemon=False)
    assert [("begun", "connection.crm", "failed")] == tell(story)  # the team's own, from the daemon


def test_many_who_look_at_once_tell_once(story: Story) -> None:
    """A daemon and commands of several processes share the store."""
    ran(story, "failed")
    ready, errors = threading.Barrier(6), list[Exception]()

    def one() -> None:
        try:
            with story.store() as store:
                ready.wait()
                look(store, story.config(), story.now, daemon=True)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with story.store() as store:
        assert ([], 1) == (errors, store.conn.execute("SELECT count(*) FROM alert_outbox").fetchone()[0])


def test_a_state_is_never_without_its_message(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two, neither is there, and the next look tells it."""
    import core.store.alerts

    ran(story, "failed")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(core.store.alerts, "post", lambda *_a, **_o: (_ for _ in ()).throw(KeyboardInterrupt))
        tell(story)
    assert [("begun", "connection.crm", "failed")] == tell(story)


def test_a_hold_by_several_sources_ends_with_the_last_of_them(tmp_path: Path) -> None:
    """Judged by the first alone, it would seem to be over while another source was never read to its end."""
    story = Story(tmp_path, alerts={"team": TEAM})
    story.people(1)
    story.vendor.pull_fault = lambda _page: (_ for _ in ()).throw(AuthError("the token was revoked"))
    story.sync()
    well = "UPDATE streams SET error = NULL, completed_at = (SELECT max(started_at) + 1 FROM runs) WHERE name = ?"
    ended = []
    with story.store() as store:
        (hold,) = holds(store.conn)
        for stream in ("crm.contacts", "crm.consents"):
            store.conn.execute(well, (stream.removeprefix("crm."),))
            ended.append(("sync.vips", AlertState.HELD) in look_around(store.conn, story.config(), story.now).unknown)

    assert ["crm.consents", "crm.contacts"] == sorted(hold.facts["streams"])
    assert [False, True] == ended


def test_a_sync_that_fails_is_not_held_by_sources_that_are_well_again(story: Story) -> None:
    """It failed before it came to its holds, so what it was held for stands there still."""
    story.people(1)
    story.vendor.pull_fault = lambda _page: (_ for _ in ()).throw(AuthError("the token was revoked"))
    story.sync()
    story.vendor.pull_fault = None
    story.pass_time()
    pull(story.hub(), names=["crm"])
    story.pass_time()
    with story.store() as store:
        assert [one.target for one in holds(store.conn)] == ["vips"]
        finish_run(store, start_run(store, "sync", "vips", at=story.now), Status.FAILED, at=story.now, error="no")
        seen = look_around(store.conn, story.config(), story.now)
    assert [AlertState.FAILED] == [one.state for one in seen.conditions if one.subject == "sync.vips"]

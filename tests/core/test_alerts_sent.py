"""Alerts on their way: signed, in order, again and again for a day, and never in anybody's way."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs
from support.eventually import eventually
from support.receiver import Receiver, receiver
from support.story import PLACE, Story

import core.store.alerts
from core.alerts import courier
from core.alerts.courier import Courier, send_test
from core.alerts.look import look
from core.alerts.watch import Watch, courier_of, tell_after
from core.clock import from_us, to_us, utc_now
from core.config.model import AlertConfig, AlertState
from core.hub import Hub
from core.store.runs import finish_run, start_run

SECRET = "whsec_Q0FOQVJZc2VjcmV0Q0FOQVJZc2VjcmV0Q0FO"
ENVIRON = {"URL": "", "SECRET": SECRET}


@dataclass
class Desk:
    """A story whose clock is the wall's and what is sent of it: the library judges a signature by that clock."""

    story: Story
    to: Receiver

    def fail(self, status: str = "failed", error: str | None = "crm: no answer", name: str = "crm") -> None:
        self.story.pass_time(timedelta(milliseconds=1))
        with self.story.store() as store:
            run_id = start_run(store, "pull", name, at=self.story.now)
            finish_run(store, run_id, status, at=self.story.now, error=error)
            look(store, self.story.config(), self.story.now, daemon=True)

    def hub(self) -> Hub:
        hub = self.story.hub()
        hub.environ = {**ENVIRON, "URL": self.to.url}
        return hub

    def send(self) -> int:
        return courier_of(self.hub()).deliver(daemon=True)

    def later(self, **by: float) -> None:
        self.story.pass_time(timedelta(**by))

    def waiting(self) -> list[Any]:
        with self.story.store() as store:
            return core.store.alerts.undelivered(store.conn, "team")


def alert(kind: Any = "webhook", **options: Any) -> AlertConfig:
    secret = {"env": "SECRET"} if kind == "webhook" else None
    return AlertConfig("team", kind, place=PLACE, url={"env": "URL"}, secret=secret, **options)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with receiver() as to:
        story = Story(tmp_path, now=utc_now(), alerts={"team": alert()})
        story.sync()
        story.now = utc_now()
        yield Desk(story, to)


def test_a_webhook_is_signed_as_the_library_verifies(desk: Desk) -> None:
    """And a body that was changed on the way is not taken."""
    desk.fail()
    assert 1 == desk.send()
    (got,) = desk.to.got

    assert Webhook(SECRET).verify(got.body, got.headers) == got.json
    assert ("connection.failed", "crm", "crm: no answer") == (
        got.json["type"], got.json["data"]["connection"], got.json["data"]["reason"],
    )  # fmt: skip
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body.replace("crm", "erp"), got.headers)
    assert [] == desk.waiting()


@pytest.mark.parametrize("status", [500, 503, 404, 302, 409, 501])
def test_what_does_not_arrive_is_sent_again_under_the_same_id(desk: Desk, status: int) -> None:
    """A redirect is not followed: the next host is not whom the secret was given to."""
    desk.fail()
    desk.to.status, desk.to.headers = status, {"location": desk.to.url + "/elsewhere"}
    assert (0, 0) == (desk.send(), desk.send())  # not at once
    assert 1 == len(desk.to.got)
    desk.later(seconds=11)
    desk.send()
    desk.to.status = 204
    desk.later(seconds=21)
    assert 1 == desk.send()

    assert 3 == len(desk.to.got)
    assert 1 == len({got.headers["webhook-id"] for got in desk.to.got})
    assert 3 == len({got.headers["webhook-timestamp"] for got in desk.to.got})  # of the try: an old one is refused
    assert {"/services/CANARYpath"} == {got.path for got in desk.to.got}


def test_a_429_is_waited_for_as_long_as_it_asks(desk: Desk) -> None:
    """And no try comes in between."""
    desk.fail()
    desk.to.status, desk.to.headers = 429, {"retry-after": "3000"}
    desk.send()
    desk.to.status = 200
    desk.later(seconds=2990)
    assert 0 == desk.send()
    desk.later(seconds=11)
    assert 1 == desk.send()


def test_no_endpoint_silences_an_alert_by_asking_for_patience(desk: Desk) -> None:
    """A day of it would be the last that was heard."""
    desk.fail()
    desk.to.status, desk.to.headers = 503, {"retry-after": "999999"}
    desk.send()
    desk.to.status = 200
    desk.later(hours=6, seconds=1)
    assert 1 == desk.send()


def test_the_distance_grows_and_after_a_day_it_is_given_up(desk: Desk) -> None:
    """Bounded, and said; the next message goes as ever."""
    desk.story.alerts["team"] = alert(on=frozenset({AlertState.FAILED, AlertState.RECOVERED}))
    desk.fail()
    desk.to.status = 500
    tries = []
    with capture_logs() as logs:
        while desk.waiting()[0].given_up_at is None:
            desk.story.now = from_us(desk.waiting()[0].next_try_at)
            tries.append(desk.story.now)
            desk.send()
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(tries)]
    assert len(tries) == len(desk.to.got)
    assert 20 < len(tries) < 60
    assert (max(gaps) <= 3600, max(gaps[:3]) <= 40, min(gaps[10:]) >= 1800) == (True, True, True)
    assert timedelta(hours=22) < tries[-1] - tries[0] <= timedelta(hours=24)
    assert ["alert_endpoint_went_away", "alert_given_up"] == [line["event"] for line in logs if "alert" in line["event"]]
    desk.to.status = 200
    desk.fail("done")
    assert 1 == desk.send()


def test_what_is_refused_as_it_is_does_not_block_the_next(desk: Desk) -> None:
    """A 400 tomorrow would be one too."""
    desk.fail()
    desk.to.status = 400
    desk.send()
    desk.fail("done")
    desk.to.status = 200
    assert (1, "connection.recovered") == (desk.send(), desk.to.got[-1].json["type"])


def test_the_end_is_never_told_before_the_beginning(desk: Desk) -> None:
    """However it went with the first."""
    desk.fail()
    desk.to.status = 500
    desk.send()
    desk.fail("done")
    desk.to.status = 200
    assert 0 == desk.send()
    desk.later(seconds=11)
    assert 2 == desk.send()
    assert ["connection.failed", "connection.failed", "connection.recovered"] == [got.json["type"] for got in desk.to.got]


def test_an_endpoint_that_is_down_is_logged_once_when_it_goes_and_once_when_it_returns(desk: Desk) -> None:
    """Over any number of messages, tries and processes; and the log has no address of Slack's."""
    desk.story.alerts["team"] = alert("slack")
    url = desk.to.url
    desk.to.port = 9  # nobody listens there
    with capture_logs() as logs:
        for n in range(5):
            desk.fail(["failed", "done"][n % 2])
            desk.send()
            desk.later(hours=1)
        assert url != desk.to.url
        desk.to.port = int(url.split(":")[2].split("/")[0])
        assert 5 == desk.send()
    events = [line for line in logs if line["event"].startswith("alert")]
    assert ["alert_endpoint_went_away", "alert_endpoint_came_back"] == [line["event"] for line in events]
    assert "CANARY" not in repr(events)


def test_a_kill_before_the_sending_loses_nothing_and_one_after_it_repeats_the_id(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once; whoever gets it twice can tell."""
    desk.fail()  # the process dies here: its state and message are in the store
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(core.store.alerts, "delivered", lambda *_a, **_o: (_ for _ in ()).throw(KeyboardInterrupt))
        desk.send()
    assert 0 == desk.send()  # another process leaves it alone for as long as the first may be at it
    desk.later(minutes=3)
    assert 1 == desk.send()
    assert 0 == desk.send()
    first, second = desk.to.got
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


def test_a_clock_that_went_back_does_not_silence_an_alert(desk: Desk) -> None:
    """A try that seems to be days ahead is due."""
    desk.story.now += timedelta(days=10)
    desk.fail()
    desk.to.status = 500
    desk.send()
    desk.to.status = 200
    desk.story.now -= timedelta(days=10)
    assert 1 == desk.send()


def test_nothing_that_a_name_holds_is_read_by_slack(desk: Desk) -> None:
    """No channel is called, no link drawn, nothing set in bold."""
    desk.story.alerts["team"] = alert("slack")
    desk.fail(error="the tag '<!channel> *now* <https://evil.example.com|click> & co' is held")
    desk.send()
    (got,) = desk.to.got
    assert "&lt;!channel&gt; *now* &lt;[link] &amp; co" in got.json["text"]
    assert "<" not in got.body
    assert (False, False, False) == tuple(got.json[key] for key in ("mrkdwn", "unfurl_links", "unfurl_media"))


@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_no_secret_no_address_and_no_body_is_sent(desk: Desk, kind: str) -> None:
    """Whatever a reason brings along."""
    desk.story.alerts["team"] = alert(kind)
    courier.hide("CANARYtoken-1234")
    desk.fail(error="refused CANARYtoken-1234 of ann.canary@example.com at https://example.com/CANARYlink")
    desk.send()
    desk.fail("done")
    desk.send()
    assert 2 == len(desk.to.got)
    text = "".join(json.dumps(got.json) for got in desk.to.got)
    assert "refused" in text
    assert not [word for word in ("CANARY", "ann.canary", "example.com", "://", SECRET) if word in text]


def test_the_database_keeps_no_secret(desk: Desk) -> None:
    """Neither the address of Slack nor what is signed with."""
    desk.fail()
    desk.to.status = 500
    desk.send()
    for file in desk.story.folder.iterdir():
        content = file.read_bytes()
        assert b"CANARYpath" not in content
        assert SECRET.encode() not in content


def test_a_missing_secret_is_an_endpoint_that_is_away(desk: Desk) -> None:
    """Said by the name of the variable, and tried again: somebody may set it."""
    hub = desk.hub()
    hub.environ = {"SECRET": SECRET}
    desk.fail()
    with capture_logs() as logs:
        assert 0 == courier_of(hub).deliver(daemon=True)
    assert "environment variable URL is not set" in logs[0]["reason"]
    desk.later(seconds=11)
    assert 1 == desk.send()


def test_a_test_message_goes_past_the_outbox(desk: Desk) -> None:
    """And says why it did not arrive."""
    assert send_test(courier_of(desk.hub()), alert()) is None
    assert "test" == desk.to.got[0].json["type"]
    desk.to.status = 403
    assert "was forbidden" in str(send_test(courier_of(desk.hub()), alert()))


def test_an_endpoint_that_hangs_holds_up_neither_the_daemon_nor_a_command(desk: Desk) -> None:
    """The one looks from a thread of its own, the other waits no longer than it says; both send it later."""
    desk.to.hang = threading.Event()
    desk.story.alerts["team"] = alert(when="always")
    hub = desk.hub()
    watch = Watch(hub, tick_s=0.01)
    desk.fail()
    watch.start()
    assert [None] == [one.error for one in desk.story.sync().syncs]
    tell_after(hub, wait_s=0.05)
    hub.stop.set()
    watch.close(within_s=0.05)
    assert not desk.to.hang.is_set(), "nobody waited for an answer"
    desk.to.hang.set()
    for thread in threading.enumerate():
        if thread.name == "alerts":
            thread.join(60)


def test_a_slow_endpoint_is_given_so_long_and_no_longer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it may have got it gets again, under the same id."""
    desk.to.hang = threading.Event()
    desk.fail()
    with monkeypatch.context() as patched:
        patched.setattr(courier, "TIMEOUT", httpx.Timeout(60, read=0.2))
        assert 0 == desk.send()
    assert "no answer in time" in desk.waiting()[0].reason
    desk.to.hang.set()
    desk.later(seconds=11)
    assert 1 == desk.send()
    assert 1 == len({got.headers["webhook-id"] for got in desk.to.got})


def test_a_watch_tells_of_a_run_that_ended(desk: Desk) -> None:
    """In a daemon that has just begun, and after each run."""
    hub = desk.hub()
    watch = Watch(hub, tick_s=30)
    with desk.story.store() as store:
        finish_run(store, start_run(store, "pull", "crm", at=desk.story.now), "failed", at=desk.story.now)
    watch.start()
    eventually(lambda: len(desk.to.got) == 1)
    with desk.story.store() as store:
        finish_run(store, start_run(store, "pull", "crm", at=desk.story.now), "done", at=desk.story.now)
    watch.ended()
    eventually(lambda: len(desk.to.got) == 2)
    hub.stop.set()
    watch.close()
    assert ["connection.failed", "connection.recovered"] == [got.json["type"] for got in desk.to.got]


def test_a_store_that_cannot_be_read_is_said_at_growing_distances_and_ends_nothing(desk: Desk) -> None:
    """The disk may be full for hours: when it begins, after one minute, two and four, and when it is over."""
    watch = Watch(desk.hub())
    store = desk.story.folder.joinpath("tagalong.db")
    aside = store.rename(store.with_name("aside.db"))
    store.mkdir()
    with capture_logs() as logs:
        for _ in range(10 * 60 // 5):
            watch.round()
            desk.later(seconds=5)
        store.rmdir()
        aside.rename(store)
        watch.round()
    told = [(line["event"], line["times"]) for line in logs]
    assert [("alerts_not_sent", n) for n in (1, 13, 37, 85)] == [one for one in told if one[0] == "alerts_not_sent"]
    assert 4 == len([one for one in told if one[0] == "alerts_not_looked_at"])
    assert [("alerts_looked_at_again", 10), ("alerts_sent_again", 120)] == told[-2:]


def test_what_cannot_be_sent_is_said_seldom_though_looking_goes_well(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look that went well made the next failure news: a line a minute, for days."""
    monkeypatch.setattr(Courier, "deliver", lambda *_, **__: 1 // 0)
    watch = Watch(desk.hub())
    with capture_logs() as logs:
        for _ in range(30):
            watch.round()
            desk.later(minutes=1)
    assert 5 == len([line for line in logs if line["event"] == "alerts_not_sent"])


def test_old_messages_go(desk: Desk) -> None:
    """A month after they arrived."""
    desk.fail()
    desk.send()
    desk.later(days=31)
    desk.fail("done")
    with desk.story.store() as store:
        (oldest,) = store.conn.execute("SELECT min(made_at) FROM alert_outbox").fetchone()
    assert oldest > to_us(_ago(desk.story.now, days=1))


def _ago(now: datetime, **by: float) -> datetime:
    return now - timedelta(**by)


def test_jitter_keeps_within_the_distance() -> None:
    """Many hubs whose endpoint went away together do not all come back in one second."""
    waits = [courier._wait_s(n, Courier.__dataclass_fields__["rng"].default_factory()) for n in range(1, 200)]
    assert all(5 <= wait <= courier.LONGEST_WAIT_S for wait in waits)
    assert len(set(waits[20:])) > 100

"""The real daemon tells: a vendor goes away and comes back, over a restart, and the team hears of it twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from support.eventually import eventually
from support.receiver import receiver
from support.story import PLACE, Story

from core.config.model import AlertConfig, Every
from core.errors import AuthError
from core.hub import Hub
from core.service.daemon import run_daemon
from core.store.alerts import undelivered


@contextmanager
def running(story: Story, url: str) -> Iterator[Hub]:
    hub = story.hub()
    hub.environ = {"URL": url}
    thread = threading.Thread(target=run_daemon, args=(hub,))
    thread.start()
    try:
        yield hub
    finally:
        hub.stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_an_outage_over_a_restart_is_two_messages(tmp_path: Path) -> None:
    """However many runs fail, and whichever process sees them."""
    alert = AlertConfig("team", "slack", place=PLACE, url={"env": "URL"})
    story = Story(tmp_path, alerts={"team": alert}, schedule=Every(timedelta(minutes=10)))
    (tmp_path / "tagalong.toml").write_text("")
    story.people(1, 2, 3)
    story.sync()
    story.pass_time()
    story.vendor.pull_fault = lambda _page: (_ for _ in ()).throw(AuthError("the token was revoked"))
    with receiver() as slack:
        with running(story, slack.url):
            eventually(lambda: slack.got and not _waiting(story))  # told, and known to be
        story.pass_time()
        with running(story, slack.url):
            eventually(lambda: _runs(story) >= 2)
        story.vendor.pull_fault = None
        story.pass_time()
        with running(story, slack.url):
            eventually(lambda: len(slack.got) >= 2)
    assert ["The connection crm has failed", "Well again: the connection crm"] == [
        text.splitlines()[0] for text in slack.texts()
    ]


def _waiting(story: Story) -> bool:
    with story.store() as store:
        return bool(undelivered(store.conn, "team"))


def _runs(story: Story) -> int:
    with story.store() as store:
        (count,) = store.conn.execute("SELECT count(*) FROM runs WHERE kind = 'pull' AND status = 'failed'").fetchone()
        return int(count)

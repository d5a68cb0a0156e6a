"""Whole runs against a sandbox that stops answering: how they end, what they send, and who goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.place import Place, place
from support.world import load_everything

from core.contract import Fault
from core.http.outage import FAILURES, FIRST_REST
from core.http.retrying import TRIES
from core.pulling.fill import pull
from core.run import sync

DOWN = Fault(503, {}, b"{}")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """Two people wanted at an e-mail tool, one of them there already."""
    with place(tmp_path / "here", "encharge", kind="tag", people=12) as made:
        addresses = [
            row["email"].lower() for row in load_everything.rows("members", people=12) if row["status"] == "subscribed"
        ]
        made.want(addresses[:1], of=addresses[1:2])
        assert "done" == str(made.sync().status)
        made.want(addresses[:2])
        yield made


def go_down(here: Place) -> None:
    here.served.faults = lambda method, path, number: DOWN


def test_runs_wait_while_it_is_away_and_other_connections_go_on(here: Place) -> None:
    """The runs that find it out fail; those after them send nothing, wait, and say until when. Nobody is given up on."""
    go_down(here)
    statuses, sent = [], []
    for _ in range(6):
        before = here.served.count
        here.later(seconds=1)
        report = here.sync()
        statuses.append({run.connection: str(run.status) for run in report.pulls})
        sent.append(here.served.count - before)
        assert 0 == report.new_dead_letters
    assert {"done"} == {one["file"] for one in statuses}
    assert "failed" == statuses[0]["there"]
    assert ("waiting", 0) == (statuses[-1]["there"], sent[-1])
    assert sum(sent) <= FAILURES * TRIES

    here.served.faults = None
    here.later(minutes=1)
    assert "done" == str(here.sync().status)
    assert 2 == len(here.there())


def test_a_push_that_meets_it_says_when_to_come_back(here: Place) -> None:
    """The destination goes away between the pull and the push: the run waits, with the time of the next probe."""
    here.later(seconds=1)
    with here.hub() as hub:
        pull(hub, names=["file"])
    go_down(here)
    ends = []
    for _ in range(FAILURES + 1):
        with here.hub() as hub:
            (run,) = sync(hub, pull=False).syncs
        ends.append((str(run.status), run.resume_at))
    assert "failed" == ends[0][0]
    assert ("waiting", here.now + FIRST_REST) == ends[-1]


def test_a_person_may_ask_at_once(here: Place) -> None:
    """`sync --probe`, long before the next probe is due."""
    go_down(here)
    for _ in range(5):
        here.later(seconds=1)
        here.sync()
    here.served.faults = None
    here.later(seconds=1)
    assert "waiting" in {str(run.status) for run in here.sync().pulls}
    here.later(seconds=1)
    with here.hub() as hub:
        hub.probe = True
        assert "done" == str(sync(hub, fresh=timedelta(0)).status)
    assert 2 == len(here.there())

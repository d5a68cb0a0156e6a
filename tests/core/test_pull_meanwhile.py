"""A page is stored while the vendor makes the next one: in that order, and nothing else of a pull is another for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support import acme

from core.config.model import Config, ConnectionConfig, Place, Workspace
from core.contract import Api, Fault, Kind, Limit, Page, StreamSet
from core.errors import LeaseLost, NotFoundError
from core.pulling.pull import pull_connection
from core.pulling.pull_report import PullReport
from core.registry import Connector
from core.store.runs import start_run
from core.store.sources import register

STORED = "SELECT count(*) FROM mail__contacts"
RESUME = "SELECT resume FROM checkpoints"


@pytest.fixture
def api(sandbox_api: Any) -> Any:
    """Acme with three pages of contacts."""
    opened = sandbox_api(acme)
    opened.sandbox.load("people", [{"id": f"c{number}", "email": f"p{number}@example.com"} for number in range(250)])
    return opened


@pytest.fixture
def pull(store: Any, store_path: Any, clock: Any) -> Callable[..., PullReport]:
    connection = ConnectionConfig("mail", "acme", place=Place("tagalong.toml", 1, "connections.mail"))
    config = Config(store_path, Workspace(store_path, timezone=ZoneInfo("UTC")), connections={"mail": connection})

    def once(api: Any, connector: Connector | None = None, **options: Any) -> PullReport:
        connector = connector or Connector(acme)
        register(store, config, {"acme": connector}, at=clock())
        run_id = start_run(store, "pull", "mail", at=clock())
        return pull_connection(store, api, connection=connection, connector=connector, run_id=run_id, clock=clock, **options)

    return once


def test_a_page_is_stored_while_the_next_one_is_asked_for(api: Any, pull: Any, store: Any) -> None:
    """The vendor has the request before the page is in the store; one after the other takes the time of both."""
    asked = threading.Event()
    api.served.faults = lambda _method, _path, number: asked.set() if number == 2 else None
    early: list[bool] = []
    report = pull(api, on_page=lambda _page: early.append(asked.wait(60)))

    assert [True, True, True] == early
    assert (250, 3) == (report.streams[0].records, report.streams[0].pages)
    assert 250 == store.conn.execute(STORED).fetchone()[0]


def test_a_page_stays_when_the_next_cannot_be_had(api: Any, pull: Any, store: Any) -> None:
    """With the token that follows it."""
    api.served.faults = lambda _method, _path, number: Fault(404, {}, b"") if number == 3 else None

    assert isinstance(pull(api).streams[0].error, NotFoundError)
    assert [(200, "200")] == store.conn.execute(f"SELECT ({STORED}), ({RESUME})").fetchall()


def test_what_keeps_a_page_from_being_stored_ends_the_pull(api: Any, pull: Any, store: Any) -> None:
    """It is not lost between a request and its answer, nor taken for the vendor's doing and tried again."""
    pages: list[object] = []

    def check(conn: sqlite3.Connection) -> None:
        if pages:
            raise LeaseLost("another run has it")

    with pytest.raises(LeaseLost):
        pull(api, check=check, on_page=pages.append)
    assert (1, 3) == (len(pages), api.served.count), "the second was read, the third only on its way"
    assert [(100, "100")] == store.conn.execute(f"SELECT ({STORED}), ({RESUME})").fetchall()


def test_a_page_is_stored_before_anything_is_waited_for(sandbox_api: Any, pull: Any, store: Any) -> None:
    """Minutes may pass until a vendor's limit lets the next request go; a kill in them must not take what came before."""
    api = sandbox_api(acme, limits=[Limit(1, per_s=60)])
    api.sandbox.load("people", [{"id": f"c{number}", "email": f"p{number}@example.com"} for number in range(250)])
    found: list[int] = []
    api._wire.patience.waiter._sleep = lambda _wait_s: found.append(store.conn.execute(STORED).fetchone()[0])

    assert pull(api).complete
    assert [100, 200] == found


def test_a_job_is_known_before_it_is_asked_after(api: Any, pull: Any, store_path: Any) -> None:
    """A page without records, whose token is all there is of a job: the next request must find it in the store."""
    streams = StreamSet()

    @streams.add("contacts", kind=Kind.PROFILE, key="id", order="any")
    def contacts(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
        api.get("/account")
        yield Page([], resume="job 7")
        api.get("/account")
        yield Page([{"id": "1"}])

    known: list[list[tuple[str]]] = []

    def look(_method: str, _path: str, number: int) -> None:
        with sqlite3.connect(store_path) as conn:
            known.append(conn.execute(RESUME).fetchall())

    api.served.faults = look
    assert pull(api, Connector(SimpleNamespace(**{**vars(acme), "STREAMS": streams}))).complete
    assert [[(None,)], [("job 7",)]] == known

"""Events through the core's pull and resolve: stored once, attached to people known elsewhere, a broken pull continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from amplitude_rows import HOUR, NOON, SETTINGS, event, make_world, spoil
from support.pulled import connector_of, contact, stream

from core.config.model import Config, ConnectionConfig, Place, Workspace
from core.contract import Category
from core.errors import ConfigError, ProtocolError
from core.pulling.pull import pull_connection
from core.pulling.pull_report import StreamReport
from core.registry import load_connector
from core.resolve import resolve
from core.sandbox import Truncated
from core.store.runs import start_run
from core.store.sources import register

PLACE = Place("tagalong.toml", 1, "connections.product")


@pytest.fixture
def pull(make_project: Any, store: Any, clock: Any, tmp_path: Path) -> Callable[..., StreamReport]:
    """`pull(connection="product")`: pull and resolve once; an hour passes before each. `.api` is the project's."""
    people = stream(
        "contacts", [contact(1, "p1@example.com", uid="user-1")], identifiers={"email": "email", "user_id": "uid"},
        fields={"email": "email"},
    )  # fmt: skip
    crm = connector_of("crm", Category.CRM, [people])
    connectors = {"amplitude": load_connector("amplitude"), "crm": crm}
    connections = {
        "product": ConnectionConfig("product", "amplitude", place=PLACE, settings=SETTINGS),
        "crm": ConnectionConfig("crm", "crm", place=PLACE),
    }
    config = Config(tmp_path / "t.toml", Workspace(tmp_path / "t.db", timezone=ZoneInfo("UTC")), connections=connections)
    api = make_project({"start": "2026-03-01"})
    make_world(api.sandbox)
    register(store, config, connectors, at=clock())

    def once(connection: str = "product") -> StreamReport:
        clock.advance(timedelta(hours=1))
        configured = connections[connection]
        run_id = start_run(store, "pull", connection, at=clock())
        report = pull_connection(
            store, api, connection=configured, connector=connectors[configured.connector], run_id=run_id, clock=clock
        )
        resolve(store, config, at=clock())
        return report.streams[0]

    once.api = api
    return once


def _count(store: Any, where: str = "1") -> int:
    return int(store.conn.execute(f"SELECT count(*) FROM events WHERE {where}").fetchone()[0])


def test_each_pull_brings_what_is_new(store: Any, pull: Any) -> None:
    """One archive an hour after the first pull, and nothing of what was there."""
    first = pull()
    before = pull.api.sandbox.requests["GET /api/2/export"]
    second = pull()

    assert ((28, 28), (1, 1)) == ((first.records, first.changed), (second.records, second.changed))
    assert 1 == pull.api.sandbox.requests["GET /api/2/export"] - before
    assert 29 == _count(store)


def test_a_pull_that_breaks_loses_nothing_and_stores_nothing_twice(store: Any, pull: Any) -> None:
    """The second archive is cut short: what was before it stays, and the next pull begins with its first hour."""
    spoil(pull.api, 2, Truncated(0.7))
    broken = pull()
    assert isinstance(broken.error, ProtocolError)
    assert 17 == _count(store)
    pull.api.served.faults = None
    rest = pull()

    assert (12, True, 29) == (rest.records, rest.complete, _count(store))
    assert 29 == store.conn.execute("SELECT count(DISTINCT key) FROM events").fetchone()[0]


def test_an_archive_that_breaks_inside_is_stored_once(store: Any, pull: Any, monkeypatch: Any) -> None:
    """Some of its pages were stored already: they come again, by the same keys."""
    monkeypatch.setattr("connectors.amplitude.events.PAGE_SIZE", 4)
    real = load_connector("amplitude").module.events.read_lines
    left = [10]

    def breaks(file: Any) -> Any:
        for line in real(file):
            left[0] -= 1
            if left[0] == 0:
                raise ProtocolError("the export's archive is damaged")
            yield line

    monkeypatch.setattr("connectors.amplitude.events.read_lines", breaks)
    assert not pull().complete
    assert 8 == _count(store)
    again = pull()

    assert (29, 21, 29) == (again.records, again.changed, _count(store))


def test_events_attach_to_people_known_elsewhere(store: Any, pull: Any) -> None:
    """Quirk 6: by user id; a stranger's event sets nobody's address and joins nobody."""
    pull("crm")
    pull.api.sandbox.load("events", [event("anonymous", NOON - 4 * HOUR, user_id=None)])
    pull()
    known = store.conn.execute("SELECT id FROM profiles WHERE email = 'p1@example.com'").fetchall()

    assert 1 == len(known)
    assert 3 == _count(store, f"profile_id = {known[0][0]}")
    assert [("p1@example.com",)] == store.conn.execute("SELECT email FROM profiles WHERE email IS NOT NULL").fetchall()


def test_properties_have_plain_names(store: Any, pull: Any) -> None:
    pull()
    (text,) = store.conn.execute("SELECT properties FROM events LIMIT 1").fetchone()

    assert "/pricing" == json.loads(text)["path"]
    assert "@" not in text


def test_a_late_upload_is_there_at_its_own_time(store: Any, pull: Any) -> None:
    """Quirk 3: the days that it touches are counted anew."""
    pull()
    pull.api.sandbox.load("events", [event("late", NOON - HOUR, at=datetime(2026, 1, 20, tzinfo=UTC))])
    pull()
    pull()

    assert 1 == _count(store, f"time = {int(datetime(2026, 1, 20, tzinfo=UTC).timestamp()) * 1_000_000}")


def test_another_project_stores_nothing(store: Any, pull: Any, monkeypatch: Any) -> None:
    """Quirk 9: the stream fails, and its checkpoint stays."""
    pull.api.sandbox.state.app_id = 777
    report = pull()

    assert isinstance(report.error, ConfigError)
    assert (0, None) == (_count(store), store.conn.execute("SELECT cursor FROM checkpoints").fetchone()[0])

"""The whole line: events in, a segment of them, and the cohort and the user property that it fills, through the core."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from amplitude_rows import HOUR, NOON, SETTINGS, event

from connectors.amplitude.sandbox import AmplitudeSandbox
from core.config.load import load_config
from core.hub import Hub
from core.run import SyncReport, sync
from core.sandbox import serve
from core.store import Store

CONFIG = """
[workspace]
database = "tagalong.db"
timezone = "UTC"
currency = "EUR"

[connections.product]
connector = "amplitude"
base_url = "{url}"
api_key = {{ env = "API_KEY" }}
secret_key = {{ env = "SECRET_KEY" }}
app_id = 153957
start = 2026-02-20
owner = "owner@example.com"
min_id_length = 1

[connections.people]
connector = "files"

[connections.people.streams.accounts]
path = "people.csv"
kind = "profile"
key = "id"
identifiers = {{ user_id = "id", email = "email" }}

[segments.pricing]
title = "Looked at pricing"
where = 'did("Page Viewed", path="/pricing", last="7d")'

[[syncs]]
name = "cohort"
segment = "pricing"
to = "product"
audience = {{ cohort = "Looked at pricing" }}

[[syncs]]
name = "field"
segment = "pricing"
to = "product"
audience = {{ field = "looked_at_pricing" }}
"""


@pytest.fixture
def run(tmp_path: Path, clock: Any) -> Any:
    """`run()`: pull and push once, an hour later; `.sandbox` is the project. Five accounts, of whom it knows four."""
    sandbox = AmplitudeSandbox(now=clock, rate_factor=1000, busy_after=1)
    sandbox.load("users", [{"id": f"u-{n}"} for n in range(1, 5)])
    (tmp_path / "people.csv").write_text("id,email\n" + "".join(f"u-{n},p{n}@example.com\n" for n in range(1, 6)))
    environ = {"API_KEY": str(SETTINGS["api_key"]), "SECRET_KEY": str(SETTINGS["secret_key"])}
    with serve({"amplitude": sandbox}) as served:
        path = tmp_path / "tagalong.toml"
        path.write_text(CONFIG.format(url=served["amplitude"].base_url))

        def once(hours: int = 1) -> SyncReport:
            clock.advance(timedelta(hours=hours))
            hub = Hub(load_config(path, environ), clock=clock, stop=threading.Event(), environ=environ, sleep=lambda _: None)
            return sync(hub)

        once.sandbox = sandbox
        yield once


def _viewed(number: int, id_: str, path: str = "/pricing") -> dict[str, Any]:
    return event(id_, NOON - 6 * HOUR, user_id=f"u-{number}", properties={"path": path})


def test_a_segment_of_events_fills_a_cohort_and_a_property(run: Callable[..., SyncReport], tmp_path: Path) -> None:
    """Whoever looks enters; a week later they leave: removed from the cohort, false in the property; nothing is sent twice."""
    sandbox: AmplitudeSandbox = run.sandbox
    sandbox.load("events", [_viewed(1, "e1"), _viewed(2, "e2"), _viewed(3, "e3", "/about")])
    first = run()
    assert ["done", "done"] == [str(one.status) for one in first.syncs], [one.error for one in first.syncs]
    assert {"Looked at pricing": {"u-1", "u-2"}, "looked_at_pricing": {"u-1", "u-2"}} == sandbox.audiences()
    before = sandbox.writes.total()
    run()
    assert before == sandbox.writes.total()

    sandbox.load("events", [{**_viewed(4, "e4"), "uploaded_at": NOON + HOUR}])
    run(5)
    assert {"u-1", "u-2", "u-4"} == sandbox.audiences()["Looked at pricing"] == sandbox.audiences()["looked_at_pricing"]
    assert not sandbox.jobs

    sandbox.load("events", [{**_viewed(4, "e5"), "at": NOON + 160 * HOUR, "uploaded_at": NOON + 160 * HOUR}])
    run(170)
    assert {"Looked at pricing": {"u-4"}, "looked_at_pricing": {"u-4"}} == sandbox.audiences()
    with Store(tmp_path / "tagalong.db") as store:
        assert 0 == store.conn.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
        assert 5 == store.conn.execute("SELECT count(*) FROM events").fetchone()[0]

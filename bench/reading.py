"""
What it takes to read N records of one vendor from its sandbox: requests, seconds, peak memory. For `bench/pull.py --connector`.

The sandbox makes up as many people, or events, as are asked for; the real pull reads them into a store.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.config.load import load_config
from core.contract import Category
from core.hub import Hub
from core.pulling.pull import pull_connection
from core.registry import Connector, load_connector
from core.resolve import resolve
from core.sandbox import as_settings, serve
from core.store.runs import start_run

DAY = timedelta(days=1)
WHATS = {
    Category.CRM: ("people",), Category.EMAIL: ("members",), Category.BILLING: ("customers",),
    Category.SURVEY: ("surveys", "responses"), Category.ANALYTICS: ("users", "events"),
}  # fmt: skip


BULK = {"amplitude": "bulk", "mixpanel": "bulk_events"}
"""Sandboxes that write events as they are asked for, and the argument that says how many."""


def read(name: str, records: int) -> dict[str, Any]:
    """Return what it took to read *records* of *name*; a thousand events or answers are one person's."""
    connector = load_connector(name)
    # requests count, not time
    vars(connector.module)["MANIFEST"] = replace(connector.manifest, limits=())
    bulk = {BULK[name]: records} if name in BULK else {}
    sandbox = connector.sandbox(rate_factor=1e9, **bulk)
    now = datetime.now(UTC)
    for what in () if bulk else WHATS[connector.manifest.category]:
        sandbox.load(what, _rows(what, records, now))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="read-")))
        served = stack.enter_context(serve({name: sandbox}))[name]
        settings = "\n".join(f"{key} = {json.dumps(value)}" for key, value in as_settings(served).items())
        (folder / "tagalong.toml").write_text(f'[connections.there]\nconnector = "{name}"\n{settings}\n')
        (folder / "tagalong.toml").chmod(0o600)
        hub = stack.enter_context(Hub(load_config(folder / "tagalong.toml")))
        store = stack.enter_context(hub.store())
        hub.register(store)
        with Watch() as watch:
            figures = _pulled(hub, store, connector, sandbox)
        return {"connector": name, **figures, "loaded_peak_mb": before // 1024, "own_peak_mb": watch.most_kb // 1024}


class Watch:
    """
    The most memory of the process's own while the block runs: what is not a part of the database file that the system has read.

    SQLite maps the file into memory; those pages count for the process, and the system takes them back when it needs them.
    """

    def __init__(self) -> None:
        self.most_kb = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            status = Path("/proc/self/status").read_text()
            (own,) = (line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))
            self.most_kb = max(self.most_kb, int(own))


def _pulled(hub: Hub, store: Any, connector: Connector, sandbox: Any) -> dict[str, Any]:
    began = time.monotonic()
    run_id = start_run(store, "pull", "there", at=hub.clock())
    with hub.api("there") as api:
        report = pull_connection(
            store, api, connection=hub.config.connections["there"], connector=connector, run_id=run_id, clock=hub.clock
        )
    took_s = time.monotonic() - began
    wrong = [f"{one.stream}: {one.error!r}" for one in report.streams if one.error]
    if wrong:
        sys.exit("; ".join(wrong))
    began = time.monotonic()
    resolve(store, hub.config, at=hub.clock())
    return {
        "records": {one.stream: one.records for one in report.streams},
        "requests": sandbox.requests.total(),
        "by_endpoint": dict(sandbox.requests),
        "seconds": round(took_s, 1),
        "resolve_seconds": round(time.monotonic() - began, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _rows(what: str, records: int, now: datetime) -> Iterator[dict[str, Any]]:
    if what == "surveys":
        question = {"id": "score", "text": "How likely are you to recommend us?", "kind": "nps", "choices": []}
        yield {"id": "nps", "title": "NPS", "created_at": now - 400 * DAY, "questions": [question]}
        return
    count = max(1, records // 1000) if what == "users" else records
    for number in range(count):
        yield _row(what, number, now - (number * 37 % 300 + 2) * DAY)


def _row(what: str, number: int, at: datetime) -> dict[str, Any]:
    address = f"p{number}@example.com"
    person = {
        "email": address,
        "first_name": "P",
        "last_name": str(number),
        "country": "SE",
        "created_at": at,
        "updated_at": at,
    }
    match what:
        case "people":
            return {"id": str(1_000_000 + number), "lifecycle_stage": "customer", "company_id": None, **person}
        case "members":
            return {"id": address, "status": "subscribed", **person}
        case "customers":
            return {"id": f"cus_{number}", "name": f"P {number}", **person}
        case "responses":
            who = {"user_id": f"user-{number}", "email": address}
            return {"id": f"r{number}", "survey": "nps", "answers": {"score": number % 11}, "submitted_at": at, **who}
        case "users":
            return {"id": f"user-{number}", **person}
        case _:
            user = f"user-{number % 1000}"
            return {"id": f"e{number}", "user_id": user, "name": "Page Viewed", "at": at, "properties": {"path": "/pricing"}}

"""
What it takes to read N records of one vendor from its sandbox: requests, seconds, peak memory. For `bench/pull.py --connector`.

The sandbox makes up as many people, or events, as are asked for; the real pull reads them into a store.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
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
from core.pull import pull_connection
from core.registry import Connector, load_connector
from core.resolve import resolve
from core.sandbox import as_settings, serve
from core.store.runs import start_run

DAY = timedelta(days=1)
WHATS = {
    Category.CRM: ("people",), Category.EMAIL: ("members",), Category.BILLING: ("customers",),
    Category.SURVEY: ("surveys", "responses"), Category.ANALYTICS: ("users", "events"),
}  # fmt: skip


def read(name: str, records: int) -> dict[str, Any]:
    """Return what it took to read *records* of *name*; a thousand events or answers are one person's."""
    connector = load_connector(name)
    connector.module.MANIFEST = replace(connector.manifest, limits=())  # type: ignore[attr-defined]  # requests count, not time
    sandbox = connector.sandbox(rate_factor=1e9)
    now = datetime.now(UTC)
    for what in WHATS[connector.manifest.category]:
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
        return {"connector": name, **_pulled(hub, store, connector, sandbox), "loaded_peak_mb": before // 1024}


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

"""Tagalong's side of `bench/pull.py`: a made-up connector of the loopback API, pulled and stored, then resolved."""

from __future__ import annotations

import resource
import time
import types
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.clock import utc_now
from core.config.model import Config, ConnectionConfig, Place, Workspace
from core.contract import Api, Category, Kind, Limit, Manifest, Page, Settings, StreamSet
from core.http import open_api
from core.pulling.pull import pull_connection
from core.registry import Connector
from core.resolve import resolve
from core.store import Store
from core.store.runs import start_run
from core.store.sources import register

MANIFEST = Manifest(
    "bench", "Bench", category=Category.CRM, base_url="https://bench.example.com", hosts=("bench.example.com",),
    docs_url="https://bench.example.com", api_version="1", checked_on=date(2026, 1, 1), limits=[Limit(100_000)],
)  # fmt: skip


def streams(kind: str, companies: int) -> StreamSet:
    """Return the one stream of the API: contacts, which name a company if there are *companies*, or events."""
    found = StreamSet()

    def pull(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
        page: str | None = resume or "1"
        while page:
            body = api.get(f"/{kind}", page=page)
            page = body["paging"].get("next")
            yield Page(body[kind], resume=page)

    if kind == "events":
        found.add(
            kind, kind=Kind.EVENT, key="id", order="asc", identifiers={"user_id": "user"},
            fields={"name": "event", "time": "time", "properties": "properties"},
        )(pull)  # fmt: skip
    else:
        named = {"company_id": "company_id"} if companies else {}
        plain = ("country", "first_name", "last_name", "language", "job_title", "lifecycle_stage", "created_at")
        found.add(
            kind, kind=Kind.PROFILE, key="id", order="asc", identifiers={"contact_id": "id", "email": "email", **named},
            fields={name: name for name in plain},
        )(pull)  # fmt: skip
    return found


def connector(kind: str, companies: int) -> Connector:
    """Return the made-up connector."""
    module = types.ModuleType("bench_connector")
    vars(module).update(
        MANIFEST=MANIFEST, Settings=Settings, STREAMS=streams(kind, companies), AUDIENCES={}, auth=lambda _: None,
        account=lambda _: "bench",
    )  # fmt: skip
    return Connector(module)


def pull_and_resolve(url: str, folder: Path, kind: str, companies: int) -> dict[str, Any]:
    """Pull everything into a new store; time the pull, and resolve apart."""
    connection = ConnectionConfig("crm", "bench", place=Place("bench", None, "crm"))
    config = Config(
        folder / "bench.toml", Workspace(folder / "bench.db", timezone=ZoneInfo("UTC")), connections={"crm": connection}
    )
    settings, vendor = Settings(base_url=url), connector(kind, companies)
    with Store(config.workspace.database) as store:
        register(store, config, {"bench": vendor})
        run_id = start_run(store, "pull", "crm", at=datetime.now(UTC))
        begun = time.perf_counter()
        with open_api(
            vendor, settings, connection="crm", store_path=config.workspace.database, folder=folder, clock=utc_now
        ) as api:
            report = pull_connection(store, api, connection=connection, connector=vendor, run_id=run_id, clock=utc_now)
        pulled = time.perf_counter()
        assert report.complete, report
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        resolve(store, config, at=datetime.now(UTC))
        resolved = time.perf_counter()
        records = store.conn.execute(f"SELECT count(*) FROM {'events' if kind == 'events' else 'crm__contacts'}").fetchone()[0]
    return {
        "seconds": pulled - begun,
        "records": records,
        "peak_rss_mb": round(peak / 1024),
        "resolve_seconds": round(resolved - pulled, 3),
        "resolve_peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }

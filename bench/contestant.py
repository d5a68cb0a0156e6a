"""Tagalong's side of `bench/pull.py`: a made-up connector of the loopback API, pulled and stored, then resolved."""

from __future__ import annotations

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
from core.pull import pull_connection
from core.registry import Connector
from core.resolve import resolve
from core.store import Store
from core.store.runs import start_run
from core.store.sources import register

STREAMS = StreamSet()
MANIFEST = Manifest(
    "bench", "Bench", category=Category.CRM, base_url="https://bench.example.com", hosts=("bench.example.com",),
    docs_url="https://bench.example.com", api_version="1", checked_on=date(2026, 1, 1), limits=[Limit(100_000)],
)  # fmt: skip


@STREAMS.add(
    "contacts", kind=Kind.PROFILE, key="id", order="asc", identifiers={"contact_id": "id", "email": "email"},
    fields={"country": "country", "first_name": "first_name", "last_name": "last_name", "language": "language",
            "job_title": "job_title", "lifecycle_stage": "lifecycle_stage", "created_at": "created_at"},
)  # fmt: skip
def contacts(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """Contacts in the order of their numbers."""
    page: str | None = resume or "1"
    while page:
        body = api.get("/contacts", page=page)
        page = body["paging"].get("next")
        yield Page(body["contacts"], resume=page)


def connector() -> Connector:
    """Return the made-up connector."""
    module = types.ModuleType("bench_connector")
    vars(module).update(
        MANIFEST=MANIFEST, Settings=Settings, STREAMS=STREAMS, AUDIENCES={}, auth=lambda _: None, account=lambda _: "bench"
    )
    return Connector(module)


def pull_and_resolve(url: str, folder: Path) -> dict[str, Any]:
    """Pull everything into a new store; time the pull, and resolve apart."""
    connection = ConnectionConfig("crm", "bench", place=Place("bench", None, "crm"))
    config = Config(
        folder / "bench.toml", Workspace(folder / "bench.db", timezone=ZoneInfo("UTC")), connections={"crm": connection}
    )
    settings = Settings(base_url=url)
    with Store(config.workspace.database) as store:
        register(store, config, {"bench": connector()})
        run_id = start_run(store, "pull", "crm", at=datetime.now(UTC))
        begun = time.perf_counter()
        with open_api(
            connector(), settings, connection="crm", store_path=config.workspace.database, folder=folder, clock=utc_now
        ) as api:
            report = pull_connection(store, api, connection=connection, connector=connector(), run_id=run_id, clock=utc_now)
        pulled = time.perf_counter()
        assert report.complete, report
        resolve(store, config, at=datetime.now(UTC))
        resolved = time.perf_counter()
        records = store.conn.execute("SELECT count(*) FROM crm__contacts").fetchone()[0]
    return {"seconds": pulled - begun, "records": records, "resolve_seconds": round(resolved - pulled, 3)}

"""One connection of a vendor's own connector over a store: pulled and resolved as a run would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.config.model import Config, ConnectionConfig, Place, Workspace
from core.pulling.pull import pull_connection
from core.pulling.pull_report import PullReport
from core.registry import load_connector
from core.resolve import ResolveReport, resolve
from core.store import Store
from core.store.runs import start_run
from core.store.sources import register


class Connected:
    """The connection *name* of *connector*, of a config beside the store."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], connector: str, settings: Mapping[str, object], *, name: str
    ) -> None:
        self.store, self.clock, self.connector = store, clock, load_connector(connector)
        place = Place("tagalong.toml", 1, f"connections.{name}")
        self.connection = ConnectionConfig(name, connector, place=place, settings=settings)
        workspace = Workspace(store.path, timezone=ZoneInfo("UTC"))
        self.config = Config(store.path.with_name("tagalong.toml"), workspace, connections={name: self.connection})
        self.register()

    def register(self) -> None:
        register(self.store, self.config, {self.connector.name: self.connector}, at=self.clock())

    def pull(self, api: Any, **options: Any) -> PullReport:
        run_id = start_run(self.store, "pull", self.connection.name, at=self.clock())
        return pull_connection(
            self.store, api, connection=self.connection, connector=self.connector, run_id=run_id, clock=self.clock, **options
        )

    def resolve(self) -> ResolveReport:
        return resolve(self.store, self.config, at=self.clock())

"""A made-up vendor whose streams are Python generators over lists, so that pull and resolve are tested without HTTP."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.clock import Clock
from core.config.model import Config, ConnectionConfig, Place, Workspace
from core.contract import Category, Kind, Manifest, Page, Settings, Stream
from core.http.meanwhile import Meanwhile
from core.pulling.pull import pull_connection
from core.pulling.pull_report import PullReport
from core.registry import Connector
from core.resolve import ResolveReport, resolve
from core.store.db import Store
from core.store.sources import register

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLACE = Place("tagalong.toml", 1, "connections")


class FakeApi:
    """Hands over settings and a clock; a stream that wants more closes over it."""

    settings = Settings()

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.said: datetime | None = None
        """What the vendor said that time is, where it was heard: as `core.http.vendor_time` has it."""
        self.meanwhile = Meanwhile()

    @property
    def now(self) -> datetime:
        return self.clock() if self.said is None else min(self.clock(), self.said)


def connector_of(name: str, category: Category, streams: Sequence[Stream]) -> Connector:
    module = types.ModuleType(name)
    manifest = Manifest(
        name, name.title(), category=category, base_url="", hosts=(), docs_url="", api_version="1", checked_on=date(2026, 1, 1)
    )
    vars(module).update(MANIFEST=manifest, Settings=Settings, STREAMS={stream.name: stream for stream in streams})
    return Connector(module)


class World:
    """A store, a config of made-up connections, and a clock; `pull` and `resolve` as a run would."""

    def __init__(self, path: Path, **connections: tuple[Category, Sequence[Stream]]) -> None:
        self.at = NOON
        self.store = Store(path)
        self.runs = itertools.count(1)
        self.workspace = Workspace(path, timezone=ZoneInfo("UTC"))
        self.connectors: dict[str, Connector] = {}
        self.connections: dict[str, ConnectionConfig] = {}
        for name, (category, streams) in connections.items():
            self.connect(name, category, streams)

    def connect(self, name: str, category: Category, streams: Sequence[Stream]) -> None:
        self.connectors[name] = connector_of(name, category, streams)
        self.connections[name] = ConnectionConfig(name, name, place=PLACE)
        self.register()

    def register(self) -> None:
        register(self.store, self.config, self.connectors, at=self.at)

    @property
    def config(self) -> Config:
        return Config(Path("/nowhere/tagalong.toml"), self.workspace, connections=self.connections)

    def prefer(self, *names: str) -> None:
        self.workspace = replace(self.workspace, priority=names)

    def clock(self) -> datetime:
        return self.at

    def later(self, **by: float) -> None:
        self.at += timedelta(**by)

    def pull(self, connection: str, api: FakeApi | None = None, **options: Any) -> PullReport:
        api = api or FakeApi(self.clock)
        return pull_connection(
            self.store, api,  # type: ignore[arg-type]  # as much of an api as its streams ask for
            connection=self.connections[connection], connector=self.connectors[connection],
            run_id=next(self.runs), clock=self.clock, **options,
        )  # fmt: skip

    def resolve(self) -> ResolveReport:
        return resolve(self.store, self.config, at=self.at)

    def everything(self) -> ResolveReport:
        for name in self.connections:
            for stream in self.pull(name).streams:
                assert stream.error is None, stream.error
        return self.resolve()

    def rows(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        return self.store.conn.execute(sql, arguments).fetchall()

    def one(self, sql: str, *arguments: object) -> Any:
        (row,) = self.rows(sql, *arguments)
        return row[0] if len(row) == 1 else row

    def groups(self) -> set[frozenset[str]]:
        """The records by the profile they belong to: what identity comes to, whatever the ids."""
        found: dict[int, set[str]] = {}
        for profile, name in self.rows(
            "SELECT s.profile_id, c.name || '.' || t.name || ':' || s.ref FROM subjects s JOIN streams t ON t.id = s.stream_id "
            "JOIN connections c ON c.id = t.connection_id WHERE s.live = 1 AND s.profile_id IS NOT NULL"
        ):
            found.setdefault(profile, set()).add(name)
        return {frozenset(names) for names in found.values()}


def stream(
    name: str,
    records: Callable[[], Sequence[Mapping[str, Any]]] | Sequence[Mapping[str, Any]],
    kind: Kind = Kind.PROFILE,
    *,
    size: int = 2,
    **options: Any,
) -> Stream:
    """A stream that gives *records* (or what it returns then) in pages of *size*, with the offset for its resume token."""

    def pull(api: object, cursor: object, resume: str | None) -> Iterator[Page]:
        found = list(records() if callable(records) else records)
        at = int(resume or 0)
        while True:
            part = found[at : at + size]
            at += size
            yield Page(part, resume=str(at) if at < len(found) else None)
            if at >= len(found):
                return

    options.setdefault("key", "id")
    options.setdefault("pull", pull)
    return Stream(name, kind, **options)


def contact(id_: object, email: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": str(id_), "email": email, **fields}


CONTACT: Mapping[str, Any] = {"identifiers": {"contact_id": "id", "email": "email"}}

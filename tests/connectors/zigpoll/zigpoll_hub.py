"""A CRM that knows people, Zigpoll that they answer in, and the core between: pulled, resolved, evaluated."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from support.pulled import CONTACT, FakeApi, connector_of, contact, stream

from core.config.model import Config, ConnectionConfig, Place, Segment, Workspace
from core.contract import Category
from core.pulling.pull import pull_connection
from core.pulling.pull_report import PullReport
from core.registry import load_connector
from core.resolve import resolve
from core.segments.definitions import define
from core.segments.evaluate import evaluate
from core.segments.vocabulary import read_vocabulary
from core.store.sources import register

PLACE = Place("tagalong.toml", 1, "connections")
PEOPLE = [contact(n, f"p{n}@example.com", user=f"u{n}") for n in range(40)]


class Hub:
    """A CRM that knows people, polls that they answer, and the core between."""

    def __init__(self, store: Any, clock: Any, folder: Path, api: Any) -> None:
        self.store, self.clock, self.api, self.runs = store, clock, api, count(1)
        options = {"identifiers": {**CONTACT["identifiers"], "user_id": "user"}, "fields": {"email": "email"}}
        people = stream("people", PEOPLE, size=50, **options)
        self.connectors = {"crm": connector_of("crm", Category.CRM, [people]), "zigpoll": load_connector("zigpoll")}
        connections = {
            "crm": ConnectionConfig("crm", "crm", place=PLACE),
            "survey": ConnectionConfig("survey", "zigpoll", place=PLACE, settings={"api_key": {"env": "K"}}),
        }
        self.config = Config(folder / "tagalong.toml", Workspace(store.path, timezone=ZoneInfo("UTC")), connections=connections)
        register(store, self.config, self.connectors, at=clock())

    def pull(self, **options: Any) -> PullReport:
        """Pull both connections and resolve; the report is the survey's."""
        reports = [
            pull_connection(
                self.store, api, connection=self.config.connections[name], connector=self.connectors[of],
                run_id=next(self.runs), clock=self.clock, **(options if name == "survey" else {}),
            )
            for name, of, api in (("crm", "crm", FakeApi(self.clock)), ("survey", "zigpoll", self.api))
        ]  # fmt: skip
        resolve(self.store, self.config, at=self.clock())
        return reports[1]

    def members(self, where: str) -> set[str]:
        """Return the addresses of those in a segment."""
        config = replace(self.config, segments={"it": Segment("it", where, place=PLACE)})
        found = evaluate(self.store, define(config, read_vocabulary(config, self.connectors, self.store)), as_of=self.clock())
        ids = ",".join(str(id_) for id_ in found.sets["segment.it"])
        return {email for (email,) in self.store.conn.execute(f"SELECT email FROM profiles WHERE id IN ({ids})")}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.store.conn.execute(sql)]

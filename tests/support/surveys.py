"""A CRM that knows people, a survey tool that they answer in, and the core between: pulled, resolved, evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

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
from support.pulled import CONTACT, FakeApi, connector_of, contact, stream

PLACE = Place("tagalong.toml", 1, "connections")
PEOPLE = [contact(n, f"p{n}@example.com", user=f"u{n}") for n in range(40)]


class Hub:
    """The three; *name* is the survey tool's connector, *settings* its connection's."""

    def __init__(self, store: Any, clock: Any, folder: Path, api: Any, *, name: str, settings: Mapping[str, object]) -> None:
        self.store, self.clock, self.api, self.name, self.runs = store, clock, api, name, count(1)
        options = {**CONTACT, "fields": {"email": "email"}}
        options["identifiers"] = {**CONTACT["identifiers"], "user_id": "user"}
        people = stream("people", PEOPLE, size=50, **options)
        self.connectors = {"crm": connector_of("crm", Category.CRM, [people]), name: load_connector(name)}
        connections = {
            "crm": ConnectionConfig("crm", "crm", place=PLACE),
            "survey": ConnectionConfig("survey", name, place=PLACE, settings=settings),
        }
        self.config = Config(folder / "tagalong.toml", Workspace(store.path, timezone=ZoneInfo("UTC")), connections=connections)
        register(store, self.config, self.connectors, at=clock())

    def pull(self, **options: Any) -> PullReport:
        """Pull both connections and resolve; the report is the survey's."""
        both: tuple[tuple[str, str, Any], ...] = (("crm", "crm", FakeApi(self.clock)), ("survey", self.name, self.api))
        reports = [
            pull_connection(
                self.store, api, connection=self.config.connections[name], connector=self.connectors[of],
                run_id=next(self.runs), clock=self.clock, **(options if name == "survey" else {}),
            )
            for name, of, api in both
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


def sent(
    count: int, at: datetime, *, survey: str = "nps", first: int = 0, every_s: float = 60, **values: Any
) -> list[dict[str, Any]]:
    """Return *count* neutral answers, the newest at *at*, one each *every_s* seconds before."""
    return [
        {"id": f"r{n:05}", "survey": survey, "user_id": f"u{n}", "answers": {"score": n % 11},
         "submitted_at": at - timedelta(seconds=every_s * (n - first)), **values}
        for n in range(first, first + count)
    ]  # fmt: skip


def deletions_come_with_the_weekly_pull(hub: Hub) -> None:
    """Hold that answers which the vendor deletes without telling are there until everything is asked for again."""
    hub.api.sandbox.load("responses", sent(30, hub.clock() - timedelta(days=1)))
    hub.pull()
    hub.api.sandbox.delete("responses", ["r00009", "r00010"])
    hub.clock.advance(timedelta(hours=1))
    hub.pull()
    assert {"p9@example.com", "p10@example.com"} <= hub.members("nps >= 9")

    hub.clock.advance(timedelta(days=7))
    assert 2 == hub.pull().streams[0].deleted
    assert {"p20@example.com", "p21@example.com"} == hub.members("nps >= 9")

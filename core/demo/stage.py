"""
The stage of the demo: one sandbox for each kind of tool, loaded with the world and kept in step with it.

Who plays which part is `cast`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from core.clock import utc_now
from core.contract import Sandbox, Settings
from core.demo.people import rows
from core.demo.people.model import World
from core.http import HttpApi, open_api
from core.registry import Connector


@dataclass(slots=True)
class DemoClock:
    """A clock that runs like the wall's, but can be moved on: rates still refill while a week passes in a moment."""

    offset: timedelta

    def __call__(self) -> datetime:
        return utc_now() + self.offset

    def advance(self, by: timedelta) -> None:
        """Let *by* pass at once."""
        self.offset += by


def _tellable(name: str, world: World) -> Iterator[tuple[str, rows.Rows]]:
    """Yield what the tool of the connection *name* has of the world, kind by kind."""
    people = world.people
    match name:
        case "crm":
            yield "companies", rows.companies(world)
            yield "people", rows.contacts(people)
        case "billing":
            yield "customers", rows.customers(people)
            yield "subscriptions", rows.subscriptions(people)
            yield "invoices", rows.invoices(people)
        case "mail":
            yield "members", rows.members(people)
        case "survey":
            yield "surveys", rows.surveys(world)
            yield "responses", rows.responses(people)
        case "analytics":
            yield "users", rows.users(people)
            yield "events", rows.events(people)
        case _:
            raise ValueError(f"there is no part called {name}")


HASTE: Final = 20.0
"""How many times the vendors' rates the sandboxes allow: some would have everybody wait for minutes."""


def open_hastily(connector: Connector, settings: Settings, **options: Any) -> HttpApi:
    """Open a connection that asks as fast as the sandboxes allow."""
    limits = [replace(limit, amount=limit.amount * HASTE) for limit in connector.manifest.limits]
    return open_api(connector, settings, limits=limits, **options)


@dataclass(slots=True)
class Stage:
    """The sandboxes by the name of their connection, and what each was last told of the world."""

    sandboxes: Mapping[str, Sandbox]
    told: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    @classmethod
    def build(cls, connectors: Mapping[str, Connector], now: Callable[[], datetime]) -> Stage:
        """Return fresh sandboxes for *connectors*, by the name of their connection."""
        return cls({name: connector.sandbox(now=now, rate_factor=HASTE) for name, connector in connectors.items()})

    def tell(self, world: World, merged: Mapping[str, str] | None = None) -> None:
        """Bring every tool up to date with *world*: only what changed is told; *merged* maps losing CRM ids to winners."""
        for name, box in self.sandboxes.items():
            for what, wanted in _tellable(name, world):
                told = {str(row["id"]): row for row in wanted}
                self._tell(name, what, told, (merged or {}) if box.merges else {})

    def _tell(self, name: str, what: str, wanted: dict[str, Mapping[str, Any]], merged: Mapping[str, str]) -> None:
        sandbox, before = self.sandboxes[name], self.told.get((name, what), {})
        for loser, winner in merged.items():
            if what == "people" and loser in before:
                sandbox.merge(what, loser, winner)
        fresh = [row for key, row in wanted.items() if before.get(key) != row]
        late = {"uploaded_at": sandbox.now()} if what == "events" and before else {}
        sandbox.load(what, [{**row, **late} for row in fresh])
        sandbox.delete(what, [key for key in before if key not in wanted and not (what == "people" and key in merged)])
        self.told[name, what] = wanted

    def requests(self) -> Counter[str]:
        """Return the requests so far, by connection, counted by the sandboxes themselves."""
        return Counter({name: box.requests.total() for name, box in self.sandboxes.items()})

    def writes(self) -> Counter[str]:
        """Return those of them that wrote."""
        return Counter({name: box.writes.total() for name, box in self.sandboxes.items()})

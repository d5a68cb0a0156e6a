"""
The stage of the demo: one sandbox for each kind of tool, loaded with the world and kept in step with it.

Which vendor plays which part is asked of the registry by category; none is named here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core.clock import utc_now
from core.contract import Category, Sandbox
from core.demo.people import rows
from core.demo.people.model import World
from core.registry import Connector, connector_names, load_connector


@dataclass(slots=True)
class DemoClock:
    """A clock that runs like the wall's, but can be moved on: rates still refill while a week passes in a moment."""

    offset: timedelta

    def __call__(self) -> datetime:
        return utc_now() + self.offset

    def advance(self, by: timedelta) -> None:
        """Let *by* pass at once."""
        self.offset += by


def connector_for(category: Category) -> Connector:
    """Return the first connector of *category* that has a sandbox behind HTTP; LookupError where there is none."""
    for name in connector_names():
        connector = load_connector(name)
        if connector.manifest.category is category and connector.manifest.hosts:
            return connector
    raise LookupError(f"no connector of category {category} can play in the demo")


@dataclass(slots=True)
class Stage:
    """The sandboxes by the name of their connection, and what each was last told of the world."""

    connectors: Mapping[str, Connector]
    sandboxes: Mapping[str, Sandbox]
    told: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    @classmethod
    def build(cls, now: Callable[[], datetime]) -> Stage:
        """Return fresh sandboxes for the CRM, the billing tool and the e-mail tool."""
        parts = {"crm": Category.CRM, "billing": Category.BILLING, "mail": Category.EMAIL}
        connectors = {name: connector_for(category) for name, category in parts.items()}
        return cls(connectors, {name: connector.sandbox(now=now) for name, connector in connectors.items()})

    def tell(self, world: World, merged: Mapping[str, str] | None = None) -> None:
        """Bring every tool up to date with *world*: only what changed is told; *merged* maps losing CRM ids to winners."""
        people = world.people
        for name, what, wanted in (
            ("crm", "companies", rows.companies(world)),
            ("crm", "people", rows.contacts(people)),
            ("billing", "customers", rows.customers(people)),
            ("billing", "subscriptions", rows.subscriptions(people)),
            ("billing", "invoices", rows.invoices(people)),
            ("mail", "members", rows.members(people)),
        ):
            self._tell(name, what, {str(row["id"]): row for row in wanted}, merged or {})

    def _tell(self, name: str, what: str, wanted: dict[str, Mapping[str, Any]], merged: Mapping[str, str]) -> None:
        sandbox, before = self.sandboxes[name], self.told.get((name, what), {})
        for loser, winner in merged.items():
            if what == "people" and loser in before:
                sandbox.merge(what, loser, winner)
        sandbox.load(what, (row for key, row in wanted.items() if before.get(key) != row))
        sandbox.delete(what, [key for key in before if key not in wanted and not (what == "people" and key in merged)])
        self.told[name, what] = wanted

    def requests(self) -> Counter[str]:
        """Return the requests so far, by connection, counted by the sandboxes themselves."""
        return Counter({name: box.requests.total() for name, box in self.sandboxes.items()})

    def writes(self) -> Counter[str]:
        """Return those of them that wrote."""
        return Counter({name: box.writes.total() for name, box in self.sandboxes.items()})

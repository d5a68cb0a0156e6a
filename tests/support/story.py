"""
A small world for tests of delivery: one made-up CRM that is both source and destination, a config, and a clock that is told.

`Story.people` puts persons at the vendor; `Story.sync` runs the whole line; `Story.there` is who is in an audience then.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.config.model import (
    AlertConfig,
    Config,
    ConnectionConfig,
    Every,
    Guard,
    Partition,
    Place,
    Segment,
    SyncConfig,
    Trait,
    Workspace,
)
from core.contract import Category
from core.hub import Hub
from core.run import SyncReport, sync
from core.store import Store
from support.audiences import Vendor, VendorApi, connector

PLACE = Place("tagalong.toml", 1, "here")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Story:
    """One world."""

    folder: Path
    now: datetime = NOON
    kind: str = "tag"
    category: Category = Category.CRM
    with_events: bool = False
    segments: dict[str, str] = field(default_factory=lambda: {"vip": 'lifecycle_stage == "vip"'})
    partitions: dict[str, dict[str, str]] = field(default_factory=dict)
    syncs: dict[str, SyncConfig] = field(default_factory=dict)
    schedule: Every | None = None
    vendor: Vendor = field(default_factory=Vendor)
    slept: list[float] = field(default_factory=list)
    exclude: str | None = None
    traits: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    """The connection, that is."""
    alerts: dict[str, AlertConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.syncs and "vip" in self.segments:
            self.add_sync("vips")

    def add_sync(self, name: str, segment: str | None = "vip", **options: Any) -> None:
        """Add or replace a sync."""
        options.setdefault("audience_kind", self.kind)
        options.setdefault("audience_name", "Vips")
        if options.get("partition"):
            segment = None
        self.syncs[name] = SyncConfig(name, place=PLACE, segment=segment, to="crm", **options)

    def guard(self, name: str, **limits: Any) -> None:
        """Move the limits of a sync."""
        self.syncs[name] = replace(self.syncs[name], guard=Guard(**limits))

    def config(self) -> Config:
        """Return the config as it is now."""
        return Config(
            self.folder / "tagalong.toml",
            Workspace(self.folder / "tagalong.db", timezone=ZoneInfo("UTC"), exclude=self.exclude),
            connections={"crm": ConnectionConfig("crm", "acme", place=PLACE, schedule=self.schedule, enabled=self.enabled)},
            segments={
                name: Segment(name, where, place=PLACE, title=self.titles.get(name, name.title()))
                for name, where in self.segments.items()
            },
            partitions={
                name: Partition(name, groups, place=PLACE, title=name.title()) for name, groups in self.partitions.items()
            },
            traits={name: Trait(name, value, place=PLACE) for name, value in self.traits.items()},
            syncs=dict(self.syncs),
            alerts=dict(self.alerts),
        )

    def hub(self) -> Hub:
        """Return a hub with the made-up vendor."""
        made = connector(self.category, with_events=self.with_events)
        return Hub(
            self.config(),
            clock=lambda: self.now,
            stop=threading.Event(),
            environ={},
            connectors={"acme": made},
            opener=lambda *a, **o: VendorApi(self.vendor, lambda: self.now),
            sleep=self.slept.append,
        )

    def store(self) -> Store:
        """Open the store."""
        return Store(self.folder / "tagalong.db")

    def people(self, *numbers: int, stage: str = "vip", **more: Any) -> None:
        """Put persons at the vendor, or change them."""
        for n in numbers:
            before = self.vendor.people.get(str(n), {"email": f"p{n}@example.com", "user_id": f"u{n}"})
            self.vendor.people[str(n)] = {**before, "stage": stage, **more}

    def event(self, number: int, name: str, at: datetime) -> None:
        """Let somebody do something."""
        self.vendor.events.append(
            {"id": f"e{len(self.vendor.events)}", "email": f"p{number}@example.com", "name": name, "at": at}
        )

    def pass_time(self, by: timedelta = timedelta(minutes=15)) -> None:
        """Let time pass."""
        self.now += by

    def sync(self, **options: Any) -> SyncReport:
        """Run the whole line a quarter of an hour later."""
        self.pass_time()
        return sync(self.hub(), **options)

    def there(self, name: str = "Vips") -> set[str]:
        """Return who is in an audience at the vendor."""
        return self.vendor.audience(name)


def ids(*numbers: int) -> set[str]:
    """Return remote ids."""
    return {str(n) for n in numbers}


def held(report: SyncReport) -> dict[str, list[str]]:
    """Return the kinds of what is held, by label."""
    return {plan.label: sorted({str(one.kind) for one in plan.held}) for run in report.syncs for plan in run.plans if plan.held}


def skips(report: SyncReport) -> Mapping[str, int]:
    """Return how many were skipped for what, over all plans."""
    found: dict[str, int] = {}
    for run in report.syncs:
        for plan in run.plans:
            for skip, profiles in plan.skips.items():
                found[str(skip)] = found.get(str(skip), 0) + len(profiles)
    return found

"""
The configuration as plain values, after it was read and checked; `core.config.load` makes it.

Nothing here holds a resolved secret: `ConnectionConfig.settings` keeps `{"env": ...}` and `{"file": ...}` as they were
written, and `core.config.secrets` resolves them when the connection is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from core.config.countries import ASK_NOBODY, ConsentRules
from core.contract import Category

DEFAULT_PRIORITY = (
    Category.CRM, Category.BILLING, Category.FILE, Category.SUPPORT, Category.EMAIL, Category.ANALYTICS, Category.SURVEY,
)  # fmt: skip


DEFAULT_CURRENCY: Final = "EUR"
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


@dataclass(frozen=True, slots=True)
class Every:
    """A schedule by distance: `15m`."""

    period: timedelta


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule by the clock, five fields, in the workspace's zone. 0 and 7 are Sunday."""

    text: str


Schedule = Every | Cron


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands, for messages."""

    file: str
    line: int | None
    key: str


@dataclass(frozen=True, slots=True)
class Retention:
    """`[workspace.retention]`: how long each sort of history is kept; None is for ever."""

    runs: timedelta | None = timedelta(days=180)
    memberships: timedelta | None = None
    field_history: timedelta | None = None
    dead_letters: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """`[workspace]`."""

    database: Path
    """Absolute."""
    _: KW_ONLY
    timezone: ZoneInfo
    currency: str = DEFAULT_CURRENCY
    exclude: str | None = None
    """The segment whose members stay out of everything."""
    billing_of: Literal["company", "person"] = "company"
    priority: tuple[Category | str, ...] = DEFAULT_PRIORITY
    """Which source wins for a canonical field, best first; connection names may stand among categories."""
    rates: Mapping[date, Mapping[str, Decimal]] = field(default_factory=dict)
    """From each date on, what one unit of a currency is worth in the workspace's."""
    week_start: Weekday = "monday"
    """The day that `this("week")` and `previous("week")` begin with."""
    stale_after: timedelta = timedelta(hours=24)
    consent: ConsentRules = ASK_NOBODY
    """Where a yes is needed before somebody is added at an e-mail tool."""
    tokens: Literal["auto", "keyring", "file"] = "auto"
    """Where OAuth 2 tokens are kept: `core.tokens.vault`."""
    retention: Retention = Retention()


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """One `[connections.NAME]` table."""

    name: str
    connector: str
    _: KW_ONLY
    place: Place
    schedule: Schedule | None = None
    streams: tuple[str, ...] | None = None
    """Names of the streams to pull; None is all."""
    stale_after: timedelta | None = None
    full_every: timedelta | None = None
    reserve: float = 0.10
    """The share of each quota that runs nobody looks on leave to people."""
    enabled: bool = True
    settings: Mapping[str, object] = field(default_factory=dict)
    """The connector's own keys, validated but for secrets, which are still references."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One `[segments.NAME]` table."""

    name: str
    where: str
    _: KW_ONLY
    place: Place
    title: str = ""
    """Defaults to the name with spaces and a capital."""
    of: Literal["person", "company"] = "person"
    """What its members are."""
    anonymous: bool = False
    timezone: ZoneInfo | Literal["person"] | None = None
    """None is the workspace's; person is each one's own."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One `[partitions.NAME]` table: everyone falls into the first group that matches."""

    name: str
    groups: Mapping[str, str]
    """Group name to expression, in order."""
    _: KW_ONLY
    place: Place
    title: str = ""
    otherwise: str | None = None
    """`else`: the group of those whom no expression matches."""
    anonymous: bool = False
    timezone: ZoneInfo | Literal["person"] | None = None
    """None is the workspace's; person is each one's own."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a score: *points* where *when* holds, or times the number *each*."""

    points: float
    when: str | None = None
    each: str | None = None


@dataclass(frozen=True, slots=True)
class Trait:
    """One `[traits.NAME]` table: a number or a text that everybody has, by *value*, *rules* or *built_in*."""

    name: str
    value: str | None = None
    _: KW_ONLY
    place: Place
    title: str = ""
    rules: tuple[Rule, ...] = ()
    built_in: str | None = None
    timezone: ZoneInfo | Literal["person"] | None = None
    least: float | None = None
    most: float | None = None
    event: str | None = None
    amount: str | None = None
    window: str | None = None
    revenue: str | None = None
    expected_months: float | None = None
    gross_margin: float | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """`guard = { removals = "20%", adds = 500 }`: moves a limit; None keeps the default. A share is below 1, a count is not."""

    removals_share: float | None = None
    removals_count: int | None = None
    adds_share: float | None = None
    adds_count: int | None = None


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """One `[[syncs]]` table."""

    name: str
    _: KW_ONLY
    place: Place
    segment: str | None = None
    partition: str | None = None
    to: str
    audience_kind: str
    audience_name: str
    """May hold `{group}` (must, for a partition)."""
    params: Mapping[str, object] = field(default_factory=dict)
    """The audience's own keys, validated by its `Params`."""
    mode: Literal["mirror", "add_only"] = "mirror"
    baseline: Literal["ignore", "adopt", "replace"] = "ignore"
    """What becomes of the members who were there before our first write: `core.live.baseline`."""
    create_missing: bool = False
    require_consent: bool = False
    schedule: Schedule | None = None
    enabled: bool = True
    guard: Guard = Guard()
    grace: timedelta | None = None
    """How long somebody must have been out, without a break, before they are removed."""
    min_stay: timedelta | None = None
    """How long somebody whom we put in stays at least."""


class AlertState(StrEnum):
    """What an alert tells of."""

    FAILED = "failed"
    HELD = "held"
    STALE = "stale"
    REJECTED = "rejected"
    OVERDUE = "overdue"
    RECOVERED = "recovered"
    """The end of any of the others."""


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """One `[alerts.NAME]` table. Its secrets are kept as they were written: `core.config.alerts.endpoint` resolves them."""

    name: str
    kind: Literal["slack", "webhook"]
    _: KW_ONLY
    place: Place
    url: object
    secret: object = None
    """What a webhook is signed with."""
    on: frozenset[AlertState] = frozenset(AlertState)
    when: Literal["daemon", "always"] = "daemon"
    """Whether only the daemon tells, or `sync` and `pull` too."""
    rejected_share: float = 0.05
    rejected_count: int = 20
    """Above both of these, the refusals of one run are too many."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """The whole of it."""

    path: Path
    """Absolute path of the main file; relative paths in it are relative to its folder."""
    workspace: Workspace
    _: KW_ONLY
    connections: Mapping[str, ConnectionConfig] = field(default_factory=dict)
    segments: Mapping[str, Segment] = field(default_factory=dict)
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    traits: Mapping[str, Trait] = field(default_factory=dict)
    syncs: Mapping[str, SyncConfig] = field(default_factory=dict)
    alerts: Mapping[str, AlertConfig] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder that files are confined to."""
        return self.path.parent

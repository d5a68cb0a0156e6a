"""
The tables of the config file as pydantic models: which keys there are, what each must look like, what it means.

The docstrings are the descriptions in the JSON Schema. What needs more than one table (names that must exist, a connector's own
keys) is in `connections` and `syncs`; the values that everybody else uses are in `model`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr

from core.config.countries import ConsentRules
from core.config.model import DEFAULT_CURRENCY, AlertState, Weekday
from core.config.retention import RetentionTable
from core.config.table import Table
from core.config.values import (
    ConsentTable,
    Currency,
    Delaying,
    Duration,
    Flag,
    GuardTable,
    Limit,
    Rates,
    ReserveText,
    ScheduleText,
    SegmentZone,
    Zone,
)


class WorkspaceTable(Table):
    """What holds for everything."""

    database: str = "tagalong.db"
    """The SQLite file, relative to the config file."""
    timezone: Zone = ZoneInfo("UTC")
    """Whose clock cron schedules and calendar words read."""
    currency: Currency = DEFAULT_CURRENCY
    """What money is spoken of in; amounts in others are converted by the rates."""
    exclude: str | None = None
    """The segment whose members (staff, test accounts) stay out of everything."""
    billing_of: Literal["company", "person"] = "company"
    """Whether `paying`, `mrr` and their like are of the person's company, where there is one, or always of the person."""
    priority: list[str] | None = None
    """Which source wins for a canonical field, best first: categories and names of connections."""
    stale_after: Duration = timedelta(hours=24)
    """How old the last complete pull of a connection without a schedule may be before syncs that rest on it are held."""
    consent: ConsentTable = ConsentRules()
    """Countries in which e-mail tools get only people who said yes; elsewhere whoever did not say no."""
    tokens: Literal["auto", "keyring", "file"] = "auto"
    """Where OAuth 2 tokens are kept: the system keyring, a file beside the database, or (auto) a keyring where there is one."""
    week_start: Weekday = "monday"
    """The day that weeks of the calendar begin with, in `this("week")` and `previous("week")`."""
    rates: Rates = {}  # noqa: RUF012 - pydantic copies it
    """From each date on, what one unit of a currency is worth in the workspace's."""
    retention: RetentionTable | None = None
    """How long each sort of history is kept: runs for half a year, all else for ever."""


class ConnectionTable(Table):
    """One account of one vendor. The connector's own keys stand beside these."""

    connector: str
    """Which connector: `tagalong connectors` lists them."""
    schedule: ScheduleText | None = None
    """When the daemon pulls it: a distance or cron. Without one it is pulled before each sync that rests on it."""
    streams: list[str] | None = None
    """Names of the streams to pull; all, if left out."""
    stale_after: Duration | None = None
    """How old its last complete pull may be before syncs that rest on it are held."""
    full_every: Duration | None = None
    """How often everything is pulled again to find what vanished, where the vendor does not tell."""
    reserve: ReserveText = "10%"
    """How much of a quota (by the hour, the day) the daemon leaves to commands that people run: "0%" to "90%"."""
    enabled: Flag = True
    """false: neither pulled nor pushed to."""


class SegmentTable(Table):
    """A rule that says who is in."""

    where: str
    """The expression."""
    of: Literal["person", "company"] = "person"
    """Whether its members are people, or companies, for destinations that can hold those."""
    title: str | None = None
    """For people; the name with spaces and a capital, if left out."""
    anonymous: Flag = False
    """true: people without an e-mail or a user id may be members."""
    tz: SegmentZone | None = None
    """The zone of its calendar words, if not the workspace's; `person` is each person's own."""


class PartitionTable(Table):
    """Groups that exclude each other: everyone falls into the first that matches."""

    groups: dict[str, str]
    """Group name to expression, in order."""
    title: str | None = None
    """For people; the name with spaces and a capital, if left out."""
    otherwise: str | None = Field(None, alias="else")
    """The group of those whom no expression matches; without it they are in none."""
    anonymous: Flag = False
    """true: people without an e-mail or a user id may be members."""
    tz: SegmentZone | None = None
    """The zone of its calendar words, if not the workspace's; `person` is each person's own."""


class SyncTable(Table):
    """A segment or partition, and the audience at a destination that follows it. The audience's own keys stand beside these."""

    to: str
    """The connection to push to."""
    name: str | None = None
    """SEGMENT_to_CONNECTION, if left out."""
    segment: str | None = None
    """The segment to push; or a partition."""
    partition: str | None = None
    """The partition to push, one audience a group."""
    audience: str | dict[str, str] | None = None
    """Its kind and name; the kind may be left out where the vendor has one, the name defaults to the title."""
    mode: Literal["mirror", "add_only"] = "mirror"
    """mirror: who leaves is removed, of those that we added; add_only: nobody is ever removed."""
    baseline: Literal["ignore", "adopt", "replace"] = "ignore"
    """
    Members who were there before our first write: ignore leaves them alone; adopt makes those who are wanted ours, so that they
    are removed when they leave; replace adopts all and removes, once somebody approves it, who is not wanted.
    """
    create_missing: Flag = False
    """true: people whom the destination does not know are created there, never as subscribed."""
    require_consent: Flag = False
    """true: who has unsubscribed anywhere is not added, though the destination is no e-mail tool."""
    schedule: ScheduleText | None = None
    """When the daemon runs it: a distance or cron. Without one, after each complete pull that it rests on."""
    enabled: Flag = True
    """false: left as it is."""
    guard: GuardTable | None = None
    """Moves the limits above which changes are held for approval."""
    grace: Delaying | None = None
    """How long somebody must have been out, without a break, before they are removed."""
    min_stay: Delaying | None = None
    """How long somebody whom we put in stays at least."""


class AlertTable(Table):
    """Whom to tell when something fails, is held, or is well again."""

    kind: Literal["slack", "webhook"]
    """slack: an incoming webhook of Slack; webhook: any address, signed as Standard Webhooks has it."""
    url: SecretStr
    """Where it is sent: https, and a secret, for whoever has Slack's may write there."""
    secret: SecretStr | None = None
    """What a webhook is signed with: 24 bytes or more in base64, `whsec_` before it or not."""
    on: list[AlertState] | None = None
    """What it tells of; everything, if left out."""
    when: Literal["daemon", "always"] = "daemon"
    """daemon: `tagalong run` tells; always: `sync` and `pull` do too, for those who run them by cron."""
    rejected: Limit | None = None
    """How much of one run may be refused or unreadable: a share or a count; 5%, or 20 where that is more, if left out."""
    enabled: Flag = True
    """false: nothing is told there."""

"""Where Mixpanel lives, what one connection of it must say, and how much it may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from core.contract import Limit
from core.contract import Settings as BaseSettings

DOCS: Final = "https://docs.mixpanel.com/reference"
HOUR: Final = 3600.0


class Plane(StrEnum):
    """The three APIs, each on a host of its own."""

    QUERY = "query"
    EXPORT = "export"
    INGESTION = "ingestion"


HOSTS: Final[Mapping[str, Mapping[Plane, str]]] = {
    "us": {
        Plane.QUERY: "https://mixpanel.com",
        Plane.EXPORT: "https://data.mixpanel.com",
        Plane.INGESTION: "https://api.mixpanel.com",
    },
    "eu": {
        Plane.QUERY: "https://eu.mixpanel.com",
        Plane.EXPORT: "https://data-eu.mixpanel.com",
        Plane.INGESTION: "https://api-eu.mixpanel.com",
    },
    "in": {
        Plane.QUERY: "https://in.mixpanel.com",
        Plane.EXPORT: "https://data-in.mixpanel.com",
        Plane.INGESTION: "https://api-in.mixpanel.com",
    },
}
EXPORT: Final = "/api/2.0/export"
PROFILES: Final = "/api/query/engage"
COHORTS: Final = "/api/query/cohorts/list"
UPDATES: Final = "/engage"

# Quirk 1: per project, shared with every other tool of the customer. DOCS/rate-limits
LIMITS: Final = (
    Limit(60, per_s=HOUR, concurrency=2, paths=(f"*{EXPORT}",)),
    Limit(3, paths=(f"*{EXPORT}",)),
    Limit(60, per_s=HOUR, concurrency=2, paths=("*/api/query/*",)),
    # updates are limited by bytes (2 GB a minute), which four connections never reach; the rate is a bound of ours
    Limit(20, concurrency=4, paths=(UPDATES, f"https://api*.mixpanel.com{UPDATES}")),
)


class Settings(BaseSettings):
    """One project; two projects are two connections."""

    project_id: str
    """Project Settings > Overview: "Project ID", a number."""
    start: date
    """The first day whose events are pulled. Each month more is one or two of the 60 requests an hour, once."""
    timezone: str
    """Project Settings > Overview: "Timezone", as in Europe/Stockholm. Mixpanel does not tell it, and refuses later days."""
    service_account: str | None = None
    """Organization Settings > Service Accounts: the username."""
    secret: SecretStr | None = None
    """The service account's secret, shown once."""
    project_secret: SecretStr | None = None
    """Instead of a service account: the project's API secret. Mixpanel retires these on 3 March 2027."""
    token: SecretStr | None = None
    """Project Settings > Overview: "Project Token"; needed only where a sync writes profile properties."""
    region: Literal["us", "eu", "in"] = "us"
    """Where the project's data is kept ("Data Residency")."""
    days: Literal["utc", "project"] = "utc"
    """Which midnight a day of the export begins at: `project` for projects made before January 2023."""
    times: Literal["utc", "project"] | None = None
    """What clock events are dated by: `project` where it is the wall clock of the project's zone; as `days` if left out."""
    id_merge: Literal["simplified", "original"] = "simplified"
    """How the project tells people apart: Project Settings > Identity Merge."""
    late_days: int = Field(10, ge=0, le=90)
    """How far back days are read again, once a day, for events that arrived late."""
    profile_properties: tuple[str, ...] = ()
    """Profile properties to read besides Mixpanel's usual ones."""

    @field_validator("project_id", mode="before")
    @classmethod
    def _a_number(cls, value: object) -> object:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and not (text.isascii() and text.isdigit()):
            raise ValueError("a Mixpanel project id is a number, as in 1234567; the token is another setting")
        return text

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, LookupError):
            raise ValueError("no such time zone; write it as in Europe/Stockholm") from None
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.service_account is None) != (self.secret is None):
            raise ValueError("service_account and secret belong together")
        if (self.secret is None) == (self.project_secret is None):
            raise ValueError("give service_account and secret (or project_secret, until March 2027)")
        if self.times == "project" and self.days == "utc":
            raise ValueError('times = "project" goes with days = "project": both are of projects made before January 2023')
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The project's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def wall_clock(self) -> bool:
        """Whether events are dated by the wall clock of the project's zone (Quirk 4)."""
        return (self.times or self.days) == "project"


def at(settings: Settings, plane: Plane, path: str) -> str:
    """Return where *path* of an API is asked for: a `base_url` stands for all three hosts."""
    return path if settings.base_url else f"{HOSTS[settings.region][plane]}{path}"


def project(settings: Settings) -> Mapping[str, Any]:
    """Return the query parameter that goes with a service account; a project secret is of one project anyway."""
    return {"project_id": settings.project_id} if settings.service_account is not None else {}

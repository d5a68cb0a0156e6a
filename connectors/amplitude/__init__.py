"""
Amplitude: one project's events are pulled by the hour of their upload; cohorts and user properties are pushed.

Here is who the vendor is and how it is signed in to; `events.py` is the stream, with `export.py` (which hours) and `archive.py`
(what comes); `cohorts.py` and `identify.py` are the audiences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Any, Final

from pydantic import Field, SecretStr, model_validator

from connectors.amplitude.cohorts import AUDIENCES, read_cohorts
from connectors.amplitude.erasure import ERASURE, erase
from connectors.amplitude.events import STREAMS
from connectors.amplitude.identify import DEFAULT_MIN_ID_LENGTH  # and with it the audience `field`
from connectors.amplitude.vendor import ANALYTICS, DOCS, Region, classify
from core.contract import Api, Basic, Category, CheckStep, Limit, Manifest, Step, check_steps
from core.contract import Settings as BaseSettings
from core.errors import AuthError, ConfigError, ConnectorError

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "STREAMS", "Settings", "account", "auth", "check", "classify", "erase"]

MANIFEST = Manifest(
    name="amplitude",
    title="Amplitude",
    category=Category.ANALYTICS,
    base_url=ANALYTICS["us"],
    hosts=("amplitude.com",),
    docs_url=f"{DOCS}/",
    api_version="export 2, cohorts 3, cohort download 5",  # in each path
    limits=[
        # five at once are allowed, shared with the Dashboard REST API; the rate is a bound of ours. DOCS/dashboard-rest
        Limit(10, per_s=1, concurrency=4),
        Limit(1, per_s=1, paths=("/api/2/export",)),  # not stated; what other connectors keep to
        # 60 in ten minutes, in even parts, so that nobody waits long for the next;
        # a month's 500 cannot be kept here without stopping the connection for weeks (Quirk 19). DOCS/behavioral-cohorts
        Limit(6, per_s=60, concurrency=4, paths=("/api/5/cohorts/*",)),
        Limit(1, per_s=1, paths=("*/identify",)),  # of 1000 users: a Starter plan takes so many a second. DOCS/http-v2
    ],
    checked_on=date(2026, 8, 13),
)


class Settings(BaseSettings):
    """The keys of one project; two projects are two connections."""

    api_key: SecretStr
    """Settings > Projects > your project: API Key."""
    secret_key: SecretStr
    """Beside it: Secret Key."""
    app_id: int = Field(ge=1)
    """Beside them: Project ID. The keys do not tell which project they are of."""
    region: Region = "us"
    """Where the project's data lives: `us` or `eu`."""
    start: date
    """The day from which the first pull takes what was uploaded."""
    owner: str | None = None
    """The address with which somebody signs in to Amplitude; new cohorts are theirs. Needed to make one."""
    seed_user_id: str | None = None
    """A user whom the project knows, with whom a cohort is made whose first member it does not know; taken out at once."""
    min_id_length: int = Field(DEFAULT_MIN_ID_LENGTH, ge=1, le=1024)
    """Characters that a user id must have for its property to be set; lower it where the product's ids are short."""

    @model_validator(mode="before")
    @classmethod
    def _host_of_region(cls, values: Any) -> Any:
        """Take the base URL from the region, unless it is given."""
        if not isinstance(values, Mapping) or values.get("base_url"):
            return values
        host = ANALYTICS.get(values.get("region", "us"))
        return {**values, "base_url": host} if host else values


def auth(settings: Settings) -> Basic:
    """HTTP Basic with the project's two keys (DOCS/export)."""
    return Basic(settings.api_key.get_secret_value(), settings.secret_key)


def account(api: Api) -> str:
    """
    Return `region/project`: the keys of a test project never inherit a ledger.

    Raises:
        ConfigError: a cohort shows that the keys are of another project. Where there is none, the first archive will.
    """
    settings: Settings = api.settings
    seen = _projects(api)
    if seen and str(settings.app_id) not in seen:  # Quirk 9
        raise ConfigError(
            f"the keys are of the project {min(seen)[:20]}, and app_id says {settings.app_id}: correct one of them"
        )
    return f"{settings.region}/{settings.app_id}"


def _projects(api: Api) -> set[str]:
    """Return the project of the cohorts; none where the plan has no cohorts to show, which is no reason not to pull events."""
    try:
        return {str(cohort["appId"]) for cohort in read_cohorts(api) if cohort.get("appId") is not None}
    except AuthError as error:
        if error.status == 403:
            return set()
        raise


def check(api: Api) -> Iterator[CheckStep]:
    """Reach the API, sign in, see the project; after a failure the rest is skipped."""
    return check_steps(api, _STEPS)


def _reach(api: Api) -> str:
    with suppress(AuthError):  # it answered; the next step says what is wrong
        api.get("/api/2/events/list")
    return ""


def _sign_in(api: Api) -> str:
    try:
        found = api.get("/api/2/events/list")
    except AuthError as error:
        other = _other_region(api)
        if other is None:
            raise
        raise ConfigError(f'{error.message}; they are good in another region: set region = "{other}"') from error
    return f"{len(found.get('data') or [])} events have a name"


def _other_region(api: Api) -> str | None:
    """Return the region in which the keys are good; nobody is asked where a base URL stands for the vendor's hosts."""
    settings: Settings = api.settings
    if settings.base_url != ANALYTICS[settings.region]:
        return None
    for region, host in ANALYTICS.items():
        if region != settings.region:
            with suppress(ConnectorError):
                api.get(f"{host}/api/2/events/list")
                return region
    return None


def _see_project(api: Api) -> str:
    return f"project {account(api)}"


def _see_cohorts(api: Api) -> str:
    return f"{len(read_cohorts(api))} cohorts"


_STEPS: Final = (
    Step("reach", _reach, "Check the network, and base_url if it is set."),
    Step(
        "authenticate",
        _sign_in,
        "Copy the API Key and the Secret Key of the project (Settings > Projects), and set region to where its data lives.",
    ),
    Step("project", _see_project, "Set app_id to the Project ID that stands beside the keys."),
    Step(
        "cohorts",
        _see_cohorts,
        "To fill cohorts the plan must include their API; events are pulled all the same.",
        needed=False,
    ),
)

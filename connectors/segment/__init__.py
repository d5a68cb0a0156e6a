"""
Segment: traits are pushed by the Tracking API. Nothing is pulled: Segment lists nobody.

Here is who the vendor is and how it is signed in to; `traits.py` is the audience.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar, Final, Literal

from pydantic import SecretStr, field_validator, model_validator

from connectors.segment.traits import AUDIENCES
from core.contract import Api, Basic, Category, CheckStep, Erasure, Limit, Manifest, Result, Step, check_steps
from core.contract import Settings as BaseSettings

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "Settings", "account", "auth", "check"]

MANIFEST = Manifest(
    name="segment",
    title="Segment",
    category=Category.ANALYTICS,
    base_url="",  # by region: Settings.base_url
    hosts=("segment.io", "segmentapis.com"),
    docs_url="https://segment.com/docs",
    api_version="v1",
    # about 1,000 requests a second for a whole workspace, with 429 and Retry-After beyond; its own sources live on them too.
    # docs_url/connections/rate-limits/
    limits=[Limit(50, per_s=1, concurrency=2)],
    checked_on=date(2026, 11, 21),
)

ERASURE = Erasure(
    "deletes and suppresses the user in Segment and in what it feeds",
    docs_url="https://segment.com/docs/privacy/user-deletion-and-suppression/",
    by_hand="Privacy > Deletion and suppression > New request",
)
"""By hand alone: a person does it in the vendor's own pages."""

HOSTS: Final = {"us": "https://api.segment.io/v1", "eu": "https://events.eu1.segmentapis.com/v1"}
"""Quirk 2: the wrong one answers 200 and loses everything. docs_url/guides/regional-segment/"""


class Settings(BaseSettings):
    """The keys of a `[connections.NAME]` table with `connector = "segment"`."""

    unused: ClassVar[Mapping[str, str]] = {"start": "nothing is pulled"}

    write_key: SecretStr
    """Connections > Sources > an HTTP API source > Settings > API Keys."""
    source: str
    """The source's own name, `workspace/source` as in its address: Segment does not tell which one a key belongs to."""
    region: Literal["us", "eu"]
    """Where the workspace lives (Settings > Workspace Settings). The wrong one takes everything and keeps nothing."""

    @field_validator("source")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the source's own name, as in its address: workspace/source")
        return value.strip()

    @model_validator(mode="before")
    @classmethod
    def _host_by_region(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("base_url") and values.get("region") in HOSTS:
            return {**values, "base_url": HOSTS[values["region"]]}
        return values


def auth(settings: Settings) -> Basic:
    """The write key is the user name, and there is no password (docs_url/.../http-api/#authentication)."""
    return Basic(settings.write_key.get_secret_value(), SecretStr(""))


def account(api: Api) -> str:
    """Return region and source as configured: Segment tells neither."""
    settings: Settings = api.settings
    return f"{settings.region}/{settings.source}"


def check(api: Api) -> Iterator[CheckStep]:
    """See whether Segment answers; whether it knows the key, it tells nobody (Quirk 1)."""
    yield from check_steps(api, (Step("reach", _reach, "See whether the region's host answers from here."),))
    yield CheckStep(
        "authenticate",
        Result.SKIPPED,
        detail="Segment answers 200 to any write key",
        remedy="After a first sync look at the source's Debugger: the identify calls must be there.",
    )


def _reach(api: Api) -> str:
    answer = api.request("POST", "/batch", json={"batch": []}, allow=(400,), repeat=True)
    return "" if answer.status == 200 else "it refuses an empty batch, as it may"  # UNCONFIRMED which

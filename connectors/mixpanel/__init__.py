"""
Mixpanel, product analytics, one project a connection: raw events and profiles are pulled, a profile property is pushed.

The export is read by windows of days (`windows`, `events`), profiles by the Engage query (`profiles`); the property is in
`fields`, refusals in `answers`, what the credentials may do in `checks`, hosts, limits and settings in `vendor`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from pydantic import SecretStr

from connectors.mixpanel import profiles
from connectors.mixpanel.answers import classify
from connectors.mixpanel.checks import account, check
from connectors.mixpanel.events import pull_events
from connectors.mixpanel.fields import AUDIENCES
from connectors.mixpanel.vendor import DOCS, LIMITS, Settings
from core.contract import Basic, Category, Deletions, Erasure, Kind, Manifest, Stream

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "streams"]

LOOKBACK: Final = timedelta(minutes=10)
"""`$last_seen` has whole seconds and is set by the vendor's servers, whose clock is not ours."""
FULL_EVERY: Final = timedelta(days=1)
"""How often all profiles are read: `$last_seen` misses much, and a deleted profile only shows by its absence (Quirk 11)."""

MANIFEST = Manifest(
    name="mixpanel",
    title="Mixpanel",
    category=Category.ANALYTICS,
    base_url="https://mixpanel.com",  # of the US; `vendor.at` has the hosts of each region and API
    hosts=("mixpanel.com",),
    docs_url=f"{DOCS}/overview",
    api_version="2.0",  # in the path of the export; there is nothing to pin
    limits=LIMITS,
    checked_on=date(2026, 8, 20),
)

ERASURE = Erasure(
    "deletes the user's profile and events",
    docs_url="https://docs.mixpanel.com/reference/delete-profile",
    by_hand="Project settings > Data & Privacy > Data deletion (GDPR); or the user's profile > Delete",
)
"""By hand alone: a person does it in the vendor's own pages."""


def auth(settings: Settings) -> Basic:
    """HTTP Basic: a service account's name and secret, or a project secret with an empty password."""
    if settings.secret is not None and settings.service_account is not None:
        return Basic(settings.service_account, settings.secret)
    assert settings.project_secret is not None  # one of them is there: see Settings
    return Basic(settings.project_secret.get_secret_value(), SecretStr(""))


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the two streams; both only claim to know who somebody is."""
    yield Stream(
        "events",
        Kind.EVENT,
        pull=pull_events,
        key="key",
        order="asc",  # by window
        identifiers={"user_id": "user_id", "distinct_id": "distinct_id"},
        deletions=Deletions.NONE,  # what is asked for again is replaced: `Window.replaces`
        fields={"name": "event", "time": "time", "properties": "properties"},
        newest_by="mp_processing_time_ms",  # Quirk 5
    )
    yield Stream(
        "profiles",
        Kind.PROFILE,
        pull=profiles.pull_profiles,
        key="distinct_id",
        order="any",
        identifiers={"user_id": profiles.user_id, "email": profiles.email, "distinct_id": "distinct_id"},
        lookback=LOOKBACK,
        deletions=Deletions.ABSENCE,
        full_every=FULL_EVERY,
        fields={
            "email": profiles.email,
            "first_name": "properties.$first_name",
            "last_name": "properties.$last_name",
            "phone": "properties.$phone",
            "country": "properties.$country_code",
            "timezone": "properties.$timezone",
            "created_at": lambda record: profiles.as_utc(record["properties"].get("$created")),
        },
        columns=profiles.columns,
    )

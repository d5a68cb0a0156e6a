"""
Google Analytics 4, one property a connection: what each user did each day, in sums. Nothing is pushed.

Here is who the vendor is and how it is signed in to; `reports` reads, `answers` says what its refusals mean, `checks` what the
credentials may do, `vendor` has the settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from connectors.google_analytics.answers import classify, rest_until
from connectors.google_analytics.checks import account, check
from connectors.google_analytics.reports import DIMENSIONS, LOOKBACK, dimension, pull_days, rows
from connectors.google_analytics.vendor import DOCS, SCOPE, Settings, sign_in
from core.contract import Category, Erasure, Kind, Limit, Manifest, OAuth2, Stream

__all__ = ["ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "rest_until", "streams"]

LIMITS: Final = (
    Limit(5, per_s=1, concurrency=4),  # ten at once for everybody who looks at the property; DOCS/quotas
    Limit(100, per_s=3600, paths=("*:runReport",)),  # 120 an hour may be thresholded, as any of ours may; DOCS/quotas
)

MANIFEST = Manifest(
    name="google_analytics",
    title="Google Analytics",
    category=Category.ANALYTICS,
    base_url="https://analyticsdata.googleapis.com/v1beta",
    hosts=("analyticsdata.googleapis.com", "oauth2.googleapis.com"),
    docs_url=DOCS,
    api_version="v1beta",
    limits=LIMITS,
    checked_on=date(2026, 4, 15),
    scopes={SCOPE: "to read reports; the account must be a Viewer of the property as well"},
)

ERASURE = Erasure(
    "deletes what is kept of the user",
    docs_url="https://developers.google.com/analytics/devguides/config/userdeletion/v3",
    by_hand="Admin > Data display > the User explorer report > Delete user",
)
"""By hand alone: a person does it in the vendor's own pages."""


def auth(settings: Settings) -> OAuth2:
    """A service account that signs for itself, or a person who signed in (`tagalong connect`)."""
    return sign_in(settings)


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the one stream: a row for each day, user and name of event."""
    yield Stream(
        "daily",
        Kind.EVENT,
        pull=pull_days,
        key=lambda record: "|".join(str(record[name]) for name in (*DIMENSIONS, dimension(settings))),
        order="asc",
        identifiers={"user_id": dimension(settings)},
        lookback=LOOKBACK,
        rows=rows,
    )

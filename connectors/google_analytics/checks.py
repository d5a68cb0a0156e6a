"""Which property the credentials reach, and what it has."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.google_analytics.reports import dimension, zone_of
from connectors.google_analytics.vendor import Settings
from core.contract import Api, CheckStep, Step, check_steps
from core.errors import ConnectorError, ProtocolError


def account(api: Api) -> str:
    """Return the property's number, as the property itself tells it."""
    name = str(api.get(_metadata(api))["name"])  # properties/1234/metadata
    parts = name.split("/")
    if len(parts) != 3:
        raise ProtocolError("the property does not tell its number")
    return parts[1]


def check(api: Api) -> Iterator[CheckStep]:
    """Sign in, see the property, and find dimension and metrics in it."""
    return check_steps(
        api,
        (
            Step(
                "authenticate",
                lambda api: f"property {account(api)}",
                "Make the service account a Viewer of the property (Admin > Property access management), enable the Google"
                " Analytics Data API in its Cloud project, or sign in again with `tagalong connect`.",
            ),
            Step("dimension and metrics", _names, "Take a user-scoped custom dimension and metrics that the property has."),
            Step("report", lambda api: str(zone_of(api)), "See the message."),
        ),
    )


def _names(api: Api) -> str:
    settings: Settings = api.settings
    body = api.get(_metadata(api))
    there = {one["apiName"] for kind in ("dimensions", "metrics") for one in body.get(kind) or ()}
    missing = [name for name in (dimension(settings), *settings.metrics) if name not in there]
    if missing:
        raise ConnectorError(f"the property has no {' and no '.join(missing)}")
    return ""


def _metadata(api: Api) -> str:
    return f"/properties/{api.settings.property_id}/metadata"

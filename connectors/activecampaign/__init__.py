"""
ActiveCampaign, one account a connection: contacts, tags and consent are pulled, tags and a yes-or-no field are pushed.

Here is who the vendor is and how it is signed in to; `people` and `consents` are the streams, `tags` and `fields` the
audiences, `imports` is the bulk import, `vendor` how the API is read. Lists are opt-ins there: nothing here ever writes to one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator

from connectors.activecampaign import consents as _consents  # noqa: F401 - registers its streams
from connectors.activecampaign import fields as _fields  # noqa: F401 - registers its audience
from connectors.activecampaign.erasure import ERASURE, erase
from connectors.activecampaign.people import STREAMS
from connectors.activecampaign.tags import AUDIENCES
from connectors.activecampaign.vendor import DOCS, object_of, total_of
from core.contract import Api, Category, CheckStep, HeaderKey, Limit, Manifest, ResponseView, Step, check_steps
from core.contract import Settings as BaseSettings
from core.errors import AuthError, ConnectorError, RateLimited

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "STREAMS", "Settings", "account", "auth", "check", "classify", "erase"]

API_PATH: Final = "/api/3"
IMPORT_WAIT_S: Final = 60.0
"""What "retry this request in a minute" asks for (DOCS/bulk-import-contacts)."""

MANIFEST = Manifest(
    name="activecampaign",
    title="ActiveCampaign",
    category=Category.EMAIL,
    base_url="",  # every account has its own: Settings.url
    hosts=("api-us1.com", "activehosted.com"),
    host_in_settings=True,  # Quirk 1: the suffix is not promised
    docs_url=f"{DOCS}/overview",
    api_version="3",  # in the path; there is nothing else to pin
    limits=[
        Limit(5, per_s=1),  # Quirk 6: of the account, for all its tools together. DOCS/rate-limits
        Limit(100, per_s=60, paths=("/import/bulk_import",)),  # DOCS/bulk-import-contacts
    ],
    checked_on=date(2026, 8, 13),
)


class Settings(BaseSettings):
    """One account: its API URL and a key of one of its users."""

    url: str
    """Settings > Developer: "URL", as in `https://acme.api-us1.com`. Copied, never made from the account's name."""
    api_key: SecretStr
    """Settings > Developer: "Key". It may do what its user's group may."""

    @field_validator("url")
    @classmethod
    def _leads_to_a_vendor(cls, value: str) -> str:
        wrong = url_problem(value)
        if wrong:
            raise ValueError(f"{wrong}; copy the URL from Settings > Developer, as in https://acme.api-us1.com")
        return f"https://{urlsplit(value.strip()).hostname}"

    @model_validator(mode="before")
    @classmethod
    def _base_from_url(cls, values: Any) -> Any:
        """Take the base URL from the URL, unless it is given."""
        if not isinstance(values, Mapping) or values.get("base_url"):
            return values
        url = values.get("url")
        if not isinstance(url, str) or url_problem(url):
            return values
        return {**values, "base_url": f"https://{urlsplit(url.strip()).hostname}{API_PATH}"}


def url_problem(text: str) -> str | None:
    """Return why *text* cannot be the API URL of an account, or None. Asks nobody."""
    try:
        url = urlsplit(text.strip())
        host, port = url.hostname or "", url.port
    except ValueError:
        return "this is no URL"
    if url.scheme != "https":
        return "the URL begins with https://"
    if url.username or url.password or port or url.query or url.fragment or url.path.rstrip("/") not in ("", API_PATH):
        return "the URL is a host alone"
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return "the URL has a host name, no address"
    if "." not in host.strip(".") or host.endswith((".local", ".internal", ".localhost")):
        return "the URL leads to no public host"
    return None


def auth(settings: Settings) -> HeaderKey:
    """A key in a header of its own (DOCS/authentication)."""
    return HeaderKey("Api-Token", settings.api_key)


def account(api: Api) -> str:
    """Return the account's host, which is all that tells one from another: the API names no account."""
    return str(urlsplit(api.settings.url).hostname)


def classify(response: ResponseView) -> ConnectorError | None:
    """Tell apart what the statuses do not."""
    if response.status == 403:  # Quirk 19: a wrong key, a missing permission, or nothing at all
        return AuthError(
            "the key was refused: it is wrong, of another account than the URL, or its user's group lacks a permission",
            may_pass=True,
        )
    if response.status == 400:
        body = response.json()
        if isinstance(body, dict) and "rate limit exceeded" in str(body.get("message")).lower():  # Quirk 15
            return RateLimited("too many imports in a minute", retry_after_s=IMPORT_WAIT_S)
    return None


def check(api: Api) -> Iterator[CheckStep]:
    """Reach the account, sign in, see what is read and written; after a failure the rest is skipped."""
    yield from check_steps(api, _STEPS)


def _reach(api: Api) -> str:
    with suppress(AuthError):  # it answered; the next step says what is wrong
        api.get("/users/me")
    return str(urlsplit(api.settings.url).hostname)


def _sign_in(api: Api) -> str:
    return f"user {object_of(api.get('/users/me'), 'user')['id']}"


def _see(path: str, what: str) -> Callable[[Api], str]:
    def ask(api: Api) -> str:
        return f"{total_of(api.get(path, limit=1))} {what}"

    return ask


_GROUP: Final = "The key's user lacks a permission: give that user's group access to {} (Settings > Users and groups)."
_STEPS: Final = (
    Step("reach", _reach, "Copy the URL from Settings > Developer: no account answers at this one. Its region is part of it."),
    Step(
        "authenticate",
        _sign_in,
        "Copy URL and key from Settings > Developer of one account: a key of another account or region, or of somebody who was"
        " removed, is answered like a wrong one.",
    ),
    Step("contacts", _see("/contacts", "contacts"), _GROUP.format("contacts")),
    Step("tags", _see("/tags", "tags"), _GROUP.format("tags")),
    Step("lists", _see("/lists", "lists"), _GROUP.format("the lists whose unsubscribes count")),
    Step("exclusions", _see("/lists/exclusions", "exclusions"), _GROUP.format("the exclusion list")),
    Step("fields", _see("/fields", "custom fields"), _GROUP.format("custom fields"), needed=False),
)

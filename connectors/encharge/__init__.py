"""
Encharge, one account a connection: people, their consent and tags are pulled, tags are pushed.

Here is who the vendor is and how it is signed in to; `people` holds the streams, `tags` the audience, `vendor` how it is read.
The vendor publishes only what goes well, no refusals and no limits: much here is written for either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Any, Final

from pydantic import Field, SecretStr

from connectors.encharge.erasure import ERASURE, erase
from connectors.encharge.people import STREAMS, tag_names
from connectors.encharge.tags import AUDIENCES
from connectors.encharge.vendor import DOCS, people_of, unsubscribed_name
from core.contract import Api, Category, CheckStep, HeaderKey, Limit, Manifest, Step, check_steps
from core.contract import Settings as BaseSettings
from core.errors import AuthError, ConfigError, ProtocolError

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "STREAMS", "Settings", "account", "auth", "check", "erase"]

MANIFEST = Manifest(
    name="encharge",
    title="Encharge",
    category=Category.EMAIL,
    base_url="https://api.encharge.io/v1",
    hosts=("api.encharge.io",),
    docs_url=DOCS,
    api_version="v1",  # in the path; there is nothing else to pin
    limits=[Limit(5, per_s=1, concurrency=3)],  # Quirk 12: none is published; this is ours
    checked_on=date(2026, 8, 13),
)

USABLE: Final = ("active", "trial")


class Settings(BaseSettings):
    """One account."""

    api_key: SecretStr
    """https://app.encharge.io/account/info: "API key". It may do everything, and is the Ingest API's write key as well."""
    unsubscribed_field: str | None = Field(
        None, description="The name of the person field that says who unsubscribed; the one titled Unsubscribed, if left out."
    )


def auth(settings: Settings) -> HeaderKey:
    """A key in a header of its own; never in the address, where logs would have it."""
    return HeaderKey("X-Encharge-Token", settings.api_key)


def account(api: Api) -> str:
    """Return the account's id. `GET /accounts` is never called: it answers with keys in clear (Quirk 13)."""
    return str(_info(api)["accountId"])


def _info(api: Api) -> dict[str, Any]:
    body = api.get("/accounts/info")
    if not isinstance(body, dict) or not body.get("accountId"):
        raise ProtocolError("the answer has no accountId")
    return body


def check(api: Api) -> Iterator[CheckStep]:
    """Reach the API, sign in, see that the account is live and what is read; after a failure the rest is skipped."""
    yield from check_steps(api, _STEPS)


def _reach(api: Api) -> str:
    with suppress(AuthError):  # it answered; the next step says what is wrong
        api.get("/accounts/info")
    return ""


def _sign_in(api: Api) -> str:
    info = _info(api)
    return f"account {info['accountId']}, {info.get('name')}"


def _is_live(api: Api) -> str:
    status = str(_info(api).get("status"))
    if status not in USABLE:
        raise ConfigError(f"the account's status is {status}")
    return status


def _see_people(api: Api) -> str:
    people_of(api.get("/people/all", limit=1, offset=0, ignoreAnonymous=True), "people")
    return ""


def _see_tags(api: Api) -> str:
    return f"{len(tag_names(api))} tags"


def _see_consent(api: Api) -> str:
    return f"field {unsubscribed_name(api)}"


_KEY: Final = (
    "Copy the API key from https://app.encharge.io/account/info of the right account; a test account has one of its own."
)
_STEPS: Final = (
    Step("reach", _reach, "Check the network: https://api.encharge.io/v1 does not answer."),
    Step("authenticate", _sign_in, _KEY),
    Step("account", _is_live, "Renew the plan, or use the key of the account that is in use."),
    Step("people", _see_people, _KEY),
    Step("tags", _see_tags, _KEY),
    Step("consent", _see_consent, "Set unsubscribed_field to the name of the field that says who unsubscribed."),
)

"""
Mailchimp, one audience ("list") of it a connection: its members and their consent are pulled, tags are pushed.

Here is who the vendor is and how it is signed in to; `members.py` is the stream, `tags.py` the audience, `paging.py` how a
moving list is read whole. Nothing here ever sends a subscription status, but for people who are new to the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationInfo, field_validator, model_validator

from connectors.mailchimp.erasure import ERASURE, erase
from connectors.mailchimp.members import STREAMS
from connectors.mailchimp.tags import AUDIENCES
from core.contract import Api, Basic, Category, CheckStep, Limit, Manifest, OAuth2, ResponseView, Step, check_steps, one_way
from core.contract import Settings as BaseSettings
from core.errors import AuthError, ConnectorError, RateLimited, RejectedError

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "STREAMS", "Settings", "account", "auth", "check", "classify", "erase"]

DOCS = "https://mailchimp.com/developer/marketing"

MANIFEST = Manifest(
    name="mailchimp",
    title="Mailchimp",
    category=Category.EMAIL,
    base_url="",  # the data centre is in the key: Settings.base_url
    hosts=("api.mailchimp.com", "login.mailchimp.com"),
    docs_url=f"{DOCS}/api/",
    api_version="3.0",  # the contract moves underneath it; there is nothing to pin
    # Quirk 1: ten simultaneous connections for all apps of the user together, and no stated rate. We take four; the rate is a
    # bound of ours that four connections hardly reach. DOCS/docs/fundamentals/#api-limits
    limits=[Limit(100, per_s=1, concurrency=4)],
    checked_on=date(2026, 8, 13),
)

LOGIN: Final = "https://login.mailchimp.com"
"""Where people sign in, for every data centre (Quirk 17)."""
API_PATH: Final = "/3.0"

_DATA_CENTRE = re.compile(r"[a-z]{2,4}[0-9]{1,4}")
_LIST_ID = re.compile(r"[A-Za-z0-9]{4,32}")
_BATCH_WRITE = re.compile(r"/lists/[^/]+(/segments/[^/]+)?/?$")


class Settings(BaseSettings):
    """One way in and one audience; two audiences are two connections, for consent is per audience."""

    api_key: SecretStr | None = None
    """Account > Extras > API keys. Ends with the data centre: `-us19`."""
    client_id: str | None = None
    """Instead of api_key: the id of an app of your own (Account > Extras > Registered apps), for `tagalong connect`."""
    client_secret: SecretStr | None = None
    """The app's secret."""
    list_id: str
    """Audience > Settings > Audience name and defaults: "Audience ID"."""

    @field_validator("list_id")
    @classmethod
    def _looks_like_a_list(cls, value: str) -> str:
        if not _LIST_ID.fullmatch(value):
            raise ValueError("a Mailchimp audience id is letters and digits, as in a6b5da1054")
        return value

    @model_validator(mode="before")
    @classmethod
    def _host_from_key(cls, values: Any) -> Any:
        """Take the base URL from the key, unless it is given."""
        if not isinstance(values, Mapping) or values.get("base_url"):
            return values
        key = values.get("api_key")
        text = key.get_secret_value() if isinstance(key, SecretStr) else key
        centre = _data_centre(text) if isinstance(text, str) else None
        return {**values, "base_url": f"https://{centre}.api.mailchimp.com/3.0"} if centre else values

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        one_way(self, ("api_key",), ("client_id", "client_secret"))
        return self

    @field_validator("api_key", mode="before")
    @classmethod
    def _leads_somewhere(cls, value: object, info: ValidationInfo) -> object:
        """Refuse a key without a data centre; the core's stand-in for a key that is not resolved yet comes as a SecretStr."""
        if isinstance(value, str) and not info.data.get("base_url"):
            raise ValueError("the key does not end with a data centre such as -us19; copy the whole key, or set base_url")
        return value


def _data_centre(key: str) -> str | None:
    _, dash, centre = key.strip().rpartition("-")
    return centre if dash and _DATA_CENTRE.fullmatch(centre) else None


def auth(settings: Settings) -> Basic | OAuth2:
    """
    HTTP Basic with a key; any user name will do (DOCS/docs/fundamentals/#authenticate-with-an-api-key). Else an app's token.

    A token lasts until it is revoked, and another address tells its data centre (Quirk 17).
    """
    if settings.api_key is not None:
        return Basic("tagalong", settings.api_key)
    login = _login(settings.base_url)
    return OAuth2(
        f"{login}/oauth2/token",
        client_id=settings.client_id or "",
        client_secret=settings.client_secret,
        scheme="OAuth",
        base_url_key="api_endpoint",
        base_url_path=API_PATH,
        metadata_url=f"{login}/oauth2/metadata",
        authorize_url=f"{login}/oauth2/authorize",
        pkce=False,
        revoke_hint="Account > Extras > API keys > Authorized applications > the app > Revoke access",
    )


def _login(base_url: str | None) -> str:
    """Return where people sign in: the vendor's own place, unless *base_url* is a sandbox or proxy that stands for it all."""
    parts = urlsplit(base_url or "")
    host = parts.hostname or ""
    return LOGIN if not host or any(host.endswith(f".{one}") for one in MANIFEST.hosts) else f"{parts.scheme}://{parts.netloc}"


def account(api: Api) -> str:
    """Return `account/data centre/list`: a key of another account or another list never inherits a ledger."""
    settings: Settings = api.settings
    host = urlsplit(api.base_url).hostname or ""
    if settings.api_key is not None:
        centre = _data_centre(settings.api_key.get_secret_value()) or host
    else:  # the same account by the other way in
        centre = host.removesuffix(".api.mailchimp.com")
    root = api.get("/", fields="account_id")
    return f"{root['account_id']}/{centre}/{settings.list_id}"


def classify(response: ResponseView) -> ConnectorError | None:
    """Tell apart what Mailchimp's statuses do not."""
    if response.status in (403, 429) and response.json() is None:  # Quirk 2: at high volume the front answers, not the API
        return RateLimited("too many requests at once", status=response.status)
    if response.status == 500 and response.method == "POST" and _BATCH_WRITE.search(response.path):
        body = response.json()
        said = f"{body.get('title', '')} {body.get('detail', '')}" if isinstance(body, dict) else ""
        if "deep internal error" in said.lower():  # Quirk 3: one malformed address sinks the batch, each time it is sent
            return RejectedError("one address of the batch breaks it", status=500, code="deep_internal_error")
    return None


def check(api: Api) -> Iterator[CheckStep]:
    """Reach the API, sign in, see the list; after a failure the rest is skipped."""
    return check_steps(api, STEPS)


def _reach(api: Api) -> str:
    with suppress(AuthError):  # it answered; the next step says what is wrong
        api.get("/ping")
    return ""


def _sign_in(api: Api) -> str:
    return f"account {api.get('/', fields='account_id,account_name')['account_id']}"


def _see_list(api: Api) -> str:
    found = api.get(f"/lists/{api.settings.list_id}", fields="id,name,stats.member_count")
    return f"{found.get('name', found['id'])}, {(found.get('stats') or {}).get('member_count')} subscribed"


STEPS: Final = (
    Step("reach", _reach, "Check the network, and the data centre at the key's end."),
    Step(
        "authenticate",
        _sign_in,
        "Make a new API key (Account > Extras > API keys) and copy all of it, with the part after the dash; with client_id, run"
        " `tagalong connect` for this connection again.",
    ),
    Step(
        "list visible",
        _see_list,
        "Set list_id to the Audience ID under Audience > Settings, of the account that the key is for.",
    ),
)

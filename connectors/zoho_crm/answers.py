"""What Zoho's refusals mean (`classify`), which organisation the token is for, and what `check` asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from connectors.zoho_crm.mapping import ACCOUNTS, CONTACTS, DEALS, LEADS
from connectors.zoho_crm.objects import known_fields, organisation
from connectors.zoho_crm.people import refs_by_address
from connectors.zoho_crm.vendor import API, ask
from core.contract import Api, CheckStep, Json, ResponseView, Result, Step, check_steps
from core.errors import (
    AuthError,
    ConfigError,
    ConnectorError,
    NotFoundError,
    Problem,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RejectedError,
    TransientError,
)

SCOPES: Final = {
    "ZohoCRM.modules.contacts.ALL": "reading contacts, tagging and making them; .READ is enough without a sync to Zoho",
    "ZohoCRM.modules.leads.ALL": "the same for leads, unless leads = false",
    "ZohoCRM.modules.accounts.READ": "the stream accounts",
    "ZohoCRM.modules.deals.READ": "the stream deals",
    "ZohoCRM.settings.fields.READ": "which fields the organisation has",
    "ZohoCRM.settings.tags.ALL": "finding and making tags",
    "ZohoCRM.coql.READ": "finding people by address",
    "ZohoCRM.org.READ": "which organisation it is",
}
"""The least that pulling all streams and pushing tags takes, and what for."""
BUSY_WAIT_S: Final = 10.0
"""After a 429, which names no time and not which limit it is (Quirk 7)."""
CREDITS_WAIT: Final = timedelta(hours=1)
"""How long to stay away when the day's credits are gone: the window rolls, so some come back each hour (Quirk 7)."""
_CREDITS_LEFT: Final = ("x-api-credits-remaining", "x-ratelimit-remaining")


def classify(response: ResponseView) -> ConnectorError | None:
    """Return what a refusal means by its code; None for what is fine, for rows of their own, and for what is not Zoho's."""
    body = response.json() if response.status >= 400 else None
    if not isinstance(body, dict) or isinstance(body.get("data"), list) or isinstance(body.get("tags"), list):
        return None if response.status != 429 else _too_many(response, None)
    code = str(body.get("code") or "")
    facts: dict[str, Any] = {"status": response.status, "code": code or None}
    match response.status:
        case 429:
            return _too_many(response, code or None)
        case 401 | 403 if code == "OAUTH_SCOPE_MISMATCH":
            return AuthError(f"the token lacks {scope_of(response.path)}; grant it and make a new refresh token", **facts)
        case 401:
            return AuthError("Zoho refused the token: revoked, or of another data centre or environment", **facts)
        case 403 if code:
            return AuthError("the Zoho user behind the token may not do this; change their profile or role", **facts)
        case 404 if code == "INVALID_URL_PATTERN":
            return AuthError("Zoho does not know this address: is data_centre the organisation's own?", **facts)
        case 404:
            return NotFoundError("there is no such thing in Zoho CRM", **facts)
        case status if status >= 500 or code == "INTERNAL_ERROR":
            return TransientError("Zoho failed", **facts)
        case _ if code:
            return RejectedError(f"Zoho refused {response.method} {response.path}", **facts)
    return None


def _too_many(response: ResponseView, code: str | None) -> ConnectorError:
    facts: dict[str, Any] = {"status": 429, "code": code}
    if any(response.headers.get(name, "").strip() == "0" for name in _CREDITS_LEFT):  # Quirk 7: opportunistic
        return QuotaExhausted("the day's API credits are used up", resume_at=response.now + CREDITS_WAIT, **facts)
    wait_s = None if "retry-after" in response.headers else BUSY_WAIT_S  # the core reads the header
    return RateLimited("too many requests to Zoho", retry_after_s=wait_s, **facts)


def scope_of(path: str) -> str:
    """Return the scope that a request to *path* needs."""
    name = path.removeprefix(API).strip("/")
    if (found := re.match(r"settings/(\w+)", name)) is not None:
        return f"ZohoCRM.settings.{found[1]}.{'ALL' if found[1] == 'tags' else 'READ'}"
    if name in ("coql", "org"):
        return f"ZohoCRM.{name}.READ"
    module, _, rest = name.partition("/")
    return (
        f"ZohoCRM.modules.{module.lower()}.{'ALL' if rest in ('upsert', 'actions/add_tags', 'actions/remove_tags') else 'READ'}"
    )


def account(api: Api) -> str:
    """
    Return the organisation's id; that of a sandbox or developer organisation says so, whatever id it has.

    Raises:
        ConfigError: requests go to a sandbox or developer organisation, and the settings say production.
    """
    return _account_of(api, organisation(api))


def _account_of(api: Api, found: Json) -> str:
    id_ = found.get("id")
    if not id_:
        raise ProtocolError("the answer holds no organisation id")
    environment = api.settings.environment
    world = str(urlsplit(api.base_url).hostname).partition(".")[0]
    if environment == "production" and world in ("sandbox", "developer"):  # Quirk 24
        told = f"the token is for the organisation's {world}, and environment says production"
        raise ConfigError(
            Problem(told, remedy=f'set environment = "{world}", or use a refresh token made in the live organisation')
        )
    return str(id_) if environment == "production" else f"{id_}/{environment}"


def check(api: Api) -> Iterator[CheckStep]:
    """Yield: reach, sign in, the organisation, and each thing that the token must permit; each permission is named."""
    settings = api.settings
    where = f"data_centre = {settings.data_centre!r} and environment = {settings.environment!r}"
    yield from check_steps(
        api,
        [
            Step("reach", _reach, "Check the network, and whether accounts and API of the data centre answer from here."),
            Step(
                "authenticate",
                _sign_in,
                f"Check client_id, client_secret and refresh_token, and that {where} are the organisation's own: a client and"
                " a token made in another data centre are unknown here. Make a new refresh token, or run `tagalong connect`;"
                " grant ZohoCRM.org.READ.",
            ),
            Step("read contacts", lambda a: _read(a, CONTACTS.name), _grant(CONTACTS.name)),
            *(
                Step(f"read {module.lower()}", partial(_read, module=module), _grant(module), needed=False)
                for module in (LEADS.name, ACCOUNTS.name, DEALS.name)
                if module != LEADS.name or settings.leads
            ),
            Step(
                "find people",
                _find,
                "Grant ZohoCRM.coql.READ, where a sync pushes to Zoho.",
                needed=False,
            ),
            Step("read tags", _tags, "Grant ZohoCRM.settings.tags.ALL, where a sync pushes to Zoho.", needed=False),
        ],
    )
    yield CheckStep("write tags", Result.SKIPPED, detail="only a write would tell; syncs need the scopes with .ALL")


def _reach(api: Api) -> str:
    try:
        organisation(api)
    except AuthError:
        return ""  # it answered; the next step says what is wrong
    return ""


def _sign_in(api: Api) -> str:
    found = organisation(api)
    id_ = _account_of(api, found)
    return f"{found['company_name']} ({id_})" if found.get("company_name") else f"organisation {id_}"


def _read(api: Api, module: str) -> str:
    known = {str(field.get("api_name")) for field in known_fields(api, module)}
    ask(api, "GET", f"{API}/{module}", params={"fields": "id", "per_page": 1})
    if module not in (CONTACTS.name, LEADS.name):
        return ""
    asked = [*api.settings.email_fields, *filter(None, [api.settings.user_id_field])]
    missing = [name for name in asked if name not in known]
    return f"without {', '.join(missing)}, which {module} does not have" if missing else ""


def _find(api: Api) -> str:
    refs_by_address(api, CONTACTS.name, ["nobody@example.com"])
    return ""


def _tags(api: Api) -> str:
    body = ask(api, "GET", f"{API}/settings/tags", params={"module": CONTACTS.name})
    info = body.get("info") if isinstance(body, dict) else None
    return f"{info.get('count')} of {info.get('allowed_count')} tags used" if isinstance(info, dict) else ""


def _grant(module: str) -> str:
    return f"Grant {scope_of(module)} and ZohoCRM.settings.fields.READ, and let the user see the module {module}."

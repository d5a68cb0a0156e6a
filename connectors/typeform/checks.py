"""Which account the token is of, and what it may read there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from connectors.typeform.vendor import Region
from core.contract import Api, CheckStep, Step, check_steps
from core.errors import AuthError, ConfigError, Problem

WORKSPACES_PER_PAGE: Final = 200


def account(api: Api) -> str:
    """
    Return the id of the account that the token's default workspace belongs to; the setting `account_id` where it may not ask.

    Raises:
        ConfigError: nothing tells, or the setting names another account.
    """
    told: str | None = api.settings.account_id
    try:
        found = _account_of(api)
    except AuthError as error:
        if error.status != 403:
            raise
        found = None
    if found is None and told is None:
        raise ConfigError(
            Problem(
                "Typeform does not tell which account this token is of",
                remedy="give the token the scope workspaces:read, or set account_id in the connection to a name of your own",
            )
        )
    if found is not None and told is not None and found != told:
        raise ConfigError(Problem(f"the token is of the Typeform account {found}, but account_id says {told}"))
    return found or str(told)


def _account_of(api: Api) -> str | None:
    body = api.get("/workspaces", page=1, page_size=WORKSPACES_PER_PAGE)
    spaces = [space for space in body["items"] if space.get("account_id")]
    own = {str(space["account_id"]) for space in spaces if space.get("default")}  # others share theirs with us
    found = own or {str(space["account_id"]) for space in spaces}
    return found.pop() if len(found) == 1 else None  # of several nobody knows which is ours


def check(api: Api) -> Iterator[CheckStep]:
    """Reach the region, sign in, see the forms and an answer."""
    region = Region(api.settings.region)
    elsewhere = ", ".join(repr(str(other)) for other in Region if other is not region)
    yield from check_steps(
        api,
        (
            Step("reach", _reach, "Check the network, and base_url if it is set."),
            Step(
                "authenticate",
                _sign_in,
                "Make a new token (Typeform > Settings > Personal tokens; with client_id, run `tagalong connect`), or set "
                f'region: it is "{region}", and a token of an account elsewhere ({elsewhere}) is refused here.',
            ),
            Step("read forms", _forms, "Give the token the scope forms:read."),
            Step(
                "forms visible",
                _some_forms,
                f'Where the account has forms, the region is wrong: it is "{region}", the others are {elsewhere}.',
                needed=False,
            ),
            Step("read answers", _answers, "Give the token the scope responses:read."),
            Step("account", account, "Give the token the scope workspaces:read, or set account_id.", needed=False),
        ),
    )


def _reach(api: Api) -> str:
    with suppress(AuthError):  # it answered; the next steps say what is wrong
        _forms(api)
    return ""


def _sign_in(api: Api) -> str:
    try:
        return _forms(api)
    except AuthError as error:
        if error.status != 403:
            raise
        return "the token is known"  # the next step says what it lacks


def _forms(api: Api) -> str:
    return f"{api.get('/forms', page=1, page_size=1)['total_items']} forms"


def _some_forms(api: Api) -> str:
    if not api.get("/forms", page=1, page_size=1)["items"]:
        raise ConfigError("the token sees no form at all")
    return ""


def _answers(api: Api) -> str:
    forms = api.get("/forms", page=1, page_size=1)["items"]
    if not forms:
        return "no form to try"
    found = api.get(f"/forms/{forms[0]['id']}/responses", page_size=1)
    return f"{found['total_items']} answers to {forms[0].get('title') or forms[0]['id']}"

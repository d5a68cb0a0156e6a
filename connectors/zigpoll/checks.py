"""Whose key it is, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from connectors.zigpoll.listing import accounts, rows_of
from core.contract import Api, CheckStep, Step, check_steps
from core.errors import AuthError, ConfigError


def account(api: Api) -> str:
    """Return the id of the user whose key it is: one key shows all accounts of its user."""
    return str(api.get("/me")["_id"])


def check(api: Api) -> Iterator[CheckStep]:
    """Reach the API, sign in, see accounts and polls."""
    yield from check_steps(
        api,
        (
            Step("reach", _reach, "Check the network, and base_url if it is set."),
            Step(
                "authenticate",
                lambda api: f"user {account(api)}",
                "Copy the whole private key again (Settings > Integrations > Private keys), alone, without `Bearer` before it.",
            ),
            Step("accounts visible", _accounts, "Use the key of a user who is in an account."),
            Step("read polls", _polls, "Open the account in Zigpoll and see whether the key's user may see its polls."),
        ),
    )


def _reach(api: Api) -> str:
    with suppress(AuthError):  # it answered; the next step says what is wrong
        api.get("/me")
    return ""


def _accounts(api: Api) -> str:
    found = accounts(api)
    if not found:
        raise ConfigError("the key's user is in no account")
    return f"{len(found)} account{'s' if len(found) > 1 else ''}"


def _polls(api: Api) -> str:
    return f"{sum(len(rows_of(api.get('/polls', accountId=one))) for one in accounts(api))} polls"

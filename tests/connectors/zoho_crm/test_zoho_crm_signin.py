"""Signing in by browser: what is asked for, where the tokens are fetched, and that they last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.browser import Browser, free_port

from connectors.zoho_crm.answers import SCOPES
from core.errors import AuthError
from core.http import open_exchange, token_path
from core.registry import load_connector
from core.signin import sign_in
from core.tokens import TokenKeeper, Vault

CONNECTOR = load_connector("zoho_crm")


@pytest.fixture
def unsigned(org: Callable[..., Any]) -> Any:
    """An api for which nobody has signed in yet."""
    return org({"refresh_token": None})


def _connect(api: Any, store_path: Path) -> None:
    """Sign in as a person does, and keep the token where *api* finds it."""
    exchange = open_exchange(CONNECTOR, api.settings, connection="zoho_crm")
    browser = Browser()
    token = sign_in(exchange, f"http://127.0.0.1:{free_port()}/callback", show=browser, typed=None, limit_s=60)
    browser.wait()
    TokenKeeper(exchange, Vault(token_path(store_path, "zoho_crm"))).keep(token)


def test_signing_in_gives_a_token_that_renews_itself(unsigned: Any, store_path: Path) -> None:
    """Quirk 16: offline and consent are asked for, scopes by comma, no challenge; later answers have no refresh token."""
    _connect(unsigned, store_path)
    (asked,) = unsigned.sandbox.accounts.desk.asked

    assert ("offline", "consent", ",".join(SCOPES)) == tuple(asked[name] for name in ("access_type", "prompt", "scope"))
    assert "code_challenge" not in asked
    assert CONNECTOR.account(unsigned)
    for _ in range(2):
        unsigned.sandbox.accounts.issued.clear()
        assert CONNECTOR.account(unsigned)
    assert 3 == len(unsigned.recorder.of("/token"))


def test_before_anybody_signed_in(unsigned: Any) -> None:
    with pytest.raises(AuthError, match="run `tagalong connect zoho_crm`"):
        CONNECTOR.account(unsigned)


def test_a_code_of_the_console_is_good_once(org: Callable[..., Any]) -> None:
    """A Self Client's way: no redirect, and only there comes a refresh token."""
    api = org()
    given = api.sandbox.settings()
    form = {"grant_type": "authorization_code", "code": api.sandbox.accounts.desk.hand_out()}
    form |= {name: str(given[name]) for name in ("client_id", "client_secret")}

    first, second = (httpx.post(f"{api.served.base_url}/oauth/v2/token", data=form).json() for _ in range(2))

    assert first["refresh_token"] in api.sandbox.accounts.refresh_tokens
    assert {"error": "invalid_code"} == second


def test_a_page_without_consent_is_not_shown(org: Callable[..., Any]) -> None:
    """Quirk 16: it would give no refresh token."""
    api = org()
    asked = {
        "response_type": "code",
        "client_id": str(api.sandbox.settings()["client_id"]),
        "redirect_uri": "http://127.0.0.1/x",
    }

    said = httpx.get(f"{api.served.base_url}/oauth/v2/auth", params=asked)
    api.recorder.seen.clear()

    assert 400 == said.status_code

"""The other way in: an app's token, its data centre from the metadata, no end until it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from support.browser import Browser, free_port

from connectors.mailchimp import Settings, auth
from connectors.mailchimp.sandbox import LIST, MailchimpSandbox
from core.contract import OAuth2
from core.errors import AuthError, ProtocolError
from core.http import open_exchange, token_path
from core.registry import load_connector
from core.signin import sign_in
from core.tokens import Exchange, TokenKeeper, Vault

CONNECTOR = load_connector("mailchimp")
APP = {"client_id": "635959587059", "client_secret": "hush-hush", "list_id": LIST}


@pytest.fixture
def mail(sandbox_api: Callable[..., Any], clock: Any) -> Any:
    """An api that signs in, against a sandbox where nobody has yet."""
    sandbox = MailchimpSandbox(now=clock)
    return sandbox_api("mailchimp", sandbox, **sandbox.oauth_settings(), api_key=None)


def connect(mail: Any, store_path: Path) -> Exchange:
    """Sign in as a person does, and keep the token where *mail* finds it."""
    exchange = open_exchange(CONNECTOR, mail.settings, connection="mailchimp")
    browser = Browser()
    token = sign_in(exchange, f"http://127.0.0.1:{free_port()}/callback", show=browser, typed=None, limit_s=60)
    browser.wait()
    TokenKeeper(exchange, Vault(token_path(store_path, "mailchimp"))).keep(token)
    return exchange


def test_signing_in_gives_a_token_that_pulls(mail: Any, store_path: Path) -> None:
    """Without scopes and without a challenge, which the vendor does not mention."""
    connect(mail, store_path)
    (asked,) = mail.sandbox.desk.asked

    assert {"response_type", "client_id", "redirect_uri", "state"} == asked.keys()
    mail.sandbox.load("members", [{"id": "a@example.com", "email": "a@example.com", "status": "subscribed"}])
    (page,) = CONNECTOR.module.STREAMS["members"].pull(mail, None, None)
    assert ["a@example.com"] == [record["email_address"] for record in page.records]
    assert [step.result.value for step in CONNECTOR.check(mail)] == ["passed"] * 3


def test_a_token_lasts_until_it_is_refused(mail: Any, store_path: Path) -> None:
    """Then a person is asked to sign in again; nothing can renew it."""
    connect(mail, store_path)
    kept = json.loads(token_path(store_path, "mailchimp").read_text())
    assert (None, None) == (kept["expires_at"], kept["refresh_token"])
    mail.get("/ping")
    mail.sandbox.desk.revoke()

    with pytest.raises(AuthError, match="the sign-in holds no more; run `tagalong connect mailchimp`"):
        mail.get("/ping")


def test_before_anybody_signed_in(mail: Any) -> None:
    with pytest.raises(AuthError, match="not signed in; run `tagalong connect mailchimp`"):
        CONNECTOR.account(mail)


def _login(respx_mock: Any, metadata: dict[str, Any]) -> Any:
    token = {"access_token": "access-token-1", "expires_in": 0, "scope": None}
    respx_mock.post("https://login.mailchimp.com/oauth2/token").respond(json=token)
    asked = respx_mock.get("https://login.mailchimp.com/oauth2/metadata").respond(json=metadata)
    token = open_exchange(CONNECTOR, Settings.model_validate(APP), connection="mailchimp").by_code(
        "once-only", redirect_uri="x"
    )
    assert "OAuth access-token-1" == asked.calls.last.request.headers["authorization"]
    return token


def test_signing_in_finds_the_data_centre(respx_mock: Any) -> None:
    assert "https://us7.api.mailchimp.com/3.0" == _login(respx_mock, {"api_endpoint": "https://us7.api.mailchimp.com"}).base_url


def test_a_token_that_the_metadata_does_not_know_is_not_kept(respx_mock: Any) -> None:
    """200 all the same; and an address elsewhere is no data centre."""
    with pytest.raises(AuthError, match="the vendor does not take the new token"):
        _login(respx_mock, {"error": "invalid_token"})
    with pytest.raises(ProtocolError, match="not one of the vendor's hosts"):
        _login(respx_mock, {"api_endpoint": "https://evil.example.com"})


def test_the_account_is_the_same_by_either_way_in(respx_mock: Any, fake_api: Callable[..., Any]) -> None:
    """So nobody has to rebind who goes from a key to signing in."""
    token = _login(respx_mock, {"api_endpoint": "https://us19.api.mailchimp.com"})
    respx_mock.get("https://us19.api.mailchimp.com/3.0/").mock(return_value=httpx.Response(200, json={"account_id": "8d3a"}))
    by_sign_in = CONNECTOR.account(fake_api("mailchimp", APP, token=token))
    by_key = CONNECTOR.account(fake_api("mailchimp", {"api_key": "0123-us19", "list_id": LIST}, connection="other"))

    assert "8d3a/us19/a6b5da1054" == by_sign_in == by_key


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "no credentials: give api_key, or client_id and client_secret"),
        ({"api_key": "0123-us19", "client_id": "x"}, "credentials of two kinds"),
        ({"client_id": "x"}, "client_secret missing"),
        ({"client_secret": "x"}, "client_id missing"),
    ],
)
def test_there_is_one_way_in(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings.model_validate({"list_id": LIST, **given})


def test_a_base_url_of_the_vendors_own_leaves_the_login_where_it_is() -> None:
    """It names a data centre; any other stands for all of the vendor."""

    def at(base_url: str) -> str:
        found = auth(Settings.model_validate({**APP, "base_url": base_url}))
        assert isinstance(found, OAuth2)
        return found.token_url

    assert "https://login.mailchimp.com/oauth2/token" == at("https://us19.api.mailchimp.com/3.0")
    assert "http://127.0.0.1:4010/oauth2/token" == at("http://127.0.0.1:4010/3.0")

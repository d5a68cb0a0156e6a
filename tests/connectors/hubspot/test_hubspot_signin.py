"""The other way in: an app of one's own, whose token is half an hour old at most."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.browser import Browser, free_port

from connectors.hubspot import Settings, auth, check, streams, vendor
from connectors.hubspot.sandbox import HubSpotSandbox
from core.contract import Bearer, OAuth2
from core.errors import AuthError
from core.http import open_exchange, token_path
from core.registry import load_connector
from core.signin import sign_in
from core.tokens import TokenKeeper, Vault

APP = {"client_id": "sandbox-client", "client_secret": "sandbox-client-secret", "token": None}


@pytest.fixture
def connected(portal: Callable[..., Any], store_path: Path) -> Callable[..., Any]:
    """`connected(**sandbox options)`: an api whose connection was signed in to by a browser that the test plays."""

    def make(settings: dict[str, Any] | None = None, **options: Any) -> Any:
        api = portal({**APP, **(settings or {})}, **options)
        exchange = open_exchange(load_connector("hubspot"), api.settings, connection="hubspot")
        browser = Browser()
        token = sign_in(exchange, f"http://127.0.0.1:{free_port()}/callback", show=browser, typed=None, limit_s=60)
        browser.wait()
        TokenKeeper(exchange, Vault(token_path(store_path, "hubspot"))).keep(token)
        return api

    return make


def kept(store_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(token_path(store_path, "hubspot").read_text())
    return found


def test_signing_in_gives_a_token_that_pulls_and_renews_itself(
    connected: Callable[..., Any], store_path: Path, clock: Any
) -> None:
    """The vendor's clock runs past the token's half hour: the 401 renews it, and the pull goes on."""
    api = connected()
    api.sandbox.load("people", [{"id": "1", "email": "ann@example.com"}])
    contacts = next(each for each in streams(api.settings) if each.name == "contacts")
    first = kept(store_path)
    assert ["1"] == [record["id"] for page in contacts.pull(api, None, None) for record in page.records]
    clock.advance(timedelta(minutes=31))

    assert ["1"] == [record["id"] for page in contacts.pull(api, None, None) for record in page.records]
    second = kept(store_path)
    assert first["access_token"] != second["access_token"]
    assert first["refresh_token"] == second["refresh_token"]
    assert [step.result.value for step in check(api) if step.name == "authenticate"] == ["passed"]


def test_a_rotated_refresh_token_is_kept(connected: Callable[..., Any], store_path: Path, clock: Any) -> None:
    """Twice over: the second renewal works only with what the first one brought."""
    api = connected(rotates=True)
    seen = {kept(store_path)["refresh_token"]}
    for _ in range(2):
        clock.advance(timedelta(minutes=31))
        api.get(vendor.path("account-info", "details"))
        seen.add(kept(store_path)["refresh_token"])

    assert 3 == len(seen)
    assert {kept(store_path)["refresh_token"]} == api.sandbox.desk._renewals


def test_a_permission_taken_back_is_said_with_what_to_do(connected: Callable[..., Any]) -> None:
    """The refusal has the vendor's own words, without an `error`."""
    api = connected()
    api.sandbox.desk.revoke()

    with pytest.raises(AuthError, match="the token server refused the credentials; run `tagalong connect hubspot`"):
        api.get(vendor.path("account-info", "details"))
    steps = {step.name: step for step in check(api)}
    assert "tagalong connect" in steps["authenticate"].detail


def test_a_refresh_token_that_is_there_already_needs_no_browser(portal: Callable[..., Any]) -> None:
    api = portal({**APP, "refresh_token": "held"})
    api.sandbox.desk._renewals.add("held")

    assert api.get(vendor.path("account-info", "details"))["portalId"]


def test_only_what_every_account_has_is_required(connected: Callable[..., Any]) -> None:
    """Companies, deals and writing contacts may be missing; a connection leaves them out then."""
    api = connected()
    (asked,) = api.sandbox.desk.asked
    required, optional = set(asked["scope"].split()), set(asked["optional_scope"].split())

    assert required == set(vendor.SCOPES)
    assert optional == set(vendor.OPTIONAL_SCOPES)
    assert not required & optional
    assert required | optional == HubSpotSandbox().scopes


def test_where_people_sign_in() -> None:
    found = auth(Settings.model_validate({**APP, "token": None}))

    assert isinstance(found, OAuth2)
    assert "https://app.hubspot.com/oauth/authorize" == found.authorize_url
    assert "https://api.hubapi.com/oauth/2026-03/token" == found.token_url


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "no credentials: give token, or client_id and client_secret"),
        ({"token": "pat-x", "client_id": "x", "client_secret": "y"}, "credentials of two kinds"),
        ({"client_id": "x"}, "client_secret missing"),
        ({"refresh_token": "x"}, "client_id and client_secret missing"),
    ],
)
def test_there_is_one_way_in(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings.model_validate(given)


def test_a_config_made_before_still_loads() -> None:
    assert isinstance(auth(Settings.model_validate({"token": "pat-x"})), Bearer)

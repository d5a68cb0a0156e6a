"""What token endpoints differ in: ends that are not said, refusals in other words, base URLs, clocks of assertions."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr
from support import acme
from support.token_server import TokenServer, token_server

from core.contract import OAuth2
from core.errors import AuthError, ConfigError, ProtocolError, QuotaExhausted, RateLimited
from core.http.hosts import Hosts
from core.registry import Connector
from core.tokens import Exchange, Token, TokenKeeper, Vault

NOW = 1_780_000_000.0
HOSTS = Hosts(("acme.test",), loopback=True)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()  # fmt: skip


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as served:
        yield served


@pytest.fixture
def exchange(server: TokenServer) -> Callable[..., Exchange]:
    """`exchange(**options of OAuth2)`."""

    def make(**options: Any) -> Exchange:
        held = {"refresh_token": SecretStr("refresh-token-0")} if "grant" not in options else {}
        auth = OAuth2(server.url, **{"client_id": "client-1", "client_secret": SecretStr("client-secret"), **held, **options})
        return Exchange(auth, connection="crm", check_host=HOSTS.check, now=lambda: NOW, client={"timeout": 30.0})

    return make


def _claims(form: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    head, claims, _ = form["assertion"].split(".")
    return tuple(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, claims))


def test_an_assertion_lives_three_minutes_and_says_only_what_is_configured(server: TokenServer, exchange: Any) -> None:
    """Strict vendors take no longer life; a subject, an audience and a key id are the connector's to say."""
    exchange(grant="jwt_bearer", private_key=SecretStr(PEM)).anew(None)
    head, claims = _claims(server.asked[-1])
    assert {"alg": "RS256", "typ": "JWT"} == head
    claims.pop("jti")
    assert {"iss": "client-1", "aud": server.url, "iat": NOW, "exp": NOW + 180} == claims

    exchange(
        grant="jwt_bearer", private_key=SecretStr(PEM), subject="ann@example.com", audience="https://login.acme.test",
        key_id="key-7", scopes=("read", "write"),
    ).anew(None)  # fmt: skip
    head, claims = _claims(server.asked[-1])
    assert "key-7" == head["kid"]
    assert ("ann@example.com", "https://login.acme.test", "read write") == (claims["sub"], claims["aud"], claims["scope"])
    assert {"grant_type", "assertion", "authorization"} == server.asked[-1].keys()


@pytest.mark.parametrize(
    ("options", "says", "ends_at"),
    [
        ({}, {"expires_in": 1800}, NOW + 1800),
        ({}, {"expires_in": "1800"}, NOW + 1800),
        ({}, {}, NOW + 3600),
        ({}, {"expires_in": 0}, NOW + 3600),
        ({}, {"expires_in": ""}, NOW + 3600),
        ({"grant": "client_credentials"}, {}, NOW + 3600),
    ],
)
def test_when_a_token_ends(server: TokenServer, exchange: Any, options: Any, says: Any, ends_at: float) -> None:
    """One that can be renewed is trusted for an hour where its answer does not say."""
    server.expires_in, server.extra = None, says
    assert ends_at == exchange(**options).anew(None).expires_at


def test_a_token_that_nothing_renews_is_used_until_it_is_refused(server: TokenServer, exchange: Any, tmp_path: Any) -> None:
    """Whoever keeps it does not let it end by a clock; once it is refused a person is asked to sign in."""
    server.says = (200, '{"access_token": "for-ever", "scope": null, "refresh_token": null}')
    one = exchange(grant="refresh", authorize_url="https://acme.test/authorize")
    token = one.by_code("once-only", redirect_uri="http://127.0.0.1/callback")
    assert (None, None) == (token.expires_at, token.refresh_token)
    keeper = TokenKeeper(one, Vault(tmp_path / "token"), now=lambda: NOW + 10**9)
    keeper.keep(token)

    assert "for-ever" == keeper.token().access_token
    with pytest.raises(AuthError, match="the sign-in holds no more; run `tagalong connect crm`"):
        keeper.renew("for-ever")


def test_no_scope_is_sent_with_a_renewal(server: TokenServer, exchange: Any) -> None:
    """It means those that were granted; and a vendor's own separator is used where scopes are asked for."""
    exchange(scopes=("a", "b")).anew(None)
    assert "scope" not in server.asked[-1]
    exchange(grant="client_credentials", scopes=("a", "b"), scope_separator=",").anew(None)
    assert "a,b" == server.asked[-1]["scope"]


def test_a_refresh_token_that_does_not_come_again_is_kept(server: TokenServer, exchange: Any) -> None:
    server.says = (200, '{"access_token": "x", "refresh_token": null, "expires_in": 60}')
    assert "refresh-token-0" == exchange().anew(None).refresh_token


REFUSALS = {
    "error at 200": (200, '{"error": "invalid_code"}', AuthError, "invalid_code"),
    "no error word": (400, '{"status": "BAD_REFRESH_TOKEN", "message": "ann.secretperson@example.com"}', AuthError, None),
    "a list": (400, '["ann.secretperson@example.com"]', AuthError, None),
    "a list at 200": (200, '["ann.secretperson@example.com"]', ProtocolError, None),
    "often, in its own word": (200, '{"error": "Access Denied", "error_description": "too many"}', RateLimited, None),
    "often": (429, '{"error": "rate_limited"}', RateLimited, "rate_limited"),
}


@pytest.mark.parametrize(("status", "body", "kind", "code"), REFUSALS.values(), ids=REFUSALS.keys())
def test_how_a_token_is_refused(
    server: TokenServer, exchange: Any, status: int, body: str, kind: type, code: str | None
) -> None:
    """By status or by word, and never by a text of theirs in ours."""
    server.says = (status, body)
    with pytest.raises(kind) as caught:
        exchange(busy_errors={"Access Denied": 600.0}).anew(None)
    assert code == caught.value.code
    assert "secretperson" not in f"{caught.value!r}{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize("status", [200, 400, 429])
def test_a_refusal_that_repeats_what_we_sent_is_not_repeated(server: TokenServer, exchange: Any, status: int) -> None:
    """A short code may be spelled like a token; ours are known, and blotted out wherever they come back."""
    made = exchange()
    held = made.auth.refresh_token.get_secret_value()
    server.says = (status, f'{{"error": "{held}"}}')
    with pytest.raises((AuthError, RateLimited)) as caught:
        made.anew(None)
    assert held not in f"{caught.value!r}{caught.value}{caught.value.code}"


def test_a_token_server_that_is_asked_too_often_is_left_alone(
    server: TokenServer, fake_api: Callable[..., Any], respx_mock: Any
) -> None:
    """For as long as it says or the connector knows, by all processes: the connection pauses, and nobody asks meanwhile."""
    respx_mock.route(host="127.0.0.1").pass_through()
    for connection, says, headers, options in (
        ("a", (200, '{"error": "Access Denied"}'), {}, {}),
        ("b", (429, "slow down"), {"retry-after": "900"}, {}),
        ("c", (200, '{"error": "Access Denied"}'), {}, {"base_url_key": "instance_url"}),
    ):
        server.says, server.headers = says, headers
        asked = len(server.asked)
        api = fake_api(_acme(server.url, busy_errors={"Access Denied": 900.0}, **options), connection=connection)
        for _ in range(2):
            with pytest.raises(QuotaExhausted) as caught:
                api.get("/x")
        assert datetime(2026, 3, 2, 12, 15, tzinfo=UTC) == caught.value.resume_at
        assert asked + 1 == len(server.asked)


def test_a_token_server_that_is_away_is_waited_for_where_only_it_knows_the_base_url(
    server: TokenServer, fake_api: Callable[..., Any], respx_mock: Any
) -> None:
    respx_mock.route(host="127.0.0.1").pass_through()
    respx_mock.get("https://eu7.acme.test/v9/x").respond(json={"ok": True})
    server.says = (503, "busy")
    server.extra = {"instance_url": "https://eu7.acme.test/"}

    def mended(wait_s: float) -> None:
        server.says = None

    api = fake_api(_acme(server.url, base_url_key="instance_url", base_url_path="/v9"), sleep=mended)
    assert {"ok": True} == api.get("/x")
    assert "https://eu7.acme.test/v9" == api.base_url


def _acme(url: str, **options: Any) -> Connector:
    auth = OAuth2(url, client_id="client-1", refresh_token=SecretStr("refresh-token-0"), **options)
    return Connector(SimpleNamespace(**{**vars(acme), "auth": lambda settings: auth}))


METADATA = {
    "it says": (httpx.Response(200, json={"api": "https://eu7.acme.test"}), None),
    "200 whatever the token": (httpx.Response(200, json={"error": "invalid_token"}), AuthError),
    "refused": (httpx.Response(401, json={"error": "invalid_token"}), AuthError),
    "elsewhere": (httpx.Response(200, json={"api": "https://evil.test"}), ProtocolError),
    "a page": (httpx.Response(200, html="<html>"), ProtocolError),
}


@pytest.mark.parametrize(("answer", "kind"), METADATA.values(), ids=METADATA.keys())
def test_the_base_url_may_be_asked_for_with_the_token(
    server: TokenServer, exchange: Any, respx_mock: Any, answer: httpx.Response, kind: Any
) -> None:
    """In the connector's scheme, on the vendor's hosts; what it says is judged before the token goes there."""
    respx_mock.route(host="127.0.0.1").pass_through()
    asked = respx_mock.get("https://login.acme.test/metadata").mock(return_value=answer)
    one = exchange(base_url_key="api", base_url_path="/3.0", metadata_url="https://login.acme.test/metadata", scheme="OAuth")
    if kind is None:
        assert "https://eu7.acme.test/3.0" == one.by_code("once-only", redirect_uri="x").base_url
    else:
        with pytest.raises(kind):
            one.by_code("once-only", redirect_uri="x")
    assert server.access_token == asked.calls.last.request.headers["authorization"].removeprefix("OAuth ")


def test_a_rotated_token_is_kept_before_anything_else_can_fail(server: TokenServer, exchange: Any, tmp_path: Any) -> None:
    """An answer without a usable base URL does not cost the refresh token that came with it."""
    path = tmp_path / "token"
    keeper = TokenKeeper(exchange(base_url_key="api"), Vault(path), now=lambda: NOW)
    with pytest.raises(ProtocolError, match="no base URL"):
        keeper.token()
    assert "refresh-token-1" == json.loads(path.read_text())["refresh_token"]
    server.extra = {"api": "https://evil.test"}
    with pytest.raises(ProtocolError, match="not one of the vendor's hosts"):
        keeper.renew("access-token-1")
    assert "refresh-token-2" == json.loads(path.read_text())["refresh_token"]
    server.extra = {"api": "https://eu7.acme.test"}
    assert "https://eu7.acme.test" == keeper.renew("access-token-2").base_url
    server.extra = {}
    assert "https://eu7.acme.test" == keeper.renew("access-token-3").base_url  # a renewal need not say it again


def test_a_token_is_renewed_where_it_came_from(server: TokenServer, exchange: Any) -> None:
    """An account of another region has its token server there; none that is not the vendor's."""
    one = exchange()
    token = one.by_code("once-only", token_url=f"{server.url}?eu", redirect_uri="x")
    assert f"{server.url}?eu" == token.token_url == one.anew(token).token_url
    with pytest.raises(ProtocolError, match="not one of the vendor's hosts"):
        one.by_code("once-only", token_url="https://evil.test/token", redirect_uri="x")


def test_a_file_of_an_earlier_release_is_read(exchange: Any, tmp_path: Any) -> None:
    """It holds no address of a token server."""
    one = exchange()
    kept = {"access_token": "x", "expires_at": time.time() + 900, "refresh_token": "y", "base_url": None, "origin": one.origin}
    (tmp_path / "token").write_text(json.dumps(kept))
    assert "x" == TokenKeeper(one, Vault(tmp_path / "token")).token().access_token


def test_more_scopes_in_a_later_release_ask_nobody_to_sign_in_again(exchange: Any) -> None:
    """But another application, or another refresh token in the config, does."""
    options = {"refresh_token": None, "authorize_url": "https://acme.test/authorize", "grant": "refresh"}
    assert exchange(**options).origin == exchange(**options, scopes=("more",)).origin
    assert exchange(**options).origin != exchange(**{**options, "client_id": "other"}).origin
    assert exchange(**options).origin != exchange(**{**options, "refresh_token": SecretStr("held")}).origin


def test_without_a_sign_in_page_the_settings_are_what_lacks(exchange: Any) -> None:
    with pytest.raises(ConfigError, match="refresh token"):
        exchange(grant="refresh").anew(None)
    with pytest.raises(AuthError, match="not signed in; run `tagalong connect crm`"):
        exchange(grant="refresh", authorize_url="https://acme.test/authorize").anew(None)


def test_a_token_shows_nothing() -> None:
    token = Token("hush", expires_at=None, refresh_token="hush-hush", base_url=None, origin="x")
    assert "hush" not in f"{token!r}{token}"

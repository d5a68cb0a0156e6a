"""OAuth 2: one token for all processes, never renewed twice at once, never lost, never sent abroad."""

from __future__ import annotations

import json
import multiprocessing
import stat
import threading
import time
from base64 import urlsafe_b64decode
from types import SimpleNamespace

import httpx
import pytest
from pydantic import SecretStr
from support import acme
from support.token_server import token_server

from core import log
from core.contract import OAuth2
from core.errors import AuthError, ConfigError, ProtocolError, StoreError, TransientError
from core.http.hosts import Hosts
from core.log import redact
from core.registry import Connector
from core.tokens import Exchange, TokenKeeper, Vault

HOSTS = Hosts(("acme.test",), loopback=True)
KEY_BITS = 2048
CLIENT = {
    "client_id": "client-1",
    "client_secret": SecretStr("client-secret"),
    "refresh_token": SecretStr("refresh-token-0"),
}


@pytest.fixture
def server():
    """A token server that rotates."""
    with token_server() as served:
        yield served


@pytest.fixture
def keeper(server, store_path):
    """`keeper(**options of OAuth2)`: a keeper as another process would have it."""

    def make(**options):
        defaults = {
            "client_id": "client-1",
            "client_secret": SecretStr("client-secret"),
            "refresh_token": SecretStr("refresh-token-0"),
        }
        return keep(server.url, store_path, **{**defaults, **options})

    return make


def keep(url, store_path, *, now=time.time, **options):
    path = store_path.with_name("tagalong.db.mail.token")
    exchange = Exchange(OAuth2(url, **options), connection="mail", check_host=HOSTS.check, now=now, client={"timeout": 30.0})
    return TokenKeeper(exchange, Vault(path), now=now)


def test_the_token_is_fetched_once_and_kept_in_a_file_of_our_own(server, keeper, store_path):
    """Mode 0600, beside the database; the next process finds it there."""
    assert keeper().token().access_token == "access-token-1"
    assert keeper().token().access_token == "access-token-1"
    assert len(server.asked) == 1
    path = store_path.with_name("tagalong.db.mail.token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["refresh_token"] == "refresh-token-1"
    assert {"tagalong.db.mail.token", "tagalong.db.mail.token.lock"} >= {one.name for one in store_path.parent.iterdir()}


def test_it_is_renewed_a_little_before_it_ends(server, keeper):
    """With the rotated refresh token, not with the config's."""
    now = [1000.0]
    one = keeper(now=lambda: now[0])
    one.token()
    now[0] += 3600 - 61
    assert one.token().access_token == "access-token-1"
    now[0] += 2
    assert one.token().access_token == "access-token-2"
    assert ["refresh-token-0", "refresh-token-1"] == [form["refresh_token"] for form in server.asked]
    assert not server.stolen


@pytest.mark.parametrize("said", ["", None])
def test_an_empty_refresh_token_is_none_and_the_old_one_stays(server, keeper, store_path, said):
    """It would be the end of a sign-in that is still good."""
    server.extra = {"refresh_token": said}
    keeper().token()
    path = store_path.with_name("tagalong.db.mail.token")

    assert "refresh-token-0" == json.loads(path.read_text())["refresh_token"]


def test_a_refused_token_is_renewed_by_whoever_comes_first(server, keeper):
    """The second finds the first one's on disk."""
    one, two = keeper(), keeper()
    refused = one.token().access_token
    assert two.token().access_token == refused
    assert one.renew(refused).access_token == "access-token-2"
    assert two.renew(refused).access_token == "access-token-2"
    assert len(server.asked) == 2


def test_a_token_that_was_renewed_long_ago_is_no_longer_looked_for(keeper, monkeypatch):
    """A daemon renews several an hour for months; what the config holds stays hidden, and each token while it may be shown."""
    answers = ({"access_token": f"access-token-{n}", "refresh_token": f"refresh-token-{n}"} for n in range(1, 61))
    monkeypatch.setattr(Exchange, "_asked", lambda *_: next(answers))
    one, looked_for, token = keeper(), [], ""
    for _ in range(60):
        token = one.renew(token).access_token
        assert redact(f"{token} client-secret refresh-token-0") == "[secret] [secret] [secret]"
        looked_for.append(len(log._hidden))

    assert looked_for[19:] == [looked_for[19]] * 41
    assert redact("access-token-57 refresh-token-57") == "[secret] [secret]"


def _renew(url, store_path, rounds, failures):
    one = keep(url, store_path, **CLIENT)
    try:
        token = one.token().access_token
        for _ in range(rounds):
            token = one.renew(token).access_token
    except Exception as error:
        failures.append(repr(error))


def test_processes_never_renew_at_once(server, store_path):
    """Three of them, each in a hurry: the server never sees two, and never an old refresh token."""
    server.took_s = 0.02
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        failures = manager.list()
        workers = [context.Process(target=_renew, args=(server.url, store_path, 5, failures)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert list(failures) == []
    assert server.most_at_once == 1
    assert not server.stolen
    assert 5 <= len(server.asked) <= 16
    kept = json.loads(store_path.with_name("tagalong.db.mail.token").read_text())
    assert server.refresh_token == kept["refresh_token"]


def test_threads_never_renew_at_once(server, keeper):
    """Nor those of one process."""
    server.took_s = 0.02
    one, two = keeper(), keeper()
    threads = [threading.Thread(target=keeper.token) for keeper in (one, two) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (1, 1) == (server.most_at_once, len(server.asked))


def test_the_rotated_token_is_on_disk_before_the_old_one_is_forgotten(keeper, store_path, monkeypatch):
    """A disk that is full keeps the old file whole and says so; what was in memory is not used."""
    one = keeper()
    one.token()
    path = store_path.with_name("tagalong.db.mail.token")
    before = path.read_text()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        one.renew("access-token-1")
    assert before == path.read_text()
    assert one._token.access_token == "access-token-1"


def test_other_credentials_in_the_config_start_anew(server, keeper):
    """A person who authorised again is not stuck with the file."""
    keeper().token()
    server.refresh_token = "refresh-token-new"
    keeper(refresh_token=SecretStr("refresh-token-new")).token()

    assert ["refresh-token-0", "refresh-token-new"] == [form["refresh_token"] for form in server.asked]


def test_a_damaged_file_is_not_guessed_at(keeper, store_path):
    """It says what to do, and quotes nothing."""
    store_path.with_name("tagalong.db.mail.token").write_text('{"access_token": "hush')
    with pytest.raises(StoreError) as caught:
        keeper().token()
    assert "hush" not in str(caught.value)


def test_client_credentials(server, keeper):
    """Id and secret, in the form or as basic; scopes and audience said."""
    options = {"grant": "client_credentials", "refresh_token": None, "scopes": ("a", "b"), "audience": "https://api.acme.test"}
    keeper(**options).token()
    form = server.asked[-1]
    assert ("client_credentials", "a b", "https://api.acme.test") == (form["grant_type"], form["scope"], form["audience"])
    assert ("client-1", "client-secret") == (form["client_id"], form["client_secret"])
    keeper(**{**options, "client_id": "client-2"}, token_auth="client_secret_basic").token()
    assert server.asked[-1]["authorization"].startswith("Basic ")
    assert "client_secret" not in server.asked[-1]


def test_jwt_bearer(server, keeper):
    """The assertion is signed with the private key and names issuer, subject and audience."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    one = keeper(
        grant="jwt_bearer",
        refresh_token=None,
        private_key=SecretStr(pem),
        subject="admin@example.com",
        audience="https://login.acme.test",
    )
    assert one.token().access_token == "access-token-1"
    form = server.asked[-1]
    head, body, signature = form["assertion"].split(".")
    key.public_key().verify(_unpadded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    claims = json.loads(_unpadded(body))
    assert ("client-1", "admin@example.com", "https://login.acme.test") == (claims["iss"], claims["sub"], claims["aud"])
    assert form["grant_type"].endswith("jwt-bearer")
    with pytest.raises(ConfigError) as caught:
        keeper(grant="jwt_bearer", refresh_token=None, private_key=SecretStr("not a key"), client_id="other").token()
    assert "not a key" not in str(caught.value)


def _unpadded(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


SAID = [
    (
        "refused",
        (400, '{"error": "invalid_grant", "error_description": "ann.secretperson@example.com"}'),
        AuthError,
        "invalid_grant",
    ),
    ("refused rudely", (401, "<html>"), AuthError, None),
    ("refused in other words", (400, '{"error": "ann.secretperson@example.com said no"}'), AuthError, None),
    ("busy", (200, '{"error": "temporarily_unavailable"}'), TransientError, "temporarily_unavailable"),
    ("broken", (500, "oops"), TransientError, None),
    ("crowded", (429, "slow down"), TransientError, None),
    ("a page", (200, "<html>secretperson"), ProtocolError, None),
    ("no token", (200, '{"token_type": "bearer"}'), ProtocolError, None),
]


@pytest.mark.parametrize(("says", "kind", "code"), [case[1:] for case in SAID], ids=[case[0] for case in SAID])
def test_what_the_token_server_may_say(server, keeper, says, kind, code):
    """One typed error for each, with the short code and never the words."""
    server.says = says
    with pytest.raises(kind) as caught:
        keeper().token()
    assert code == caught.value.code
    assert "secretperson" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


def test_nobody_there_is_transient(store_path):
    """And certainly not carried out."""
    with pytest.raises(TransientError) as caught:
        keep("http://127.0.0.1:9/token", store_path, client_id="x", refresh_token=SecretStr("refresh-token-0")).token()
    assert not caught.value.maybe_acted


def test_the_token_is_asked_for_at_the_vendors_own(store_path):
    """Client secrets do not go abroad either."""
    with pytest.raises(ProtocolError):
        keep("https://evil.test/token", store_path, client_id="x", refresh_token=SecretStr("refresh-token-0")).token()


def test_what_is_missing_is_named(keeper):
    """No refresh token, no private key."""
    with pytest.raises(ConfigError, match="refresh token"):
        keeper(refresh_token=None).token()
    with pytest.raises(ConfigError, match="private key"):
        keeper(refresh_token=None, grant="jwt_bearer").token()


# Through an api


def oauth(url, **options):
    """Return Acme, signed in to by OAuth 2."""
    auth = OAuth2(
        url,
        client_id="client-1",
        client_secret=SecretStr("client-secret"),
        refresh_token=SecretStr("refresh-token-0"),
        **options,
    )
    return Connector(SimpleNamespace(**{**vars(acme), "auth": lambda settings: auth}))


def test_a_refused_request_is_sent_again_with_a_new_token(respx_mock, fake_api, server):
    """Once, a POST too: a 401 was not carried out. Refused twice is an AuthError."""
    respx_mock.route(host="127.0.0.1").pass_through()
    route = respx_mock.post("https://api.acme.test/v2/x").mock(
        side_effect=[httpx.Response(401), httpx.Response(200, json={"ok": True}), httpx.Response(401), httpx.Response(401)]
    )
    api = fake_api(oauth(server.url))

    assert {"ok": True} == api.post("/x", json={"a": 1})
    with pytest.raises(AuthError):
        api.post("/x", json={"a": 1})
    sent = [call.request.headers["authorization"] for call in route.calls]
    assert ["Bearer access-token-1", "Bearer access-token-2", "Bearer access-token-2", "Bearer access-token-3"] == sent
    assert {b'{"a":1}'} == {call.request.content for call in route.calls}


def test_the_scheme_and_the_statuses_that_renew_are_the_vendors_own(respx_mock, fake_api, server):
    respx_mock.route(host="127.0.0.1").pass_through()
    route = respx_mock.post("https://api.acme.test/v2/x").mock(side_effect=[httpx.Response(498), httpx.Response(200, json={})])
    api = fake_api(oauth(server.url, scheme="Zoho-oauthtoken", refresh_on=(401, 498)))

    assert {} == api.post("/x", json={"a": 1})
    sent = [call.request.headers["authorization"] for call in route.calls]
    assert ["Zoho-oauthtoken access-token-1", "Zoho-oauthtoken access-token-2"] == sent


def test_the_base_url_may_come_with_the_token(respx_mock, fake_api, server):
    """On one of the vendor's hosts; the settings' own wins; another host is refused before the token goes there."""
    respx_mock.route(host="127.0.0.1").pass_through()
    route = respx_mock.get("https://eu7.acme.test/x").respond(json={"ok": True})
    own = respx_mock.get("https://own.acme.test/x").respond(json={"ok": True})
    server.extra = {"instance_url": "https://eu7.acme.test/"}
    fake_api(oauth(server.url, base_url_key="instance_url")).get("/x")
    fake_api(oauth(server.url, base_url_key="instance_url"), {"base_url": "https://own.acme.test"}).get("/x")
    server.extra = {"instance_url": "https://evil.test"}
    server.refresh_token = "refresh-token-0"
    with pytest.raises(ProtocolError):
        fake_api(oauth(server.url, base_url_key="instance_url"), connection="other").get("/x")
    assert (1, 1) == (route.call_count, own.call_count)


def test_a_token_server_that_is_away_is_waited_for(respx_mock, fake_api, server):
    """As any part of the vendor: with backoff, then an error."""
    respx_mock.route(host="127.0.0.1").pass_through()
    server.says = (503, "busy")
    api = fake_api(oauth(server.url))
    with pytest.raises(TransientError):
        api.get("/x")
    assert len(api.slept) == len(server.asked) - 1 > 0

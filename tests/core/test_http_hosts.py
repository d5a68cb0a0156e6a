"""Credentials go to the vendor's own hosts and nowhere else, whatever a config, an answer or a redirect says."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import httpx
import pytest
from pydantic import SecretStr
from support import acme

from core.contract import Basic, HeaderKey, QueryKey
from core.errors import ConfigError, ProtocolError
from core.http.hosts import Hosts, is_private
from core.registry import Connector

BASE = "https://api.acme.test/v2"
SECRET = "acme-token-for-tests"

ABROAD = [
    "https://evil.test/v2/contacts",
    "https://acme.test.evil.test/contacts",
    "https://notacme.test/contacts",
    "https://api.acme.test@evil.test/contacts",
    "http://api.acme.test/v2/contacts",
    "http://127.0.0.1:1/contacts",
    "http://localhost/contacts",
    "http://169.254.169.254/latest/meta-data",
    "https://xn--acme-.test/contacts",
]


@pytest.mark.parametrize("url", ABROAD)
def test_an_address_from_an_answer_stays_at_the_vendor(respx_mock, fake_api, url):
    """A next page elsewhere is refused before a byte is sent, over plain http too, and loopback where we are not on it."""
    with pytest.raises(ProtocolError):
        fake_api(acme).get(url)
    with pytest.raises(ProtocolError):
        list(fake_api(acme).lines(url))


@pytest.mark.parametrize("url", ["https://eu.acme.test/v2/contacts?page=2", "https://acme.test/x"])
def test_an_address_on_the_vendors_hosts_is_fine(respx_mock, fake_api, url):
    """The suffix counts, by whole labels."""
    route = respx_mock.get(url).respond(json={})
    fake_api(acme).get(url)

    assert f"Bearer {SECRET}" == route.calls.last.request.headers["authorization"]


@pytest.mark.parametrize("url", ABROAD)
def test_a_redirect_abroad_is_not_followed(respx_mock, fake_api, url):
    """The first request is made, the second is not."""
    route = respx_mock.get(f"{BASE}/x").respond(302, headers={"Location": url})
    with pytest.raises(ProtocolError):
        fake_api(acme).get("/x")

    assert route.call_count == 1


def test_a_redirect_at_home_is_followed(respx_mock, fake_api):
    """With the credentials, and only for reading; round in circles it ends."""
    respx_mock.get(f"{BASE}/x").respond(307, headers={"Location": "/v3/x"})
    moved = respx_mock.get("https://api.acme.test/v3/x").respond(json={"moved": True})
    write = respx_mock.post(f"{BASE}/x").respond(307, headers={"Location": "/v3/x"})
    circle = respx_mock.get(f"{BASE}/circle").respond(302, headers={"Location": "/v2/circle"})
    api = fake_api(acme)

    assert {"moved": True} == api.get("/x")
    assert f"Bearer {SECRET}" == moved.calls.last.request.headers["authorization"]
    with pytest.raises(ProtocolError):
        api.post("/x", json={})
    with pytest.raises(ProtocolError):
        api.get("/circle")
    assert write.call_count == 1
    assert circle.call_count < 10


@pytest.mark.parametrize(
    "url", ["https://evil.test/v2", "http://api.acme.test/v2", "https://127.0.0.1.evil.test", "ftp://acme.test"]
)
def test_a_base_url_abroad_is_a_mistake_in_the_config(fake_api, url):
    """Found when the connection is opened, and it names both hosts."""
    with pytest.raises(ConfigError, match=r"acme\.test"):
        fake_api(acme, {"base_url": url})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v2", "http://localhost:9", "http://[::1]:9", "https://eu.acme.test/v2"])
def test_a_sandbox_or_a_region_is_not(respx_mock, fake_api, url):
    """Loopback is always allowed where it is configured."""
    respx_mock.get(f"{url}/x").respond(json=[])

    assert fake_api(acme, {"base_url": url}).get("/x") == []


def test_a_vendor_that_everybody_hosts_themselves_is_where_the_settings_say(respx_mock, fake_api):
    """Without suffixes in the manifest, the one host of `base_url`."""
    manifest = dataclasses.replace(acme.MANIFEST, hosts=(), base_url="")
    own = Connector(SimpleNamespace(**{**vars(acme), "MANIFEST": manifest}))
    respx_mock.get("https://tools.example.com/api/x").respond(json=1)
    api = fake_api(own, {"base_url": "https://tools.example.com/api/"})

    assert api.get("/x") == 1
    with pytest.raises(ProtocolError):
        api.get("https://other.example.com/x")
    with pytest.raises(ConfigError, match="base_url"):
        fake_api(own, connection="other").get("/x")


def test_a_vendor_with_a_host_for_each_account_is_there_too(respx_mock, fake_api):
    """Besides the suffixes that are known, the one host that the settings name; over https, and no third one."""
    manifest = dataclasses.replace(acme.MANIFEST, host_in_settings=True)
    own = Connector(SimpleNamespace(**{**vars(acme), "MANIFEST": manifest}))
    for url in ("https://shop.example.com/v2/x", "https://eu.acme.test/x"):
        respx_mock.get(url).respond(json=1)
    api = fake_api(own, {"base_url": "https://shop.example.com/v2"})

    assert 1 == api.get("/x") == api.get("https://eu.acme.test/x")
    with pytest.raises(ProtocolError):
        api.get("https://other.example.com/x")
    with pytest.raises(ConfigError):
        fake_api(own, {"base_url": "http://shop.example.com/v2"}, connection="plain")


SIGNED = [
    (Basic("ann", SecretStr("pass-word-1")), lambda sent: sent.headers["authorization"] == "Basic YW5uOnBhc3Mtd29yZC0x"),
    (HeaderKey("X-Api-Key", SecretStr("key-12345")), lambda sent: sent.headers["x-api-key"] == "key-12345"),
    (QueryKey("api_key", SecretStr("key-12345")), lambda sent: sent.url.params.get_list("api_key") == ["key-12345"]),
    (None, lambda sent: "authorization" not in sent.headers),
]


@pytest.mark.parametrize(("auth", "holds"), SIGNED, ids=["basic", "header", "query", "none"])
def test_each_kind_of_credentials_is_put_where_it_belongs(respx_mock, fake_api, auth, holds):
    """A key in the query is there once, also when the vendor's next page already has it."""
    own = Connector(SimpleNamespace(**{**vars(acme), "auth": lambda settings: auth}))
    route = respx_mock.get(url__startswith=f"{BASE}/x").respond(json={})
    api = fake_api(own)
    api.get("/x?api_key=key-12345" if isinstance(auth, QueryKey) else "/x", a=1)
    api.get(f"{BASE}/x", a=1)

    assert all(holds(call.request) for call in route.calls)
    assert all(call.request.url.params["a"] == "1" for call in route.calls)
    assert "key-12345" not in repr(api)


def test_a_download_takes_no_credentials_along(respx_mock, fake_api):
    """To a public host, over a redirect to another; neither sees the token, a cookie or the vendor's headers."""
    first = respx_mock.get("https://bucket.storage.test/a?sig=1").respond(302, headers={"Location": "https://cdn.test/a"})
    second = respx_mock.get("https://cdn.test/a").respond(content=b"rows")
    with fake_api(acme).download("https://bucket.storage.test/a?sig=1", max_bytes=10) as file:
        assert file.read() == b"rows"
    for route in (first, second):
        assert not {"authorization", "cookie"} & set(route.calls.last.request.headers)


@pytest.mark.parametrize(
    "url", ["http://bucket.storage.test/a", "https://10.0.0.7/a", "http://127.0.0.1/a", "https://db/a", "file:///etc/passwd"]
)
def test_a_download_is_from_a_public_host(respx_mock, fake_api, url):
    """Neither in the open nor from our own network, directly or by a redirect."""
    respx_mock.get("https://bucket.storage.test/x").respond(302, headers={"Location": url})
    for asked in (url, "https://bucket.storage.test/x"):
        with pytest.raises(ProtocolError), fake_api(acme).download(asked, max_bytes=10):
            pass


def test_hosts_by_literals():
    """The two questions, without a client."""
    hosts = Hosts(("acme.test",))
    assert hosts.allows(httpx.URL("https://API.ACME.test/x"))
    assert not hosts.allows(httpx.URL("https://api.acme.test./x"))
    assert is_private("192.168.1.1")
    assert is_private("printer.local")
    assert not is_private("storage.example.com")
    assert not is_private("93.184.216.34")

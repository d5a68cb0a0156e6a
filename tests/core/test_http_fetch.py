"""Files that are fetched with the credentials, bodies that are sent as they are, and redirects that are answers."""

from __future__ import annotations

import gzip

import httpx
import pytest
from support import acme
from support.acme.sandbox import said

from core.contract import Fault
from core.errors import AuthError, NotFoundError, ProtocolError, RejectedError, StoreError, TransientError
from core.sandbox import Reset

BASE = "https://api.acme.test/v2"
TOKEN = "Bearer acme-token-for-tests"
ROWS = b"a,b\n" * 1000


def fetched(api, path="/x", *, max_bytes=1_000_000, **options):
    """What comes of a fetch: its status and what is in the file."""
    with api.fetch(path, max_bytes=max_bytes, **options) as got:
        return got.status, got.file.read()


def test_credentials_parameters_and_headers_go_along(respx_mock, fake_api):
    """The file is unnamed, open at its beginning, and gone with the block; the answer's headers are there."""
    route = respx_mock.get(f"{BASE}/export").respond(200, content=ROWS, headers={"X-Count": "1000"})
    with fake_api(acme).fetch("/export", max_bytes=10_000, params={"day": "2026-03-02"}, headers={"accept": "text/csv"}) as got:
        assert (200, "1000", ROWS) == (got.status, got.headers["x-count"], got.file.read())
    request = route.calls.last.request

    assert (TOKEN, "text/csv") == (request.headers["authorization"], request.headers["accept"])
    assert "2026-03-02" == request.url.params["day"]
    assert got.file.closed


PACKED = gzip.compress(ROWS)
FILES = [
    ("plain", ROWS, {}, ROWS),
    ("packed for the transfer", PACKED, {"content-encoding": "gzip"}, ROWS),
    ("packed", PACKED, {}, ROWS),
    ("both", gzip.compress(PACKED), {"content-encoding": "gzip"}, ROWS),
    ("a zip", b"PK\x03\x04rest", {"content-type": "application/zip"}, b"PK\x03\x04rest"),
    ("empty", b"", {}, b""),
    ("too big", b"x" * 10_001, {}, ProtocolError),
    ("a bomb", gzip.compress(b"\0" * 50_000_000), {"content-encoding": "gzip"}, ProtocolError),
    ("damaged", PACKED[:10] + b"????" + PACKED[14:], {}, ProtocolError),
    ("unasked", b"...", {"content-encoding": "br"}, ProtocolError),
    ("a page", b"<html>Sign in</html>", {"content-type": "text/html; charset=utf-8"}, ProtocolError),
]


@pytest.mark.parametrize(("body", "headers", "result"), [one[1:] for one in FILES], ids=[one[0] for one in FILES])
def test_files_of_every_kind(respx_mock, fake_api, body, headers, result):
    """gzip is undone, what comes of it is capped, and a page where a file was due is none."""
    respx_mock.get(f"{BASE}/x").mock(
        side_effect=lambda request: httpx.Response(200, stream=httpx.ByteStream(body), headers=headers)
    )
    api = fake_api(acme)
    if isinstance(result, bytes):
        assert (200, result) == fetched(api, max_bytes=10_000)
    else:
        with pytest.raises(result):
            fetched(api, max_bytes=10_000)
        assert [] == api.slept


def test_the_cap_is_on_what_comes_of_it(respx_mock, fake_api):
    """To the byte, unpacked."""
    respx_mock.get(f"{BASE}/x").respond(200, content=PACKED, headers={"content-type": "application/gzip"})
    api = fake_api(acme)

    assert (200, ROWS) == fetched(api, max_bytes=len(ROWS))
    with pytest.raises(ProtocolError, match=f"more than {len(ROWS) - 1} bytes"):
        fetched(api, max_bytes=len(ROWS) - 1)


REFUSED = [(401, AuthError), (403, AuthError), (404, NotFoundError), (400, RejectedError)]


@pytest.mark.parametrize(("status", "kind"), REFUSED)
def test_a_refusal_is_an_error_unless_it_is_allowed(respx_mock, fake_api, status, kind):
    """404 as "there is nothing": an answer with an empty file. What is not named stays an error."""
    route = respx_mock.get(f"{BASE}/x").respond(status, json={"error": "no"})
    api = fake_api(acme)
    with pytest.raises(kind):
        fetched(api, allow=(418,))

    assert (status, b"") == fetched(api, allow=(status,))
    assert 2 == route.call_count


def test_the_connector_judges_a_file_s_answer_too(respx_mock, fake_api):
    """`classify` is asked about an answer that is no file, allowed or not."""
    respx_mock.get(f"{BASE}/x").mock(
        side_effect=[httpx.Response(400, json={"code": "slow_down"}), httpx.Response(200, content=ROWS)]
    )
    api = fake_api(acme)

    assert (200, ROWS) == fetched(api, allow=(400,))
    assert 1 == len(api.slept)


@pytest.mark.parametrize("fault", [Reset(sent=20), Reset(), Fault(503, {}, b"")], ids=["cut short", "lost", "503"])
def test_what_breaks_is_asked_for_again(sandbox_api, fault):
    """From its beginning: nothing of the first try is in the file."""
    api = sandbox_api(acme)
    api.served.faults = lambda method, path, number: fault if number == 1 else None

    assert (200, b"x" * 500) == fetched(api, "/export.json.gz", params={"size": 500})
    assert 2 == api.served.count


def test_a_file_that_is_always_cut_short_is_given_up(sandbox_api):
    """A bounded number of tries, then the typed error: neither half a file nor a silent end."""
    api = sandbox_api(acme)
    api.served.faults = lambda method, path, number: Reset(sent=20)
    with pytest.raises(TransientError):
        fetched(api, "/export.json.gz", params={"size": 500})
    assert 5 == api.served.count


def test_half_of_a_packed_file_is_not_the_whole(sandbox_api):
    """Well-formed HTTP around the beginning of a gzip: asked for again, too."""
    api = sandbox_api(acme)
    answers = [PACKED[:-9], PACKED]
    api.served.faults = lambda method, path, number: Fault(200, {"content-type": "application/gzip"}, answers[number - 1])

    assert (200, ROWS) == fetched(api)


@pytest.mark.parametrize("url", ["https://evil.test/x", "http://api.acme.test/x", "https://bucket.storage.test/x?sig=1"])
def test_credentials_are_taken_nowhere_else(respx_mock, fake_api, url):
    """Neither by an address out of an answer nor by a redirect: refused before a byte is sent."""
    route = respx_mock.get(f"{BASE}/x").respond(302, headers={"Location": url})
    api = fake_api(acme)
    for path in (url, "/x"):
        with pytest.raises(ProtocolError, match="refused to send credentials"):
            fetched(api, path)
    assert 1 == route.call_count


def test_a_redirect_at_home_is_followed(respx_mock, fake_api):
    respx_mock.get(f"{BASE}/x").respond(302, headers={"Location": "https://eu.acme.test/file"})
    file = respx_mock.get("https://eu.acme.test/file").respond(200, content=ROWS, headers={"content-type": "text/csv"})

    assert (200, ROWS) == fetched(fake_api(acme))
    assert TOKEN == file.calls.last.request.headers["authorization"]


def test_an_allowed_redirect_is_the_answer(respx_mock, fake_api):
    """A file that lies at a signed address: its `location` goes to `download`, without the credentials."""
    signed = "https://bucket.storage.test/a?sig=1"
    respx_mock.get(f"{BASE}/x").respond(302, headers={"Location": signed})
    stored = respx_mock.get(signed).respond(200, content=ROWS)
    api = fake_api(acme)
    with api.fetch("/x", max_bytes=10, allow=(302,)) as got:
        assert (302, signed, b"") == (got.status, got.headers["location"], got.file.read())
    assert 0 == stored.call_count
    assert signed == api.request("GET", "/x", allow=(302,)).headers["location"]
    with api.download(signed, max_bytes=10_000) as file:
        assert ROWS == file.read()
    assert "authorization" not in stored.calls.last.request.headers


def test_a_full_disk_is_the_store_s_error(respx_mock, fake_api, monkeypatch):
    """Nothing to ask the vendor again for."""

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            return None

        def seek(self, at):
            return at

        def truncate(self):
            return 0

        def write(self, data):
            raise OSError(28, "No space left on device")

    route = respx_mock.get(f"{BASE}/x").respond(200, content=ROWS, headers={"content-type": "text/csv"})
    monkeypatch.setattr("core.http.api.tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(StoreError, match="No space left"):
        fetched(fake_api(acme))
    assert 1 == route.call_count


def test_a_body_is_sent_as_it_is(sandbox_api):
    """Bytes with the type that they are said to be: CSV for a bulk job, compressed lines."""
    api = sandbox_api(acme)
    api.post("/jobs/1/batches", content=b"Id,Name\n1,\xc3\xa5\n", content_type="text/csv; charset=UTF-8")
    api.put("/jobs/1", content=b"", content_type="text/plain")
    first, second = api.sandbox.heard

    assert ("Id,Name\n1,å\n", "text/csv; charset=UTF-8") == (first["body"], first["headers"]["content-type"])
    assert ("", "text/plain") == (second["body"], second["headers"]["content-type"])
    assert "authorization" in first["headers"]


WRONG = [
    {"content": b"x"},
    {"content_type": "text/csv"},
    {"content": b"x", "content_type": "text/csv", "json": {}},
    {"content": b"x", "content_type": "text/csv", "form": {"a": 1}},
    {"json": {}, "form": {}},
]


@pytest.mark.parametrize("request_", WRONG, ids=lambda one: "+".join(one))
def test_one_body_with_its_type(fake_api, request_):
    """A mistake of the connector's author, found before anything is sent."""
    with pytest.raises(TypeError, match="content_type"):
        fake_api(acme).post("/x", **request_)


def test_a_body_is_sent_again_only_where_that_is_harmless(sandbox_api):
    """As any other POST."""
    api = sandbox_api(acme)
    api.sandbox.said = [said(503), said(200, {"ok": True})]
    with pytest.raises(TransientError):
        api.post("/x", content=b"a", content_type="text/plain")
    api.sandbox.said = [said(503), said(200, {"ok": True})]

    assert {"ok": True} == api.post("/x", content=b"a", content_type="text/plain", repeat=True)
    assert ["a"] * 3 == [heard["body"] for heard in api.sandbox.heard]

"""The client does late what is seldom needed, and still does it: whom it trusts, and what cookies it sends back."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.http import client
from core.http.client import Client, trusted


@pytest.fixture(autouse=True)
def _unread() -> Iterator[None]:
    client.certificates.cache_clear()
    yield
    client.certificates.cache_clear()


def _certificate(folder: Path) -> Path:
    """Make a certificate that vouches for itself, with its key, in one file."""
    key, name, now = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")]),
        datetime.now(UTC),
    )
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    path = folder / "own.pem"
    path.write_bytes(pem)
    return path


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        if self.path == "/cookie":
            self.send_header("set-cookie", "session=7; Path=/")
        self.send_header("x-cookie", self.headers.get("cookie", ""))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(certificate: Path | None) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_connection_is_encrypted_only_to_whom_the_certificates_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for them until then trusts nobody itself: one who vouches for themselves is refused, unless named."""
    certificate = _certificate(tmp_path)
    with _serving(certificate) as url:
        with (
            Client(verify=trusted(), trust_env=False) as stranger,
            pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY"),
        ):
            stranger.get(url)
        client.certificates.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Client(verify=trusted(), trust_env=False) as known:
            assert 204 == known.get(url).status_code
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY"):
                known.get(url.replace("127.0.0.1", "localhost"))  # it is not theirs


def test_the_certificates_are_not_read_where_nothing_is_encrypted() -> None:
    """It takes longer than all else that a pull of a sandbox or of files begins with."""
    with _serving(None) as url, Client(verify=trusted(), trust_env=False) as plain:
        assert 204 == plain.get(url).status_code
    assert 0 == client.certificates.cache_info().currsize


def test_cookies_are_kept_and_sent_back() -> None:
    """Though a response without any is not searched for them."""
    with _serving(None) as url, Client(trust_env=False) as kept:
        assert ["", "", "session=7"] == [kept.get(f"{url}{path}").headers["x-cookie"] for path in ("/", "/cookie", "/")]

"""
The httpx client as a hub needs it: what costs as much as a small request, and nearly no request needs, is done when it is.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import httpx


class _Cookies(httpx.Cookies):
    """Looks for cookies only where a response sets one: to look takes 30 microseconds."""

    def extract_cookies(self, response: httpx.Response) -> None:
        if "set-cookie" in response.headers:
            super().extract_cookies(response)


class Client(httpx.Client):
    """An httpx client; cookies that a vendor sets are kept for as long as it lives, and sent back."""

    def __init__(self, **options: Any) -> None:
        self._kept = _Cookies()
        super().__init__(**options)

    @property  # type: ignore[misc]  # nobody sets them
    def cookies(self) -> httpx.Cookies:
        return self._kept


class _Unread(ssl.SSLContext):
    """
    Stands in for what `certificates` gives until a connection is encrypted.

    Reading the certificates takes 25 ms, and neither files nor a sandbox on loopback need any.
    """

    _protocols: Sequence[str] = ()

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        self._protocols = list(alpn_protocols)

    def _read(self) -> ssl.SSLContext:
        context = certificates()
        if self._protocols:
            context.set_alpn_protocols(self._protocols)
        return context

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return self._read().wrap_socket(*args, **options)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self._read().wrap_bio(*args, **options)


@lru_cache(maxsize=1)
def certificates() -> ssl.SSLContext:
    """Return whom connections trust; read once a process."""
    return httpx.create_ssl_context()


@lru_cache(maxsize=1)
def trusted() -> ssl.SSLContext:
    """Return the same, not read before the first connection that is encrypted."""
    return _Unread(ssl.PROTOCOL_TLS_CLIENT)

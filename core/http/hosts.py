"""
Where a connection may send its credentials: the manifest's host suffixes over https, and loopback where it was configured so.

A vendor's answer may hold absolute URLs (a next page, a redirect); one that leads elsewhere is refused before anything is sent.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from core.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Hosts:
    """Host suffixes, and whether loopback counts as one: only where the base URL or the token URL was set to it."""

    suffixes: Sequence[str]
    loopback: bool = False

    def allows(self, url: httpx.URL) -> bool:
        """Tell whether credentials may go to *url*."""
        host = host_of(url)
        if is_loopback(host):
            return self.loopback and url.scheme in ("http", "https")
        return url.scheme == "https" and any(host == one or host.endswith(f".{one}") for one in self.suffixes)

    def check(self, url: httpx.URL) -> None:
        """Raise ProtocolError unless credentials may go to *url*."""
        if not self.allows(url):
            raise ProtocolError(
                f"refused to send credentials to {url.scheme}://{host_of(url)}, which is not one of the vendor's hosts"
                f" ({', '.join(self.suffixes) or 'none'}) over https"
            )


def host_of(url: httpx.URL) -> str:
    """Return the host as it is asked for; `url.host` would decode it, and raise on one that only looks encoded."""
    return url.raw_host.decode("ascii")


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this machine by its name or address; names are not looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Tell whether *host* is an address or name that only this machine or its network knows."""
    if is_loopback(host):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal"))

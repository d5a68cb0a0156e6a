"""Downloads from any public host, without credentials: where a vendor keeps a report, its signed URL is the credential."""

from __future__ import annotations

from contextlib import closing
from typing import IO

import httpx

from core.errors import ProtocolError
from core.http.answers import FAILURES, Asked, to_answer, transport_error
from core.http.hosts import host_of, is_private
from core.http.streams import save
from core.http.wire import MAX_REDIRECTS, Wire, head_of


def fetch_public(wire: Wire, url: str, file: IO[bytes], max_bytes: int) -> None:
    """Write what lies at *url* to *file*, from its beginning; neither credentials nor the budget go with it."""
    asked = Asked("GET", _host(url))  # the rest of a signed URL is a credential
    file.seek(0)
    file.truncate()
    wire.patience.waiter.check()
    wire.patience.tally.count("GET")
    headers = {"accept-encoding": "identity", "user-agent": wire.client.headers["user-agent"]}
    try:
        target = httpx.URL(url)
        for _ in range(MAX_REDIRECTS):
            _check_public(wire, target)
            request = httpx.Request("GET", target, headers=headers, extensions={"timeout": wire.client.timeout.as_dict()})
            with closing(wire.client.send(request, stream=True)) as response:
                if not response.has_redirect_location:
                    to_answer(asked, head_of(response), classify=None, allow=(), now=wire.time.about_now())
                    save(asked, response, file, max_bytes)
                    return
                target = target.join(response.headers["location"])
    except FAILURES as error:
        raise transport_error(asked, error) from error
    raise ProtocolError(f"{asked.words} is redirected without end")


def _check_public(wire: Wire, url: httpx.URL) -> None:
    host = host_of(url)
    fine = wire.hosts.loopback if is_private(host) else url.scheme == "https"
    if not fine or url.scheme not in ("http", "https"):
        raise ProtocolError(f"refused to download from {url.scheme}://{host}, which is no public host over https")


def _host(url: str) -> str:
    try:
        return host_of(httpx.URL(url)) or "a malformed URL"
    except (httpx.InvalidURL, UnicodeError):
        return "a malformed URL"

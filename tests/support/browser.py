"""A browser that a test plays: it opens an address, follows where it leads, and keeps the pages that it saw."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable

import httpx


def free_port() -> int:
    """
    Return a port of this machine that nobody listens on.

    Below those that systems give out (32768 and up on Linux): of these the next one who asks for any, to listen or to connect
    from, may get the one that was free a moment ago.
    """
    ports = random.SystemRandom()
    while True:
        port = ports.randrange(12_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


class Browser:
    """Call it as `webbrowser.open`; `wait` returns the pages once all is loaded."""

    def __init__(self, change: Callable[[str], str] = lambda address: address) -> None:
        self.addresses: list[str] = []
        self.pages: list[httpx.Response] = []
        self.change = change
        """What is made of each address to which a page sends the browser on."""
        self._threads: list[threading.Thread] = []

    def __call__(self, address: str) -> bool:
        self.addresses.append(address)
        thread = threading.Thread(target=self._visit, args=(address,))
        self._threads.append(thread)
        thread.start()
        return True

    def _visit(self, address: str) -> None:
        with httpx.Client(trust_env=False) as client:
            while True:
                page = client.get(address)
                self.pages.append(page)
                if not page.has_redirect_location:
                    return
                address = self.change(page.headers["location"])

    def wait(self) -> list[httpx.Response]:
        for thread in self._threads:
            thread.join(60)
        return self.pages

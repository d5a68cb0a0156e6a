"""
Waits for the address to which a vendor sends a person back: on loopback, or typed into the terminal where it cannot come.

The first answer counts. Another one, as from a page that is loaded again, is told so and changes nothing.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from core.errors import AuthError, ConfigError, Problem
from core.serving import Server

LOOPBACK = ("127.0.0.1", "localhost")
_PAGE = "<!doctype html><html><head><meta charset='utf-8'><title>Tagalong</title></head><body><p>{}</p></body></html>"
_CAUGHT = "Tagalong has the answer. You can close this window; the terminal says how it ended."
_AGAIN = "This sign-in was answered already; nothing has changed. You can close this window."


class Catcher:
    """The place where the answer arrives; see `catching`."""

    def __init__(self) -> None:
        self._answers: queue.Queue[str] = queue.Queue()
        self._first = threading.Lock()

    def offer(self, address: str) -> bool:
        """Take *address* for the answer, if it is the first; from any thread."""
        first = self._first.acquire(blocking=False)
        if first:
            self._answers.put(address)
        return first

    def wait(self, limit_s: float) -> str:
        """Return the answer; AuthError after *limit_s*."""
        until = time.monotonic() + limit_s
        while (left_s := until - time.monotonic()) > 0:
            try:
                return self._answers.get(timeout=min(left_s, 0.25))  # short, so that Ctrl-C is heard everywhere
            except queue.Empty:
                continue
        raise AuthError("nobody signed in within the time; nothing has changed, start again")


@contextmanager
def catching(redirect_uri: str | None, typed: TextIO | None = None) -> Iterator[Catcher]:
    """
    Catch what comes to *redirect_uri* while the block runs, if that is on this machine, and the first line of *typed*.

    Raises:
        ConfigError: the port is taken.
    """
    catcher = Catcher()
    if typed is not None:
        threading.Thread(target=_read_line, args=(typed, catcher.offer), name="typed", daemon=True).start()
    where = urlsplit(redirect_uri or "")
    if where.scheme != "http" or where.hostname not in LOOPBACK:
        yield catcher
        return

    async def answer(request: Request) -> Response:
        told = _CAUGHT if catcher.offer(str(request.url)) else _AGAIN
        return HTMLResponse(_PAGE.format(told), headers={"cache-control": "no-store", "referrer-policy": "no-referrer"})

    try:
        server = Server(where.port or 80)
    except OSError as error:
        remedy = "choose another with --port, and register the redirect URI with it at the vendor"
        problem = Problem(f"port {where.port or 80} of this machine cannot be listened on ({error.strerror})", remedy=remedy)
        raise ConfigError(problem) from None
    server.start(Starlette(routes=[Route(where.path or "/", answer, methods=["GET"])]))
    try:
        server.wait()
        yield catcher
    finally:
        server.ask_to_stop()
        server.join()


def _read_line(typed: TextIO, offer: Callable[[str], bool]) -> None:
    """Offer the first line that is not empty, read below Python's buffers: a thread that waits in them ends a process badly."""
    try:
        handle = typed.fileno()
    except (OSError, ValueError):  # no file of the system's, as in a test
        _offer_first(typed.read(), offer)
        return
    text = b""
    while data := os.read(handle, 65_536):
        text += data
        if b"\n" in text and _offer_first(text.decode(errors="replace"), offer):
            return
    _offer_first(text.decode(errors="replace"), offer)


def _offer_first(text: str, offer: Callable[[str], bool]) -> bool:
    for line in text.splitlines():
        if line.strip():
            offer(line.strip())
            return True
    return False

"""
A small OAuth 2 token server on loopback that rotates refresh tokens, as the strict ones do.

A refresh token that was used up is refused, and so is everything from then on: a vendor takes a second use for theft. Two
requests at once are noticed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl

from support.loopback import serving


class TokenServer:
    """What it saw and what it will say."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/token"
        self.refresh_token = "refresh-token-0"
        self.access_token = "access-token-0"
        self.issued = 0
        self.stolen = False
        self.most_at_once = 0
        self.asked: list[dict[str, str]] = []
        """The forms, each with its `authorization` header."""
        self.says: tuple[int, str] | None = None
        """Answer with this status and body instead."""
        self.headers: dict[str, str] = {}
        self.expires_in: int | None = 3600
        self.extra: dict[str, object] = {}
        self.took_s = 0.0
        self.grace = False
        """Take the refresh token before the newest, too, as many do for a while."""
        self._before = ""
        self._at_once = 0
        self._lock = threading.Lock()

    def answer(self, form: dict[str, str]) -> tuple[int, str]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(self.took_s)
        with self._lock:
            self._at_once -= 1
            self.asked.append(form)
            if self.says is not None:
                return self.says
            rotated: dict[str, object] = {}
            if form["grant_type"] == "refresh_token":
                if self.stolen or form["refresh_token"] not in (self.refresh_token, *([self._before] if self.grace else [])):
                    self.stolen = True
                    return 400, json.dumps({"error": "invalid_grant", "error_description": "ann.secretperson@example.com"})
                self._before = self.refresh_token
                self.refresh_token = f"refresh-token-{self.issued + 1}"
                rotated = {"refresh_token": self.refresh_token}
            self.issued += 1
            self.access_token = f"access-token-{self.issued}"
            life = {} if self.expires_in is None else {"expires_in": self.expires_in}
            return 200, json.dumps({"access_token": self.access_token, "token_type": "bearer", **life, **rotated, **self.extra})


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
            status, body = server.answer({**form, "authorization": self.headers.get("authorization", "")})
            self.send_response(status)
            self.send_header("content-type", "application/json" if body.startswith("{") else "text/html")
            self.send_header("content-length", str(len(body)))
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

    with serving(Handler) as port:
        server = TokenServer(port)
        yield server

"""A receiver of webhooks on loopback: it keeps what it was sent and answers as it was told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from support.loopback import serving


class Got(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What it got, and what it says: *answers* first, one each, then *status*."""

    port: int
    got: list[Got] = field(default_factory=list)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    """Wait for it before answering."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/CANARYpath"

    def texts(self) -> list[str]:
        """The messages of Slack."""
        return [one.json["text"] for one in self.got]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            here.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if here.hang is not None:
                here.hang.wait(60)
            self.send_response(here.status)
            for name, value in here.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    with serving(Handler) as port:
        here = Receiver(port)
        try:
            yield here
        finally:
            if here.hang is not None:
                here.hang.set()

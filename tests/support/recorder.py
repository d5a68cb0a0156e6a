"""An ASGI application that writes down what is asked before passing it on: what of a request, each connector's tests say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: list[tuple[str, str]]
    kind: str
    """Its content type."""
    content: bytes

    @property
    def body(self) -> Any:
        """JSON, and a form as a mapping of texts; None where nothing was sent."""
        if not self.content:
            return None
        return dict(parse_qsl(self.content.decode())) if "form" in self.kind else json.loads(self.content)


class Recorder:
    """Passes requests on to *app*; `seen` has what `note` makes of each, oldest first."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[Any] = []

    def note(self, asked: Asked) -> Any:
        """Return what is to be remembered of a request."""
        return asked.method, asked.path, asked.query, asked.body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        content = bytearray()

        async def listen() -> Any:
            message = await receive()
            content.extend(message.get("body", b""))
            return message

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":  # before the client can go on
                query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
                kind = dict(scope["headers"]).get(b"content-type", b"").decode()
                self.seen.append(self.note(Asked(scope["method"], scope["path"], query, kind, bytes(content))))
            await send(message)

        await self.app(scope, listen, answer)

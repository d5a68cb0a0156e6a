"""An Encharge sandbox whose every request is held against schemas written from the vendor's document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from support.openapi import validate_request

from connectors.encharge.sandbox import EnchargeSandbox
from core.contract import Audience, Stream
from core.registry import load_connector

DOCUMENT = json.loads((Path(__file__).parent / "schemas/requests.json").read_text(encoding="utf-8"))
CONNECTOR = load_connector("encharge")


class Recorder:
    """An ASGI application that writes down what is asked before passing it on."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[tuple[str, str, list[tuple[str, str]], Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()

        async def listen() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":  # before the client can go on
                query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
                self.seen.append((scope["method"], scope["path"], query, json.loads(body) if body else None))
            await send(message)

        await self.app(scope, listen, answer)

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies sent to *path*, oldest first."""
        return [body for _, where, _, body in self.seen if where.endswith(path) and body is not None]


@pytest.fixture
def make_mail(sandbox_api: Callable[..., Any], clock: Callable[[], Any]) -> Iterator[Callable[..., Any]]:
    """`make_mail(**switches)`: an api against a sandbox; `.recorder` has the requests, all judged when the test ends."""
    recorders: list[Recorder] = []

    def make(*, rate_factor: float = 1000, settings: Any = None, **switches: Any) -> Any:
        sandbox = EnchargeSandbox(now=clock, rate_factor=rate_factor, **switches)
        sandbox.app = recorder = Recorder(sandbox.app)
        recorders.append(recorder)
        api = sandbox_api("encharge", sandbox, **(settings or {}))
        api.recorder = recorder
        return api

    yield make
    problems = [problem for recorder in recorders for asked in recorder.seen for problem in validate_request(DOCUMENT, *asked)]
    assert [] == problems


@pytest.fixture
def mail(make_mail: Callable[..., Any]) -> Any:
    """An api against a sandbox with its usual manners."""
    return make_mail()


@pytest.fixture
def streams() -> dict[str, Stream]:
    """The streams by name."""
    return dict(CONNECTOR.module.STREAMS)


@pytest.fixture
def tag() -> Audience:
    """The audience of tags."""
    audience = CONNECTOR.audiences["tag"]
    return audience(audience.Params())

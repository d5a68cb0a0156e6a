"""A Mailchimp sandbox whose every request is held against the vendor's published document, where that is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from support.openapi import SPECS, load_document, validate_request

from connectors.mailchimp.sandbox import MailchimpSandbox
from core.contract import Audience, Stream
from core.registry import load_connector


class Recorder:
    """An ASGI application that writes down what is asked before passing it on."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[tuple[str, str, list[tuple[str, str]], Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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

    def bodies(self, method: str = "POST") -> list[Any]:
        """Return the bodies sent with *method*, oldest first."""
        return [body for how, _, _, body in self.seen if how == method]


@pytest.fixture
def make_mail(sandbox_api: Callable[..., Any], clock: Callable[[], Any]) -> Iterator[Callable[..., Any]]:
    """`make_mail(**switches)`: an api against a sandbox; `.recorder` has the requests, all judged when the test ends."""
    recorders: list[Recorder] = []

    def make(**switches: Any) -> Any:
        sandbox = MailchimpSandbox(now=clock, **switches)
        sandbox.app = recorder = Recorder(sandbox.app)
        recorders.append(recorder)
        api = sandbox_api("mailchimp", sandbox)
        api.recorder = recorder
        return api

    yield make
    if (SPECS / "mailchimp.json").is_file():
        document = load_document("mailchimp.json")
        for recorder in recorders:
            for request in recorder.seen:
                assert [] == validate_request(document, *request)


@pytest.fixture
def mail(make_mail: Callable[..., Any]) -> Any:
    """An api against a sandbox with its usual manners."""
    return make_mail()


@pytest.fixture
def stream() -> Stream:
    """The stream of members."""
    return load_connector("mailchimp").module.STREAMS["members"]


@pytest.fixture
def tag() -> Audience:
    """The audience."""
    audience = load_connector("mailchimp").audiences["tag"]
    return audience(audience.Params())

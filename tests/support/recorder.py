"""
An ASGI application that writes down what is asked before passing it on: what of a request, each connector's tests say.

`judged` makes apis against sandboxes with one before each, and holds all that was asked against the vendor's document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from core.sandbox import Served, as_settings

Reach = Callable[[Any, Mapping[str, Any]], Any]
"""`reach(sandbox, settings)`: an api against a sandbox."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    content: bytes

    @property
    def kind(self) -> str:
        """Its content type."""
        return self.headers.get("content-type", "")

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
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                self.seen.append(self.note(Asked(scope["method"], scope["path"], query, headers, bytes(content))))
            await send(message)

        await self.app(scope, listen, answer)


class BodiesByPath(Recorder):
    """What is asked of a sandbox whose paths tell its requests apart."""

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies sent to *path*, oldest first."""
        return [body for _, where, _, body in self.seen if where.endswith(path) and body is not None]


R = TypeVar("R", bound=Recorder)


@contextmanager
def judged(
    sandbox_of: Callable[..., Any], recorder_of: Callable[[Any], R], reach: Reach, problems: Callable[[R], Iterable[object]]
) -> Iterator[Callable[..., Any]]:
    """
    Yield `make(settings={}, **switches)`: an api against a new sandbox; its `.recorder` has the requests.

    *problems* says what is wrong with what a recorder saw; at the end that must be nothing.
    """
    recorders: list[R] = []

    def make(settings: Mapping[str, Any] | None = None, **switches: Any) -> Any:
        sandbox = sandbox_of(**switches)
        sandbox.app = recorder = recorder_of(sandbox.app)
        recorders.append(recorder)
        api = reach(sandbox, settings or {})
        api.recorder = recorder
        return api

    yield make
    assert [] == [problem for recorder in recorders for problem in problems(recorder)]


def apart(sandbox_api: Callable[..., Any], name: str) -> Reach:
    """Reach sandboxes by a server each."""
    return lambda sandbox, settings: sandbox_api(name, sandbox, **settings)


def behind(served: Served, fake_api: Callable[..., Any], name: str, **options: Any) -> Reach:
    """Reach sandboxes by one server: each takes the place of the one before."""

    def reach(sandbox: Any, settings: Mapping[str, Any]) -> Any:
        served.sandbox, served.faults = sandbox, None
        api = fake_api(name, {**as_settings(served), **settings}, **options)
        api.served, api.sandbox = served, sandbox
        return api

    return reach

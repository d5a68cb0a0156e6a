"""
Serves vendors' sandboxes on loopback, for the demo and the tests: one port and one thread each.

Between the wire and a sandbox stands a hook that may spoil a request: another answer, a lost connection, a body cut short, a
delay.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.contract import Fault, Sandbox
from core.serving import Server


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is lost: before the request is carried out, or after (*act*)."""

    act: bool = False
    sent: int | None = None
    """None: not even a status comes. Else the request is carried out and so much of its answer's body arrives."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """The request is carried out, and a well-formed answer holds only the first *share* of the body."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Delayed:
    """The answer is right, and late."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The request is carried out, and the body that arrives is what *change* makes of the right one."""

    change: Callable[[bytes], bytes]


Spoiler = Fault | Reset | Truncated | Delayed | Rewritten
Faults = Callable[[str, str, int], Spoiler | None]
"""Asked before each request: method, path below the base path, number of the request (from 1)."""


class Served:
    """A sandbox that can be reached. Set `faults` at any time; None lets every request through."""

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        self.base_url = f"http://127.0.0.1:{port}{sandbox.base_path}"
        self.faults: Faults | None = None
        self.count = 0
        """Requests so far."""


class _Spoiled:
    """The ASGI application in front of a sandbox's."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._served.sandbox.app
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        tell = self._dated(send)
        self._served.count = number = next(self._numbers)
        faults = self._served.faults
        path = scope["path"].removeprefix(self._served.sandbox.base_path)
        match faults(scope["method"], path, number) if faults is not None else None:
            case Fault() as fault:
                await _drain(receive) if not fault.act else await _carry_out(app, scope, receive)
                await _answer(tell, fault.status, fault.headers, fault.body)
            case Reset() as reset:
                await self._reset(reset, app, scope, receive, send)
            case Truncated(share):
                status, headers, body = await _carry_out(app, scope, receive)
                await _answer(tell, status, headers, body[: int(len(body) * share)])
            case Rewritten(change):
                status, headers, body = await _carry_out(app, scope, receive)
                await _answer(tell, status, headers, change(body))
            case Delayed(wait_s):
                await asyncio.sleep(wait_s)
                await app(scope, receive, tell)
            case None:
                await app(scope, receive, tell)

    def _dated(self, send: Send) -> Send:
        """Say what time it is there, which need not be ours."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                at = format_datetime(self._served.sandbox.now().astimezone(UTC), usegmt=True)
                message = {**message, "headers": [*message.get("headers", ()), (b"date", at.encode())]}
            await send(message)

        return dated

    async def _reset(self, reset: Reset, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if reset.act or reset.sent is not None:
            status, headers, body = await _carry_out(app, scope, receive)
            if reset.sent is not None:
                await _answer(send, status, headers, body[: reset.sent], whole=len(body), more=True)
                return  # uvicorn hangs up on an answer that is not finished
        transport = send.__self__.transport  # type: ignore[attr-defined]  # uvicorn's cycle; ASGI has no word for hanging up
        # no lingering: the peer sees a reset, not an orderly end
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _drain(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass


async def _carry_out(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[int, Mapping[str, str], bytes]:
    status = 500
    headers: dict[str, str] = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode(): value.decode() for name, value in message.get("headers", ())}
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    return status, headers, bytes(body)


async def _answer(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, *, whole: int | None = None, more: bool = False
) -> None:
    kept = {
        name.lower(): value for name, value in headers.items() if name.lower() not in ("content-length", "transfer-encoding")
    }
    kept["content-length"] = str(len(body) if whole is None else whole)
    if status == 204 or status < 200:
        kept.pop("content-length")
    pairs = [(name.encode(), value.encode()) for name, value in kept.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _ask_to_stop(servers: Iterable[Server]) -> None:
    for server in servers:
        server.ask_to_stop()


@contextmanager
def serve(sandboxes: Mapping[str, Sandbox]) -> Iterator[Mapping[str, Served]]:
    """Serve each sandbox on a port of its own until the block ends."""
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        served: dict[str, Served] = {}
        for name, sandbox in sandboxes.items():
            servers[name] = server = Server()
            served[name] = Served(sandbox, server.port)
            server.start(_Spoiled(served[name]))
            stack.callback(server.join)
        # all are told before any is waited for, so that stopping takes as long as the slowest
        stack.callback(_ask_to_stop, servers.values())
        for server in servers.values():
            server.wait()
        yield served


def as_settings(served: Served) -> dict[str, Any]:
    """Return the keys of a `[connections.NAME]` table that reach *served*."""
    return {**served.sandbox.settings(), "base_url": served.base_url}

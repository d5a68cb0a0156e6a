"""
What the vendors' sandboxes have in common: endpoints in a table, requests counted, refusals in the vendor's own form, rates.

Starlette is imported when an application is made, for most who import the contract serve nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from starlette.responses import Response

    from core.contract.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as a sandbox sees it."""

    method: str
    path: str
    _: KW_ONLY
    params: Mapping[str, str]
    """What the template's `{names}` stand for."""
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    url: str

    def one(self, name: str, default: str | None = None) -> str | None:
        """Return the last value of the query parameter *name*."""
        return dict(self.query).get(name, default)

    def every(self, name: str) -> list[str]:
        """Return all values of the query parameter *name*."""
        return [value for key, value in self.query if key == name]

    def json(self) -> Any:
        """Return the parsed body, None where there is none; ValueError where it is not JSON."""
        return json.loads(self.body) if self.body else None

    def form(self) -> dict[str, str]:
        """Return the body as form fields, the last of each name."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a sandbox answers."""

    body: Any = None
    """Sent as JSON; nothing is sent where it is None and there is no *content*."""
    status: int = 200
    _: KW_ONLY
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Iterator[bytes] | None = None
    """Sent as it is, instead of *body*; an iterator is streamed."""
    content_type: str = "application/json"


class Refused(Exception):  # noqa: N818 - what the vendor says, not an error of ours
    """Raised by a handler to answer something else than it returns."""

    def __init__(self, status: int, body: Any = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.reply = Reply(body, status, headers=headers or {})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line of a sandbox's table."""

    method: str
    template: str
    """Path below the host, the base path included, with `{names}`."""
    handler: Callable[[Ask], Reply]
    _: KW_ONLY
    write: bool = False
    """Whether a request can change something."""


class Window:
    """A rate that a sandbox enforces: *amount* in any *per_s* seconds of the machine. Guarded by its user's lock."""

    seconds: ClassVar[Callable[[], float]] = staticmethod(time.monotonic)
    """The clock of all of them; a test may set another: how long a machine takes for some requests is not what it is about."""

    def __init__(self, amount: float, per_s: float) -> None:
        self._amount, self._per_s = amount, per_s
        self._spent: deque[tuple[float, float]] = deque()

    def admits(self, cost: float = 1.0) -> bool:
        """Whether *cost* more fits in, and if so, count it."""
        now = Window.seconds()
        while self._spent and self._spent[0][0] <= now - self._per_s:
            self._spent.popleft()
        if sum(spent for _, spent in self._spent) + cost > self._amount:
            return False
        self._spent.append((now, cost))
        return True


def make_app(
    sandbox: Sandbox, endpoints: Sequence[Endpoint], admit: Callable[[Ask], None], lock: threading.RLock | None = None
) -> Any:
    """
    Return the ASGI application of *sandbox*: each request is counted, then *admit* may refuse it, then its handler answers.

    One request at a time is handled, under *lock*; what is streamed is not under it.
    """
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    held = lock or threading.RLock()

    def route(of: Endpoint) -> Route:
        async def endpoint(request: Request) -> Response:
            ask = Ask(
                request.method, request.url.path, params=request.path_params, query=request.query_params.multi_items(),
                headers=request.headers, body=await request.body(), url=str(request.url),
            )  # fmt: skip
            with held:
                name = f"{of.method} {of.template}"
                sandbox.requests[name] += 1
                if of.write:
                    sandbox.writes[name] += 1
                try:
                    admit(ask)
                    reply = of.handler(ask)
                except Refused as refused:
                    reply = refused.reply
            return _response(reply)

        return Route(of.template, endpoint, methods=[of.method])

    return Starlette(routes=[route(each) for each in endpoints])


def _response(reply: Reply) -> Response:
    from starlette.responses import JSONResponse, Response, StreamingResponse

    headers = dict(reply.headers)
    if isinstance(reply.content, bytes):
        return Response(reply.content, reply.status, headers=headers, media_type=reply.content_type)
    if reply.content is not None:
        return StreamingResponse(reply.content, reply.status, headers=headers, media_type=reply.content_type)
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    return JSONResponse(reply.body, reply.status, headers=headers)

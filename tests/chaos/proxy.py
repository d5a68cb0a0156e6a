"""
Stands between the hub and the sandboxes, one port a connection: passes requests on, spoils some, and looks at all of them.

Plain sockets, so that a connection can be lost at any byte. The sandboxes' applications are called in here; nothing else
reaches them. What it notes of each request (moment, path, statuses in the body) is judged by `watch` when the storm is over.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from answers import Answer, carry_out, hang, in_pieces, send
from fronts import Front, Seen
from memberships import put_back, take_down
from sharedtime import SENT_AT
from weather import Kind, Weather

from core.contract import Sandbox

HTML: Final = b"<html><head><title>Sign in</title></head><body>We will be right back.</body></html>"
STATUSES: Final = {Kind.S500: 500, Kind.S501: 501, Kind.S502: 502, Kind.S503: 503, Kind.S504: 504}
SIGN_IN: Final = re.compile(r"/(oauth|services/oauth2)/")


class Proxy:
    """Serves all connections from one thread. Set `weather` at any time; None is a clear sky."""

    def __init__(self, sandboxes: Mapping[str, Sandbox]) -> None:
        self.fronts = {name: Front(name, box) for name, box in sandboxes.items()}
        self.weather: Weather | None = None
        self.at_request: Callable[[], None] | None = None
        """Called at each request, in the proxy's thread: something else may be due to happen then."""
        self.requests = 0
        self.broken: list[str] = []
        """What went wrong in a sandbox that should not have."""
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Serve until the block ends."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), loop).result(60)
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._close(), loop).result(60)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _listen(self) -> None:
        self._servers = []
        for front in self.fronts.values():
            server = await asyncio.start_server(partial(self._connected, front), "127.0.0.1", 0)
            front.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget_answers(self) -> None:
        """A run ends: what was answered in it is not answered in the next."""
        for front in self.fronts.values():
            front.last.clear()

    # --- one connection ----------------------------------------------------------------------------------------------

    async def _connected(self, front: Front, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(front, reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, front: Front, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it somehow; False where the connection is no more."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = target.partition("?")
        stamp = headers.pop(SENT_AT, None)
        seen = Seen(
            front.name, method, path.removeprefix(front.sandbox.base_path),
            query=query, sent_at=None if stamp is None else float(stamp), body=body,
        )  # fmt: skip
        front.seen.append(seen)
        self.requests += 1
        if self.at_request is not None:
            self.at_request()

        async def act(other: bytes | None = None) -> Answer:
            try:
                return await carry_out(front.sandbox, method, path, query, headers, body if other is None else other)
            except Exception as error:
                self.broken.append("".join(traceback.format_exception(error)))
                return 500, {}, b""

        weather = self.weather
        kind = weather.draw(front.name) if weather is not None else None
        if weather is None or kind is None:
            answer = await self._rightly(front, seen, act)
            await send(writer, answer)
            return True
        return await self._spoil(kind, weather, _Case(front, seen, act, reader, writer))

    async def _rightly(self, front: Front, seen: Seen, act: Callable[[], Awaitable[Answer]]) -> Answer:
        """Carry out; what was answered may be answered again."""
        logged = len(front.sandbox.change_log)
        answer = self._as_listed(front, seen, await act())
        # to a write only what changed somebody is answered again: nobody could tell that an empty answer is another's
        if answer[0] == 200 and (seen.method == "GET" or len(front.sandbox.change_log) > logged):
            front.last[seen.listing] = answer
        return answer

    def _as_listed(self, front: Front, seen: Seen, answer: Answer) -> Answer:
        if self.weather is None:
            return answer
        listed = front.listed(seen, answer, half_away=front.name in self.weather.half)
        if listed is not answer:
            self.weather.happened(Kind.HALF)
        return listed

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    async def _spoil(self, kind: Kind, weather: Weather, case: _Case) -> bool:
        random = weather.random(case.front.name)
        match kind:
            case Kind.LIMITED_AFTER | Kind.LIMITED:
                asked = random.choices((1, 7, 40, 1800), (5, 5, 2, 1))[0]
                answer: Answer = (429, {"retry-after": str(asked)} if kind is Kind.LIMITED_AFTER else {}, b"{}")
            case Kind.S500 | Kind.S501 | Kind.S502 | Kind.S503 | Kind.S504:
                if kind is not Kind.S501 and random.random() < 0.4:
                    await case.act()  # the front of a vendor may give up on what its back has done
                answer = (STATUSES[kind], {}, random.choice((b"{}", b"", HTML)))
            case Kind.TIMEOUT_BEFORE | Kind.TIMEOUT_AFTER:
                if kind is Kind.TIMEOUT_AFTER:
                    await case.act()
                weather.happened(kind)
                await hang(case.reader)
                return False
            case Kind.HTML:
                if random.random() < 0.5:
                    await case.act()
                answer = (200, {"content-type": "text/html"}, HTML)
            case Kind.RESET | Kind.TRUNCATED | Kind.DRIP:
                answer = self._as_listed(case.front, case.seen, await case.act())
                return await in_pieces(kind, weather, random, case.writer, answer)
            case Kind.DUPLICATE:
                return await self._again(weather, case)
            case Kind.EXPIRED:
                return await self._expired(weather, case)
            case Kind.LOST:
                return await self._lost(weather, case)
            case _:
                raise ValueError(kind)
        weather.happened(kind)
        await send(case.writer, answer)
        return True

    async def _right(self, case: _Case) -> bool:
        await send(case.writer, await self._rightly(case.front, case.seen, case.act))
        return True

    async def _again(self, weather: Weather, case: _Case) -> bool:
        """Answer with the page before, or to the write before; what is asked is carried out."""
        last = case.front.last.get(case.seen.listing)
        answer = await self._rightly(case.front, case.seen, case.act)
        trusted = case.seen.method != "GET" and case.seen.writes_members is None
        if last is None or last[::2] == answer[::2] or trusted or SIGN_IN.search(case.seen.path):
            await send(case.writer, answer)
            return True
        weather.happened(Kind.DUPLICATE)
        await send(case.writer, last)
        return True

    async def _expired(self, weather: Weather, case: _Case) -> bool:
        """Let every access token end, for a vendor that people sign in to."""
        desk = getattr(case.front.sandbox, "desk", None)
        if desk is not None and desk.refreshes and not SIGN_IN.search(case.seen.path):
            had = len(desk._tokens)
            desk._tokens.clear()
            if had:
                weather.happened(Kind.EXPIRED)
        return await self._right(case)

    async def _lost(self, weather: Weather, case: _Case) -> bool:
        """Say yes to a batch, and let nothing of it be so."""
        keys, box = case.seen.writes_members, case.front.sandbox
        kept = take_down(box) if keys is None and case.seen.method != "GET" else None
        if keys is None and kept is None:
            return await self._right(case)
        logged = len(box.change_log)
        answer = await case.act()
        changed = {(str(line.op), line.member) for line in box.change_log[logged:]}
        if changed:
            if kept is not None:
                put_back(kept)
            elif keys is not None:
                body = json.loads(case.seen.body)
                came = [each for each in body.get(keys[0], ()) if ("add", str(each).lower()) in changed]
                went = [each for each in body.get(keys[1], ()) if ("remove", str(each).lower()) in changed]
                await case.act(json.dumps({keys[0]: went, keys[1]: came}).encode())
            del box.change_log[logged:]
            weather.happened(Kind.LOST)
        await send(case.writer, answer)
        return True


@dataclass(frozen=True, slots=True)
class _Case:
    """A request that is to be spoiled."""

    front: Front
    seen: Seen
    act: Callable[..., Awaitable[Answer]]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

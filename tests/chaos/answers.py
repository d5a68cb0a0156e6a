"""Answers, and what becomes of them on the wire: sent whole, slowly, in part, or never."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import format_datetime
from random import Random
from typing import Any, Final
from urllib.parse import unquote

from weather import Kind, Weather

from core.contract import Sandbox

HOLD_S: Final = 30.0
"""How long a request that is never answered is held, if nobody hangs up."""

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


async def hang(reader: asyncio.StreamReader) -> None:
    """Hold the connection until the other side hangs up."""
    with suppress(TimeoutError, ConnectionError):
        await asyncio.wait_for(reader.read(1), HOLD_S)


async def carry_out(sandbox: Sandbox, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Let the sandbox answer; it says what time it is there, whatever the hub's clock says."""
    status, sent, parts = 500, {}, bytearray()
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()  # nobody hangs up: a body that is sent as a stream would end at once
        return waiting.pop()

    async def tell(message: Any) -> None:
        nonlocal status, sent
        if message["type"] == "http.response.start":
            status = message["status"]
            sent = {name.decode().lower(): value.decode() for name, value in message.get("headers", ())}
        else:
            parts.extend(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path), "raw_path": path.encode("latin-1"), "query_string": query.encode("latin-1"), "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await sandbox.app(scope, receive, tell)
    kept = {name: value for name, value in sent.items() if name != "content-length"}
    return status, {**kept, "date": format_datetime(sandbox.now().astimezone(UTC), usegmt=True)}, bytes(parts)


def _head(status: int, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items())]
    if status != 204:
        lines.append(f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    status, headers, body = answer
    writer.write(_head(status, headers, len(body)) + (b"" if status == 204 else body))
    await writer.drain()


def half(method: str, path: str, query: str, answer: Answer) -> Answer:
    """Take every second person out of a list of people, by their ids: always the same ones."""
    status, headers, body = answer
    people = re.search(r"/(contacts|members|customers)$", path)
    if method != "GET" or status != 200 or people is None or "archived" in query:
        return answer
    found = json.loads(body)
    key = next((key for key in ("results", "members", "data") if isinstance(found.get(key), list)), None)
    if key is None or not found[key]:
        return answer
    kept = [one for one in found[key] if sum(str(one.get("id")).encode()) % 2]
    found[key] = kept
    if "total_items" in found:
        found["total_items"] = len(kept)
    return status, headers, json.dumps(found).encode()


async def in_pieces(kind: Kind, weather: Weather, random: Random, writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send a right answer slowly, or only the beginning of it."""
    status, headers, body = answer
    if len(body) < 2:
        await send(writer, answer)
        return True
    weather.happened(kind)
    if kind is Kind.TRUNCATED and random.random() < 0.5:  # a well-formed answer with half a body
        await send(writer, (status, headers, body[: random.randrange(1, len(body))]))
        return True
    cut = random.randrange(1, len(body))
    writer.write(_head(status, headers, len(body)))
    if kind is Kind.DRIP:
        size = max(1, len(body) // random.choice((3, 5, 8)))
        for start in range(0, len(body), size):
            writer.write(body[start : start + size])
            await writer.drain()
            await asyncio.sleep(0.01)
        return True
    writer.write(body[:cut])
    await writer.drain()
    if kind is Kind.RESET:
        # no lingering: the peer sees a reset, not an orderly end
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    return False

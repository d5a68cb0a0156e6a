"""Serves an ASGI application on loopback for a while: uvicorn, one port and one thread."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Final

import uvicorn
from starlette.types import ASGIApp

START_LIMIT_S: Final = 60.0


class _Prompt(uvicorn.Server):
    """A uvicorn that is told to stop instead of looking every tenth of a second whether it should."""

    running = False

    async def main_loop(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        await self.on_tick(0)
        self.running = True
        await self._told.wait()

    def tell(self) -> None:
        """Stop; from any thread."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._told.set)


class Server:
    """One uvicorn in one thread."""

    def __init__(self, port: int = 0) -> None:
        """Take *port* of 127.0.0.1 (0: any that is free); OSError where it is taken."""
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        # asyncio sets it only where the socket names its protocol, and create_server's does not: 40 ms a request
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]

    def start(self, app: ASGIApp) -> None:
        """Begin to serve; `wait` says when it answers."""
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", access_log=False, lifespan="off", http="h11", ws="none",
            proxy_headers=False, server_header=False, date_header=False, timeout_keep_alive=30, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = _Prompt(config)
        self._thread = threading.Thread(target=self._run, name=f"server-{self.port}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._socket:
            self._server.run(sockets=[self._socket])

    def wait(self) -> None:
        """Return once it answers."""
        until = time.monotonic() + START_LIMIT_S
        while not self._server.running:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise RuntimeError("a server on loopback did not start")
            time.sleep(0.002)

    def ask_to_stop(self) -> None:
        if self._thread.is_alive():
            self._server.tell()

    def join(self) -> None:
        self._thread.join(timeout=START_LIMIT_S)

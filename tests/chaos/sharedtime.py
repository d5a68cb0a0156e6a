"""
Seconds that all processes of a play share: they pass as the wall's do, and at once where somebody sleeps.

So limits are the vendors' own, nobody really waits for them, and a request's moment can still be held against them. The
moment is what its sender last read of the clock: neither another thread that sleeps meanwhile nor a machine with too much to
do makes it late. How late requests arrive where time is real, `bench/rate.py` measures.
"""

from __future__ import annotations

import fcntl
import functools
import mmap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx

SENT_AT: Final = "x-sent-at"
"""The header in which a request tells its moment to the proxy."""


class SharedTime:
    """The clock, kept in *path*; every process opens it for itself."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        if path.stat().st_size == 0:
            self._file.truncate(8)
        self._map = mmap.mmap(self._file.fileno(), 8)
        self._skipped = memoryview(self._map).cast("d")
        self._own = threading.local()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the file."""
        self._skipped.release()
        self._map.close()
        self._file.close()

    def look(self) -> float:
        """Return the seconds since 1970, as somebody sees them who sends nothing."""
        return time.time() + self._skipped[0]

    def now(self) -> float:
        """Return the seconds since 1970; this thread's moment begins here."""
        read = self.look()
        self._own.read = read
        return read

    def sleep(self, wait_s: float) -> None:
        """Let *wait_s* pass at once, for everybody."""
        until = self.now() + wait_s
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._skipped[0] = max(self._skipped[0], until - time.time())
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        self.now()

    def sent_at(self) -> float:
        """Return this thread's moment."""
        if not hasattr(self._own, "read"):
            return self.now()
        moment: float = self._own.read
        return moment

    @contextmanager
    def stamping(self) -> Iterator[None]:
        """Let every request of this process tell its moment while the block runs."""
        original = httpx.HTTPTransport.handle_request

        @functools.wraps(original)
        def stamped(transport: httpx.HTTPTransport, request: httpx.Request) -> Any:
            told = request.extensions.get("trace")

            def stamping(step: str, facts: dict[str, Any]) -> None:
                if told is not None:
                    told(step, facts)
                if step.endswith("send_request_headers.started"):  # what came before, a connection say, may have taken long
                    headers = facts["request"].headers
                    headers[:] = [one for one in headers if one[0].lower() != SENT_AT.encode()]
                    headers.append((SENT_AT.encode(), repr(self.sent_at()).encode()))

            request.extensions = {**request.extensions, "trace": stamping}
            return original(transport, request)

        with patch.object(httpx.HTTPTransport, "handle_request", stamped):
            yield

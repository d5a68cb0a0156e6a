"""Waiting that a stopping process can interrupt, and the seconds by which waits are measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from core.errors import Stopped
from core.http.meanwhile import Meanwhile


class Waiter:
    """
    Sleeps on behalf of one connection.

    A *sleep* that was passed in may not really sleep (tests); the seconds it was asked for then count as passed, so that
    what was waited for is over afterwards.
    """

    def __init__(
        self,
        *,
        stop: threading.Event | None = None,
        sleep: Callable[[float], None] | None = None,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        """*seconds* tells the seconds since 1970, to all processes that share a store the same."""
        self._stop = stop or threading.Event()
        self._sleep = sleep
        self._seconds = seconds
        self._skipped_s = 0.0
        self.meanwhile = Meanwhile()

    def now(self) -> float:
        """Seconds since 1970, as shared between processes; not the clock that records are dated by."""
        return self._seconds() + self._skipped_s

    def sleep(self, wait_s: float) -> None:
        """Sleep for *wait_s*; Stopped as soon as the process is to stop."""
        self.check()
        if wait_s <= 0:
            return
        if self._sleep is None:
            self._stop.wait(wait_s)
        else:
            began = self._seconds()
            self._sleep(wait_s)
            self._skipped_s += max(0.0, wait_s - (self._seconds() - began))
        self.check()

    def check(self) -> None:
        """Who waits calls this before, and now and then meanwhile: Stopped if the process is to stop."""
        self.meanwhile.waiting()
        if self._stop.is_set():
            raise Stopped("stopped while waiting for a vendor")

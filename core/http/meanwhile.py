"""What is done while a vendor thinks: the one step that a thread put off until it waits, so that both are done at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Meanwhile(threading.local):
    """
    A step that is done when its thread next waits for the vendor: for an answer, for a connection, for its turn.

    It is done once and by the thread that put it there. What it raises is kept until `settle`: nothing between a request and
    its answer could act on it.
    """

    def __init__(self) -> None:
        self._step: Callable[[], None] | None = None
        self._error: Exception | None = None

    def put(self, step: Callable[[], None]) -> None:
        """Leave *step* for the next wait; whoever does must `settle` before the next one."""
        assert self._step is None
        self._step = step

    def waiting(self) -> None:
        """Do the step, if there is one: this thread is about to wait."""
        if self._step is None:
            return
        step, self._step = self._step, None
        try:
            step()
        except Exception as error:
            self._error = error

    def settle(self) -> None:
        """Do the step if it was not done yet, and raise what it raised."""
        self.waiting()
        error, self._error = self._error, None
        if error is not None:
            raise error

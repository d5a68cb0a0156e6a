"""A vendor that goes away is logged once when it goes and once when it returns, however many requests and runs find it so."""

from __future__ import annotations

import threading
import time

from core.errors import TransientError
from core.log import log

_lock = threading.Lock()
_gone: dict[str, float] = {}


def note_gone(connection: str, error: TransientError) -> None:
    """The tries for a request to *connection* are used up."""
    with _lock:
        if connection in _gone:
            return
        _gone[connection] = time.monotonic()
    log.warning("vendor_went_away", connection=connection, reason=error.message, status=error.status)


def note_back(connection: str) -> None:
    """A request to *connection* was answered as it should."""
    if connection not in _gone:
        return
    with _lock:
        since = _gone.pop(connection, None)
    if since is not None:
        log.warning("vendor_came_back", connection=connection, away_s=round(time.monotonic() - since, 1))

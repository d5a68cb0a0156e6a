"""A vendor that goes away is logged once when it goes and once when it returns, however many requests and runs find it so."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from core.errors import TransientError
from core.log import log

_lock = threading.Lock()
_gone: dict[Outage, float] = {}


@dataclass(frozen=True, slots=True)
class Outage:
    """The vendor of one connection, as far as it is away. What is known of it outlives the apis that found it."""

    store_path: Path
    connection: str

    def began(self, error: TransientError) -> None:
        """The tries of a request are used up."""
        with _lock:
            if self in _gone:
                return
            _gone[self] = time.monotonic()
        log.warning("vendor_went_away", connection=self.connection, reason=error.message, status=error.status)

    def ended(self) -> None:
        """A request was answered."""
        if self not in _gone:
            return
        with _lock:
            since = _gone.pop(self, None)
        if since is not None:
            log.warning("vendor_came_back", connection=self.connection, away_s=round(time.monotonic() - since, 1))

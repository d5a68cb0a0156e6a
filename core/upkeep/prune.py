"""History is let go of for its age once a day: by the daemon, in a thread of its own, and by `tagalong prune`."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

from core.clock import from_us, to_us
from core.errors import LeaseLost, told
from core.hub import Hub
from core.log import log
from core.store import Store, leases
from core.store.aging import Pruned, prune

LEASE: Final = "prune"
EVERY: Final = timedelta(days=1)
LOOK_S: Final = 60.0
_KEY: Final = "pruned_at"


def prune_now(hub: Hub, *, dry_run: bool = False) -> list[Pruned]:
    """
    Let go of what is older than the config keeps it; with *dry_run* say what that would be.

    Raises:
        LeaseLost: another process is at it.
    """
    retention = hub.config.workspace.retention
    if dry_run:
        with hub.store() as store:
            return prune(store, retention, hub.clock(), dry_run=True)
    with leases.hold(hub.path, LEASE, hub.clock), hub.store() as store:
        found = prune(store, retention, hub.clock(), stopping=hub.stop.is_set)
        if not hub.stop.is_set():
            _note(store, hub.clock())
    return found


def pruned_at(store: Store) -> datetime | None:
    """Return when history was last gone through to its end."""
    row = store.conn.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    return None if row is None else from_us(int(row[0]))


def _note(store: Store, at: datetime) -> None:
    with store.atomic() as conn:
        conn.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_KEY, str(to_us(at))))


class Pruner:
    """The daemon's. Nothing that goes wrong here stops anything else; it is logged once and tried again."""

    def __init__(self, hub: Hub, *, look_s: float = LOOK_S) -> None:
        self.hub = hub
        self.look_s = look_s
        self._blind = False
        self._thread = threading.Thread(target=self._run, name="prune", daemon=True)

    def start(self) -> None:
        """Look once a minute whether a day has passed."""
        self._thread.start()

    def close(self, within_s: float = 2.0) -> None:
        """Wait a moment for the transaction in hand; the hub has been told to stop."""
        self._thread.join(within_s)

    def look(self) -> None:
        """Prune if it is a day since that was done."""
        hub = self.hub
        try:
            with hub.store() as store:
                last = pruned_at(store)
            if last is not None and timedelta(0) <= hub.clock() - last < EVERY:
                return
            found = {one.what: one.rows for one in prune_now(hub) if one.rows}
        except LeaseLost:
            return  # by hand, just now
        except Exception as error:
            if not self._blind:
                log.error("history_not_pruned", reason=told(error))
            self._blind = True
        else:
            self._blind = False
            log.info("history_pruned", **found)

    def _run(self) -> None:
        while not self.hub.stop.wait(self.look_s):
            self.look()

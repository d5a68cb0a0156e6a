"""
Whoever looks and sends: in the daemon a thread of its own, after a command a moment at its end.

Neither can fail or hold up what it watches. What goes wrong here is logged when it begins, at growing distances while it lasts,
and when it is over.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

from core.alerts.courier import Courier
from core.alerts.look import look
from core.errors import told
from core.hub import Hub
from core.log import Trouble, log

TICK_S: Final = 5.0
"""How often the outbox is looked into."""
LOOK_EVERY: Final = timedelta(minutes=1)
"""How often all is looked at when nothing ended meanwhile: a source grows stale by itself."""
COMMAND_WAITS_S: Final = 15.0
"""How long a command waits for its alerts; what has not arrived by then waits for the next."""


def courier_of(hub: Hub) -> Courier:
    """Return who delivers for the process that holds *hub*."""
    return Courier(hub.config, hub.store, hub.clock, hub.environ, hub.stop.is_set)


class Watch:
    """The daemon's: looks at once, after each run (`ended`) and each minute, and sends."""

    def __init__(self, hub: Hub, *, tick_s: float = TICK_S) -> None:
        self.hub = hub
        self.tick_s = tick_s
        self.began_at = hub.clock()
        self._looked_at: datetime | None = None
        self._woken = threading.Event()
        self._looking = Trouble("alerts_not_looked_at", over="alerts_looked_at_again")
        self._sending = Trouble("alerts_not_sent", over="alerts_sent_again")
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Note what is wrong now, before any run changes it: what was missed while nobody was there. Then go on by itself."""
        if self.hub.config.alerts:
            self._look()
        self._thread.start()

    def ended(self) -> None:
        """A run has ended."""
        self._looked_at = None
        self._woken.set()

    def close(self, within_s: float = 2.0) -> None:
        """Wait a moment for a message on its way; the hub has been told to stop."""
        self._woken.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self.hub.stop.is_set():
            if self.hub.config.alerts:
                self.round()
            self._woken.wait(self.tick_s)
            self._woken.clear()

    def round(self) -> None:
        """Look if it is time to, and send what is due."""
        due = self._looked_at is None or not timedelta(0) <= self.hub.clock() - self._looked_at < LOOK_EVERY
        if due:
            self._look()
        try:
            courier_of(self.hub).deliver(daemon=True)
        except Exception as error:
            self._sending.goes_on(told(error), at=self.hub.clock())
        else:
            self._sending.is_over(at=self.hub.clock())

    def _look(self) -> None:
        now = self.hub.clock()
        self._looked_at = now
        try:
            with self.hub.store() as store:
                look(store, self.hub.config, now, daemon=True, began_at=self.began_at)
        except Exception as error:
            self._looking.goes_on(told(error), at=now)
        else:
            self._looking.is_over(at=now)


def tell_after(hub: Hub, *, wait_s: float = COMMAND_WAITS_S) -> None:
    """After a `sync` or `pull`: look and send for the alerts that want it, no longer than *wait_s*."""
    if not any(alert.enabled and alert.when == "always" for alert in hub.config.alerts.values()):
        return

    def tell() -> None:
        try:
            with hub.store() as store:
                look(store, hub.config, hub.clock(), daemon=False)
            courier_of(hub).deliver(daemon=False)
        except Exception as error:
            log.error("alerts_not_sent", reason=told(error))

    thread = threading.Thread(target=tell, name="alerts", daemon=True)
    thread.start()
    thread.join(wait_s)

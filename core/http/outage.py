"""
A vendor that is away is left alone: a circuit breaker for each connection, kept in the store and so shared by all processes.

A request that was given up on (its tries used up, without an answer or with a 5xx) counts as a failure, any answer at all sets
the count back. After `FAILURES` in a row the connection opens: nothing is sent for a while, then one request is let through as
a probe, sent once. An answer closes it again; without one the distance to the next probe doubles, up to an hour. Whoever wanted
to send meanwhile is told when to come back (`VendorAway`). It is logged once when the vendor stops answering, once when it is
left alone, once when it is back, whichever process finds it so.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

from core.clock import Clock
from core.errors import StoreError, TransientError, VendorAway
from core.log import log
from core.store import outages
from core.store.db import Store
from core.store.outages import LONGEST_REST, Away

FAILURES: Final = 5
"""Requests in a row that were given up on before the connection opens."""
FIRST_REST: Final = timedelta(minutes=1)
LOOK_EVERY_S: Final = 0.2
"""How old what we know of other processes' failures may be."""

Kept = Callable[[], AbstractContextManager[Store]]
"""Hands out a store for a moment."""


def rest(probes: int) -> timedelta:
    """Return the distance to the next probe after *probes* that brought no answer."""
    return min(FIRST_REST * (1 << min(probes, 16)), LONGEST_REST)


class Outage:
    """The vendor of one connection, as far as it is away. Thread-safe."""

    def __init__(self, connection: str, kept: Kept, clock: Clock, *, probe: bool = False) -> None:
        self._connection = connection
        self._kept = kept
        self._clock = clock
        self._probe = probe
        """A person looks on: the first request is let through, however far off the next probe is."""
        self._probed = False
        """Whether a probe of ours was let through since the vendor last answered."""
        self._lock = threading.Lock()
        self._looked = -math.inf
        self._known: Away | None = None

    def admit(self) -> None:
        """Let a request through, as a probe where one is due, or raise VendorAway."""
        with self._lock:
            self._look()
            known = self._known
            if known is None or known.probe_at is None:
                return
            now = self._clock()
            if not (self._probe or _is_due(known.probe_at, now)):
                raise _away(known, known.probe_at, probed=self._probed)
            self._probe = False
            then = now + rest(known.probes + 1)
            with self._kept() as store, store.atomic() as conn:
                claimed = outages.claim_probe(conn, known, then=then)
                self._known = outages.away(conn, self._connection)
            if not claimed and self._known is not None and self._known.probe_at is not None:
                raise _away(self._known, self._known.probe_at, probed=self._probed)
            self._probed = True
        log.debug("vendor_probed", connection=self._connection)

    def refuse(self) -> None:
        """Raise VendorAway where `admit` would, without claiming a probe: what comes first may not send anything."""
        with self._lock:
            self._look()
            known = self._known
            if known is None or known.probe_at is None or self._probe or _is_due(known.probe_at, self._clock()):
                return
            raise _away(known, known.probe_at, probed=self._probed)

    def began(self, error: TransientError) -> None:
        """The tries of a request are used up."""
        now, opened = self._clock(), False
        with self._lock:
            try:
                with self._kept() as store, store.atomic() as conn:
                    known = outages.failed(conn, self._connection, error.message, at=now)
                    if known.failures >= FAILURES:
                        opened = outages.leave_alone(conn, self._connection, at=now, until=now + rest(0))
                    self._known = outages.away(conn, self._connection)
            except StoreError as broken:
                log.warning("outage_not_shared", connection=self._connection, reason=str(broken))
                return
        if known.failures == 1:
            log.warning("vendor_went_away", connection=self._connection, reason=error.message, status=error.status)
        if opened:
            log.warning("vendor_left_alone", connection=self._connection, failures=known.failures, until=str(now + rest(0)))

    def ended(self) -> None:
        """A request was answered."""
        if self._known is None:
            return
        with self._lock:
            try:
                with self._kept() as store, store.atomic() as conn:
                    was = outages.answered(conn, self._connection)
            except StoreError as broken:  # an answer is in hand, and it matters more
                log.warning("outage_not_shared", connection=self._connection, reason=str(broken))
                return
            self._known, self._probed = None, False
        if was is not None:
            away_s = round((self._clock() - was.since).total_seconds(), 1)
            log.warning("vendor_came_back", connection=self._connection, away_s=away_s)

    def _look(self) -> None:
        # real seconds, whatever the clock says: only the freshness of a cache hangs on them
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            with self._kept() as store:
                self._known = outages.away(store.conn, self._connection)


def _is_due(probe_at: datetime, now: datetime) -> bool:
    return probe_at <= now or probe_at - now > LONGEST_REST  # a clock that was set back: no honest probe lies so far ahead


def _away(known: Away, probe_at: datetime, *, probed: bool) -> VendorAway:
    now = "it was asked once more and did not answer, and" if probed else "it"
    then = "" if probed else " (--probe asks at once)"
    return VendorAway(
        f"{known.failures} requests in a row brought no answer since {known.since:%Y-%m-%d %H:%M}Z; {now} is left alone until"
        f" {probe_at:%Y-%m-%d %H:%M}Z{then}",
        resume_at=probe_at,
    )

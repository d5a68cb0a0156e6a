"""
When a request may go, and what its answer means for those that come after it, in this process and in others.

A quota that is used up, a share of it that is kept for people, a pace, a vendor that is away: what `core.limits.budget` and
`outage` know, asked and told in one place.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from core.clock import Clock
from core.contract import Quota
from core.errors import ConnectorError, QuotaExhausted, QuotaKept, RateLimited, TransientError, VendorAway
from core.http.outage import Outage
from core.http.retrying import PATIENCE_S
from core.http.vendor_time import VendorTime
from core.http.waiting import Waiter
from core.limits.budget import Budget, Grant

KEPT: Final = "what is left of the vendor's quota is kept for people (reserve); runs that nobody looks on go on by themselves"
_WAITS: Final = ("receive_response_headers.started", "connect_tcp.started")
"""Steps of a request that are nothing but waiting."""
HELD_S: Final = 5.0
"""How long a request waits that has its connection: vendors let go of one that is idle."""
ASK_AGAIN: Final = timedelta(hours=1)
"""How long little is believed to be left of a quota whose end the vendor does not tell."""


@dataclass(slots=True)
class Tally:
    """What has been sent and waited for so far."""

    requests: Counter[str] = field(default_factory=Counter)
    wait_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str) -> None:
        with self.lock:
            self.requests[method] += 1

    def waited(self, wait_s: float) -> None:
        with self.lock:
            self.wait_s += wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What one connection's requests wait for."""

    budget: Budget
    waiter: Waiter
    outage: Outage
    clock: Clock
    time: VendorTime
    reserve: float = 0.0
    """The share of a quota that is left to people: 0 where one looks on."""
    tally: Tally = field(default_factory=Tally)

    def place(self, path: str) -> AbstractContextManager[None]:
        """Hold one of the places that limits of concurrency leave."""
        return self.budget.place(path, self.waiter.check)

    def hold_off(self, wait_s: float) -> None:
        """Let no process send before *wait_s* seconds are over."""
        self.budget.hold_off(self.waiter.now() + wait_s)

    def wait(self, wait_s: float) -> None:
        """Wait, and count it."""
        if wait_s > 0:
            self.waiter.sleep(wait_s)
            self.tally.waited(wait_s)

    def heed_pause(self) -> None:
        """Raise QuotaExhausted while the vendor is to be left alone, QuotaKept while what is left is for people."""
        resume_at = self.budget.resume_at()
        if resume_at is not None and self.clock() < resume_at:
            raise QuotaExhausted("the vendor's quota is used up; the connection resumes by itself", resume_at=resume_at)
        kept_until = self.budget.kept_until() if self.reserve else None
        if kept_until is not None and self.clock() < kept_until:
            raise QuotaKept(KEPT, resume_at=kept_until)

    def pace(self, path: str) -> Grant:
        """Wait until a request to *path* may go; QuotaExhausted or QuotaKept where that is longer than one waits."""
        self.heed_pause()
        grant = self.budget.grant(path, self.waiter.now(), longest_wait_s=PATIENCE_S, reserve=self.reserve)
        wait_s = grant.wait_s
        if wait_s > PATIENCE_S and self.reserve:
            raise QuotaKept(KEPT, resume_at=self.time.about_now() + timedelta(seconds=wait_s))
        if wait_s > PATIENCE_S:
            raise QuotaExhausted(
                "the vendor's limit is used up; the connection resumes by itself",
                resume_at=self.time.about_now() + timedelta(seconds=wait_s),
            )
        self.wait(wait_s)
        return grant

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Tell other processes what an answer means for them: patience, or a pause."""
        try:
            yield
        except TransientError as error:
            if isinstance(error, RateLimited):
                self.outage.ended()
            self._heed(error)
            raise
        except VendorAway:
            raise
        except QuotaKept as error:
            self.budget.keep_until(error.resume_at)
            raise
        except QuotaExhausted as error:
            self.budget.pause(error.resume_at)
            if error.status is not None:  # it was the vendor who said so
                self.outage.ended()
            raise
        except ConnectorError:
            self.outage.ended()
            raise
        else:
            self.outage.ended()

    def keep(self, quota: Quota | None) -> None:
        """Where little of a quota is left, leave that to people: who goes on here is not waited for."""
        if quota is None or not self.reserve or quota.left > quota.limit * self.reserve:
            return
        now = self.time.about_now()
        self.budget.keep_until(max(quota.resets_at or now + ASK_AGAIN, now))

    def _heed(self, error: TransientError) -> None:
        """Let every process wait as long as the vendor asks; for a long wait pause the connection instead."""
        wait_s = error.retry_after_s
        if not wait_s:
            return
        if wait_s <= PATIENCE_S:
            self.hold_off(wait_s)
            return
        resume_at = self.time.about_now() + timedelta(seconds=wait_s)
        self.budget.pause(resume_at)
        if not error.maybe_acted:  # else the caller has to know that the outcome is unknown
            raise QuotaExhausted(
                "the vendor asks for a long pause; the connection resumes by itself",
                resume_at=resume_at,
                status=error.status,
                request_id=error.request_id,
            ) from error


class LateError(Exception):
    """Others have a request's place, so that it is to wait for longer than its connection can be held."""


@dataclass(slots=True)
class Leaving:
    """
    Tells the budget when a request really leaves, and does what was left for the wait: httpx calls it with each of its steps.

    A request that comes so late that others have its place waits for another one. The connection is made before the headers
    are sent: what is to wait for long then, waits without it.
    """

    patience: Patience
    grant: Grant

    def now(self, longest_wait_s: float = math.inf) -> None:
        """Wait for a place if need be; LateError where that takes longer than *longest_wait_s*."""
        self._tell()
        while (wait_s := self.grant.wait_s) > 0:
            if wait_s > longest_wait_s:
                raise LateError
            self.patience.wait(wait_s)
            self._tell()

    def wait(self) -> None:
        """Wait until the place comes that it has."""
        self.patience.wait(self.grant.wait_s)

    def _tell(self) -> None:
        self.grant = self.patience.budget.departed(self.grant, self.patience.waiter.now())

    def __call__(self, step: str, _facts: object) -> None:
        if step.endswith("send_request_headers.started"):
            self.now(HELD_S)
        elif step.endswith(_WAITS):
            self.patience.waiter.meanwhile.waiting()

"""
What goes wrong, and when: faults by kind, drawn from a seed.

A storm has its own mixture of kinds and its own share of spoiled requests. Each connection draws from a sequence of its own, so
that a storm can be had again by its seed and number, as far as threads let it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final


class Kind(StrEnum):
    """One kind of fault; the value is what reports say."""

    LIMITED_AFTER = "429 with Retry-After"
    LIMITED = "429 without Retry-After"
    S500 = "500"
    S501 = "501"
    S502 = "502"
    S503 = "503"
    S504 = "504"
    TIMEOUT_BEFORE = "timeout before the vendor acted"
    TIMEOUT_AFTER = "timeout after the vendor acted"
    RESET = "connection reset in the middle of a body"
    TRUNCATED = "truncated body"
    HTML = "HTML body"
    DRIP = "slow drip"
    DUPLICATE = "duplicated answer"
    EXPIRED = "expired token"
    LOST = "batch accepted and lost"
    HALF = "half of a source's people"
    CLOCK_FORWARD = "clock set forward"
    CLOCK_BACK = "clock set back"
    SIGKILL = "SIGKILL"
    SIGTERM = "SIGTERM"
    FULL_DISK = "full disk"
    READ_ONLY = "read-only file"
    SECOND = "second process"


ANSWERS: Final = (
    Kind.LIMITED_AFTER, Kind.LIMITED, Kind.S500, Kind.S501, Kind.S502, Kind.S503, Kind.S504, Kind.TIMEOUT_BEFORE,
    Kind.TIMEOUT_AFTER, Kind.RESET, Kind.TRUNCATED, Kind.HTML, Kind.DRIP, Kind.DUPLICATE, Kind.EXPIRED, Kind.LOST,
)  # fmt: skip
"""What happens to single requests. The others happen to a pull, or to the process."""
OFTENER: Final = {Kind.LOST: 6, Kind.EXPIRED: 2, Kind.DUPLICATE: 3, Kind.S501: 0.3}
"""Weights other than 1: some apply to few requests, and a 501 is rare with vendors that live."""


@dataclass(slots=True)
class Weather:
    """The weather of one storm. Thread-safe."""

    seed: str
    """Of the storm."""
    share: float
    """Of requests that are spoiled."""
    kinds: Sequence[Kind] = ANSWERS
    away: frozenset[str] = frozenset()
    """Connections of which every request is answered 503: the vendor is away."""
    half: frozenset[str] = frozenset()
    """Connections that return half of their people."""
    fair: int = 0
    """So many requests more are let through before anything happens: pulls come first, and pushes shall have their share."""
    spoiled: Counter[Kind] = field(default_factory=Counter)
    """Faults that really happened, by kind."""
    _drawn: dict[str, Random] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, seed: str, *, share: float | None = None) -> Weather:
        """Return the weather that *seed* makes: all kinds, or a few of them thicker."""
        random = Random(f"weather {seed}")
        kinds: Sequence[Kind] = ANSWERS
        if random.random() < 0.4:
            kinds = random.sample(ANSWERS, random.randint(2, 5))
        return cls(seed, share=random.choice((0.1, 0.2, 0.3, 0.4, 0.5)) if share is None else share, kinds=kinds)

    def draw(self, connection: str) -> Kind | None:
        """Return what is to happen to the next request of *connection*."""
        with self._lock:
            if connection in self.away:
                return Kind.S503
            if self.fair > 0:
                self.fair -= 1
                return None
            random = self.random(connection)
            if random.random() >= self.share:
                return None
            return random.choices(self.kinds, [OFTENER.get(kind, 1) for kind in self.kinds])[0]

    def random(self, connection: str) -> Random:
        """Return the chance of a connection; its details (how long, how much) are drawn from it too."""
        return self._drawn.setdefault(connection, Random(f"{self.seed} {connection}"))

    def happened(self, kind: Kind, times: int = 1) -> None:
        """Count a fault."""
        with self._lock:
            self.spoiled[kind] += times

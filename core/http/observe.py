"""Shows somebody what a vendor answered to what was written there; the answer goes to them alone, and into no log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer to a request that may have changed something."""

    method: str
    path: str
    """As the connector gave it, without its query."""
    status: int
    body: str = field(repr=False)
    """As it came: whoever shows it masks it first (`core.pushing.answered`)."""


Observer = Callable[[Seen], None]
"""Called in the thread that sent the request."""

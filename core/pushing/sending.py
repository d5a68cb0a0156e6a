"""What a push is made with, whatever it sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from core.clock import Clock
from core.contract import Api
from core.store import Store
from core.store.leases import Lease


@dataclass(frozen=True, slots=True)
class Sending:
    """What a push is made with."""

    store: Store
    api: Callable[[], Api]
    _: KW_ONLY
    lease: Lease
    run_id: int
    clock: Clock
    sleep: Callable[[float], None]
    stopping: Callable[[], bool]
    on_batch: Callable[[str, int], None] | None = None
    """Told the label and how many members were settled."""

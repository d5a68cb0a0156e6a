"""How a hub of the storms is made: in shared time, with little patience and small batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sharedtime import SharedTime

from core.config.load import load_config
from core.http import open_api
from core.hub import Hub
from core.registry import Connector

STORMY_TIMEOUT_S: Final = 0.35
CALM_TIMEOUT_S: Final = 60.0
BATCH: Final = 7


def hub_of(
    config: Path, shared: SharedTime, offset: timedelta | Callable[[], timedelta], *, timeout_s: float, **options: Any
) -> Hub:
    """Return a hub that lives in shared time, *offset* away from it, and has no patience with a vendor beyond *timeout_s*."""
    opener = functools.partial(open_api, seconds=shared.now, timeout=timeout_s, **options)

    def clock() -> datetime:
        return datetime.fromtimestamp(shared.look(), UTC) + (offset if isinstance(offset, timedelta) else offset())

    return Hub(load_config(config, {}), clock=clock, environ={}, opener=opener, sleep=shared.sleep)


@contextmanager
def small_batches(connectors: Mapping[str, Connector], size: int) -> Iterator[None]:
    """Let every audience take no more than *size* members at once while the block runs."""
    changed: list[tuple[Any, Any]] = []
    for connector in connectors.values():
        for audience in set(connector.audiences.values()):
            initialise: Any = audience.__init__

            def initialised(self: Any, *args: Any, initialise: Any = initialise, **options: Any) -> None:
                initialise(self, *args, **options)
                self.max_batch = min(size, self.max_batch)

            changed.append((audience, vars(audience).get("__init__")))
            audience.__init__ = initialised  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        for audience, original in changed:
            if original is None:
                del audience.__init__
            else:
                audience.__init__ = original

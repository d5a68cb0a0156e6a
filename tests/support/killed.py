"""A process that is gone in the middle of what it was at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest


class KilledProcess(BaseException):
    """What a SIGKILL looks like from inside: nothing catches it."""


@contextmanager
def killed_after(page: int, *, stream: str | None = None) -> Iterator[Callable[[Any], None]]:
    """Yield an `on_page` that kills when the store has *page* pages, of *stream* alone where one is named; that must happen."""
    stored = count(1)

    def on_page(told: Any) -> None:
        if stream in (None, told.stream) and next(stored) == page:
            raise KilledProcess

    with pytest.raises(KilledProcess):
        yield on_page


@contextmanager
def killed_at(vendor: Any, *where: str, nth: int = 1) -> Iterator[None]:
    """Kill what runs when it is for the *nth* time where *vendor* asks for faults, as "after apply"; that must happen."""
    times = count(1)

    def fault(at: str) -> None:
        if (not where or at in where) and next(times) == nth:
            raise KilledProcess

    vendor.fault = fault
    with pytest.raises(KilledProcess):
        yield
    vendor.fault = None

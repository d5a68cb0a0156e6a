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

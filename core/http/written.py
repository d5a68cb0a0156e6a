"""
What a connector has written by the time it fails: of several requests that make one batch, the first may be carried out.

The core, which hears of the failure alone, has to know that: whoever was in the first request has arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from core.http.observe import READS


@dataclass(slots=True)
class Written:
    """How many requests that may write were carried out."""

    requests: int = 0


_counting: Final[ContextVar[Written | None]] = ContextVar("written", default=None)


@contextmanager
def counting() -> Iterator[Written]:
    """Count the requests that may write and were carried out, of those sent by this thread in the block."""
    written = Written()
    before = _counting.set(written)
    try:
        yield written
    finally:
        _counting.reset(before)


def note(method: str) -> None:
    """Note that a request was carried out."""
    written = _counting.get()
    if written is not None and method not in READS:
        written.requests += 1

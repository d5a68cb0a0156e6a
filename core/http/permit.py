"""
Whether what is about to be written at a vendor may still be written: asked just before a request leaves, after all waiting.

Between an intent and its last request there may be a pace, a vendor that asks for patience, tries again, or a lid that is
closed for an hour. Whoever sends says with `permitting` what is asked; requests that only read are asked nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from core.http.observe import READS

Permit = Callable[[], None]
"""Raises where nothing may be written any more; called in the thread that sends."""
_asked: Final[ContextVar[Permit | None]] = ContextVar("permit", default=None)


@contextmanager
def permitting(permit: Permit) -> Iterator[None]:
    """Have *permit* asked before each request that writes, of those sent by this thread in the block."""
    before = _asked.set(permit)
    try:
        yield
    finally:
        _asked.reset(before)


def ask(method: str) -> None:
    """Ask whether a request may go."""
    permit = _asked.get()
    if permit is not None and method not in READS:
        permit()

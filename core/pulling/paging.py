"""Sees that a vendor's paging goes in circles, once for every connector."""

from __future__ import annotations

from typing import Final

from core.contract import Page
from core.errors import ProtocolError

MAX_EMPTY_PAGES: Final = 10_000
"""Empty pages in a row, each with a new token, before a vendor counts as going in circles."""


class Repeats:
    """Sees that a vendor's paging goes in circles. Only what was yielded counts: a resumed pull may repeat its token once."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self._last: bytes | None = None
        self._empty = 0

    def check(self, page: Page, digest: bytes | None) -> None:
        """Raise ProtocolError, before anything of the page is stored, when it was there already."""
        if page.resume is not None:
            if page.resume in self._tokens:
                raise ProtocolError("the vendor sent the same page token twice; the checkpoint is kept")
            self._tokens.add(page.resume)
        if digest is None:
            self._empty += 1
            if self._empty > MAX_EMPTY_PAGES:
                raise ProtocolError(f"more than {MAX_EMPTY_PAGES} empty pages in a row; the checkpoint is kept")
            return
        self._empty = 0
        if digest == self._last:
            raise ProtocolError("the vendor sent the same page twice; the checkpoint is kept")
        self._last = digest

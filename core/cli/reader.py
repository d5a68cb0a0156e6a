"""
Standard output whose reader may go before the end (`tagalong sync | head -1`).

The command goes on to its end all the same, and its exit code says how that was: a check in a pipe must not pass for want of
a reader. What is still printed then goes nowhere.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO


class Heedless:
    """A text stream that does not mind when nobody reads on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._let_go()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._let_go()

    def _let_go(self) -> None:
        """Lead what is printed from now on nowhere, and with it what is still waiting to be."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def heed_no_reader() -> None:
    """Have this process's standard output not mind."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None and not sys.stdout.isatty():
        sys.stdout = Heedless(sys.stdout)  # all that is asked of one it has or hands on

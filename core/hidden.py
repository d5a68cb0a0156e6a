"""
Which texts are secret, by their value: they are blotted out of whatever is logged or shown.

Those that the config holds stay hidden for as long as the process lives. Tokens come and go, several an hour in a daemon that
runs for months: of each connection the last few are hidden, for whoever renews a token no longer sends the one before.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

MIN_SECRET_LENGTH: Final = 4
"""Shorter ones would blot out half of every line; a credential of three characters protects nothing."""
RENEWED: Final = 16
"""Tokens of one connection: eight pairs, of which the last is in use."""
BLOT: Final = "[secret]"


class Hidden:
    """The secrets of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._for_good: set[str] = set()
        self._renewed: dict[str, dict[str, None]] = {}
        """By connection, the one used longest ago first."""
        self._spellings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many texts are looked for."""
        return len(self._spellings)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these for good."""
        with self._lock:
            news = set(secrets) - self._for_good
            if news:
                self._for_good |= news
                self._spell()

    def renew(self, connection: str, secrets: Iterable[str]) -> None:
        """Hide these and, of what was hidden so for *connection*, no more than the last `RENEWED`."""
        with self._lock:
            known = self._renewed.setdefault(connection, {})
            before = set(known)
            for secret in secrets:
                known.pop(secret, None)
                known[secret] = None
            while len(known) > RENEWED:
                del known[next(iter(known))]
            if known.keys() != before:
                self._spell()

    def _spell(self) -> None:
        secrets = self._for_good.union(*self._renewed.values())
        found = {spelling for secret in secrets for spelling in _spellings(secret)}
        # the longest first: one secret may begin with another
        self._spellings = tuple(sorted(found, key=len, reverse=True))

    def blot(self, text: str) -> str:
        """Return *text* without any of them."""
        # one pattern of all would be made anew with every token, and the re module keeps hundreds of patterns
        found = [one for one in self._spellings if one in text]
        return re.sub("|".join(map(re.escape, found)), BLOT, text) if found else text


def _spellings(secret: str) -> Iterable[str]:
    """Return the spellings in which a secret travels."""
    if len(secret) < MIN_SECRET_LENGTH:
        return set()
    encoded = base64.b64encode(secret.encode()).decode()
    return {secret, quote(secret, safe=""), quote(secret), encoded, encoded.rstrip("="), *_lines(secret)}


def _lines(text: str) -> Iterable[str]:
    # a private key is shown line by line, or with its line ends escaped
    if "\n" in text:
        yield text.replace("\n", "\\n")
        yield from (line for line in text.splitlines() if len(line) >= 16 and not line.startswith("-----"))

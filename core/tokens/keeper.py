"""One connection's token, the same for all threads and processes, and never renewed by two at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from core.errors import StoreError
from core.tokens.exchange import Exchange
from core.tokens.token import Token
from core.tokens.vault import DAMAGED, Vault

EARLY_S: Final = 60.0
"""A token is renewed this long before it ends, so that it does not end on its way."""


class HeldToken:
    """One token that is not kept: to see whose it is, before it takes another's place."""

    def __init__(self, exchange: Exchange, token: Token) -> None:
        self._exchange = exchange
        self._token = token

    def token(self) -> Token:
        return self._token

    def renew(self, refused: str) -> Token:
        raise self._exchange.sign_in("the vendor does not take the new token")


class TokenKeeper:
    """Keeps one connection's token. Thread-safe, and safe between processes."""

    def __init__(
        self,
        exchange: Exchange,
        vault: Vault,
        *,
        check: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """*check* raises when the process is to stop."""
        self._exchange = exchange
        self._vault = vault
        self._check = check
        self._now = now
        self._lock = threading.Lock()
        self._token: Token | None = None

    def token(self) -> Token:
        """Return a token that is good for a while, renewing it where needed."""
        token = self._token
        if token is not None and self._good(token):
            return token
        return self._renewed(refused=None)

    def renew(self, refused: str) -> Token:
        """Return another token than *refused*, which the vendor did not accept."""
        return self._renewed(refused=refused)

    def keep(self, token: Token) -> str:
        """Put *token*, by which somebody just signed in, in the place of what is kept; return where it is kept now."""
        with self._alone():
            place = self._vault.write(token.to_text())
            self._token = token
            return place

    def _good(self, token: Token) -> bool:
        return token.expires_at is None or token.expires_at - EARLY_S > self._now()

    def _renewed(self, refused: str | None) -> Token:
        with self._alone():
            token = self._read()  # somebody may have renewed it while we waited
            if token is None or token.access_token == refused or not self._good(token):
                self._vault.check()
                token = self._exchange.anew(token)
                self._vault.write(token.to_text())  # before anything else is asked: the old one may be used up
            located = self._exchange.located(token)
            if located is not token:
                self._vault.write(located.to_text())
            self._token = located
            return located

    def _read(self) -> Token | None:
        text = self._vault.read()
        try:
            token = None if text is None else Token.from_text(text, connection=self._exchange.connection)
        except (ValueError, TypeError):
            raise StoreError(f"{self._vault.path}: is damaged; {DAMAGED}") from None
        return token if token is not None and token.origin == self._exchange.origin else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock, self._vault.alone(self._check):
            yield

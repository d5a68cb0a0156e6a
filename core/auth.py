"""
How a request is signed: each kind of `Auth` that a connector may name, as an object that signs and, for OAuth 2, renews.

Nothing here shows a secret: the objects have no repr of their own, and every credential is known to the log's redaction.
"""

from __future__ import annotations

import base64
from typing import Protocol

import httpx

from core.contract import Auth, Basic, Bearer, HeaderKey, OAuth2, QueryKey
from core.log import hide
from core.tokens import Token


class Signer(Protocol):
    """Puts credentials on requests. Thread-safe."""

    @property
    def refresh_on(self) -> tuple[int, ...]:
        """Statuses on which `renew` may help."""

    def sign(self, request: httpx.Request) -> None:
        """Add the credentials; typed errors where they have to be fetched first and cannot be."""

    def renew(self, refused: httpx.Request) -> None:
        """Get new credentials after the ones on *refused* were."""

    def base_url(self) -> str | None:
        """Return the base URL that came with the credentials."""


class Tokens(Protocol):
    """Where OAuth 2 tokens come from: `core.tokens.TokenKeeper`, or one token that is only tried."""

    def token(self) -> Token:
        """Return a token that is good for a while."""

    def renew(self, refused: str) -> Token:
        """Return another token than *refused*."""


class Unsigned:
    """For vendors without credentials, and the base of those whose credentials stay as they are."""

    refresh_on: tuple[int, ...] = ()

    def sign(self, request: httpx.Request) -> None:
        """Leave the request as it is."""

    def renew(self, refused: httpx.Request) -> None:
        """There is nothing to renew."""

    def base_url(self) -> str | None:
        """None came."""
        return None


class HeaderSigner(Unsigned):
    """One header that never changes."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def sign(self, request: httpx.Request) -> None:
        request.headers[self._name] = self._value


class QuerySigner(Unsigned):
    """A key in the query string; set, not added, since a vendor's next-page URL may already have it."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def sign(self, request: httpx.Request) -> None:
        request.url = request.url.copy_set_param(self._name, self._value)


class TokenSigner:
    """OAuth 2: where the token comes from is not its business."""

    def __init__(self, tokens: Tokens, auth: OAuth2) -> None:
        self._tokens = tokens
        self._scheme = auth.scheme
        self.refresh_on = auth.refresh_on

    def sign(self, request: httpx.Request) -> None:
        request.headers["authorization"] = f"{self._scheme} {self._tokens.token().access_token}"

    def renew(self, refused: httpx.Request) -> None:
        self._tokens.renew(refused.headers.get("authorization", "").removeprefix(f"{self._scheme} "))

    def base_url(self) -> str | None:
        return self._tokens.token().base_url


def make_signer(auth: Auth, tokens: Tokens | None) -> Signer:
    """Return the signer for *auth*; *tokens* is for `OAuth2`."""
    match auth:
        case None:
            return Unsigned()
        case Bearer():
            hide(auth.token)
            return HeaderSigner("authorization", f"Bearer {auth.token.get_secret_value()}")
        case Basic():
            pair = f"{auth.username}:{auth.password.get_secret_value()}"
            encoded = base64.b64encode(pair.encode()).decode()
            hide(auth.password, encoded)
            return HeaderSigner("authorization", f"Basic {encoded}")
        case HeaderKey():
            hide(auth.value)
            return HeaderSigner(auth.name.lower(), auth.value.get_secret_value())
        case QueryKey():
            hide(auth.value)
            return QuerySigner(auth.name, auth.value.get_secret_value())
        case OAuth2():
            if tokens is None:
                raise TypeError("OAuth2 needs tokens")
            return TokenSigner(tokens, auth)

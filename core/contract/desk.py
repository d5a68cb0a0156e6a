"""
The desk at which a sandbox of an OAuth 2 vendor lets people sign in: codes, tokens, their rotation and their end.

It is as strict as the standard: a code is good once, for the redirect URI and the challenge that it was asked with; a refresh
token that was rotated away is good for nothing. The paths, and what an error looks like, are the sandbox's.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode


class Unwelcome(Exception):  # noqa: N818 - what the vendor says, not an error of ours
    """Nobody is let in; the argument is OAuth 2's word for why."""


@dataclass
class Desk:
    """A vendor's sign-in. Guarded by its user's lock."""

    now: Callable[[], datetime]
    _: KW_ONLY
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-client-secret"
    life: timedelta | None = timedelta(minutes=30)
    """How long an access token is good; None: until it is revoked, and its answer has no `expires_in`."""
    refreshes: bool = True
    """Whether there are refresh tokens."""
    rotates: bool = False
    """Whether a refresh token is good once."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What the token answer has besides the usual."""
    sent_back: Mapping[str, str] = field(default_factory=dict)
    """What the redirect has besides code and state."""
    declines: bool = False
    """The person at the browser says no."""
    asked: list[Mapping[str, str]] = field(default_factory=list)
    """What came to the sign-in page."""
    _codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Redirect URI and challenge of each code that is still good."""
    _tokens: dict[str, datetime | None] = field(default_factory=dict)
    _renewals: set[str] = field(default_factory=set)

    def authorize(self, query: Mapping[str, str]) -> str:
        """Return where the browser is sent; Unwelcome for what a vendor shows a page of its own for."""
        self.asked.append(dict(query))
        redirect_uri = query.get("redirect_uri", "")
        if query.get("response_type") != "code" or query.get("client_id") != self.client_id or not redirect_uri:
            raise Unwelcome("invalid_request")
        if query.get("code_challenge_method", "S256") != "S256":
            raise Unwelcome("invalid_request")
        if self.declines:
            said = {"error": "access_denied", "error_description": "The user said no."}
        else:
            said = {"code": self.hand_out(redirect_uri, query.get("code_challenge", "")), **self.sent_back}
        return f"{redirect_uri}?{urlencode({**said, 'state': query.get('state', '')})}"

    def hand_out(self, redirect_uri: str = "", challenge: str = "") -> str:
        """Return a code; without arguments, one as a vendor's own console gives."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = (redirect_uri, challenge)
        return code

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the token answer; Unwelcome with the `error` of a refusal."""
        if form.get("client_id") != self.client_id or form.get("client_secret") != self.client_secret:
            raise Unwelcome("invalid_client")
        match form.get("grant_type"):
            case "authorization_code":
                if self._codes.pop(form.get("code", ""), None) != (form.get("redirect_uri", ""), _challenge(form)):
                    raise Unwelcome("invalid_grant")
                return self._issue(secrets.token_urlsafe(24) if self.refreshes else None)
            case "refresh_token":
                held = form.get("refresh_token", "")
                if held not in self._renewals:
                    raise Unwelcome("invalid_grant")
                if self.rotates:
                    self._renewals.discard(held)
                return self._issue(secrets.token_urlsafe(24) if self.rotates else held)
            case _:
                raise Unwelcome("unsupported_grant_type")

    def welcomes(self, access_token: str) -> bool:
        """Tell whether an access token is good."""
        if access_token not in self._tokens:
            return False
        ends_at = self._tokens[access_token]
        return ends_at is None or self.now() < ends_at

    def revoke(self) -> None:
        """Take every permission back, as a person does at the vendor."""
        self._tokens.clear()
        self._renewals.clear()

    def _issue(self, refresh_token: str | None) -> dict[str, Any]:
        access_token = secrets.token_urlsafe(24)
        self._tokens[access_token] = None if self.life is None else self.now() + self.life
        answer: dict[str, Any] = {"access_token": access_token, "token_type": "bearer", **self.more}
        if self.life is not None:
            answer["expires_in"] = int(self.life.total_seconds())
        if refresh_token is not None:
            self._renewals.add(refresh_token)
            answer["refresh_token"] = refresh_token
        return answer


def _challenge(form: Mapping[str, str]) -> str:
    """Return the challenge that the verifier of *form* answers; "" where none was sent."""
    verifier = form.get("code_verifier")
    if verifier is None:
        return ""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()

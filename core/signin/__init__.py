"""
A person signs in at a vendor in a browser, once: `tagalong connect`.

    redirect   what the vendor's answer says           catcher    the loopback port and the terminal where it arrives

What the browser is sent to and what the code is exchanged for is authlib's and `core.tokens`'; keeping the token is not done
here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

import httpx

from core.errors import ProtocolError
from core.signin.catcher import catching
from core.signin.redirect import read_redirect
from core.tokens import Exchange, Token

__all__ = ["sign_in"]


def sign_in(
    exchange: Exchange, redirect_uri: str, *, show: Callable[[str], None], typed: TextIO | None, limit_s: float
) -> Token:
    """
    Have a person sign in, and return the token, which is kept nowhere yet.

    *show* is called with the address to open, once the answer can be caught; a line of *typed* may be the answer, too.

    Raises:
        AuthError: declined, refused, answered for another sign-in, or not answered within *limit_s*.
        ConfigError: the port of *redirect_uri* is taken.
    """
    from authlib.common.security import generate_token

    auth = exchange.auth
    verifier = {"code_verifier": generate_token(64)} if auth.pkce else {}
    with exchange.client(redirect_uri=redirect_uri, scope=exchange.scope, code_challenge_method="S256") as client:
        address, state = client.create_authorization_url(auth.authorize_url, **verifier, **auth.authorize_params)
    with catching(redirect_uri, typed) as catcher:
        show(address)
        granted = read_redirect(catcher.wait(limit_s), state, auth.token_host_param)
        token_url = _moved(auth.token_url, granted.origin)
        return exchange.by_code(granted.code, token_url=token_url, redirect_uri=redirect_uri, **verifier)


def _moved(token_url: str, origin: str | None) -> str | None:
    """Return *token_url* at *origin*; whether that is the vendor's is judged before anything is sent there."""
    if not origin:
        return None
    try:
        there, path = httpx.URL(origin), httpx.URL(token_url).raw_path
        return str(there.copy_with(raw_path=path, userinfo=b""))
    except (httpx.InvalidURL, UnicodeError, TypeError, ValueError):
        raise ProtocolError("the vendor's answer names a token server whose address cannot be read") from None
